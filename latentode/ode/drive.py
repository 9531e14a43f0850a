"""What a field reads besides the state: the time, and the value of the control there."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from latentode.ode.controls import ControlPath
from latentode.ode.path import Path
from latentode.ode.route import Moment, Route

__all__ = ["Drive", "MakeControl", "SlotTimes"]

MakeControl = Callable[[Sequence[Tensor]], ControlPath]


@dataclass(frozen=True)
class SlotTimes:
    """The time of every slot, (slot, row, 1), in the route's own dtype.

    ``side`` is -1 just before a jump of the field, 1 just after one, and 0 elsewhere; None where there is no jump.
    """

    exact: Tensor
    side: Tensor | None = None


class Drive:
    """Tell the time and the control's value at any moment of a route.

    Parameters
    ----------
    route : Route
        Which times.
    n_steps : int, optional
        On a grid of equal steps the steps are counted, so that steps of exactly 1 give times that are exactly whole.
    make_control : callable, optional
        Makes the path of every row from ``tensors``.
    dtype : torch.dtype
        Of the state: the field is given its time and control so.
    """

    def __init__(
        self, route: Route, n_steps: int | None, make_control: MakeControl | None, tensors: Sequence[Tensor],
        dtype: torch.dtype,
    ) -> None:  # fmt: skip
        self.route, self.make_control, self.dtype = route, make_control, dtype
        self.control = None if make_control is None else make_control(tensors)
        self._step = route.span[0] / n_steps if n_steps else None
        self._start = route.start[0]

    def __call__(self, moment: Moment) -> tuple[Tensor, Tensor | None]:
        """Time and control of every row, (row, 1) and (row, channel)."""
        if self._step is not None:
            exact, side = torch.add(self._start, self._step, alpha=moment.step + moment.place), None
        else:
            exact, side = self._bordered(self.route.time(moment), moment.piece, moment.clock)
        t = self.nudged(exact.to(self.dtype), side)
        return t, None if self.control is None else self._control(self.control, self.nudged(exact, side))

    def times(self, path: Path, places: Sequence[float]) -> SlotTimes:
        """The time of every slot of a path."""
        clocks = path.clocks(tuple(places), self.route.start)
        if self.route.n_pieces == 1:
            return SlotTimes(torch.addcmul(self.route.start, clocks, self.route.span))
        pieces = path.pieces_by_slot(clocks.device)
        inside = clocks - pieces.view(-1, 1, 1)
        times = torch.addcmul(self.route.start[pieces], inside, self.route.span[pieces])
        if not self.route.jumps:
            return SlotTimes(times)
        last = self.route.n_pieces - 1
        before = (inside == 1) & (pieces < last).view(-1, 1, 1)
        after = (inside == 0) & (pieces > 0).view(-1, 1, 1)
        following = self.route.start[(pieces + 1).clamp_(max=last)]
        return SlotTimes(torch.where(before, following, times), after.to(times.dtype) - before.to(times.dtype))

    def given(self, times: SlotTimes) -> tuple[Tensor, Tensor | None]:
        """What the field is given in every slot: the time (slot, row, 1), and the control (slot, row, channel)."""
        t = self.nudged(times.exact.to(self.dtype), times.side)
        return t, None if self.control is None else self._controls(self.control, times).to(self.dtype)

    def control_gradients(
        self, times: SlotTimes, received: Tensor, tensors: Sequence[Tensor]
    ) -> tuple[Tensor, list[Tensor | None]]:
        """What the times and the control's tensors receive when the controls of all slots receive these."""
        if self.make_control is None:
            raise RuntimeError("there is no control")
        with torch.enable_grad():
            leaves = [x.detach().requires_grad_(x.requires_grad) for x in tensors]
            at = times.exact.detach().requires_grad_()
            u = self._controls(self.make_control(leaves), SlotTimes(at, times.side))
            wanted = [at, *(x for x in leaves if x.requires_grad)]
            by_time, *others = torch.autograd.grad(u, wanted, received.to(u.dtype), allow_unused=True)
        each = iter(others)
        by_leaf = [next(each) if x.requires_grad else None for x in leaves]
        return torch.zeros_like(times.exact) if by_time is None else by_time, by_leaf

    def nudged(self, t: Tensor, side: Tensor | int | None) -> Tensor:
        """Keep times on their side of a jump: the next number before it (side -1), or after it (side 1)."""
        if side is None:
            return t
        beyond = torch.nextafter(t.detach(), (self._infinity * side).to(t.dtype)) - t.detach()
        return t + torch.where(torch.as_tensor(side) == 0, 0.0, beyond)

    @cached_property
    def _infinity(self) -> Tensor:
        """Where every row's time goes to, (row, 1)."""
        return torch.where(self.route.span.detach().sum(0) >= 0, float("inf"), float("-inf"))

    def _bordered(self, t: Tensor, piece: int, clock: float | Tensor) -> tuple[Tensor, Tensor | int | None]:
        """Put the end of a piece exactly where the next one begins, and say on which side of a jump the times are."""
        if not self.route.jumps:
            return t, None
        before = clock == piece + 1 if piece + 1 < self.route.n_pieces else None
        after = clock == piece if piece > 0 else None
        if isinstance(clock, Tensor):
            side = torch.zeros_like(clock)
            side = side if before is None else side - torch.as_tensor(before).to(side.dtype)
            side = side if after is None else side + torch.as_tensor(after).to(side.dtype)
            return t if before is None else torch.where(side < 0, self.route.start[piece + 1], t), side
        if before:
            return self.route.start[piece + 1], -1
        return t, 1 if after else None

    def _control(self, control: ControlPath, t: Tensor) -> Tensor:
        return control(t).squeeze(1).to(self.dtype)

    def _controls(self, control: ControlPath, times: SlotTimes) -> Tensor:
        return control(self.nudged(times.exact, times.side).squeeze(-1).t()).transpose(0, 1)
