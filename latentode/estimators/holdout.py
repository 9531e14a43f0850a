"""Held-out data: whole series, different ones for each model, or the last part of every series."""

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from latentode.estimators.trained import Extent
from latentode.nn import Batch
from latentode.training import RaggedSeries, TaskSampler, usable_series, validation_batches

__all__ = ["FEWEST_SERIES", "N_MODELS", "Fold", "by_content", "hold_out", "n_held_out"]

Ints = NDArray[np.int64]

FEWEST_SERIES = 8
"""With fewer series than this, the last part of each series is held out instead of whole series."""

FEWEST_HELD_OUT, N_MODELS = 5, 3
"""At least 5 series are held out, if there are 5 for each of 3 models; a third of fewer than 15."""

MOST_HELD_OUT = 500
"""Series held out at most: more would slow the validation checks down without making them more reliable."""

ENOUGH_QUERIED = 400
"""Queried series that make a validation check reliable; with fewer held-out series each is queried 2 to 8 times."""


@dataclass(frozen=True)
class Fold:
    """The training data and the held-out data of one model.

    Parameters
    ----------
    tasks : TaskSampler
        Draws training tasks.
    held_out : list of Batch
        Fixed queries on held-out data, in rounds: each round queries every held-out series once, in the same order.
    held_series : array of int
        (series,), which series those are.
    trained_rows : array of bool
        (row,), which rows the model is trained on.
    extent : Extent, optional
        How much the series show if the last part of each is held out; None where whole series are.
    """

    tasks: TaskSampler
    held_out: list[Batch]
    held_series: Ints
    trained_rows: NDArray[np.bool_]
    extent: Extent | None = None


def n_held_out(n_series: int, fraction: float) -> int:
    """How many whole series are held out, given those with two rows or more; 0 where the last part of each is."""
    if n_series < FEWEST_SERIES:
        return 0
    least = min(FEWEST_HELD_OUT, n_series // N_MODELS)
    return min(max(round(fraction * n_series), least), MOST_HELD_OUT, n_series - 1)


def by_content(series: RaggedSeries) -> Ints:
    """An order of the series by their values, so that which are held out does not depend on their names.

    Parameters
    ----------
    series : RaggedSeries
        The series.
    """
    # One value more, because reduceat needs a valid index for a last series without rows too.
    sums = np.add.reduceat(np.append(np.nan_to_num(series.values).sum(1, dtype=np.float64), 0.0), series.offsets[:-1])
    return np.lexsort((np.where(series.lengths > 0, sums, 0.0), series.lengths))


def hold_out(whole: TaskSampler, fraction: float, n_folds: int, rng: np.random.Generator) -> Iterator[Fold]:
    """Yield a fold for every model: whole series are held out, or the last part of each series.

    Parameters
    ----------
    whole : TaskSampler
        Draws tasks from all series.
    fraction : float
        The fraction held out.
    n_folds : int
        Number of models. No series is held out twice before all have been.
    rng : Generator
        The source of randomness.
    """
    lengths = whole.series.lengths
    usable = usable_series(lengths)
    n_held = n_held_out(len(usable), fraction)
    left = np.empty(0, dtype=np.int64)
    for _ in range(n_folds):
        if n_held == 0:
            yield _last_parts_fold(whole, usable, fraction, rng)
            continue
        if len(left) < n_held:
            left = rng.permutation(usable)
        held, left = np.sort(left[:n_held]), left[n_held:]
        yield _series_fold(whole, held, rng)


def _series_fold(whole: TaskSampler, held: Ints, rng: np.random.Generator) -> Fold:
    every = np.arange(len(whole.series.lengths))
    draws = 1 if len(held) >= ENOUGH_QUERIED else int(np.clip(ENOUGH_QUERIED // len(held), 2, 8))
    return Fold(
        replace(whole, series=whole.series.take(np.setdiff1d(every, held))),
        validation_batches(replace(whole, gaps=0.0), held, draws, rng),
        held,
        np.repeat(~np.isin(every, held), whole.series.lengths),
    )


def _last_parts_fold(whole: TaskSampler, usable: Ints, fraction: float, rng: np.random.Generator) -> Fold:
    series, lengths = whole.series, whole.series.lengths
    cut = np.maximum((lengths * (1 - fraction)).astype(np.int64), 1)
    held = usable[cut[usable] < lengths[usable]]
    place = np.arange(lengths.sum()) - np.repeat(series.offsets[:-1], lengths)
    return Fold(
        # If only single rows were left, training uses all rows; early stopping is then late.
        replace(whole, series=series.head(cut)) if cut.max() > 1 else whole,
        validation_batches(replace(whole, gaps=0.0), held, 4, rng, after=cut[held]),
        held,
        place < np.repeat(cut, lengths),
        Extent(len(place), float(_durations(series).sum() / whole.span)),
    )


def _durations(series: RaggedSeries) -> NDArray[np.float64]:
    """(series,), from the first row to the last; 0 without rows."""
    some = series.lengths > 0
    first, last = series.offsets[:-1][some], series.offsets[1:][some] - 1
    return series.times[last] - series.times[first]
