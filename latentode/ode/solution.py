"""What a solve returns: the answers, what they cost, and how accurate they are."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import torch
from torch import Tensor

from latentode.ode.diagnostics import Diagnostics

__all__ = ["Solution", "Stats", "solution_of"]


@dataclass(frozen=True)
class Stats:
    """What a solve cost, and how accurate it is.

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
        """Estimated error per series, (series,), relative to the size of its state; formed when first read."""
        return self._estimate()


@dataclass(frozen=True)
class Solution:
    """The answer to :func:`solve`.

    Parameters
    ----------
    z : Tensor
        (series, time, latent), NaN where ``times`` is NaN; a tuple of tensors if z0 is one.
    stats : Stats
        What it cost.
    """

    z: Tensor
    stats: Stats
    _read: Callable[[Tensor], Tensor] = field(repr=False)

    def at(self, times: Tensor) -> Tensor:
        """Read the solution at other times, without solving again and without gradients.

        Parameters
        ----------
        times : Tensor
            (series, time), or (time,) for all series, within the span that was solved. NaN, and times beyond the span,
            give NaN.

        Returns
        -------
        Tensor
            (series, time, latent)

        Raises
        ------
        RuntimeError
            If the steps were not kept (``adjoint="checkpointed"`` or ``"backsolve"`` with gradients).

        Examples
        --------
        >>> import torch
        >>> from latentode.ode import solve
        >>> solution = solve(lambda t, z: -z, torch.ones(1, 1), torch.tensor([2.0]), n_steps=20)
        >>> solution.at(torch.tensor([0.0, 1.0])).squeeze()
        tensor([1.0000, 0.3679])
        """
        return self._read(times)


def solution_of(z: Any, batches: Sequence[Diagnostics], read: Callable[[Tensor], Any]) -> Solution:
    """Return the solution for the answers ``z``, given the diagnostics of every batch, and what reads other times."""
    stats = Stats(
        evaluations=sum(diagnostics.evaluations for diagnostics in batches),
        steps=sum(diagnostics.n_steps for diagnostics in batches),
        rejected=sum(diagnostics.rejected for diagnostics in batches),
        _estimate=lambda: torch.stack([diagnostics.error() for diagnostics in batches]).amax(0),
    )
    return Solution(z, stats, read)
