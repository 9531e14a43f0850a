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
        (series, time, latent), NaN where ``times`` is NaN; a tuple of such where z0 is one.
    stats : Stats
        What it cost.
    """

    z: Tensor
    stats: Stats
    _read: Callable[[Tensor], Tensor] = field(repr=False)

    def at(self, times: Tensor) -> Tensor:
        """Read the solution at further times, without solving again and without gradients.

        Parameters
        ----------
        times : Tensor
            (series, time), or (time,) for all series, within the span that was solved; NaN gives NaN, and so does a
            time beyond it.

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
