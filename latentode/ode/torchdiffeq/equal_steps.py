"""The nodes of a grid of equal steps, the last of which ends exactly where the times do."""

from math import ceil

import torch
from torch import Tensor

__all__ = ["inner_nodes", "steps_of_size"]

REMAINDER = 1e-6  # of a step: a remainder below this gets no step of its own
ROUNDINGS = 4  # of the largest time: what a remainder may have by rounding alone


def steps_of_size(begin: Tensor, end: Tensor, size: float) -> int:
    """Return how many steps of one size lead from one time to another; the last may be shorter.

    A remainder that the rounding of the times explains is no step: 0.01 goes into 5.9 exactly 590 times, though 5.9 in
    float32 is a little more.

    Raises
    ------
    ValueError
        If the steps are lost in the rounding of the times.

    Examples
    --------
    >>> steps_of_size(torch.tensor(0.0), torch.tensor(5.9), 0.01)
    590
    """
    first, last = float(begin.detach()), float(end.detach())
    rounding = ROUNDINGS * torch.finfo(begin.dtype).eps * max(abs(first), abs(last)) / size
    if rounding > 0.5:
        raise ValueError(
            f"steps of {size:g} are lost in the rounding of times like {last:g} in {begin.dtype}: give t as float64, "
            "count it from a nearer origin, or take longer steps"
        )
    return max(1, ceil(abs(last - first) / size - max(REMAINDER, rounding)))


def inner_nodes(begin: Tensor, end: Tensor, size: float) -> Tensor:
    """Return the times between two times that are one step apart, (node,).

    Examples
    --------
    >>> inner_nodes(torch.tensor(1.0), torch.tensor(0.0), 0.4)
    tensor([0.6000, 0.2000])
    """
    n = steps_of_size(begin, end, size)
    steps = torch.arange(1, n, dtype=torch.float64, device=begin.device)
    return begin + (steps * (size if bool(end > begin) else -size)).to(begin.dtype)
