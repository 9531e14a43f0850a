"""What a field is given besides the state: the time of a stage, and the value of the control there."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from latentode.ode.control_paths import ControlPath
from latentode.ode.steps import AcceptedSteps, Segments, StageTime

__all__ = ["FieldInputs", "MakeControl", "SlotTimes"]

MakeControl = Callable[[Sequence[Tensor]], ControlPath]


@dataclass(frozen=True)
class SlotTimes:
    """The time of every slot, (slot, row, 1), in the dtype of the segments.

    ``side`` is -1 just before a jump of the field, 1 just after one, and 0 elsewhere; None if the field does not jump.
    """

    exact: Tensor
    side: Tensor | None = None


class FieldInputs:
    """The time, and the value of the control, at any stage.

    Parameters
    ----------
    segments : Segments
        The segments of time.
    n_steps : int, optional
        For a grid of equal steps: times are then formed by counting steps, so that steps of exactly 1 give times that
        are whole numbers exactly.
    make_control : callable, optional
        Makes the control path of every row from ``tensors``.
    tensors : sequence of Tensor
        The tensors of the control.
    dtype : torch.dtype
        The dtype of the state, in which the field is given time and control.
    """

    def __init__(
        self, segments: Segments, n_steps: int | None, make_control: MakeControl | None, tensors: Sequence[Tensor],
        dtype: torch.dtype,
    ) -> None:  # fmt: skip
        self.segments, self.make_control, self.dtype = segments, make_control, dtype
        self.control = None if make_control is None else make_control(tensors)
        self._step = segments.span[0] / n_steps if n_steps else None
        self._start = segments.start[0]

    def __call__(self, when: StageTime) -> tuple[Tensor, Tensor | None]:
        """Return time and control of every row, (row, 1) and (row, channel)."""
        if self._step is not None:
            exact, side = torch.add(self._start, self._step, alpha=when.step + when.place), None
        else:
            exact, side = self._at_border(self.segments.time(when), when.segment, when.clock)
        return self.at(exact, side)

    def at(self, exact: Tensor, side: Tensor | int | None) -> tuple[Tensor, Tensor | None]:
        """Return time and control at given times, (row, 1), on the given side of a jump."""
        t = self.nudged(exact.to(self.dtype), side)
        if self.control is None:
            return t, None
        return t, self.control(self.nudged(exact, side)).squeeze(1).to(self.dtype)

    def slot_times(self, steps: AcceptedSteps) -> SlotTimes:
        """Return the time of every slot."""
        segments, clocks = self.segments, steps.slot_clocks(self.segments.start)
        if segments.count == 1:
            return SlotTimes(torch.addcmul(segments.start, clocks, segments.span))
        index = steps.slot_segments(clocks.device)
        inside = clocks - index.view(-1, 1, 1)
        times = torch.addcmul(segments.start[index], inside, segments.span[index])
        if not segments.jumps:
            return SlotTimes(times)
        last = segments.count - 1
        before = (inside == 1) & (index < last).view(-1, 1, 1)
        after = (inside == 0) & (index > 0).view(-1, 1, 1)
        following = segments.start[(index + 1).clamp_(max=last)]
        return SlotTimes(torch.where(before, following, times), after.to(times.dtype) - before.to(times.dtype))

    def at_slots(self, times: SlotTimes) -> tuple[Tensor, Tensor | None]:
        """Return what the field is given in every slot: times (slot, row, 1), and controls (slot, row, channel)."""
        t = self.nudged(times.exact.to(self.dtype), times.side)
        return t, None if self.control is None else self._controls(self.control, times).to(self.dtype)

    def control_gradients(
        self, exact: Tensor, side: Tensor | None, g_controls: Tensor, tensors: Sequence[Tensor]
    ) -> tuple[Tensor, list[Tensor | None]]:
        """Return the gradients of the times, (slot, row, 1), and of the control's tensors.

        ``exact`` and ``side`` are those of :class:`SlotTimes`; ``g_controls`` is the gradient of the controls of all
        slots, (slot, row, channel).
        """
        if self.make_control is None:
            raise RuntimeError("there is no control")
        with torch.enable_grad():
            leaves = [x.detach().requires_grad_(x.requires_grad) for x in tensors]
            at = exact.detach().requires_grad_()
            u = self._controls(self.make_control(leaves), SlotTimes(at, side))
            wanted = [at, *(x for x in leaves if x.requires_grad)]
            by_time, *others = torch.autograd.grad(u, wanted, g_controls.to(u.dtype), allow_unused=True)
        each = iter(others)
        by_leaf = [next(each) if x.requires_grad else None for x in leaves]
        return torch.zeros_like(exact) if by_time is None else by_time, by_leaf

    def nudged(self, t: Tensor, side: Tensor | int | None) -> Tensor:
        """Keep times on their side of a jump: the next number before it (side -1), or after it (side 1)."""
        if side is None:
            return t
        beyond = torch.nextafter(t.detach(), (self._direction * side).to(t.dtype)) - t.detach()
        return t + torch.where(torch.as_tensor(side) == 0, 0.0, beyond)

    @cached_property
    def _direction(self) -> Tensor:
        """The infinity towards which the time of every row goes, (row, 1)."""
        return torch.where(self.segments.span.detach().sum(0) >= 0, float("inf"), float("-inf"))

    def _at_border(self, t: Tensor, segment: int, clock: float | Tensor) -> tuple[Tensor, Tensor | int | None]:
        """Put the end of a segment exactly where the next one begins, and return the side of a jump it is on."""
        if not self.segments.jumps:
            return t, None
        before = clock == segment + 1 if segment + 1 < self.segments.count else None
        after = clock == segment if segment > 0 else None
        if isinstance(clock, Tensor):
            side = torch.zeros_like(clock)
            side = side if before is None else side - torch.as_tensor(before).to(side.dtype)
            side = side if after is None else side + torch.as_tensor(after).to(side.dtype)
            return t if before is None else torch.where(side < 0, self.segments.start[segment + 1], t), side
        if before:
            return self.segments.start[segment + 1], -1
        return t, 1 if after else None

    def _controls(self, control: ControlPath, times: SlotTimes) -> Tensor:
        return control(self.nudged(times.exact, times.side).squeeze(-1).t()).transpose(0, 1)
