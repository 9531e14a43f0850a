"""One channel of a panel: each series' observations in order of time."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from latentode.data import Panel

__all__ = ["Floats", "Integers", "Observations"]

Floats = NDArray[np.float64]
Integers = NDArray[np.intp]


@dataclass(frozen=True)
class Observations:
    """One channel's observations: those of series ``s`` are ``starts[s]`` to ``starts[s + 1]``, in order of time.

    Parameters
    ----------
    starts : array of shape (series + 1,)
        Where each series begins.
    times, values : arrays of shape (observation,)
        No NaN; times of one series are distinct.
    """

    starts: Integers
    times: Floats
    values: Floats

    @classmethod
    def of_channel(cls, panel: Panel, channel: int) -> "Observations":
        """The observations of one of a panel's channels, by position."""
        known = ~np.isnan(panel.values[:, channel])
        counts = np.bincount(panel.series_of_row[known], minlength=panel.n_series)
        return cls(np.concatenate([[0], np.cumsum(counts)]), panel.times[known], panel.values[known, channel])

    @property
    def counts(self) -> Integers:
        """The number of observations of each series."""
        return np.diff(self.starts)

    @property
    def series(self) -> Integers:
        """The series of each observation."""
        return np.repeat(np.arange(len(self.starts) - 1), self.counts)

    def last_at(self, series: Integers, times: Floats) -> Integers:
        """Find the last observation at or before each query: its place in the arrays, -1 where there is none."""
        places = np.concatenate([self.series, series])
        when = np.concatenate([self.times, times])
        is_query = np.repeat([False, True], [len(self.times), len(times)])
        order = np.lexsort((is_query, when, places))
        seen = np.empty(len(order), dtype=np.intp)
        seen[order] = np.cumsum(~is_query[order])
        last = seen[is_query] - 1
        known = series >= 0
        known[known] = last[known] >= self.starts[series[known]]
        return np.where(known, last, -1)
