"""Naive forecasters: what a model must beat.

All share one contract. ``fit`` takes a long frame, a row per series and time, NaN where a channel was not
measured; ``predict`` answers a frame of series and times row by row, and never with NaN for a channel that has
data: where the method has too little to go on it falls back, in the end on the channel's mean in the population.

A point forecast has no spread, so each baseline learns one from its own mistakes: in every fitted series the last
part is hidden and predicted from the rest, and the residuals, pooled per channel, are laid around later answers.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from latentode.evaluation._baseline import Baseline
from latentode.evaluation._history import Floats, Integers, Observations

__all__ = [
    "ConstantVelocity",
    "LastValue",
    "LinearInterpolation",
    "LinearTrend",
    "PopulationMean",
    "SeriesMean",
]


class PopulationMean(Baseline):
    """The channel's mean over all fitted observations, for every series and time."""

    def _answer(self, observations: Observations, series: Integers, times: Floats) -> Floats:
        return np.full(len(series), np.nan)


class SeriesMean(Baseline):
    """The mean of the series' own history, whatever the time; without one, the population's mean."""

    def _answer(self, observations: Observations, series: Integers, times: Floats) -> Floats:
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

    def _answer(self, observations: Observations, series: Integers, times: Floats) -> Floats:
        last = observations.last_at(series, times)
        return _pick(observations.values, last)


class ConstantVelocity(Baseline):
    """The straight line through the last two observations at or before the query.

    With one of them its value; with none, the population's mean.
    """

    def _answer(self, observations: Observations, series: Integers, times: Floats) -> Floats:
        last = observations.last_at(series, times)
        has_two = (last >= 0) & (last > _pick(observations.starts, series))
        before = np.where(has_two, last - 1, last)
        return _line(observations, before, last, times)


class LinearTrend(Baseline):
    """The least-squares line through the series' whole history, channel by channel.

    With one observation its value; with none, the population's mean.
    """

    def _answer(self, observations: Observations, series: Integers, times: Floats) -> Floats:
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

    def _answer(self, observations: Observations, series: Integers, times: Floats) -> Floats:
        last = observations.last_at(series, times)
        first = np.where(_pick(observations.counts, series) > 0, _pick(observations.starts, series), -1)
        before = np.where(last >= 0, last, first).astype(np.intp)
        follows = (last >= 0) & (last + 1 < _pick(observations.starts[1:], series))
        return _line(observations, before, np.where(follows, before + 1, before), times)

    def _hide(self, position: Integers, size: Integers) -> NDArray[np.bool_]:
        return np.asarray(position % 3 == 1)


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
