"""The rhythms that series have, each its own: a grid of frequencies and their priors, read off before training."""

import numpy as np
import torch
from numpy.typing import NDArray

from latentode.nn import Batch, Rhythm, learn_priors, neighbours
from latentode.nn.sinusoids import PRIORS
from latentode.training.fit import validation_batches
from latentode.training.tasks import MAX_HISTORY, RaggedSeries, TaskMaker, question_batch

__all__ = ["find_rhythm", "rhythm_of"]

Floats = NDArray[np.float64]

OVERSAMPLING = 4.0
"""Frequencies of the grid per cycle over a whole history: none falls between two of them unseen."""

MOST_SOUGHT, MOST_KEPT = 1024, 256
"""Frequencies sought at most, and the likeliest of them that are kept."""

CELLS = 3e5
"""Series times channels times frequencies looked at."""

FEWEST_ROWS = 4
"""Rows of a history that may tell something of a rhythm."""

PAYS = 0.1
"""Part of the squared error of what the neighbours of a question say that a rhythm must take away to be kept."""

BOUND = 8.0
"""Scaled values are drawn in to this in that comparison."""

MOST_ASKED = 300
"""Series that are asked whether it does."""


def find_rhythm(tasks: TaskMaker, rng: np.random.Generator) -> Rhythm | None:
    """A rhythm with the priors of the series of some tasks, or None where it would not help to answer them.

    The grid goes from a quarter of a cycle over a long history to one cycle in two usual gaps. Whether the channels of
    a series have one frequency or each its own is decided by which makes the data likelier. It is kept where it takes
    a tenth of the squared error away: of random questions, beside what level, neighbours and drift say.

    Parameters
    ----------
    tasks : TaskMaker
        Scaled observations, and questions about them.
    rng : Generator
        Where questions, and the choice of the series looked at, come from.
    """
    series, span = tasks.series, tasks.span
    begin, end, usable = _usable(series)
    same = np.diff(np.repeat(np.arange(len(series.lengths)), series.lengths)) == 0
    gaps = np.diff(series.times)[same] / span
    if len(usable) == 0 or not (gaps > 0).any():
        return None
    gap = float(np.median(gaps[gaps > 0]))
    duration = float(np.quantile(series.times[end[usable] - 1] - series.times[begin[usable]], 0.9)) / span
    n = int(np.clip(0.5 * OVERSAMPLING * duration / gap, OVERSAMPLING, MOST_SOUGHT))
    width = 1 / (OVERSAMPLING * max(duration, gap))
    grid = list(width * np.arange(1, n + 1))
    n_channels = series.values.shape[1]
    batch = _histories(tasks, n, rng)
    candidates = [
        Rhythm(n_channels, grid, width, shared).float() for shared in ((False, True) if n_channels > 1 else (False,))
    ]
    best = max(candidates, key=lambda rhythm: learn_priors(rhythm, batch))
    if len(grid) > MOST_KEPT:
        best = _likeliest(best)
    asked = validation_batches(tasks, rng.permutation(usable)[:MOST_ASKED], 2, rng)
    return best if _gain(best, asked, gap) >= PAYS else None


def rhythm_of(rhythm: Rhythm, tasks: TaskMaker, rng: np.random.Generator) -> Rhythm:
    """A rhythm of the same frequencies with the priors of the series of other tasks.

    Parameters
    ----------
    rhythm : Rhythm
        As :func:`find_rhythm` gave it.
    tasks : TaskMaker
        Scaled observations.
    rng : Generator
        Where the choice of the series looked at comes from.
    """
    frequencies = rhythm.frequencies.tolist()
    other = Rhythm(len(rhythm.noise), frequencies, rhythm.width, rhythm.shared).float()
    if len(_usable(tasks.series)[2]):
        learn_priors(other, _histories(tasks, len(frequencies), rng))
    return other


def _usable(series: RaggedSeries) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """Where the latest rows of every series begin and end, and of which there are enough."""
    begin, end = np.maximum(series.offsets[:-1], series.offsets[1:] - MAX_HISTORY), series.offsets[1:]
    return begin, end, np.flatnonzero(end - begin >= FEWEST_ROWS)


def _histories(tasks: TaskMaker, n_frequencies: int, rng: np.random.Generator) -> Batch:
    """The latest rows of some series, as histories without questions."""
    series = tasks.series
    begin, end, usable = _usable(series)
    n_looked_at = max(int(CELLS / (n_frequencies * series.values.shape[1])), 20)
    which = rng.permutation(usable)[:n_looked_at]
    last = series.times[end[which] - 1]
    return question_batch(series, begin[which], end[which], last, last[:, None], tasks.span, which)


def _gain(rhythm: Rhythm, asked: list[Batch], gap: float) -> float:
    """Part of the squared error of a linear answer, learned on half of the questions, that the rhythm takes away."""
    rows, answers = [], []
    for batch in asked:
        assert batch.targets is not None  # tasks always carry targets
        assert batch.target_mask is not None
        near, wave = neighbours(batch, torch.tensor(gap, dtype=batch.times.dtype)), rhythm(batch)
        level = (batch.values * batch.mask).sum(1) / (batch.mask.sum(1) + 1)
        level = level[:, None].expand_as(near.base)
        base = torch.where(near.known > 0, near.base, level)
        told = (
            torch.ones_like(base),
            level,
            base,
            *near.drift.unbind(-1),
            wave.value,
            wave.value * wave.certain[:, None],
        )
        there = batch.target_mask > 0
        rows.append(torch.stack(told, -1)[there].double().numpy())
        answers.append(batch.targets[there].double().numpy())
    x, y = np.concatenate(rows).clip(-BOUND, BOUND), np.concatenate(answers).clip(-BOUND, BOUND)
    learned = np.arange(len(y)) % 2 == 0
    without, with_it = (_missed(x[:, :k], y, learned) for k in (5, 7))
    return 1 - with_it / without if without > 0 else 0.0


def _missed(x: Floats, y: Floats, learned: NDArray[np.bool_]) -> float:
    """Squared error on the other half of a linear answer."""
    told = x[learned]
    found = np.linalg.solve(told.T @ told + 1e-3 * np.eye(x.shape[1]), told.T @ y[learned])
    return float(np.square(y[~learned] - x[~learned] @ found).sum())


def _likeliest(rhythm: Rhythm) -> Rhythm:
    """The same with the likeliest frequencies only."""
    kept = np.sort(rhythm.log_prior[1:].numpy().argsort()[-MOST_KEPT:])
    fewer = Rhythm(
        len(rhythm.noise), rhythm.frequencies[torch.from_numpy(kept)].tolist(), rhythm.width, rhythm.shared
    ).float()
    for name in PRIORS:
        getattr(fewer, name).copy_(getattr(rhythm, name))
    fewer.log_prior.copy_(rhythm.log_prior[torch.from_numpy(np.append(0, kept + 1))].log_softmax(0))
    return fewer
