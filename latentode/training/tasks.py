"""Questions drawn from series: an origin, points hidden before it, points asked after it."""

from dataclasses import dataclass, field, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from latentode.data import Seasons, pad, slices
from latentode.nn import Batch

__all__ = ["MAX_HISTORY", "MAX_REACH", "RaggedSeries", "TaskMaker", "draws_per_epoch", "question_batch"]

MAX_HISTORY = 256
"""Rows of history that are read: the latest ones."""

MAX_QUERIES = 128
"""Rows asked of one series in one task: a random choice where there are more."""

ONE_SPAN = 1 + 1e-9
MAX_REACH = 24
"""Spans ahead of (and behind) the origin beyond which the trajectory is not carried on."""

TARGET_BOUND = 20.0
"""Scaled targets are drawn in to this in training, so that one absurd value does not own the loss."""

ROWS_PER_DRAW = 32
"""A series is visited once an epoch for every so many of its rows."""

Ints = NDArray[np.int64]


@dataclass(frozen=True)
class RaggedSeries:
    """Flat arrays of scaled observations.

    Parameters
    ----------
    offsets : array of int
        (series + 1,).
    times : array of float64
        (rows,), in the panel's own unit.
    values : array of float32
        (rows, channel), scaled, NaN where missing.
    seasons : Seasons
        Periods of the times.
    """

    offsets: Ints
    times: NDArray[np.float64]
    values: NDArray[np.float32]
    seasons: Seasons = field(default_factory=Seasons)

    @property
    def lengths(self) -> Ints:
        """Rows of every series."""
        return np.diff(self.offsets)

    def take(self, which: Ints) -> "RaggedSeries":
        """Some of the series."""
        return self._rows(self.offsets[:-1][which], self.lengths[which])

    def head(self, lengths: Ints) -> "RaggedSeries":
        """The first rows of every series, so many of each."""
        return self._rows(self.offsets[:-1], np.minimum(self.lengths, lengths))

    def _rows(self, starts: Ints, lengths: Ints) -> "RaggedSeries":
        offsets, rows = slices(starts, lengths)
        return RaggedSeries(offsets, self.times[rows], self.values[rows], self.seasons)


