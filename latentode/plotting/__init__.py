"""Pictures of forecasts, the latent space, training, calibration and backtests. Axes in, axes out."""

from latentode.plotting.backtest import plot_backtest
from latentode.plotting.calibration import plot_calibration
from latentode.plotting.forecast import plot_forecast
from latentode.plotting.latent import plot_latent
from latentode.plotting.training import plot_training
from latentode.plotting.weights import plot_weights

__all__ = ["plot_backtest", "plot_calibration", "plot_forecast", "plot_latent", "plot_training", "plot_weights"]
