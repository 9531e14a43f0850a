"""The part of every batch that one of several processes learns from."""

from dataclasses import dataclass, replace

from latentode.nn import Batch

__all__ = ["Share"]


@dataclass(frozen=True)
class Share:
    """One process among several that train the same model.

    All draw the same batches, each takes every ``world_size``-th series of them, and their gradients are averaged. Each
    loss is weighed by the observations it asks, so that their average is the loss of the whole batch.

    Parameters
    ----------
    rank : int
        Which process.
    world_size : int
        Of how many.

    Examples
    --------
    >>> import torch
    >>> from latentode.nn import Batch
    >>> from latentode.training.share import Share
    >>> empty, asked = torch.zeros(3, 1, 1), torch.tensor([1.0, 1.0, 0.0])[:, None, None]
    >>> batch = Batch(empty[..., 0], empty, empty, torch.ones(3), empty[..., 0], targets=empty, target_mask=asked)
    >>> [Share(rank, 2).of(batch).weight for rank in (0, 1)]
    [1.0, 1.0]
    """

    rank: int = 0
    world_size: int = 1

    def of(self, batch: Batch) -> Batch:
        """Give this process's part of a batch with targets, weighed."""
        if self.world_size == 1:
            return batch
        assert batch.target_mask is not None  # tasks always carry targets
        here = self.rank < len(batch.times)
        part = batch.take(slice(self.rank, None, self.world_size) if here else slice(0, 1))
        assert part.target_mask is not None  # taken of the batch's
        asked = float(part.target_mask.sum()) if here else 0.0  # no series is left for it: one that counts nothing
        return replace(part, weight=self.world_size * asked / max(float(batch.target_mask.sum()), 1.0))
