"""The forecaster as one of sktime's, irregular absolute horizons included."""

from typing import Any, ClassVar

import numpy as np
import pandas as pd

from latentode.data import DataError
from latentode.estimators import LatentODEForecaster

try:
    from sktime.forecasting.base import BaseForecaster
except ImportError as cause:
    raise ImportError("this needs sktime: pip install latentode[sktime]") from cause

__all__ = ["SktimeLatentODEForecaster"]

_TIME, _ID = "__time__", "__series__"


class SktimeLatentODEForecaster(BaseForecaster):
    """A latent ODE behind sktime's interface: univariate or multivariate, one series or a panel, with missing values.

    Parameters
    ----------
    seasonality, dynamics, hidden_dim, latent_dim, max_steps, random_state : object
        As of :class:`latentode.LatentODEForecaster`, whose other parameters are at their defaults.

    Attributes
    ----------
    forecaster_ : LatentODEForecaster
        Fitted.

    Examples
    --------
    >>> import pandas as pd
    >>> from latentode.sktime import SktimeLatentODEForecaster
    >>> dates = pd.to_datetime(["2024-01-01", "2024-01-03", "2024-01-04", "2024-01-09", "2024-01-10"])
    >>> y = pd.Series([1.0, 2.0, 1.5, 2.5, 2.0], index=dates)
    >>> forecaster = SktimeLatentODEForecaster(max_steps=10, random_state=0).fit(y)
    >>> len(forecaster.predict(fh=pd.DatetimeIndex(["2024-01-11 06:00", "2024-01-20"])))
    2
    """

    _tags: ClassVar[dict[str, Any]] = {
        "authors": ["The latentode developers"],
        "python_dependencies": ["torch", "lightning"],
        "scitype:y": "both",
        "y_inner_mtype": ["pd.DataFrame", "pd-multiindex", "pd_multiindex_hier"],
        "X_inner_mtype": ["pd.DataFrame", "pd-multiindex", "pd_multiindex_hier"],
        "capability:exogenous": False,
        "capability:random_state": True,
        "property:randomness": "derandomized",
        "requires-fh-in-fit": False,
        "capability:missing_values": True,
        "capability:insample": True,
        "capability:pred_int": True,
        "capability:pred_int:insample": True,
        "enforce_index_type": None,
    }

    def __init__(
        self,
        seasonality: Any = "auto",
        dynamics: str = "mixed",
        hidden_dim: int | None = None,
        latent_dim: int | None = None,
        max_steps: int | None = None,
        random_state: Any = None,
    ) -> None:
        self.seasonality = seasonality
        self.dynamics = dynamics
        self.hidden_dim = hidden_dim
        self.latent_dim = latent_dim
        self.max_steps = max_steps
        self.random_state = random_state
        super().__init__()

    def _fit(self, y: pd.DataFrame, X: Any, fh: Any) -> "SktimeLatentODEForecaster":
        self.forecaster_ = LatentODEForecaster(
            id_col=_ID,
            time_col=_TIME,
            target_cols=[f"c{k}" for k in range(y.shape[1])],
            seasonality=self.seasonality,
            dynamics=self.dynamics,
            hidden_dim=self.hidden_dim,
            latent_dim=self.latent_dim,
            max_steps=self.max_steps,
            random_state=self.random_state,
            verbose=False,
        ).fit(_long(y))
        self._columns = y.columns
        self._series = _series(y)
        self._names = y.index.names
        return self

    def _update(self, y: pd.DataFrame, X: Any = None, update_params: bool = True) -> "SktimeLatentODEForecaster":
        self.forecaster_.update(_long(y))
        return self

    def _predict(self, fh: Any, X: Any) -> pd.DataFrame:
        index = self._query_index(fh)
        found = self.forecaster_.predict(_long(pd.DataFrame(index=index)))
        return pd.DataFrame(found.to_numpy(), index, self._columns)

    def _predict_quantiles(self, fh: Any, X: Any, alpha: list[float]) -> pd.DataFrame:
        index = self._query_index(fh)
        found = self.forecaster_.predict_quantiles(_long(pd.DataFrame(index=index)), alpha)
        names = self._get_varnames()
        columns = pd.MultiIndex.from_product([names, alpha])
        return pd.DataFrame(found.to_numpy(), index, columns)

    def _query_index(self, fh: Any) -> pd.Index:
        """The horizon as an index of the shape of y's."""
        try:
            times: pd.Index = pd.Index(fh.to_absolute_index(self.cutoff))
        except TypeError as cause:
            raise DataError(
                f"fh={fh.to_pandas().tolist()!r} counts steps, but the dates of y have no frequency to say how long "
                "a step is; give the times themselves, fh=pd.DatetimeIndex([...]), or durations, "
                "fh=pd.to_timedelta(['1D', ...]), or y a frequency with y.asfreq('D')"
            ) from cause
        if self._series is None:
            return times
        levels = [s if isinstance(s, tuple) else (s,) for s in self._series.unique()]
        return pd.MultiIndex.from_tuples([(*s, t) for s in levels for t in times], names=self._names)

    @classmethod
    def get_test_params(cls, parameter_set: str = "default") -> list[dict[str, Any]]:
        """Small settings for sktime's own tests."""
        quick = {"max_steps": 3, "hidden_dim": 8, "latent_dim": 4, "random_state": 0}
        return [quick, {**quick, "dynamics": "linear", "seasonality": None}]


def _series(y: pd.DataFrame) -> pd.Index | None:
    """The series of every row, one level or several; None for a frame of one series."""
    if not isinstance(y.index, pd.MultiIndex):
        return None
    series: pd.Index = y.index.droplevel(y.index.nlevels - 1)
    return series


def _long(y: pd.DataFrame) -> pd.DataFrame:
    """Convert a sktime frame to a long one: times and series as columns, channels by number."""
    long = pd.DataFrame({f"c{k}": y.iloc[:, k].to_numpy() for k in range(y.shape[1])})
    long[_TIME] = pd.Series(y.index.get_level_values(-1)).array
    series = _series(y)
    long[_ID] = "one" if series is None else np.array([str(s) for s in series], dtype=object)
    return long
