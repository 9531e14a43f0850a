"""Training tasks drawn from series: a forecast origin, hidden values before it, queries after it."""

from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from latentode.data import Covariates, Seasons, pad, slices
from latentode.nn import Batch

__all__ = [
    "MAX_HISTORY",
    "MAX_QUERIES",
    "MAX_REACH",
    "NEARLY",
    "RaggedSeries",
    "TaskSampler",
    "query_batch",
    "usable_series",
    "visits_per_epoch",
]

MAX_HISTORY = 256
"""Rows of a history that the model reads: the latest ones."""

MAX_QUERIES = 128
"""Queries of one series in one task at most; more are subsampled."""

ONE_SPAN = 1 + 1e-9
MAX_REACH = 24
"""Spans ahead of (and behind) the origin to which a trajectory is integrated at most."""

FARTHEST = 1e6
"""Times in spans are clipped here: single precision can square them."""

TARGET_BOUND = 20.0
"""Scaled targets are clipped here in training, so that one absurd value does not dominate the loss."""

NEARLY = 0.6
"""A series that lasts less than this fraction of a span is far shorter than a span."""

ROWS_PER_DRAW = 32
"""A series is visited once an epoch for every so many of its rows."""

Ints = NDArray[np.int64]


def usable_series(lengths: Ints) -> Ints:
    """The series that can be held out, by position: those with two rows, or with one where none has two."""
    return np.flatnonzero(lengths >= (2 if lengths.max(initial=0) > 1 else 1))


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
    covariates : Covariates, optional
        Covariates of the same series.
    weights : array of float32, optional
        (rows,), weight of a row in the loss when it is a query; None for equal weights.
    """

    offsets: Ints
    times: NDArray[np.float64]
    values: NDArray[np.float32]
    seasons: Seasons = field(default_factory=Seasons)
    covariates: Covariates | None = None
    weights: NDArray[np.float32] | None = None

    @property
    def lengths(self) -> Ints:
        """Rows of every series."""
        return np.diff(self.offsets)

    @cached_property
    def single_rows(self) -> bool:
        """Whether no series has two rows."""
        return int(self.lengths.max(initial=0)) < 2

    def take(self, which: Ints) -> "RaggedSeries":
        """Some of the series."""
        covariates = None if self.covariates is None else self.covariates.take(which)
        return self._rows(self.offsets[:-1][which], self.lengths[which], covariates)

    def head(self, lengths: Ints) -> "RaggedSeries":
        """The first rows of every series."""
        return self._rows(self.offsets[:-1], np.minimum(self.lengths, lengths), self.covariates)

    def _rows(self, starts: Ints, lengths: Ints, covariates: Covariates | None) -> "RaggedSeries":
        offsets, rows = slices(starts, lengths)
        weights = None if self.weights is None else self.weights[rows]
        return RaggedSeries(offsets, self.times[rows], self.values[rows], self.seasons, covariates, weights)


def visits_per_epoch(lengths: Ints) -> Ints:
    """How often each series is visited in an epoch."""
    return np.clip(lengths // ROWS_PER_DRAW, 1, 64)


@dataclass(frozen=True)
class TaskSampler:
    """Draws batches of queries with known targets.

    Parameters
    ----------
    series : RaggedSeries
        The observations.
    span : float
        The unit of the model's time, in the panel's unit; queries reach one span ahead and one back.
    gaps : float
        Fraction of the series with hidden values that lose some channels for a stretch: a sensor that drops out.
    early : float
        Fraction of the tasks whose origin is drawn among the rows with (nearly) a whole span ahead of them.
    max_queries : int
        Queries of one series at most; where rows are subsampled, their weights rise in proportion.
    """

    series: RaggedSeries
    span: float
    gaps: float = 0.0
    early: float = 0.0
    max_queries: int = MAX_QUERIES

    def draw(self, which: Ints, rng: np.random.Generator, hide: float = 0.5) -> Batch:
        """A training batch: a random origin for each series, and hidden values for a fraction of them.

        Parameters
        ----------
        which : array of int
            Positions of the series; one may come several times.
        rng : Generator
            Source of the draws.
        hide : float
            Fraction of the series with values of the history hidden and queried.
        """
        lengths = self.series.lengths[which]
        origins = rng.integers(0, np.maximum(lengths, 1))
        if self.early:
            first = (rng.random(len(which)) * self._with_room[which]).astype(np.int64)
            origins = np.where(rng.random(len(which)) < self.early, first, origins)
        # Rarely, the history is empty: the model learns to predict for an unknown series. Single rows say nothing else.
        origins = np.where(rng.random(len(which)) < (1.0 if self.series.single_rows else 0.02), -1, origins)
        hides = rng.random(len(which)) < hide
        # Half of the hidden values are whole rows (interpolation), half single values (imputation).
        whole_rows = rng.random(len(which)) < 0.5
        rate = np.where(hides, rng.uniform(0.1, 0.6, len(which)), 0.0)
        return self.at(which, origins, rate, whole_rows, rng)

    @cached_property
    def _with_room(self) -> Ints:
        """Number of rows with nine tenths of a span, or of the series, ahead of them; all of a far shorter series."""
        offsets, times = self.series.offsets, self.series.times
        begin, end = (np.append(times, 0.0)[at] for at in (offsets[:-1], offsets[1:] - 1))
        duration = np.minimum(self.span, end - begin)
        last = np.where(duration >= NEARLY * self.span, end - 0.9 * duration, end)
        room = times <= np.repeat(last, self.series.lengths)
        rows: Ints = np.maximum(np.diff(np.concatenate([[0], np.cumsum(room)])[offsets]), 1)
        return rows

    def at(
        self,
        which: Ints,
        origins: Ints,
        hidden_rate: NDArray[np.float64],
        whole_rows: NDArray[np.bool_],
        rng: np.random.Generator,
    ) -> Batch:
        """Tasks at given origins: row ``origins[i]`` is the last of the history, -1 leaves none."""
        starts = self.series.offsets[:-1][which]
        n_rows = self.series.lengths[which]
        first = np.maximum(origins - MAX_HISTORY + 1, 0)
        # Of a long future only the next rows are read: four times as many as can be queried, so that there is a choice.
        stop = np.minimum(n_rows, origins + 1 + 4 * MAX_QUERIES)
        stop = np.maximum(stop, np.minimum(n_rows, first + 1))
        clock = pad(self.series.times, starts + first, stop - first, 0.0)
        values = pad(self.series.values, starts + first, stop - first, np.nan)
        rows = np.arange(clock.shape[1])
        inside = rows < (stop - first)[:, None]
        anchor = np.clip(origins - first, 0, None)
        times = _in_spans(clock - clock[np.arange(len(which)), anchor][:, None], self.span)
        past = (rows <= (origins - first)[:, None]) & inside
        observed = ~np.isnan(values)
        hidden = self._hidden(observed & past[..., None], hidden_rate, whole_rows, rng)
        if self.gaps:
            gone = (hidden_rate > 0) & (rng.random(len(which)) < self.gaps)
            gap = _gap(times, past, observed.shape[2], rng) & observed & past[..., None]
            hidden = np.where(gone[:, None, None], gap, hidden)
        # Trajectories go back by one span only.
        hidden &= (times >= -ONE_SPAN)[..., None]
        ahead = inside & ~past & (times <= ONE_SPAN)
        queried = (observed & ahead[..., None]) | hidden
        wanted = queried.any(-1)
        query_rows = _some_rows(wanted, self.max_queries, rng)
        batch = _batch(times, values, past, observed & past[..., None] & ~hidden, queried, query_rows)
        # The rows kept count for those left out, so that a series weighs the same however many of its rows are queried.
        n_wanted, n_kept = np.minimum(wanted.sum(1), MAX_QUERIES), (query_rows >= 0).sum(1)
        counts = (n_wanted / np.maximum(n_kept, 1)).astype(np.float32)[:, None]
        if self.series.weights is not None:
            weights = pad(self.series.weights, starts + first, stop - first, 0.0)
            counts = counts * np.take_along_axis(weights, np.maximum(query_rows, 0), axis=1)
        assert batch.target_mask is not None  # _batch always makes one
        batch = replace(batch, target_mask=batch.target_mask * torch.from_numpy(counts)[..., None])
        queried_at = np.take_along_axis(clock, np.maximum(query_rows, 0), axis=1)
        origin = clock[np.arange(len(which)), anchor]
        return _with_given(batch, self.series, which, clock[:, : batch.times.shape[1]], queried_at, origin, self.span)

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


def _gap(
    times: NDArray[np.float64], past: NDArray[np.bool_], n_channels: int, rng: np.random.Generator
) -> NDArray[np.bool_]:
    """A stretch of the history, between a tenth and a half of its length, in some of the channels."""
    begin = np.where(past, times, 0.0).min(axis=1)
    width = -begin * rng.uniform(0.1, 0.5, len(times))
    left = begin + rng.random(len(times)) * (-begin - width)
    inside = (times >= left[:, None]) & (times <= (left + width)[:, None])
    affected = rng.random((len(times), n_channels)) < rng.uniform(0.2, 0.8, (len(times), 1))
    gap: NDArray[np.bool_] = inside[..., None] & affected[:, None]
    return gap


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
    queried: NDArray[np.bool_],
    query_rows: Ints,
) -> Batch:
    lengths = past.sum(1)
    longest = max(int(lengths.max(initial=0)), 1)
    series = np.arange(len(times))[:, None]
    there = query_rows >= 0
    query_times = np.where(there, times[series, query_rows], 0.0)
    target_mask = queried[series, query_rows] & there[..., None]
    targets = np.where(target_mask, values[series, query_rows], 0.0)
    return Batch(
        times=_floats(np.where(past, times, 0.0)[:, :longest]),
        values=_floats(np.where(visible, values, 0.0)[:, :longest]),
        mask=_floats(visible[:, :longest]),
        lengths=torch.from_numpy(lengths),
        query_times=_floats(np.clip(query_times, -1, 1)),
        backward=bool((query_times < 0).any()),
        targets=_floats(np.clip(targets, -TARGET_BOUND, TARGET_BOUND)),
        target_mask=_floats(target_mask),
    )


def query_batch(
    history: RaggedSeries,
    starts: Ints,
    stops: Ints,
    origins: NDArray[np.float64],
    query_times: NDArray[np.float64],
    span: float,
    which: Ints | None = None,
) -> Batch:
    """Histories and queries as a batch, for prediction.

    Parameters
    ----------
    history : RaggedSeries
        The observations.
    starts, stops : array of int
        (batch,), history i is the rows ``starts[i]:stops[i]``.
    origins : array of float
        (batch,), the end of each history, in the panel's unit.
    query_times : array of float
        (batch, query), in the panel's unit, NaN where padded.
    span : float
        The unit of the model's time.
    which : array of int, optional
        (batch,), positions of the series; needed where there are covariates.
    """
    lengths = stops - starts
    clock = np.where(lengths[:, None] > 0, pad(history.times, starts, lengths, 0.0), origins[:, None])
    times = _in_spans(clock - origins[:, None], span)
    values = pad(history.values, starts, lengths, np.nan)
    past = np.arange(times.shape[1]) < lengths[:, None]
    visible = ~np.isnan(values)
    ahead = np.nan_to_num(_in_spans(query_times - origins[:, None], span))
    batch = Batch(
        times=_floats(np.where(past, times, 0.0)),
        values=_floats(np.where(visible, values, 0.0)),
        mask=_floats(visible),
        lengths=torch.from_numpy(lengths),
        query_times=_floats(np.clip(ahead, -MAX_REACH, MAX_REACH)),
        reach=int(np.clip(np.ceil(np.abs(ahead).max(initial=0.0) - 1e-6), 1, MAX_REACH)),
        backward=bool((ahead < 0).any()),
    )
    queried_at = np.where(np.isnan(query_times), origins[:, None], query_times)
    which = np.zeros(0, dtype=np.int64) if which is None else which
    return _with_given(batch, history, which, clock, queried_at, origins, span)


def _with_given(
    batch: Batch,
    series: RaggedSeries,
    which: Ints,
    row_times: NDArray[np.float64],
    query_times: NDArray[np.float64],
    origins: NDArray[np.float64],
    span: float,
) -> Batch:
    """The batch with seasons and covariates of its rows, queries and series."""
    seasons, covariates = series.seasons, series.covariates
    rows, queries = seasons.features(row_times), seasons.features(query_times)
    if covariates is not None:
        if covariates.static.shape[1]:
            batch = replace(batch, static=torch.from_numpy(np.nan_to_num(covariates.static[which])))
        end = np.maximum(origins + batch.reach * span, query_times.max(1))
        if covariates.impulses.n_features:
            # From the first one on: what remains of a dose decays as slowly as the learned rates say, and a prediction
            # must not depend on how far back its window reaches. The cost is linear in the number of impulses.
            given_at, amounts = covariates.given_impulses.window(which, np.full(len(which), -np.inf), end)
            relative = _floats((given_at - origins[:, None]) / span)
            batch = replace(batch, impulse_times=relative, impulses=torch.from_numpy(amounts))
        if covariates.known.n_features:
            # From the last change a span earlier: filters start from zero there.
            begin = np.minimum(row_times[:, 0], query_times.min(1)) - span
            knot_times, knots = covariates.changes.window(which, begin, end)
            rows = np.concatenate([_held_values(knot_times, knots, row_times), rows], axis=-1)
            queries = np.concatenate([_held_values(knot_times, knots, query_times), queries], axis=-1)
            relative = _floats((knot_times - origins[:, None]) / span)
            batch = replace(batch, knot_times=relative, knots=torch.from_numpy(knots))
    if rows.shape[-1]:
        batch = replace(batch, given=torch.from_numpy(rows))
    if queries.shape[-1]:
        batch = replace(batch, query_given=torch.from_numpy(queries))
    return batch


def _held_values(
    knot_times: NDArray[np.float64], knots: NDArray[np.float32], times: NDArray[np.float64]
) -> NDArray[np.float32]:
    """Values held at some times, (series, time, feature): the last knot's; before the first knot, the first one's."""
    at = torch.searchsorted(torch.from_numpy(knot_times), torch.from_numpy(np.ascontiguousarray(times)), right=True)
    place = np.clip(at.numpy() - 1, 0, None)
    held: NDArray[np.float32] = np.take_along_axis(knots, place[..., None], axis=1)
    return held


def _in_spans(lengths: NDArray[np.float64], span: float) -> NDArray[np.float64]:
    with np.errstate(over="ignore"):
        spans: NDArray[np.float64] = np.clip(lengths / span, -FARTHEST, FARTHEST)
    return spans


def _floats(array: NDArray[np.generic]) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(array, dtype=np.float32))
