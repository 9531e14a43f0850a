"""From times to clocks: the segments each series goes through in either direction of t0, and where its queries fall."""

from collections.abc import Callable, Sequence
from math import isfinite
from typing import Any

import torch
from torch import Tensor

from latentode.ode.problem import Problem, SolverSetup
from latentode.ode.steps import Segments

__all__ = ["Ends", "Stops", "answered", "ends_of", "in_one_batch", "lay_out", "read_at", "refuse_outside"]

Time = float | Tensor
Ends = tuple[Time, Time | None, Time | None]  # t0, t1 and t_back, of :func:`latentode.ode.solve`
Stops = Tensor | Sequence[float] | None


def lay_out(
    problem: Problem, times: Tensor, ends: Ends, jump_times: Stops, step_times: Stops
) -> tuple[SolverSetup, ...]:
    """Set up the solve of every direction in which a series has to go, forward first.

    Parameters
    ----------
    problem : Problem
        What is solved.
    times : Tensor
        (series, time), NaN where there is no query.
    ends : tuple of float or Tensor
        t0, t1 and t_back: the start, the end, and the end on the other side of the start; one for all series, or
        (series,). Where an end is None, the furthest query decides (and for ``t_back`` the host reads whether there is
        any). An end that *is* the start, the same number or the same tensor, means that there is nothing to solve
        there.
    jump_times, step_times : Tensor or sequence of float, optional
        As in :func:`latentode.ode.solve`.

    Raises
    ------
    ValueError
        If times do not fit the series, or the method evaluates the field beyond jumps.
    """
    stops, jumps = _stops(problem, times, jump_times, step_times)
    t0, t1, t_back = ends
    start, queried = _column(t0, times), ~torch.isnan(times)
    # Where there is no query, the start is queried: zero times NaN would be a gradient of NaN.
    gap = torch.where(queried, times, start) - start

    def direction(reach: Tensor, here: Tensor, *, back: bool = False) -> SolverSetup:
        segments, clock, over = _segments(start, reach, gap, stops, jumps)
        return SolverSetup(problem, segments, problem.choose_steps(segments.span, back=back), clock, here, over, back)

    end = None if t1 is None else _column(t1, times) - start
    if _same(t0, t_back):
        return (direction(_furthest(gap) if end is None else end, queried),)
    far = None if t_back is None else _column(t_back, times) - start
    distance = gap * _sign(end, far)
    ahead = distance >= 0
    if end is None:
        end = _furthest(distance)
    if far is None and bool(ahead.all()):
        return (direction(end, queried),)
    if far is None:
        far = -_furthest(-distance) * _sign(end, None)
    if _same(t0, t1) or (t1 is None and bool((distance <= 0).all())):
        return (direction(far, queried, back=True),)
    return direction(end, queried & ahead), direction(far, queried & ~ahead, back=True)


def in_one_batch(setups: Sequence[SolverSetup]) -> Sequence[SolverSetup]:
    """Join both directions as rows of one batch, if that is possible: row ``series + i`` is series i going back."""
    if not setups[0].problem.one_batch([setup.segments.count for setup in setups]):
        return setups
    forward, back = setups
    start, span = (torch.cat([getattr(s.segments, name) for s in setups], 1) for name in ("start", "span"))
    row = torch.arange(len(forward.clock), device=forward.clock.device).unsqueeze(1)
    rows = torch.where(back.queried, row + len(row), row)
    clock = torch.where(back.queried, back.clock, forward.clock)
    segments, queried = Segments(start, span, forward.segments.jumps), forward.queried | back.queried
    return [SolverSetup(forward.problem, segments, forward.controller, clock, queried, forward.outside, rows=rows)]


def answered(setups: Sequence[SolverSetup]) -> Tensor:
    """Return which queries have an answer, (series, time)."""
    inside = [setup.queried & ~setup.outside for setup in setups]
    return inside[0] if len(inside) == 1 else inside[0] | inside[1]


def ends_of(setups: Sequence[SolverSetup]) -> tuple[Tensor, Tensor, Tensor]:
    """Return the starts of all series and their ends forward and back, (series,) each; the start if there is no end."""
    start = setups[0].segments.start[0, :, 0].detach()
    ends = {setup.back: setup.segments.end() for setup in setups}
    return start, ends.get(False, start).clone(), ends.get(True, start).clone()


