"""Batches of queries: which history each query is predicted from, and how many go into a batch."""

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from latentode.data import Panel, Seasons, pad
from latentode.nn import Batch
from latentode.training import RaggedSeries, query_batch
from latentode.training.tasks import MAX_HISTORY

__all__ = ["QueryBatcher"]

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]

QUERIES_A_GROUP = 256
"""Queries along one trajectory at most; more are split, which changes no prediction."""

CELLS_A_BATCH, VALUES_A_BATCH = 40_000, 2_000_000
"""Padded (series, query or row) cells of a batch, and cells times channels: they bound the memory for any number of
queries and of channels."""


@dataclass(frozen=True)
class QueryBatcher:
    """Queries, each with the history it is predicted from.

    A query after a series' last observation is predicted from the end of the history. A query inside the history is
    predicted from a forecast origin at most one span later: training has no lead times farther back.

    Parameters
    ----------
    panel : Panel
        The observations.
    series : array of int
        (query,), position in the panel of each query's series.
    times : array of float
        (query,), query times in the panel's unit.
    span : float
        The unit of the model's time.
    seasons : Seasons
        Periods of the times.
    """

    panel: Panel
    series: Ints
    times: Floats
    span: float
    seasons: Seasons = field(default_factory=Seasons)

    def batches(self, values: NDArray[np.float32], copies: int = 1) -> Iterator[tuple[Batch, Ints, Ints, Ints]]:
        """Batches of bounded size.

        Parameters
        ----------
        values : array of float32
            (rows, channel), the panel's values, scaled.
        copies : int
            How often each batch will be repeated (for samples); batches are smaller by this factor.

        Yields
        ------
        batch : Batch
            Histories and queries.
        series : array of int
            (batch,), position in the panel of each row of the batch.
        where, slots : array of int
            Query numbers, and their positions in the flattened (batch, query) prediction.
        """
        panel = self.panel
        history = RaggedSeries(panel.offsets, panel.times, values, self.seasons, panel.covariates)
        stops = self._stops()
        order = np.lexsort((self.times, stops, self.series))
        begins, counts = _groups(self.series[order], stops[order])
        leaders = order[begins]
        group_series, group_stops = self.series[leaders], stops[leaders]
        group_starts = np.maximum(panel.offsets[group_series], group_stops - MAX_HISTORY)
        origins = self._origins(group_series, group_starts, group_stops)
        cells = np.maximum(counts, group_stops - group_starts) * copies
        if panel.covariates is not None:  # all impulses of a series go into its batch
            cells = np.maximum(cells, np.diff(panel.covariates.given_impulses.offsets)[group_series] * copies)
        # Queries with histories of similar length share a batch, so that little of it is padding.
        by_size = np.argsort(cells, kind="stable")
        for part in _chunks(cells[by_size], min(CELLS_A_BATCH, VALUES_A_BATCH // history.values.shape[1])):
            groups = by_size[part]
            numbers = pad(order, begins[groups], counts[groups], -1)
            batch = query_batch(
                history,
                group_starts[groups],
                group_stops[groups],
                origins[groups],
                np.where(numbers >= 0, self.times[numbers], np.nan),
                self.span,
                group_series[groups],
            )
            slots = np.flatnonzero(numbers.ravel() >= 0)
            yield batch, group_series[groups], numbers.ravel()[slots], slots

    def _stops(self) -> Ints:
        """The row after the last one of each query's history."""
        panel = self.panel
        ends = panel.offsets[1:][self.series]
        begins = panel.offsets[:-1][self.series]
        stops = ends.copy()
        first, last = panel.first_times[self.series], panel.last_times[self.series]
        inside = np.flatnonzero((ends > begins) & (self.times < last))
        if len(inside) == 0:
            return stops
        # Steps of half a span (and of a quarter of the longest history) keep the number of histories small.
        half = 0.5 * self.span
        block = np.maximum(np.floor((self.times[inside] - first[inside]) / half), 0)
        until = first[inside] + (block + 2) * half
        by_time = _search(panel, self.series[inside], until)
        here = _search(panel, self.series[inside], self.times[inside]) - begins[inside]
        quarter = MAX_HISTORY // 4
        by_rows = begins[inside] + (here // quarter + 3) * quarter
        stops[inside] = np.minimum(ends[inside], np.minimum(np.maximum(by_time, begins[inside] + 1), by_rows))
        return stops

    def _origins(self, series: Ints, starts: Ints, stops: Ints) -> Floats:
        """The forecast origin of each history: its end, or for a series without one its earliest query."""
        earliest = np.full(self.panel.n_series, np.inf)
        np.minimum.at(earliest, self.series, self.times)
        known = stops > starts
        origins = earliest[series]
        origins[known] = self.panel.times[stops[known] - 1]
        return origins


def _search(panel: Panel, series: Ints, times: Floats) -> Ints:
    """The first row of each series later than a time, by one sort of (series, time) pairs."""
    rows = np.lexsort(
        (
            np.concatenate([np.zeros(len(panel.times)), np.ones(len(times))]),
            np.concatenate([panel.times, times]),
            np.concatenate([panel.series_of_row, series]),
        )
    )
    # At equal times rows sort before queries, so that a row at the very time of a query counts as earlier.
    is_row = rows < len(panel.times)
    before = np.cumsum(is_row)
    found = np.empty(len(times), dtype=np.int64)
    found[rows[~is_row] - len(panel.times)] = before[~is_row]
    return found


def _groups(series: Ints, stops: Ints) -> tuple[Ints, Ints]:
    """Begins and lengths of runs of queries of one series and history, at most ``QUERIES_A_GROUP`` long."""
    new_group = np.ones(len(series), dtype=bool)
    new_group[1:] = (np.diff(series) != 0) | (np.diff(stops) != 0)
    begins = _split_long(np.flatnonzero(new_group), len(series), QUERIES_A_GROUP)
    return begins, np.diff(np.append(begins, len(series)))


def _split_long(begins: Ints, total: int, most: int) -> Ints:
    lengths = np.diff(np.append(begins, total))
    pieces = -(-lengths // most)
    within = np.arange(pieces.sum()) - np.repeat(np.cumsum(pieces) - pieces, pieces)
    split: Ints = np.repeat(begins, pieces) + within * most
    return split


def _chunks(cells: Ints, most: int) -> Iterator[slice]:
    """Slices of ascending sizes whose padded total stays under a bound; a single item may exceed it."""
    start = 0
    while start < len(cells):
        stop = start + 1
        while stop < len(cells) and (stop + 1 - start) * cells[stop] <= most:
            stop += 1
        yield slice(start, stop)
        start = stop