def draws_per_epoch(lengths: Ints) -> Ints:
    """How often each series is visited in an epoch."""
    return np.clip(lengths // ROWS_PER_DRAW, 1, 64)


@dataclass(frozen=True)
class TaskMaker:
    """Makes batches of questions whose answers are known.

    Parameters
    ----------
    series : RaggedSeries
        The observations.
    span : float
        The unit of the model's time, in the panel's unit; questions go one span ahead and one back.
    """

    series: RaggedSeries
    span: float

    def draw(self, which: Ints, rng: np.random.Generator, hide: float = 0.5) -> Batch:
        """A training batch: for each series a random origin, and for a part of them hidden points.

        Parameters
        ----------
        which : array of int
            Positions of the series; one may come several times.
        rng : Generator
            Where the draws come from.
        hide : float
            Part of the series of which points of the history are hidden and asked.
        """
        lengths = self.series.lengths[which]
        origins = rng.integers(0, np.maximum(lengths, 1))
        # Now and then nothing is known: the model learns to answer for the population.
        origins = np.where(rng.random(len(which)) < 0.02, -1, origins)
        hides = rng.random(len(which)) < hide
        # Half of those lose whole rows, half single values: interpolation and imputation.
        whole_rows = rng.random(len(which)) < 0.5
        rate = np.where(hides, rng.uniform(0.1, 0.6, len(which)), 0.0)
        return self.at(which, origins, rate, whole_rows, rng)

    def at(
        self,
        which: Ints,
        origins: Ints,
        hidden_rate: NDArray[np.float64],
        whole_rows: NDArray[np.bool_],
        rng: np.random.Generator,
    ) -> Batch:
        """Questions at given origins: row ``origins[i]`` is the last of the history, -1 leaves none."""
        starts = self.series.offsets[:-1][which]
        n_rows = self.series.lengths[which]
        first = np.maximum(origins - MAX_HISTORY + 1, 0)
        stop = np.minimum(n_rows, origins + 1 + 4 * MAX_QUERIES)
        stop = np.maximum(stop, np.minimum(n_rows, first + 1))
        clock = pad(self.series.times, starts + first, stop - first, 0.0)
        values = pad(self.series.values, starts + first, stop - first, np.nan)
        rows = np.arange(clock.shape[1])
        inside = rows < (stop - first)[:, None]
        anchor = np.clip(origins - first, 0, None)
        times = (clock - clock[np.arange(len(which)), anchor][:, None]) / self.span
        past = (rows <= (origins - first)[:, None]) & inside
        observed = ~np.isnan(values)
        hidden = self._hidden(observed & past[..., None], hidden_rate, whole_rows, rng)
        hidden &= (times >= -ONE_SPAN)[..., None]
        ahead = inside & ~past & (times <= ONE_SPAN)
        asked = (observed & ahead[..., None]) | hidden
        query_rows = _some_rows(asked.any(-1), MAX_QUERIES, rng)
        batch = _batch(times, values, past, observed & past[..., None] & ~hidden, asked, query_rows)
        asked_at = np.take_along_axis(clock, np.maximum(query_rows, 0), axis=1)
        return _with_seasons(batch, self.series.seasons, clock[:, : batch.times.shape[1]], asked_at)

    @staticmethod
    def _hidden(
        visible: NDArray[np.bool_],
        rate: NDArray[np.float64],
        whole_rows: NDArray[np.bool_],
        rng: np.random.Generator,
    ) -> NDArray[np.bool_]:
        by_row = rng.random(visible.shape[:2])[..., None] < rate[:, None, None]
        by_value = rng.random(visible.shape) < rate[:, None, None]
        hidden: NDArray[np.bool_] = visible & np.where(whole_rows[:, None, None], by_row, by_value)
        return hidden


def _some_rows(wanted: NDArray[np.bool_], most: int, rng: np.random.Generator) -> Ints:
    """Columns of the wanted rows, at most so many, in order, padded with -1."""
    key = np.where(wanted, rng.random(wanted.shape), 2.0)
    n = min(int(wanted.sum(1).max(initial=0)), most)
    if n == 0:
        return np.full((len(wanted), 1), -1, dtype=np.int64)
    chosen = np.argpartition(key, n - 1, axis=1)[:, :n] if n < key.shape[1] else np.argsort(key, axis=1)[:, :n]
    kept = np.take_along_axis(key, chosen, axis=1) < 2.0
    chosen = np.sort(np.where(kept, chosen, wanted.shape[1]), axis=1)
    return np.where(chosen < wanted.shape[1], chosen, -1)


def _batch(
    times: NDArray[np.float64],
    values: NDArray[np.float32],
    past: NDArray[np.bool_],
    visible: NDArray[np.bool_],
    asked: NDArray[np.bool_],
    query_rows: Ints,
) -> Batch:
    lengths = past.sum(1)
    longest = max(int(lengths.max(initial=0)), 1)
    series = np.arange(len(times))[:, None]
    there = query_rows >= 0
    query_times = np.where(there, times[series, query_rows], 0.0)
    target_mask = asked[series, query_rows] & there[..., None]
    targets = np.where(target_mask, values[series, query_rows], 0.0)
    return Batch(
        times=_floats(np.where(past, times, 0.0)[:, :longest]),
        values=_floats(np.where(visible, values, 0.0)[:, :longest]),
        mask=_floats(visible[:, :longest]),
        lengths=torch.from_numpy(lengths),
        query_times=_floats(np.clip(query_times, -1, 1)),
        looks_back=bool((query_times < 0).any()),
        targets=_floats(np.clip(targets, -TARGET_BOUND, TARGET_BOUND)),
        target_mask=_floats(target_mask),
    )


def question_batch(
    history: RaggedSeries,
    starts: Ints,
    stops: Ints,
    origins: NDArray[np.float64],
    query_times: NDArray[np.float64],
    span: float,
) -> Batch:
    """Histories and queries as a batch, for prediction.

    Parameters
    ----------
    history : RaggedSeries
        What is known.
    starts, stops : array of int
        (batch,), history i is the rows ``starts[i]:stops[i]``.
    origins : array of float
        (batch,), the end of each history, in the panel's unit.
    query_times : array of float
        (batch, query), in the panel's unit, NaN where padded.
    span : float
        The unit of the model's time.
    """
    lengths = stops - starts
    clock = pad(history.times, starts, lengths, 0.0)
    times = (clock - origins[:, None]) / span
    values = pad(history.values, starts, lengths, np.nan)
    past = np.arange(times.shape[1]) < lengths[:, None]
    visible = ~np.isnan(values)
    ahead = np.nan_to_num((query_times - origins[:, None]) / span)
    batch = Batch(
        times=_floats(np.where(past, times, 0.0)),
        values=_floats(np.where(visible, values, 0.0)),
        mask=_floats(visible),
        lengths=torch.from_numpy(lengths),
        query_times=_floats(np.clip(ahead, -MAX_REACH, MAX_REACH)),
        reach=int(np.clip(np.ceil(np.abs(ahead).max(initial=0.0) - 1e-6), 1, MAX_REACH)),
        looks_back=bool((ahead < 0).any()),
    )
    return _with_seasons(batch, history.seasons, clock, np.nan_to_num(query_times))


def _with_seasons(
    batch: Batch, seasons: Seasons, row_times: NDArray[np.float64], query_times: NDArray[np.float64]
) -> Batch:
    if not seasons.periods:
        return batch
    return replace(
        batch,
        seasons=torch.from_numpy(seasons.features(row_times)),
        query_seasons=torch.from_numpy(seasons.features(query_times)),
    )


def _floats(array: NDArray[np.generic]) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(array, dtype=np.float32))
