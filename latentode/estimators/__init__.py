"""The scikit-learn face of latent ODEs."""

from latentode.estimators.forecaster import LatentODEForecaster, load
from latentode.estimators.imputer import LatentODEImputer
from latentode.estimators.presets import PUBLISHED
from latentode.estimators.splits import CutoffSplit

__all__ = ["PUBLISHED", "CutoffSplit", "LatentODEForecaster", "LatentODEImputer", "load"]
