"""Naive forecasters: what a model must beat.

All share one interface. ``fit`` takes a long frame, a row per series and time, NaN where a channel was not
measured; ``predict`` takes a frame of series and times row by row, and never with NaN for a channel that has
data: with too little data a method falls back, in the end on the channel's mean in the population.

A point forecast has no spread, so each baseline learns one from its own mistakes: in every fitted series the last
part is hidden and predicted from the rest, and the residuals, pooled per channel, are added to later predictions.
"""

from collections.abc import Hashable, Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.interpolate import PchipInterpolator

from latentode.evaluation.baseline import Baseline
from latentode.evaluation.observations import Floats, Integers, Observations

__all__ = [
    "ConstantVelocity",
    "LastValue",
    "LinearInterpolation",
    "LinearTrend",
    "PopulationMean",
    "SeasonalNaive",
    "SeriesMean",
    "SplineInterpolation",
]


class PopulationMean(Baseline):
    """The channel's mean over all fitted observations, for every series and time."""

    def _predict_channel(self, observations: Observations, series: Integers, times: Floats) -> Floats:
        return np.full(len(series), np.nan)


class SeriesMean(Baseline):
    """The mean of the series' own history, whatever the time; without one, the population's mean."""

    def _predict_channel(self, observations: Observations, series: Integers, times: Floats) -> Floats:
        return _pick(_means(observations, observations.values), series)


class LastValue(Baseline):
    """The last value observed at or before the query; before the first observation, the population's mean.

    Examples
    --------
    >>> import pandas as pd
    >>> from latentode.evaluation import LastValue
    >>> history = pd.DataFrame({"id": 1, "time": [0, 1, 2], "bili": [1.0, 4.0, float("nan")]})
    >>> LastValue().fit(history).predict(pd.DataFrame({"id": 1, "time": [0.5, 9.0]}))
       bili
    0   1.0
    1   4.0
    """

    def _predict_channel(self, observations: Observations, series: Integers, times: Floats) -> Floats:
        last = observations.last_at(series, times)
        return _pick(observations.values, last)


class ConstantVelocity(Baseline):
    """The straight line through the last two observations at or before the query.

    With one of them its value; with none, the population's mean.
    """

    def _predict_channel(self, observations: Observations, series: Integers, times: Floats) -> Floats:
        last = observations.last_at(series, times)
        has_two = (last >= 0) & (last > _pick(observations.starts, series))
        before = np.where(has_two, last - 1, last)
        return _line(observations, before, last, times)


class LinearTrend(Baseline):
    """The least-squares line through the series' whole history, channel by channel.

    With one observation its value; with none, the population's mean.
    """

    def _predict_channel(self, observations: Observations, series: Integers, times: Floats) -> Floats:
        centre, level = _means(observations, observations.times), _means(observations, observations.values)
        of = observations.series
        offset = observations.times - centre[of]
        square = np.bincount(of, offset**2, len(centre))
        product = np.bincount(of, offset * (observations.values - level[of]), len(centre))
        slope = np.divide(product, square, out=np.zeros(len(centre)), where=square > 0)
        return _pick(level, series) + _pick(slope, series) * (times - _pick(centre, series))


class LinearInterpolation(Baseline):
    """The straight line between the neighbouring observations, and the nearest value outside of them.

    Its residuals are learned between observations: of every three rows of a fitted series the second is hidden,
    whatever `hidden_fraction` says.
    """

    def _predict_channel(self, observations: Observations, series: Integers, times: Floats) -> Floats:
        last = observations.last_at(series, times)
        first = np.where(_pick(observations.counts, series) > 0, _pick(observations.starts, series), -1)
        before = np.where(last >= 0, last, first).astype(np.intp)
        follows = (last >= 0) & (last + 1 < _pick(observations.starts[1:], series))
        return _line(observations, before, np.where(follows, before + 1, before), times)

    def _hide(self, position: Integers, size: Integers) -> NDArray[np.bool_]:
        return np.asarray(position % 3 == 1)


