"""Batches of training, in rounds that end with a validation check."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from torch import Tensor

from latentode.nn import Batch
from latentode.training.config import TrainingConfig
from latentode.training.distributed import BatchShard
from latentode.training.snapshot import restore_rng, rng_state
from latentode.training.tasks import TaskSampler, visits_per_epoch

__all__ = ["TrainingBatches", "ValidationBatches"]


class TrainingBatches:
    """The batches between two validation checks, drawn anew in each iteration over them.

    Parameters
    ----------
    sampler : TaskSampler
        Draws batches.
    options : TrainingConfig
        Steps in all, steps between two checks, and series in a batch.
    rng : Generator
        Source of all draws.

    Attributes
    ----------
    shard : BatchShard
        This process's part of every batch.
    """

    def __init__(self, sampler: TaskSampler, options: TrainingConfig, rng: np.random.Generator) -> None:
        self.sampler, self.options, self.rng = sampler, options, rng
        self.visits = np.repeat(np.arange(len(sampler.series.lengths)), visits_per_epoch(sampler.series.lengths))
        self.queue = np.empty(0, dtype=np.int64)
        self.steps_left = options.n_steps
        self.shard = BatchShard()

    def __iter__(self) -> Iterator[Batch]:
        size = min(self.options.batch_size, len(self.visits))
        n_steps = min(self.options.steps_per_check, self.steps_left)
        self.steps_left -= n_steps
        for number in range(n_steps):
            if number and self.options.time_limit.over:
                return  # the validation check comes sooner; after it training ends
            # Batches run across the ends of epochs: none is short, and every series is visited equally often.
            if len(self.queue) < size:
                self.queue = np.concatenate([self.queue, self.rng.permutation(self.visits)])
            which, self.queue = self.queue[:size], self.queue[size:]
            yield self.shard.of(self.sampler.draw(which, self.rng))

    @property
    def n_left(self) -> int:
        """Rounds that remain."""
        return -(-self.steps_left // self.options.steps_per_check)

    def state(self) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """The state that the remaining rounds depend on: tensors, and values that JSON can hold."""
        return {"queue": torch.from_numpy(self.queue.copy())}, {"left": self.steps_left, "rng": rng_state(self.rng)}

    def resume(self, tensors: dict[str, Tensor], facts: dict[str, Any]) -> None:
        """Resume from a :meth:`state`.

        Raises
        ------
        ValueError, TypeError, KeyError
            When the state belongs to other series.
        """
        queue = tensors["queue"].numpy()
        if queue.dtype != np.int64 or queue.ndim != 1 or not np.isin(queue, self.visits).all():
            raise ValueError("its queue belongs to other series")
        self.queue, self.steps_left = queue, int(facts["left"])
        restore_rng(self.rng, facts["rng"])


class ValidationBatches:
    """The same batches in every iteration.

    Parameters
    ----------
    batches : list of Batch
        The batches.
    """

    def __init__(self, batches: list[Batch]) -> None:
        self.batches = batches

    def __iter__(self) -> Iterator[Batch]:
        return iter(self.batches)

    def __len__(self) -> int:
        return len(self.batches)
