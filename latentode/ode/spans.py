"""From times to clocks: how far each series has to go, on which side of its start, and where its queries fall."""

from dataclasses import dataclass

import torch
from torch import Tensor

__all__ = ["Schedule", "Side", "Time", "schedule"]

Time = float | Tensor


@dataclass(frozen=True)
class Side:
    """One direction of time: how far each series goes that way, (series, 1), and the clock of every query."""

    span: Tensor
    clock: Tensor


@dataclass(frozen=True)
class Schedule:
    """What a solve has to reach.

    ``start`` is (series, 1). ``asked``, ``ahead`` and ``outside`` are (series, time): is it a query (not NaN), does it
    lie on the side of t1, is it beyond the span? A side nobody needs is None.
    """

    start: Tensor
    forward: Side | None
    back: Side | None
    asked: Tensor
    ahead: Tensor
    outside: Tensor

    @property
    def sides(self) -> tuple[Side, ...]:
        """The sides there are, forward first."""
        return tuple(side for side in (self.forward, self.back) if side is not None)


def schedule(times: Tensor, t0: Time, t1: Time | None, t_back: Time | None) -> Schedule:
    """Lay out a solve.

    Parameters
    ----------
    times : Tensor
        (series, time), NaN where there is no query.
    t0, t1, t_back : float or Tensor
        Start, end, and the end on the other side of the start; one for all, or (series,). Where an end is None, the
        furthest query decides (and, for ``t_back``, the host reads whether there is any). An end that *is* the
        start (the same number, or the same tensor) says that there is nothing on that side.

    Returns
    -------
    Schedule
    """
    start = _column(t0, times)
    asked = ~torch.isnan(times)
    times = torch.where(asked, times, start)
    gap = times - start
    end = None if t1 is None else _column(t1, times) - start
    far = None if t_back is None else _column(t_back, times) - start
    direction = torch.ones_like(start)
    if end is not None:
        direction = torch.where(end.detach() < 0, -1.0, direction)
        if far is not None:
            direction = torch.where((end.detach() == 0) & (far.detach() > 0), -1.0, direction)
    reach = gap * direction
    ahead = reach >= 0
    if end is None:
        end = _furthest(reach) * direction
    no_forward, no_back = _same(t0, t1), _same(t0, t_back)
    if far is None:
        far = -_furthest(-reach) * direction
        no_back = bool(ahead.all())
    if t1 is None and not no_back:
        no_forward = bool((reach <= 0).all())
    if no_back:
        ahead = torch.ones_like(ahead)
    elif no_forward:
        ahead = torch.zeros_like(ahead)
    slack = 16 * torch.finfo(times.dtype).eps
    forward = None if no_forward and not no_back else _side(end, gap)
    back = None if no_back else _side(far, gap)
    limit = torch.where(ahead, end, far).detach()
    beyond = torch.where(limit < 0, limit - gap, gap - limit).detach()
    behind_start = torch.where(limit < 0, gap, -gap).detach()
    allowed = slack * torch.maximum(times.abs(), start.abs()).detach()
    outside = asked & (torch.maximum(beyond, behind_start) > allowed)
    return Schedule(start, forward, back, asked, ahead, outside)


def _side(reach: Tensor, gap: Tensor) -> Side:
    """A span of zero is replaced by one too small to move the state, so that nothing divides by zero.

    The slope survives it: dz/dt = (dz/ds) / span = f stays exact, for the start, and for a query there.
    """
    tiny = torch.finfo(reach.dtype).tiny ** 0.5
    span = torch.where(reach == 0, tiny, reach)
    return Side(span, (gap / span).clamp(-1e-3, 1 + 1e-3))


def _furthest(distance: Tensor) -> Tensor:
    if distance.shape[1] == 0:
        return distance.new_zeros(distance.shape[0], 1)
    return distance.amax(1, keepdim=True).clamp(min=0.0)


def _same(a: Time, b: Time | None) -> bool:
    if isinstance(a, Tensor) or isinstance(b, Tensor):
        return a is b
    return a == b


def _column(t: Time, times: Tensor) -> Tensor:
    """One time per series, (series, 1)."""
    n = times.shape[0]
    column = torch.as_tensor(t, dtype=times.dtype, device=times.device)
    if column.numel() not in (1, n):
        raise ValueError(f"a time must be a number or one per series: {n} series, but shape {tuple(column.shape)}")
    return column.reshape(-1, 1).expand(n, 1)