@torch.no_grad()
def read_at(setups: Sequence[SolverSetup], readers: Sequence[Callable[[Tensor, int], Tensor]], times: Tensor) -> Tensor:
    """Read a solution at other times.

    Parameters
    ----------
    setups : sequence of SolverSetup
        The directions that were solved.
    readers : sequence of callable
        One per direction, or one for both. Each returns the solution, (series, time, latent), at given clocks
        (series, time), from the rows of the direction of a given number.
    times : Tensor
        (series, time), or (time,) for all series.

    Returns
    -------
    Tensor
        (series, time, latent), NaN beyond the segments.
    """
    start = setups[0].segments.start[0].detach()
    times = times.to(start.dtype).expand(len(start), -1)
    queried = ~torch.isnan(times)
    times = torch.where(queried, times, start)
    answers = []
    for i, setup in enumerate(setups):
        begins, spans = (x[..., 0].t() for x in (setup.segments.start, setup.segments.span))
        reach = (begins[:, -1] + spans[:, -1]).unsqueeze(1) - start
        clock, outside = _clock(start, _not_zero(reach), times - start)
        clock = clock if setup.segments.count == 1 else _clock_on_segments(begins, spans, times)
        z = readers[0](clock, i) if len(readers) == 1 else readers[i](clock, 0)
        answers.append(torch.where((queried & ~outside).unsqueeze(-1), z, float("nan")))
    if len(answers) == 1:
        return answers[0]
    sign = torch.where(setups[0].segments.span.sum(0) >= 0, 1.0, -1.0)
    return torch.where(((times - start) * sign >= 0).unsqueeze(-1), answers[0], answers[1])


def refuse_outside(setups: Sequence[SolverSetup], times: Tensor) -> None:
    """Raise if a query lies beyond the span, naming the series.

    Raises
    ------
    ValueError
        If there is one.
    """
    beyond = [setup.queried & setup.outside for setup in setups]
    outside = beyond[0] if len(beyond) == 1 else beyond[0] | beyond[1]
    if not bool(outside.any()):
        return
    series = outside.any(1).nonzero().flatten().tolist()
    first = float(times[series[0]][outside[series[0]]][0])
    ends = [float(x) for x in (setups[0].segments.start[0, series[0]], first)]
    if not all(map(isfinite, ends)):
        raise ValueError(
            f"times must be finite, and NaN where there is no query: series {series[0]} starts at t = {ends[0]:g} and "
            f"has a query at t = {first:g}"
        )
    raise ValueError(
        f"series {', '.join(map(str, series[:8]))} have queries outside the span (series {series[0]} at "
        f"t = {first:.6g}): t1 and t_back must reach every query, or be None"
    )


def _stops(problem: Problem, times: Tensor, jump_times: Stops, step_times: Stops) -> tuple[Tensor | None, bool]:
    """Return all times at which a step has to end, (series, stop), and whether the field may jump there."""
    control = problem.control
    by_control = (None, None) if control is None else (control.jumps, control.kinks)
    jumps = [_per_series(jump_times, "jump_times", times), _per_series(by_control[0], "control", times)]
    steps = [_per_series(step_times, "step_times", times), _per_series(by_control[1], "control", times)]
    given, may_jump = [x for x in (*jumps, *steps) if x is not None], any(x is not None for x in jumps)
    if may_jump and max(problem.method.tableau.c) > 1.0:
        raise ValueError(f"{problem.method.name} evaluates the field beyond the end of a step, and so beyond its jumps")
    return (torch.cat(given, 1) if given else None), may_jump


def _per_series(stops: Stops, name: str, times: Tensor) -> Tensor | None:
    if stops is None:
        return None
    stops = _real(stops, name, times)
    if stops.dim() == 1:
        stops = stops.unsqueeze(0)
    if stops.dim() != 2 or len(stops) not in (1, len(times)):
        raise ValueError(f"{name} must be (time,) or (series, time) for {len(times)} series, not {tuple(stops.shape)}")
    return stops.expand(len(times), -1)


