"""The scikit-learn face of latent ODEs."""

from latentode.estimators.forecaster import LatentODEForecaster, load

__all__ = ["LatentODEForecaster", "load"]
