"""The time grid of a solve: segments of time, the steps taken over them, and the stages of those steps.

Every row has a clock s of its own, which runs from 0 to the number of segments. On segment p the time of a row is
``t = start_p + (s - p) span_p``. All rows enter and leave a segment together. A step is therefore one number for all of
them, and a time at which the field jumps is a border between two segments for every series, wherever it lies.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import NamedTuple

import torch
from torch import Tensor

from latentode.ode.methods.runge_kutta import Method, constant

__all__ = ["AcceptedSteps", "Segments", "StageBuffer", "StageTime"]


class StageTime(NamedTuple):
    """When a stage is evaluated.

    ``place`` is the fraction of the step (c_j of the tableau). ``clock`` is one number for all rows, or one per row,
    (row, 1). The end of a segment lies before a jump there, and the beginning of the next segment after it.
    """

    step: int
    place: float
    segment: int
    clock: float | Tensor


@dataclass(frozen=True)
class Segments:
    """The segments of time that every row goes through.

    Parameters
    ----------
    start, span : Tensor
        (segment, row, 1): where each segment begins, and its signed length.
    jumps : bool
        Whether the field may jump between two segments.
    """

    start: Tensor
    span: Tensor
    jumps: bool = False

    @property
    def count(self) -> int:
        """Number of segments."""
        return len(self.span)

    def end(self) -> Tensor:
        """Return where the last segment ends, (row,), without gradients."""
        return (self.start[-1] + self.span[-1])[:, 0].detach()

    def detached(self) -> "Segments":
        """Return the same segments without gradients."""
        return Segments(self.start.detach(), self.span.detach(), self.jumps)

    def time(self, when: StageTime) -> Tensor:
        """Return the time of every row, (row, 1), in the dtype of the segments."""
        start, span, clock = self.start[when.segment], self.span[when.segment], when.clock
        if isinstance(clock, Tensor):
            return torch.addcmul(start, span, clock - when.segment)
        return torch.add(start, span, alpha=clock - when.segment)


@dataclass
class AcceptedSteps:
    """The accepted steps of a pass, and what they cost.

    Stage j of step n is kept in slot ``first_slot[n] + j``, and the end of the step in slot ``first_slot[n] + stages``.
    That slot is also the first one of the next step, except where the field jumps: there the next step begins in a slot
    of its own, because the same state has another slope.

    Parameters
    ----------
    method : Method
        The method of the steps.
    segments : Segments
        The segments they go over.
    clocks : list of float or Tensor
        The clock of every node: one number for all rows, or one per row, (row, 1).
    taken_before : int
        Number of steps taken before these.
    uniform, adaptive : bool
        Whether the steps are equal parts of one segment; whether their error chose them.
    """

    method: Method
    segments: Segments
    clocks: list[float | Tensor]
    taken_before: int = 0
    uniform: bool = False
    adaptive: bool = False
    first_slot: list[int] = field(default_factory=list)
    segment_index: list[int] = field(default_factory=list)
    sizes: list[Tensor] = field(default_factory=list)  # each step in the caller's time, (row, 1), as the loop used it
    n_slots: int = 0
    evaluations: int = 0
    rejected: int = 0

    @classmethod
    def equal(cls, method: Method, segments: Segments, n_steps: int) -> "AcceptedSteps":
        """Return ``n_steps`` equal steps over one segment, with every slope evaluated."""
        steps, size = cls(method, segments, [0.0], uniform=True), (segments.span[0] / n_steps).detach()
        for n in range(n_steps):
            steps.accept(0, (n + 1) / n_steps, size, n * steps.stages, end_evaluated=True)
        steps.evaluations = steps.n_slots
        return steps

    @property
    def stages(self) -> int:
        """Stages of a step."""
        return self.method.tableau.stages

    @property
    def n_steps(self) -> int:
        """Number of accepted steps."""
        return len(self.sizes)

    @property
    def per_row(self) -> bool:
        """Whether every row has nodes of its own."""
        return isinstance(self.clocks[-1], Tensor)

    @property
    def contiguous(self) -> bool:
        """Whether every step begins in the slot in which the one before ended."""
        return self.first_slot[-1] == (self.n_steps - 1) * self.stages

    @property
    def last_end_evaluated(self) -> bool:
        """Whether the field was evaluated at the end of the last step."""
        return self.n_slots > self.first_slot[-1] + self.stages

    def accept(self, segment: int, clock: float | Tensor, size: Tensor, first_slot: int, end_evaluated: bool) -> None:
        """Add a step on ``segment`` that begins in ``first_slot`` and ends at ``clock``."""
        self.first_slot.append(first_slot)
        self.segment_index.append(segment)
        self.sizes.append(size)
        self.clocks.append(clock)
        self.n_slots = first_slot + self.stages + end_evaluated

    def drop_last_slope(self) -> None:
        """Forget the slope at the end of the last step, which the dense output does not need."""
        self.n_slots = self.first_slot[-1] + self.stages

    def nodes_of(self, slots: Tensor) -> Tensor:
        """Select the nodes, (step + 1, ...), of a tensor by slot that includes the last end."""
        m = self.stages
        if self.contiguous:
            return slots[: self.n_steps * m + 1 : m]
        return slots[[*self.first_slot, self.first_slot[-1] + m]]

    def inner(self, slots: Tensor) -> Tensor:
        """Select the stages of every step, (step, stage, ...), of a tensor by slot."""
        n, m = self.n_steps, self.stages
        if self.contiguous:
            return slots[: n * m].view(n, m, *slots.shape[1:])
        return slots[self._inner_index(slots.device)]

    def ends(self, slots: Tensor) -> Tensor:
        """Select the ends of the steps, (step, ...), of a tensor by slot; without the last if it has no slot."""
        m = self.stages
        if self.contiguous:
            return slots[m : self.n_slots : m]
        return slots[self._end_index(slots.device)]

    def by_slot(self, inner: Tensor, ends: Tensor | None) -> Tensor:
        """Add gradients of stages, (step, stage, ...), and of ends, (step, ...), into one tensor by slot."""
        n, m = self.n_steps, self.stages
        slots = inner.new_zeros(self.n_slots, *inner.shape[2:])
        if self.contiguous:
            slots[: n * m].view(n, m, *inner.shape[2:]).copy_(inner)
            if ends is not None:
                slots[m::m] += ends
            return slots
        slots[self._inner_index(inner.device)] = inner
        if ends is not None:
            slots[self._end_index(inner.device)] += ends
        return slots

    def by_segment(self, each: Tensor) -> Tensor:
        """Sum a tensor by step, (step, row, 1), over the steps of every segment, (segment, row, 1)."""
        if self.segments.count == 1:
            return each.sum(0, keepdim=True)
        index = torch.tensor(self.segment_index, device=each.device)
        return each.new_zeros(self.segments.span.shape).index_add_(0, index, each)

    def node_clocks(self, like: Tensor) -> Tensor:
        """Return the clocks of the nodes, (step + 1, row or 1, 1)."""
        last = self.clocks[-1]
        if isinstance(last, Tensor):
            return torch.stack([torch.as_tensor(clock).expand_as(last) for clock in self.clocks]).to(like)
        if not self.uniform:
            return like.new_tensor(self.clocks).view(-1, 1, 1)
        return constant(tuple(float(clock) for clock in self.clocks), like).view(-1, 1, 1)

    def clock_sizes(self, like: Tensor) -> Tensor:
        """Return each step on the clock, (step, row or 1, 1)."""
        return self.node_clocks(like).diff(dim=0)

    def slot_clocks(self, like: Tensor) -> Tensor:
        """Return the clock of every slot, (slot, row or 1, 1)."""
        nodes, places = self.node_clocks(like), constant(self.method.tableau.c, like).view(-1, 1, 1)
        return self._assigned(nodes[:-1].unsqueeze(1) + nodes.diff(dim=0).unsqueeze(1) * places, nodes[1:])

    def slot_segments(self, device: torch.device) -> Tensor:
        """Return the segment on which every slot lies, (slot,)."""
        index = torch.tensor(self.segment_index, device=device)
        return self._assigned(index.unsqueeze(1).expand(-1, self.stages), index)

    def numbers(self, like: Tensor) -> Tensor:
        """Return the numbers of the steps: 0, 1, ..., in the dtype of ``like``."""
        return constant(tuple(range(self.n_steps)), like)

    def _assigned(self, inner: Tensor, ends: Tensor) -> Tensor:
        slots = inner.new_empty(self.first_slot[-1] + self.stages + 1, *inner.shape[2:])
        slots[self._end_index(inner.device, every=True)] = ends
        slots[self._inner_index(inner.device)] = inner
        return slots[: self.n_slots]

    def _inner_index(self, device: torch.device) -> Tensor:
        return torch.tensor(self.first_slot, device=device).unsqueeze(1) + torch.arange(self.stages, device=device)

    def _end_index(self, device: torch.device, *, every: bool = False) -> Tensor:
        ends = torch.tensor(self.first_slot, device=device) + self.stages
        return ends if every or self.last_end_evaluated else ends[:-1]


class StageBuffer:
    """The states and slopes of the stages, by slot (see :class:`AcceptedSteps`).

    Parameters
    ----------
    n_slots : int
        Number of slots to begin with.
    like : Tensor, optional
        A state, (row, latent). With it the slots are rows of preallocated tensors that are written in place. Without
        it they are the tensors the loop computes, so that autograd sees every one of them.
    reserve_tape : callable, optional
        Called with every new number of slots.
    """

    def __init__(self, n_slots: int, like: Tensor | None, reserve_tape: Callable[[int], None] | None = None) -> None:
        self.like, self.reserve_tape = like, reserve_tape
        self._states = self._slopes = torch.empty(0)
        self.states: list[Tensor | None] = []
        self.slopes: list[Tensor | None] = []
        self.reserve(n_slots)

    def reserve(self, n_slots: int) -> None:
        """Make room for ``n_slots`` slots, and keep what the present ones hold."""
        used = len(self.states)
        if n_slots <= used:
            return
        if self.reserve_tape is not None:
            self.reserve_tape(n_slots)
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

    def keep_state(self, slot: int, z: Tensor) -> Tensor:
        """Write a state, and return it as it is kept."""
        if self.like is None:
            self.states[slot] = z
            return z
        kept = self._states[slot]
        return kept if kept is z else kept.copy_(z)

    def keep_slope(self, slot: int, slope: Tensor) -> Tensor:
        """Write a slope that is known already, and return it as it is kept."""
        if self.like is None:
            self.slopes[slot] = slope
            return slope
        return self._slopes[slot].copy_(slope)

    def slope_at(self, slot: int) -> Tensor:
        """Return the row in which the slope of a slot is to be written."""
        return self._slopes[slot]

    def states_from(self, slot: int, count: int) -> list[Tensor | None]:
        """Return the rows for ``count`` states from ``slot`` on; None each, if autograd records the solve."""
        return self.states[slot : slot + count] if self.like is not None else [None] * count

    @property
    def all_states(self) -> Tensor:
        """The states of all slots, (slot, row, latent), those not used yet too, which were written in place."""
        return self._states

    def stages(self, steps: AcceptedSteps) -> tuple[Tensor, Tensor]:
        """Return the states and slopes of all slots, (slot, row, latent) each, which were written in place."""
        return self._states[: steps.n_slots], self._slopes[: steps.n_slots]

    def nodes_and_slopes(self, steps: AcceptedSteps) -> tuple[Tensor, Tensor]:
        """Return the nodes, (step + 1, row, latent), and the slopes there are, (slot, row, latent)."""
        n_states = steps.first_slot[-1] + steps.stages + 1
        if self.like is not None:
            return steps.nodes_of(self._states[:n_states]), self._slopes[: steps.n_slots]
        states = [self.states[slot] for slot in [*steps.first_slot, steps.first_slot[-1] + steps.stages]]
        slopes = self.slopes[: steps.n_slots]
        return torch.stack([x for x in states if x is not None]), torch.stack([x for x in slopes if x is not None])
