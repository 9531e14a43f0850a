"""Forecasting for irregular time series with latent ODEs.

The front door is :class:`LatentODEForecaster`; names are imported when first used, so that
``import latentode`` costs no torch.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from latentode._version import __version__

if TYPE_CHECKING:
    from latentode.estimators.forecaster import LatentODEForecaster, load
    from latentode.estimators.imputer import LatentODEImputer
    from latentode.estimators.presets import PUBLISHED
    from latentode.estimators.splits import CutoffSplit

__all__ = ["PUBLISHED", "CutoffSplit", "LatentODEForecaster", "LatentODEImputer", "__version__", "load"]

_HOMES = {
    "PUBLISHED": "latentode.estimators.presets",
    "CutoffSplit": "latentode.estimators.splits",
    "LatentODEForecaster": "latentode.estimators.forecaster",
    "LatentODEImputer": "latentode.estimators.imputer",
    "load": "latentode.estimators.forecaster",
}


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(import_module(_HOMES[name]), name)
    raise AttributeError(f"module 'latentode' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
