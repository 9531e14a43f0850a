"""What a solve returns: the answers, what they cost, and how good they are."""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property

from torch import Tensor

__all__ = ["Solution", "Stats"]


@dataclass(frozen=True)
class Stats:
    """What a solve cost, and how good it is.

    Parameters
    ----------
    evaluations : int
        Evaluations of the field, each for all series at once.
    steps, rejected : int
        Steps accepted and rejected.
    """

    evaluations: int
    steps: int
    rejected: int
    _estimate: Callable[[], Tensor] = field(repr=False)

    @cached_property
    def error(self) -> Tensor:
        """Estimated error per series, (series,), relative to the size of its state: formed when first read."""
        return self._estimate()


@dataclass(frozen=True)
class Solution:
    """The answer to :func:`solve`.

    Parameters
    ----------
    z : Tensor
        (series, time, latent), NaN where ``times`` is NaN.
    stats : Stats
        What it cost.
    """

    z: Tensor
    stats: Stats
