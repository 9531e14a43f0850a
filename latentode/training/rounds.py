"""The batches of training, round after round."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from torch import Tensor

from latentode.nn import Batch
from latentode.training.options import TrainingOptions
from latentode.training.share import Share
from latentode.training.snapshot import rng_from, rng_of
from latentode.training.tasks import TaskMaker, draws_per_epoch

__all__ = ["Fixed", "Rounds"]


class Rounds:
    """One round of training batches, drawn anew each time it is gone through.

    Parameters
    ----------
    maker : TaskMaker
        Draws batches.
    options : TrainingOptions
        How many steps, in rounds of how many, of how many series.
    rng : Generator
        Where all draws come from.

    Attributes
    ----------
    share : Share
        What this process takes of every batch.
    """

    def __init__(self, maker: TaskMaker, options: TrainingOptions, rng: np.random.Generator) -> None:
        self.maker, self.options, self.rng = maker, options, rng
        self.visits = np.repeat(np.arange(len(maker.series.lengths)), draws_per_epoch(maker.series.lengths))
        self.queue = np.empty(0, dtype=np.int64)
        self.steps_left = options.n_steps
        self.share = Share()

    def __iter__(self) -> Iterator[Batch]:
        size = min(self.options.batch_size, len(self.visits))
        n_steps = min(self.options.steps_per_round, self.steps_left)
        self.steps_left -= n_steps
        for _ in range(n_steps):
            if len(self.queue) < size:
                self.queue = np.concatenate([self.queue, self.rng.permutation(self.visits)])
            which, self.queue = self.queue[:size], self.queue[size:]
            yield self.share.of(self.maker.draw(which, self.rng))

    @property
    def n_left(self) -> int:
        """Rounds still to come."""
        return -(-self.steps_left // self.options.steps_per_round)

    def state(self) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """What the rounds to come depend on: tensors, and what JSON holds."""
        return {"queue": torch.from_numpy(self.queue.copy())}, {"left": self.steps_left, "rng": rng_of(self.rng)}

    def go_on(self, tensors: dict[str, Tensor], facts: dict[str, Any]) -> None:
        """Go on from a :meth:`state`.

        Raises
        ------
        ValueError, TypeError, KeyError
            When it is that of other series.
        """
        queue = tensors["queue"].numpy()
        if queue.dtype != np.int64 or queue.ndim != 1 or not np.isin(queue, self.visits).all():
            raise ValueError("its queue is of other series")
        self.queue, self.steps_left = queue, int(facts["left"])
        rng_from(self.rng, facts["rng"])


class Fixed:
    """The same batches every time.

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
