"""Rows of series of different lengths, packed in the order in which a recurrent network reads them."""

from dataclasses import dataclass, replace

import torch
from torch import Tensor

__all__ = ["Packing", "packing"]


@dataclass(frozen=True)
class Packing:
    """The first row of every series, longest series first, then the second of every one that has two, and so on.

    Parameters
    ----------
    rows : Tensor
        (row,), position of each row in the flattened (series * time).
    sizes : list of int
        (step,), number of series with a row at each step; not increasing.
    before : Tensor
        (row,), position of the series' previous row, counted from 1; 0 at the first step.
    ends : Tensor
        (series,), position of the last row of each series.
    """

    rows: Tensor
    sizes: list[int]
    before: Tensor
    ends: Tensor

    def to(self, device: torch.device) -> "Packing":
        """The same layout on another device."""
        return replace(self, rows=self.rows.to(device), before=self.before.to(device), ends=self.ends.to(device))


def packing(lengths: Tensor, n_rows: int, backward: bool = False) -> Packing:
    """Lay out the rows of padded series.

    Parameters
    ----------
    lengths : Tensor
        (series,), rows of each series, at least 1, on the CPU: the number of rows is read from it.
    n_rows : int
        Rows of the padded array.
    backward : bool
        Whether each series is read from its last row to its first.

    Examples
    --------
    >>> import torch
    >>> packed = packing(torch.tensor([1, 3]), 3)
    >>> packed.rows, packed.sizes
    (tensor([3, 0, 4, 5]), [2, 1, 1])
    """
    longest_first, order = torch.sort(lengths, descending=True, stable=True)
    steps = torch.arange(n_rows)[:, None]
    there = steps < longest_first
    place = order * n_rows + (longest_first - 1 - steps if backward else steps)
    sizes = there.sum(1)
    begins = sizes.cumsum(0) - sizes
    rank = torch.empty_like(order).scatter_(0, order, torch.arange(len(order)))
    # A row's predecessor has the same rank, one step earlier.
    before = torch.where(steps > 0, begins.roll(1)[:, None] + torch.arange(len(order)) + 1, 0)
    return Packing(place[there], [n for n in sizes.tolist() if n], before[there], begins[lengths - 1] + rank)
