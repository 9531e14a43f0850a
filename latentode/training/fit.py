"""Training a model, and the queries by which it is validated."""

import numpy as np
from numpy.typing import NDArray

from latentode.nn import Batch, LatentODE
from latentode.training.checkpoint import Checkpoint
from latentode.training.config import TrainingConfig
from latentode.training.result import TrainingResult
from latentode.training.tasks import TaskSampler

__all__ = ["train", "validation_batches"]


def train(
    model: LatentODE,
    sampler: TaskSampler,
    validation: list[Batch],
    options: TrainingConfig,
    rng: np.random.Generator,
    checkpoint: Checkpoint | None = None,
) -> TrainingResult:
    """Train a model in place and leave it with the best weights, even if training is interrupted.

    Parameters
    ----------
    model : LatentODE
        The model.
    sampler : TaskSampler
        Draws training batches.
    validation : list of Batch
        Fixed queries by which the best weights are chosen.
    options : TrainingConfig
        Settings of the loop.
    rng : Generator
        Source of all draws.
    checkpoint : Checkpoint, optional
        The file that keeps the state of training at every validation check. Training resumes from what is found there,
        and ends with the same weights, bit for bit, as a training that was never interrupted.

    Returns
    -------
    TrainingResult
    """
    from latentode.training.loop import run  # Lightning takes two fifths of the time of all imports: only fits need it

    return run(model, sampler, validation, options, rng, checkpoint)


def validation_batches(
    sampler: TaskSampler,
    which: NDArray[np.int64],
    n_draws: int,
    rng: np.random.Generator,
    after: NDArray[np.int64] | None = None,
    batch_size: int = 128,
) -> list[Batch]:
    """Fixed queries on held-out series, or on held-out rows.

    Parameters
    ----------
    sampler : TaskSampler
        Of the whole series.
    which : array of int
        The series to query.
    n_draws : int
        Forecast origins per series.
    rng : Generator
        Source of the draws.
    after : array of int, optional
        (len(which),), rows of each series that are in training. Origins lie at or after the last of them, so that every
        query is new. None means that the series are new: origins are spread over them, and for a quarter of them
        values of the history are hidden and queried too.
    batch_size : int
        Series in a batch.
    """
    lengths = np.tile(sampler.series.lengths[which], n_draws)
    first = np.zeros_like(lengths) if after is None else np.tile(after, n_draws) - 1
    n = len(lengths)
    # Draw k of a series lies in the k-th part of it: the origins cover short histories and long ones.
    spread = (np.repeat(np.arange(n_draws), len(which)) + rng.random(n)) / n_draws
    origins = first + (spread * (lengths - 1 - first)).astype(np.int64)
    if sampler.series.single_rows:
        origins[:] = -1
    hides = rng.random(n) < (0.25 if after is None else 0.0)
    rate = np.where(hides, 0.3, 0.0)
    whole_rows = rng.random(n) < 0.5
    every = np.tile(which, n_draws)
    parts = [slice(start, start + batch_size) for start in range(0, n, batch_size)]
    return [sampler.at(every[part], origins[part], rate[part], whole_rows[part], rng) for part in parts]
