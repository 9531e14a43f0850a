"""The scikit-learn face of latent ODEs."""

from latentode.estimators.forecaster import LatentODEForecaster, load
from latentode.estimators.published import PUBLISHED

__all__ = ["PUBLISHED", "LatentODEForecaster", "load"]