def _sign(end: Tensor | None, far: Tensor | None) -> Tensor | float:
    """Return the sign of the forward direction of every series, (series, 1)."""
    if end is None:
        return 1.0
    backwards = end.detach() < 0
    if far is not None:
        backwards = backwards | ((end.detach() == 0) & (far.detach() > 0))
    return 1.0 - 2.0 * backwards.to(end.dtype)


def _segments(
    start: Tensor, reach: Tensor, gap: Tensor, stops: Tensor | None, jumps: bool
) -> tuple[Segments, Tensor, Tensor]:
    """Return the segments of one direction, the clock of every query, and whether it lies beyond the segments.

    A span of zero is replaced by one too small to move the state, so that nothing divides by zero. The slope survives
    it: dz/dt = (dz/ds) / span = f stays exact, for the start and for a query there. A query may lie beyond the span by
    the rounding of its own time.
    """
    span = _not_zero(reach)
    clock, over = _clock(start, span, gap)
    if stops is None:
        return Segments(start.unsqueeze(0), span.unsqueeze(0), jumps), clock, over
    borders = _borders(start, reach, stops)
    begins = torch.cat([start, borders], 1)
    spans = _not_zero(torch.cat([borders, start + reach], 1) - begins)
    segments = Segments(begins.t().unsqueeze(2), spans.t().unsqueeze(2), jumps)
    return segments, _clock_on_segments(begins, spans, start + gap), over


def _clock(start: Tensor, span: Tensor, gap: Tensor) -> tuple[Tensor, Tensor]:
    """Return where queries fall on one segment, and which of them lie beyond it."""
    clock, eps = gap / span, torch.finfo(gap.dtype).eps
    with torch.no_grad():
        # Times are rounded in proportion to their own size, which may be many spans. So may a query at the very end.
        rounding = torch.add(0.5 + 16 * eps, (start / span).abs_(), alpha=16 * eps)
        over = ((clock - 0.5).abs_() <= rounding).logical_not_()  # also where the clock is NaN
    # Far beyond the span a polynomial is meaningless; the margin leaves a gradient to queries that rounding moved out.
    return clock.clamp(-1e-3, 1 + 1e-3), over


def _borders(start: Tensor, reach: Tensor, stops: Tensor) -> Tensor:
    """Return the stops in the order in which each series meets them, (series, border).

    Every series has the same number of borders, because all rows cross them together. The stops it does not meet are
    put at its start or at its end, where they make segments of no length.
    """
    with torch.no_grad():
        place = (stops - start) / _not_zero(reach)
        place = torch.where(torch.isnan(place), float("inf"), place)
        place, order = place.sort(1)
        used = ((place > 0) & (place < 1)).any(0)
        place, order = place[:, used], order[:, used]
    at = torch.where(torch.isnan(stops), 0.0, stops).gather(1, order)
    return torch.where(place <= 0, start, torch.where(place >= 1, start + reach, at))


def _clock_on_segments(begins: Tensor, spans: Tensor, times: Tensor) -> Tensor:
    """Return where queries fall on the clock of several segments.

    A query belongs to the segment in which its time lies, and one at a border to the segment that ends there: a jump at
    the very time of a query must not have happened yet. The segment is found without gradients, and the place inside it
    with gradients, which therefore reach the query and both ends of its segment, but no other.
    """
    with torch.no_grad():
        ahead = torch.where(spans.sum(1, keepdim=True) >= 0, 1.0, -1.0).to(times.dtype)
        segment = torch.searchsorted((begins * ahead)[:, 1:].contiguous(), (times * ahead).contiguous())
    inside = (times - begins.gather(1, segment)) / spans.gather(1, segment)
    return segment + inside.clamp(-1e-3, 1 + 1e-3)


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
    """Return one time per series, (series, 1)."""
    n = times.shape[0]
    column = _real(t, "a time", times)
    if column.numel() not in (1, n):
        raise ValueError(f"a time must be a number or one per series: {n} series, but shape {tuple(column.shape)}")
    return column.reshape(-1, 1).expand(n, 1)


def _real(given: Any, name: str, times: Tensor) -> Tensor:
    if isinstance(given, complex) or (isinstance(given, Tensor) and given.is_complex()):
        raise TypeError(f"{name} must be real, not complex")
    return torch.as_tensor(given, dtype=times.dtype, device=times.device)
