"""The part of every batch that one of several processes trains on."""

from dataclasses import dataclass, replace

from latentode.nn import Batch

__all__ = ["BatchShard"]


@dataclass(frozen=True)
class BatchShard:
    """The part of each batch that one of several processes takes.

    All processes draw the same batches. Each takes every ``world_size``-th series, and gradients are averaged. Each
    loss is weighted by its number of targets, so that the average is the loss of the whole batch.

    Parameters
    ----------
    rank : int
        Number of the process.
    world_size : int
        Number of processes.

    Examples
    --------
    >>> import torch
    >>> from latentode.nn import Batch
    >>> from latentode.training.distributed import BatchShard
    >>> empty, mask = torch.zeros(3, 1, 1), torch.tensor([1.0, 1.0, 0.0])[:, None, None]
    >>> batch = Batch(empty[..., 0], empty, empty, torch.ones(3), empty[..., 0], targets=empty, target_mask=mask)
    >>> [BatchShard(rank, 2).of(batch).weight for rank in (0, 1)]
    [1.0, 1.0]
    """

    rank: int = 0
    world_size: int = 1

    def of(self, batch: Batch) -> Batch:
        """Take the part of a batch with targets that belongs to this process, weighted."""
        if self.world_size == 1:
            return batch
        assert batch.target_mask is not None  # tasks always carry targets
        here = self.rank < len(batch.times)
        part = batch.take(slice(self.rank, None, self.world_size) if here else slice(0, 1))
        assert part.target_mask is not None  # taken of the batch's
        # A process without a series takes one that counts nothing: every process must take part in each step.
        n_targets = float(part.target_mask.sum()) if here else 0.0
        return replace(part, weight=self.world_size * n_targets / max(float(batch.target_mask.sum()), 1.0))
