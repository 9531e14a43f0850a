"""Values of series at times of their own, in flat arrays."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from latentode.data.ragged import pad, slices

__all__ = ["TimedRows", "grouped_rows"]

Floats = NDArray[np.float64]
Features = NDArray[np.float32]
Ints = NDArray[np.int64]


@dataclass(frozen=True)
class TimedRows:
    """Rows of several series, each with a time and some features.

    Parameters
    ----------
    offsets : array of int
        (series + 1,), rows of each series.
    times : array of float
        (row,), increasing within a series.
    values : array of float32
        (row, feature).

    Examples
    --------
    >>> import numpy as np
    >>> rows = TimedRows(np.array([0, 2]), np.array([1.0, 3.0]), np.array([[5.0], [6.0]], dtype=np.float32))
    >>> rows.held(np.array([0, 0]), np.array([2.0, 3.0])).ravel().tolist()
    [5.0, 6.0]
    """

    offsets: Ints
    times: Floats
    values: Features

    @classmethod
    def empty(cls, n_series: int, n_features: int = 0) -> "TimedRows":
        """No rows."""
        return cls(np.zeros(n_series + 1, dtype=np.int64), np.empty(0), np.empty((0, n_features), dtype=np.float32))

    @property
    def n_series(self) -> int:
        """Number of series."""
        return len(self.offsets) - 1

    @property
    def n_features(self) -> int:
        """Number of features."""
        return int(self.values.shape[1])

    @property
    def series_of_row(self) -> Ints:
        """The position of every row's series, (row,)."""
        return np.repeat(np.arange(self.n_series), np.diff(self.offsets))

    def take(self, series: Ints) -> "TimedRows":
        """The rows of some of the series, by position."""
        offsets, rows = slices(self.offsets[series], np.diff(self.offsets)[series])
        return TimedRows(offsets, self.times[rows], self.values[rows])

    def where(self, keep: NDArray[np.bool_]) -> "TimedRows":
        """Some of the rows; a series may be left with none."""
        counts = np.bincount(self.series_of_row[keep], minlength=self.n_series)
        offsets = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
        return TimedRows(offsets, self.times[keep], self.values[keep])

    def without_repeats(self) -> "TimedRows":
        """The rows without those that repeat the one before."""
        series, new = self.series_of_row, np.ones(len(self.times), dtype=bool)
        new[1:] = (series[1:] != series[:-1]) | (self.values[1:] != self.values[:-1]).any(axis=1)
        return self.where(new)

    def append(self, other: "TimedRows") -> "TimedRows":
        """The rows with those of further series."""
        return TimedRows(
            np.concatenate([self.offsets, self.offsets[-1] + other.offsets[1:]]),
            np.concatenate([self.times, other.times]),
            np.concatenate([self.values, other.values]),
        )

    def grown(self, n_series: int) -> "TimedRows":
        """The rows with further series, which have none."""
        more = np.full(n_series - self.n_series, self.offsets[-1])
        return TimedRows(np.concatenate([self.offsets, more]), self.times, self.values)

    def with_rows(self, series: Ints, times: Floats, values: Features) -> "TimedRows":
        """The rows with further ones, whose values replace those of old rows of the same series and time.

        Parameters
        ----------
        series : array of int
            (row,), positions.
        times : array of float
            (row,), no two alike within a series.
        values : array of float32
            (row, feature); where one is NaN, the old value stays.
        """
        codes = np.concatenate([self.series_of_row, series])
        when = np.concatenate([self.times, times])
        rows = np.lexsort((when, codes))  # at the same time, the old row comes first
        codes, when, both = codes[rows], when[rows], np.concatenate([self.values, values])[rows]
        again = np.flatnonzero((codes[1:] == codes[:-1]) & (when[1:] == when[:-1])) + 1
        both[again] = np.where(np.isnan(both[again]), both[again - 1], both[again])
        last = np.ones(len(rows), dtype=bool)
        last[again - 1] = False
        offsets = np.searchsorted(codes[last], np.arange(self.n_series + 1)).astype(np.int64)
        return TimedRows(offsets, when[last], both[last])

    def held(self, series: Ints, times: Floats) -> Features:
        """The values held by some series at some times, (row, feature); zeros for a series without rows.

        Parameters
        ----------
        series : array of int
            (row,), positions.
        times : array of float
            (row,); before the first row of a series, its first row is used.
        """
        # One sort places all query times among the rows, which is faster than a search for each series.
        n = len(self.times)
        order = np.lexsort(
            (
                np.arange(n + len(times)),  # a row at the query time itself counts
                np.concatenate([self.times, times]),
                np.concatenate([self.series_of_row, series]),
            )
        )
        until = np.empty(n + len(times), dtype=np.int64)
        until[order] = np.cumsum(order < n)
        begins, ends = self.offsets[series], self.offsets[series + 1]
        some = ends > begins
        held = np.zeros((len(times), self.n_features), dtype=np.float32)
        held[some] = self.values[np.maximum(until[n:] - 1, begins)[some]]
        return held

    def window(self, series: Ints, begin: Floats, end: Floats) -> tuple[Floats, Features]:
        """The rows of some series from one time to another, and the last one before.

        Parameters
        ----------
        series : array of int
            (batch,), positions.
        begin, end : array of float
            (batch,).

        Returns
        -------
        times : array of float
            (batch, knot), inf where padded.
        values : array of float32
            (batch, knot, feature); zeros for a series without rows.
        """
        starts, stops = self.offsets[series], self.offsets[series + 1]
        first, last = starts.copy(), stops.copy()
        for i, (start, stop) in enumerate(zip(starts, stops, strict=True)):
            own = self.times[start:stop]
            first[i] = start + max(int(np.searchsorted(own, begin[i], side="right")) - 1, 0)
            last[i] = start + int(np.searchsorted(own, end[i], side="right"))
        lengths = np.maximum(last - first, np.minimum(stops - first, 1))
        return pad(self.times, first, lengths, np.inf), pad(self.values, first, lengths, 0.0)


def grouped_rows(
    n_series: int,
    series: Ints,
    times: Floats,
    values: NDArray[np.floating],
    merge: Callable[[NDArray[np.floating], Ints], NDArray[np.floating]],
) -> TimedRows:
    """Sort rows into series and times; rows without a series (-1) or a time are left out.

    Parameters
    ----------
    n_series : int
        Number of series.
    series : array of int
        (row,), positions.
    times : array of float
        (row,).
    values : array of float
        (row, feature), NaN where missing.
    merge : callable
        Makes one row of each group of rows of the same series and time, given all rows and the first of each group.
    """
    kept = np.flatnonzero((series >= 0) & ~np.isnan(times))
    rows = kept[np.lexsort((times[kept], series[kept]))]
    codes, when, values = series[rows], times[rows], values[rows]
    first = np.ones(len(rows), dtype=bool)
    first[1:] = (codes[1:] != codes[:-1]) | (when[1:] != when[:-1])
    if not first.all():
        values = merge(values, np.flatnonzero(first))
    offsets = np.searchsorted(codes[first], np.arange(n_series + 1)).astype(np.int64)
    return TimedRows(offsets, when[first], values)