class SplineInterpolation(Baseline):
    """The shape-preserving cubic through the neighbouring observations, and the nearest value outside of them.

    Its residuals are learned between observations, as those of :class:`LinearInterpolation`.

    References
    ----------
    Fritsch, F. N. and Butland, J. (1984). A method for constructing local monotone piecewise cubic interpolants. SIAM
    Journal on Scientific and Statistical Computing 5.
    """

    def _predict_channel(self, observations: Observations, series: Integers, times: Floats) -> Floats:
        found = np.full(len(series), np.nan)
        order = np.argsort(series, kind="stable")
        begins = np.searchsorted(series[order], np.arange(len(observations.starts)))
        for s in np.unique(series[series >= 0]):
            mine, queries = slice(*observations.starts[s : s + 2]), order[begins[s] : begins[s + 1]]
            when, values = observations.times[mine], observations.values[mine]
            if len(when) > 1:
                found[queries] = PchipInterpolator(when, values)(np.clip(times[queries], when[0], when[-1]))
            elif len(when) == 1:
                found[queries] = values[0]
        return found

    def _hide(self, position: Integers, size: Integers) -> NDArray[np.bool_]:
        return np.asarray(position % 3 == 1)


class SeasonalNaive(Baseline):
    """The value observed nearest to one period before the query, or two, or as many as it takes to reach the history.

    Where the nearest one lies more than a quarter of a period off, the last value.

    Parameters
    ----------
    period : Timedelta or number
        The period, in the unit of numeric times.
    id_col, time_col, target_cols, hidden_fraction
        As in :class:`Baseline`.

    Examples
    --------
    >>> import pandas as pd
    >>> from latentode.evaluation import SeasonalNaive
    >>> history = pd.DataFrame({"id": 1, "time": [0, 6, 12, 18], "load": [1.0, 5.0, 9.0, 4.0]})
    >>> SeasonalNaive(24).fit(history).predict(pd.DataFrame({"id": 1, "time": [31, 60]}))
       load
    0   5.0
    1   9.0
    """

    def __init__(
        self,
        period: Any,
        id_col: Hashable = "id",
        time_col: Hashable = "time",
        target_cols: Sequence[Hashable] | None = None,
        hidden_fraction: float = 1 / 3,
    ) -> None:
        super().__init__(id_col, time_col, target_cols, hidden_fraction)
        self.period = period

    def _predict_channel(self, observations: Observations, series: Integers, times: Floats) -> Floats:
        period = self.period if isinstance(self.period, int | float) else pd.Timedelta(self.period).total_seconds()
        if not period > 0:
            raise ValueError(f"period={self.period!r} must be positive")
        last = observations.last_at(series, times)
        end = _pick(observations.times, last)
        rounds = np.where(last >= 0, np.maximum(np.ceil((times - end) / period), 1), 1)
        wanted = times - rounds * period
        left = observations.last_at(series, wanted)
        starts = np.nan_to_num(_pick(observations.starts, series), nan=-1)  # an unknown series has none
        right = np.where(left >= 0, left + 1, starts).astype(np.intp)
        right = np.where((last >= 0) & (right <= last), right, -1)
        gaps = [np.abs(_pick(observations.times, place) - wanted) for place in (left, right)]
        nearest = np.where(np.nan_to_num(gaps[1], nan=np.inf) < np.nan_to_num(gaps[0], nan=np.inf), right, left)
        near = np.fmin(*gaps) <= period / 4
        return _pick(observations.values, np.where(near, nearest, last))


def _pick(values: NDArray[Any], places: Integers) -> Floats:
    """Values at places, NaN where the place is -1."""
    padded: Floats = np.append(values.astype(np.float64), np.nan)
    picked: Floats = padded[places]
    return picked


def _means(observations: Observations, values: Floats) -> Floats:
    """Mean per series, NaN for a series without observations."""
    counts = observations.counts
    total = np.bincount(observations.series, values, len(counts))
    means: Floats = np.divide(total, counts, out=np.full(len(counts), np.nan), where=counts > 0)
    return means


def _line(observations: Observations, before: Integers, after: Integers, times: Floats) -> Floats:
    """The line through two observations, at the query times; a constant where the two are one."""
    start, value = _pick(observations.times, before), _pick(observations.values, before)
    run = _pick(observations.times, after) - start
    rise = _pick(observations.values, after) - value
    slope = np.divide(rise, run, out=np.zeros(len(run)), where=run > 0)
    return value + slope * (times - start)
