"""One table of scores: forecasters side by side, channel by channel."""

from collections.abc import Hashable, Mapping

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from latentode.evaluation.metrics import coverage, crps_quantiles, interval_width, mae, rmse

__all__ = ["score_table"]

_MEAN = "mean"
_IN_UNITS = ["mae", "rmse", "crps", "width"]


def score_table(
    y_true: pd.DataFrame,
    predictions: Mapping[str, pd.DataFrame],
    quantiles: Mapping[str, pd.DataFrame] | None = None,
    *,
    spread: Mapping[Hashable, float] | pd.Series,
    level: float = 90,
) -> pd.DataFrame:
    """Score several forecasters on the same queries.

    Parameters
    ----------
    y_true : DataFrame
        The truth: a row per query, a column per channel, NaN where unknown.
    predictions : mapping of str to DataFrame
        By forecaster, what ``predict`` gave: the same rows in the same order, a column per channel.
    quantiles : mapping of str to DataFrame, optional
        By forecaster, what ``predict_quantiles`` gave: columns such as ``bili-q0.05``. The CRPS is that of
        :func:`crps_quantiles`, so give all forecasters the same levels, and many (0.05, 0.1, ..., 0.95).
        Forecasters without quantiles get NaN for CRPS, coverage and width.
    spread : mapping of channel to float, or Series
        The unit in which channels are averaged, such as ``train[channels].std()``. It is a parameter, and
        not computed from `y_true`, so that a score does not depend on which values happen to be queried.
    level : float, default=90
        The percentage of the central interval whose coverage and width are reported. Its bounds must be among the
        quantiles.

    Returns
    -------
    DataFrame
        A row per forecaster and channel, in the order given, and one named ``"mean"``, with the columns
        ``forecaster``, ``channel``, ``n`` (known values), ``mae``, ``rmse``, ``crps``, ``coverage`` and ``width``.
        Channels are scored in their own units. The mean weighs channels alike, each in units of its spread, and
        leaves out channels without a known value.

    Raises
    ------
    ValueError
        If rows, channels or quantiles are missing, a spread is missing or not positive, or a forecast is NaN
        where the truth is known.

    Examples
    --------
    >>> import pandas as pd
    >>> from latentode.evaluation import score_table
    >>> truth = pd.DataFrame({"wind": [10.0, 20.0], "pressure": [1000.0, float("nan")]})
    >>> flat = pd.DataFrame({"wind": [15.0, 15.0], "pressure": [990.0, 990.0]})
    >>> table = score_table(truth, {"flat": flat}, spread={"wind": 5.0, "pressure": 20.0})
    >>> table[["forecaster", "channel", "n", "mae"]]
      forecaster   channel  n    mae
    0       flat      wind  2   5.00
    1       flat  pressure  1  10.00
    2       flat      mean  3   0.75
    """
    units = _units(y_true, spread)
    unknown = set(quantiles or {}) - set(predictions)
    if unknown:
        raise ValueError(f"quantiles name {sorted(unknown)}, which predictions do not")
    blocks = []
    for name, points in predictions.items():
        bands = None if quantiles is None else quantiles.get(name)
        _check_rows(y_true, points, f"predictions[{name!r}]")
        if bands is not None:
            _check_rows(y_true, bands, f"quantiles[{name!r}]")
        rows = [_score_channel(name, channel, y_true, points, bands, level) for channel in y_true.columns]
        blocks += [*rows, _mean_row(name, rows, units)]
    return pd.DataFrame(blocks)


def _units(y_true: pd.DataFrame, spread: Mapping[Hashable, float] | pd.Series) -> NDArray[np.float64]:
    if _MEAN in y_true.columns:
        raise ValueError(f"a channel is named {_MEAN!r}, as the row of means is; rename it")
    given = dict(spread)
    missing = [channel for channel in y_true.columns if not given.get(channel, np.nan) > 0]
    if missing:
        raise ValueError(
            f"spread has no positive number for {missing}; give one per channel, such as its std in training"
        )
    return np.array([given[channel] for channel in y_true.columns], dtype=np.float64)


def _check_rows(y_true: pd.DataFrame, forecast: pd.DataFrame, name: str) -> None:
    if not forecast.index.equals(y_true.index):
        raise ValueError(
            f"{name} has other rows than y_true ({len(forecast)} and {len(y_true)} rows); "
            "give one row per row of y_true, with the same index in the same order"
        )


def _score_channel(
    name: str,
    channel: Hashable,
    y_true: pd.DataFrame,
    points: pd.DataFrame,
    bands: pd.DataFrame | None,
    level: float,
) -> dict[str, object]:
    if channel not in points.columns:
        raise ValueError(f"predictions[{name!r}] has no column {channel!r}; its columns are {list(points.columns)}")
    truth, point = y_true[channel].to_numpy(np.float64), points[channel].to_numpy(np.float64)
    row: dict[str, object] = {"forecaster": name, "channel": channel, "n": int((~np.isnan(truth)).sum())}
    row |= {"mae": mae(truth, point), "rmse": rmse(truth, point)}
    if bands is None:
        return row | dict.fromkeys(["crps", "coverage", "width"], np.nan)
    levels, values = _quantiles_of(channel, bands, name)
    low, high = (_bound(levels, values, tau, channel, name) for tau in ((100 - level) / 200, (100 + level) / 200))
    return row | {
        "crps": crps_quantiles(truth, values, levels),
        "coverage": coverage(truth, low, high),
        "width": interval_width(truth, low, high),
    }


def _quantiles_of(channel: Hashable, bands: pd.DataFrame, name: str) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Levels in order, and the quantiles along them, of shape (query, level)."""
    prefix = f"{channel}-q"
    found = {}
    for column in map(str, bands.columns):
        tail = column.removeprefix(prefix)
        if tail != column and tail.replace(".", "", 1).replace("e-", "", 1).isdigit():
            found[float(tail)] = column
    if not found:
        raise ValueError(f"quantiles[{name!r}] has no column {prefix}..., such as '{prefix}0.5'")
    levels = np.array(sorted(found))
    return levels, bands[[found[tau] for tau in levels]].to_numpy(np.float64)


def _bound(
    levels: NDArray[np.float64], values: NDArray[np.float64], tau: float, channel: Hashable, name: str
) -> NDArray[np.float64]:
    nearest = int(np.abs(levels - tau).argmin())
    if not np.isclose(levels[nearest], tau, rtol=0, atol=1e-6):
        raise ValueError(
            f"quantiles[{name!r}] has no column '{channel}-q{tau:g}', a bound of the interval; "
            f"its levels are {levels.tolist()}: add this one or choose another level"
        )
    return values[:, nearest]


def _mean_row(name: str, rows: list[dict[str, object]], units: NDArray[np.float64]) -> dict[str, object]:
    scores = pd.DataFrame(rows)
    scaled = scores[_IN_UNITS].div(units, axis=0).assign(coverage=scores["coverage"])
    return {"forecaster": name, "channel": _MEAN, "n": int(scores["n"].sum())} | {
        str(score): float(value) for score, value in scaled.mean().items()
    }
