"""From times to clocks: how far each series has to go, on which side of its start, and where its queries fall."""

from dataclasses import dataclass

import torch
from torch import Tensor

__all__ = ["Schedule", "Side", "Time", "schedule"]

Time = float | Tensor


@dataclass(frozen=True)
class Side:
    """One direction of time: the pieces each series goes through that way, (piece, series, 1).

    ``clock`` is where every query falls on that way, and ``over`` whether that is beyond it, (series, time).
    """

    start: Tensor
    span: Tensor
    clock: Tensor
    over: Tensor

    def place(self, start: Tensor, times: Tensor) -> tuple[Tensor, Tensor]:
        """Where other times fall, and which lie beyond the span, (series, time) each."""
        begins, spans = self.start[..., 0].t().detach(), self.span[..., 0].t().detach()
        reach = (begins[:, -1] + spans[:, -1]).unsqueeze(1) - start
        clock, over = _clock(start, _not_zero(reach), times - start)
        return (clock if len(self.span) == 1 else _piecewise(begins, spans, times)), over


@dataclass(frozen=True)
class Schedule:
    """What a solve has to reach.

    ``asked``, ``ahead`` and ``outside`` are (series, time): is it a query (not NaN), does it lie on the side of t1, is
    it beyond the span? A side nobody needs is None.
    """

    forward: Side | None
    back: Side | None
    asked: Tensor
    ahead: Tensor
    outside: Tensor

    @property
    def sides(self) -> tuple[Side, ...]:
        """The sides there are, forward first."""
        return tuple(side for side in (self.forward, self.back) if side is not None)


def schedule(times: Tensor, t0: Time, t1: Time | None, t_back: Time | None, stops: Tensor | None = None) -> Schedule:
    """Lay out a solve.

    Parameters
    ----------
    times : Tensor
        (series, time), NaN where there is no query.
    t0, t1, t_back : float or Tensor
        Start, end, and the end on the other side of the start; one for all, or (series,). Where an end is None, the
        furthest query decides (and, for ``t_back``, the host reads whether there is any). An end that *is* the
        start (the same number, or the same tensor) says that there is nothing on that side.
    stops : Tensor, optional
        (series, stop), NaN where there is none: the times that are to be borders between pieces.

    Returns
    -------
    Schedule
    """
    start = _column(t0, times)
    asked = ~torch.isnan(times)
    times = torch.where(asked, times, start)
    gap = times - start
    end = None if t1 is None else _column(t1, times) - start
    if _same(t0, t_back):
        end = _furthest(gap) if end is None else end
        return _schedule(_side(start, end, gap, stops), None, asked, torch.ones_like(asked))
    far = None if t_back is None else _column(t_back, times) - start
    reach = gap * _direction(end, far)
    ahead = reach >= 0
    if end is None:
        end = _furthest(reach)
    if far is None and bool(ahead.all()):
        return _schedule(_side(start, end, gap, stops), None, asked, torch.ones_like(ahead))
    if far is None:
        far = -_furthest(-reach) * _direction(end, None)
    back = _side(start, far, gap, stops)
    if _same(t0, t1) or (t1 is None and bool((reach <= 0).all())):
        return _schedule(None, back, asked, torch.zeros_like(ahead))
    return _schedule(_side(start, end, gap, stops), back, asked, ahead)


def _schedule(forward: Side | None, back: Side | None, asked: Tensor, ahead: Tensor) -> Schedule:
    """Put the sides together, and see which queries lie beyond them."""
    over = [side.over for side in (forward, back) if side is not None]
    outside = asked & (over[0] if len(over) == 1 else torch.where(ahead, over[0], over[1]))
    return Schedule(forward, back, asked, ahead, outside)


def _direction(end: Tensor | None, far: Tensor | None) -> Tensor | float:
    """Which way is ahead: 1 or -1 per series, (series, 1)."""
    if end is None:
        return 1.0
    backwards = end.detach() < 0
    if far is not None:
        backwards = backwards | ((end.detach() == 0) & (far.detach() > 0))
    return 1.0 - 2.0 * backwards.to(end.dtype)


def _side(start: Tensor, reach: Tensor, gap: Tensor, stops: Tensor | None) -> Side:
    """A span of zero is replaced by one too small to move the state, so that nothing divides by zero.

    The slope survives it: dz/dt = (dz/ds) / span = f stays exact, for the start, and for a query there. A query may
    overshoot by the rounding of its own time.
    """
    span = _not_zero(reach)
    clock, over = _clock(start, span, gap)
    if stops is None:
        return Side(start.unsqueeze(0), span.unsqueeze(0), clock, over)
    borders = _borders(start, reach, stops)
    begins = torch.cat([start, borders], 1)
    spans = _not_zero(torch.cat([borders, start + reach], 1) - begins)
    return Side(begins.t().unsqueeze(2), spans.t().unsqueeze(2), _piecewise(begins, spans, start + gap), over)


def _clock(start: Tensor, span: Tensor, gap: Tensor) -> tuple[Tensor, Tensor]:
    """Where queries fall on one piece, and which of them lie beyond it."""
    clock, eps = gap / span, torch.finfo(gap.dtype).eps
    with torch.no_grad():
        rounding = torch.add(0.5 + 16 * eps, (start / span).abs_(), alpha=16 * eps)
        over = (clock - 0.5).abs_() > rounding
    return clock.clamp(-1e-3, 1 + 1e-3), over


def _borders(start: Tensor, reach: Tensor, stops: Tensor) -> Tensor:
    """The stops in the order in which each series meets them, (series, border); those beyond its way at its ends."""
    with torch.no_grad():
        place = (stops - start) / _not_zero(reach)
        place = torch.where(torch.isnan(place), float("inf"), place)
        place, order = place.sort(1)
        used = ((place > 0) & (place < 1)).any(0)
        place, order = place[:, used], order[:, used]
    at = torch.where(torch.isnan(stops), 0.0, stops).gather(1, order)
    return torch.where(place <= 0, start, torch.where(place >= 1, start + reach, at))


def _piecewise(begins: Tensor, spans: Tensor, times: Tensor) -> Tensor:
    """Where queries fall on the clock of all pieces: a query at a border belongs to the piece that ends there."""
    with torch.no_grad():
        ahead = torch.where(spans.sum(1, keepdim=True) >= 0, 1.0, -1.0).to(times.dtype)
        piece = torch.searchsorted((begins * ahead)[:, 1:].contiguous(), (times * ahead).contiguous())
    inside = (times - begins.gather(1, piece)) / spans.gather(1, piece)
    return piece + inside.clamp(-1e-3, 1 + 1e-3)


def _not_zero(span: Tensor) -> Tensor:
    return torch.where(span == 0, torch.finfo(span.dtype).tiny ** 0.5, span)


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
