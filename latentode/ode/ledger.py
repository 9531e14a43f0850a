"""Where the stages of a solve are kept: a state and a slope per slot."""

import torch
from torch import Tensor

from latentode.ode.path import Path

__all__ = ["Ledger"]


class Ledger:
    """Stage states and slopes by slot (see :class:`Path`).

    With ``like`` the slots are rows of preallocated tensors, written in place; without it they are whatever
    tensors the loop computes, and autograd sees every one.
    """

    def __init__(self, n_slots: int, like: Tensor | None) -> None:
        self.like = like
        self._states = self._slopes = torch.empty(0)
        self.states: list[Tensor | None] = []
        self.slopes: list[Tensor | None] = []
        self.reserve(n_slots)

    def reserve(self, n_slots: int) -> None:
        """Make room for that many slots, keeping what the present ones hold."""
        used = len(self.states)
        if n_slots <= used:
            return
        if self.like is None:
            self.states.extend([None] * (n_slots - used))
            self.slopes.extend([None] * (n_slots - used))
            return
        states, slopes = (self.like.new_empty((n_slots, *self.like.shape)) for _ in range(2))
        if used:
            states[:used].copy_(self._states)
            slopes[:used].copy_(self._slopes)
        self._states, self._slopes = states, slopes
        self.states, self.slopes = list(states.unbind(0)), list(slopes.unbind(0))

    def enter(self, slot: int, z: Tensor) -> Tensor:
        """Write a state, and return it as it is kept."""
        if self.like is None:
            self.states[slot] = z
            return z
        kept = self._states[slot]
        return kept if kept is z else kept.copy_(z)

    def write_slope(self, slot: int, slope: Tensor) -> Tensor:
        """Write a slope that is known already, and return it as it is kept."""
        if self.like is None:
            self.slopes[slot] = slope
            return slope
        return self._slopes[slot].copy_(slope)

    def slope_buffer(self, slot: int) -> Tensor:
        """Where the slope of a slot is to be written."""
        return self._slopes[slot]

    def outs(self, base: int, count: int) -> list[Tensor | None]:
        """Where so many states, from slot ``base`` on, are to be written; nowhere, where autograd looks on."""
        return self.states[base : base + count] if self.like is not None else [None] * count

    def stacked(self, n_slots: int) -> tuple[Tensor, Tensor]:
        """States and slopes, (slot, row, latent)."""
        return self._states[:n_slots], self._slopes[:n_slots]

    def gather(self, path: Path) -> tuple[Tensor, Tensor]:
        """Nodes (step + 1, row, latent), and the slopes there are, (slot, row, latent)."""
        n_states = path.first[-1] + path.stages + 1
        if self.like is not None:
            return path.nodes_of(self._states[:n_states]), self._slopes[: path.n_slots]
        states = [self.states[slot] for slot in [*path.first, path.first[-1] + path.stages]]
        slopes = self.slopes[: path.n_slots]
        return torch.stack([x for x in states if x is not None]), torch.stack([x for x in slopes if x is not None])
