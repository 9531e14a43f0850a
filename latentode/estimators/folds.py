"""What is held out: whole series, others for each model that is trained, or the last part of each."""

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from latentode.nn import Batch
from latentode.training import TaskSampler, validation_batches

__all__ = ["FEWEST_SERIES", "N_MODELS", "Fold", "hold_out", "n_held_out"]

Ints = NDArray[np.int64]

FEWEST_SERIES = 8
"""With fewer series than this, the last part of each is held out instead of whole series."""

FEWEST_HELD_OUT, N_MODELS = 5, 3
"""Whole series held out at least, if there are as many for each of so many models: of fewer than 15 a third."""

MOST_HELD_OUT = 500
"""Series held out at most: more would make the looks at them slow, and no surer."""

ENOUGH_ASKED = 400
"""Questions after which a look at the held-out part is sure enough: where it has fewer series, each is asked several
times (from 2 to 8)."""


@dataclass(frozen=True)
class Fold:
    """What one model learns from, and what it is judged by.

    Parameters
    ----------
    tasks : TaskSampler
        Of what it learns from.
    held_out : list of Batch
        Fixed questions on what it never sees: a number of rounds, each asking every series once, in the same order.
    asked : array of int
        (series,), which series those are.
    seen : array of bool
        (row,), which rows it learns from.
    """

    tasks: TaskSampler
    held_out: list[Batch]
    asked: Ints
    seen: NDArray[np.bool_]


def n_held_out(n_series: int, fraction: float) -> int:
    """Whole series held out of some of two rows or more; 0 where the last part of each is."""
    if n_series < FEWEST_SERIES:
        return 0
    least = min(FEWEST_HELD_OUT, n_series // N_MODELS)
    return min(max(round(fraction * n_series), least), MOST_HELD_OUT, n_series - 1)


def hold_out(whole: TaskSampler, fraction: float, n_folds: int, rng: np.random.Generator) -> Iterator[Fold]:
    """Hold out a part of the series, or of each, for every model that is trained: one after the other.

    Parameters
    ----------
    whole : TaskSampler
        Of all series.
    fraction : float
        The part.
    n_folds : int
        Models. Each has other series held out, as long as there are any that no model before had.
    rng : Generator
        Where the draws come from.
    """
    lengths = whole.series.lengths
    usable = np.flatnonzero(lengths >= 2)
    n_held = n_held_out(len(usable), fraction)
    left = np.empty(0, dtype=np.int64)
    for _ in range(n_folds):
        if n_held == 0:
            yield _last_parts(whole, usable, fraction, rng)
            continue
        if len(left) < n_held:
            left = rng.permutation(usable)
        held, left = np.sort(left[:n_held]), left[n_held:]
        yield _series(whole, held, rng)


def _series(whole: TaskSampler, held: Ints, rng: np.random.Generator) -> Fold:
    every = np.arange(len(whole.series.lengths))
    draws = 1 if len(held) >= ENOUGH_ASKED else int(np.clip(ENOUGH_ASKED // len(held), 2, 8))
    return Fold(
        replace(whole, series=whole.series.take(np.setdiff1d(every, held))),
        validation_batches(replace(whole, gaps=0.0), held, draws, rng),
        held,
        np.repeat(~np.isin(every, held), whole.series.lengths),
    )


def _last_parts(whole: TaskSampler, usable: Ints, fraction: float, rng: np.random.Generator) -> Fold:
    series, lengths = whole.series, whole.series.lengths
    cut = np.maximum((lengths * (1 - fraction)).astype(np.int64), 1)
    asked = usable[cut[usable] < lengths[usable]]
    place = np.arange(lengths.sum()) - np.repeat(series.offsets[:-1], lengths)
    return Fold(
        # Where nothing but single rows would be left, training sees all: the held-out part then stops it late.
        replace(whole, series=series.head(cut)) if cut.max() > 1 else whole,
        validation_batches(replace(whole, gaps=0.0), asked, 4, rng, after=cut[asked]),
        asked,
        place < np.repeat(cut, lengths),
    )
