"""What one pass of the stepping loop leaves behind: where it stepped, and in which slot each stage is kept."""

from dataclasses import dataclass, field

import torch
from torch import Tensor

from latentode.ode.constants import constant

__all__ = ["Path", "uniform_path"]


@dataclass
class Path:
    """The accepted steps, and what they cost.

    Stage j of step n is slot ``first[n] + j``, and slot ``first[n] + stages`` is the end of the step. That is also
    the first slot of the next step, but where the field jumps: there the next step begins in a slot of its own.

    Parameters
    ----------
    stages : int
        Stages of a step.
    knots : list of float or Tensor
        The clock of every node: one for all rows, or one per row, (row, 1).
    begun : int
        How many steps were taken before these.
    uniform, adaptive : bool
        Whether the steps are equal parts of one piece; whether their error chose them.
    """

    stages: int
    knots: list[float | Tensor]
    begun: int = 0
    uniform: bool = False
    adaptive: bool = False
    first: list[int] = field(default_factory=list)
    pieces: list[int] = field(default_factory=list)
    scaled: list[Tensor] = field(default_factory=list)  # each step in the caller's time, (row, 1): the loop's numbers
    n_slots: int = 0
    evaluations: int = 0
    rejected: int = 0

    @property
    def n_steps(self) -> int:
        """How many steps were accepted."""
        return len(self.scaled)

    @property
    def each(self) -> bool:
        """Whether every row has nodes of its own."""
        return isinstance(self.knots[-1], Tensor)

    @property
    def regular(self) -> bool:
        """Whether every step begins in the slot where the one before ended."""
        return self.first[-1] == (self.n_steps - 1) * self.stages

    @property
    def last_end_evaluated(self) -> bool:
        """Whether the field was evaluated at the end of the last step."""
        return self.n_slots > self.first[-1] + self.stages

    def accept(self, piece: int, knot: float | Tensor, scaled: Tensor, first: int, end_evaluated: bool) -> None:
        """Enter a step of ``piece`` which begins in the slot ``first`` and ends at ``knot``."""
        self.first.append(first)
        self.pieces.append(piece)
        self.scaled.append(scaled)
        self.knots.append(knot)
        self.n_slots = first + self.stages + end_evaluated

    def nodes_of(self, slots: Tensor) -> Tensor:
        """Of a tensor by slot which has one for the last end, the nodes, (step + 1, ...)."""
        m = self.stages
        if self.regular:
            return slots[: self.n_steps * m + 1 : m]
        return slots[[*self.first, self.first[-1] + m]]

    def inner(self, slots: Tensor) -> Tensor:
        """Of a tensor by slot, the stages of every step, (step, stage, ...)."""
        n, m = self.n_steps, self.stages
        if self.regular:
            return slots[: n * m].view(n, m, *slots.shape[1:])
        return slots[self._inner_index(slots.device)]

    def ends(self, slots: Tensor) -> Tensor:
        """Of a tensor by slot, the ends of the steps, (step, ...); the last one is missing where it has no slot."""
        m = self.stages
        if self.regular:
            return slots[m : self.n_slots : m]
        return slots[self._end_index(slots.device)]

    def spread(self, inner: Tensor, ends: Tensor | None) -> Tensor:
        """Add up by slot what stages (step, stage, ...) and ends (step, ...) receive."""
        n, m = self.n_steps, self.stages
        slots = inner.new_zeros(self.n_slots, *inner.shape[2:])
        if self.regular:
            slots[: n * m].view(n, m, *inner.shape[2:]).copy_(inner)
            if ends is not None:
                slots[m::m] += ends
            return slots
        slots[self._inner_index(inner.device)] = inner
        if ends is not None:
            slots[self._end_index(inner.device)] += ends
        return slots

    def knot_clocks(self, like: Tensor) -> Tensor:
        """The clocks of the nodes, (step + 1, row or 1, 1)."""
        last = self.knots[-1]
        if isinstance(last, Tensor):
            return torch.stack([torch.as_tensor(knot).expand_as(last) for knot in self.knots]).to(like)
        if not self.uniform:
            return like.new_tensor(self.knots).view(-1, 1, 1)
        return constant(tuple(float(knot) for knot in self.knots), like).view(-1, 1, 1)

    def lengths(self, like: Tensor) -> Tensor:
        """Each step on the clock, (step, row or 1, 1)."""
        return self.knot_clocks(like).diff(dim=0)

    def clocks(self, places: tuple[float, ...], like: Tensor) -> Tensor:
        """The clock of every slot, (slot, row or 1, 1), for stages at these places of a step."""
        knots = self.knot_clocks(like)
        inner = knots[:-1].unsqueeze(1) + knots.diff(dim=0).unsqueeze(1) * constant(places, like).view(-1, 1, 1)
        return self._assigned(inner, knots[1:])

    def pieces_by_slot(self, device: torch.device) -> Tensor:
        """The piece every slot lies on, (slot,)."""
        pieces = torch.tensor(self.pieces, device=device)
        return self._assigned(pieces.unsqueeze(1).expand(-1, self.stages), pieces)

    def _assigned(self, inner: Tensor, ends: Tensor) -> Tensor:
        slots = inner.new_empty(self.first[-1] + self.stages + 1, *inner.shape[2:])
        slots[self._end_index(inner.device, every=True)] = ends
        slots[self._inner_index(inner.device)] = inner
        return slots[: self.n_slots]

    def _inner_index(self, device: torch.device) -> Tensor:
        return torch.tensor(self.first, device=device).unsqueeze(1) + torch.arange(self.stages, device=device)

    def _end_index(self, device: torch.device, *, every: bool = False) -> Tensor:
        ends = torch.tensor(self.first, device=device) + self.stages
        return ends if every or self.last_end_evaluated else ends[:-1]


def uniform_path(stages: int, n_steps: int, span: Tensor) -> Path:
    """The path of so many equal steps over one piece, (row, 1)."""
    path, step = Path(stages, [0.0], uniform=True), (span / n_steps).detach()
    for n in range(n_steps):
        path.accept(0, (n + 1) / n_steps, step, n * stages, end_evaluated=True)
    path.evaluations = path.n_slots
    return path
