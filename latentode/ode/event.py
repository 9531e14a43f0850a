r"""Solving until an event: a time for each series, found on its own solution, with its gradient.

The event is a zero of :math:`g(t, z(t))`. It is bracketed and bisected on the dense output. The series is then solved
to that time, and one step of Newton's method, whose slope is held fixed,

.. math::
    t^* = t - \frac{g(t, z(t))}{\partial g/\partial t + \partial g/\partial z \cdot f}, \qquad
    z^* = z(t) + f(t, z(t))\,(t^* - t),

corrects the remaining error and has, by the implicit function theorem, the gradients of both.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from latentode.ode.field import Field, called
from latentode.ode.solution import Stats
from latentode.ode.solve import solve

__all__ = ["CLOSE", "EventSolution", "as_numbers", "polished", "solve_event"]

BISECTIONS = 50
CLOSE = 0.01
"""Of the span: how far the event of the last solve may be from that of the search."""


@dataclass(frozen=True)
class EventSolution:
    """The answer to :func:`solve_event`.

    Parameters
    ----------
    times : Tensor
        (series,): the times of the events; ``t1`` for a series without one.
    z : Tensor
        (series, latent): the states at those times.
    happened : Tensor
        (series,): whether there was an event.
    stats : Stats
        What the search and the final solve cost.
    """

    times: Tensor
    z: Tensor
    happened: Tensor
    stats: Stats


def solve_event(
    field: Field,
    z0: Tensor,
    event: Callable[..., Tensor],
    t0: float | Tensor = 0.0,
    t1: float | Tensor = 1.0,
    *,
    args: Sequence[Tensor] = (),
    direction: int = 0,
    n_checks: int = 100,
    **options: Any,
) -> EventSolution:
    """Solve every series from ``t0`` until its event, or until ``t1`` if there is none.

    Parameters
    ----------
    field, z0, t0, args
        As in :func:`solve`; z0 is (series, latent).
    event : callable
        ``event(t, z, *args)`` for t (series, 1) and z (series, latent) returns (series,): the event is where this
        passes through zero, or from True to False or back. Gradients flow to every tensor it reads.
    t1 : float or Tensor
        Where to stop looking, for all series or one per series; before t0 to solve backwards.
    direction : {0, 1, -1}
        Whether the event is any zero crossing, an upward one only, or a downward one only.
    n_checks : int
        In how many equal parts of the span the event is looked for. Two crossings in one part are missed.
    **options
        As in :func:`solve`: method, n_steps, rtol, atol, adjoint, control, jump_times, ...

    Returns
    -------
    EventSolution
        ``times`` and ``z`` are differentiable in z0, t0, args, and the parameters of field and event.

    Raises
    ------
    ValueError
        If the event does not return one number per series.
    SolveError
        If a series cannot be solved.

    Notes
    -----
    A series whose event is past is still evaluated with the others, which does not change its answer. A zero at t0 is
    not an event. Where the event has no slope (a sign, a floor, a comparison), its time is found by bisection, as
    accurately as the equation is solved, and has no gradient.

    Examples
    --------
    A ball is dropped from two heights:

    >>> fall = lambda t, z: torch.stack([z[:, 1], torch.full_like(z[:, 1], -9.81)], 1)
    >>> z0 = torch.tensor([[10.0, 0.0], [20.0, 0.0]])
    >>> solve_event(fall, z0, lambda t, z: z[:, 0], t1=5.0).times
    tensor([1.4278, 2.0193])

    References
    ----------
    Chen, Amos & Nickel (2021), Learning neural event functions for ordinary differential equations.
    """
    if direction not in (-1, 0, 1):
        raise ValueError(f"direction must be -1, 0 or 1, not {direction}")
    with torch.no_grad():
        begin, end = (_column(t, z0) for t in (t0, t1))
        search = solve(field, z0, end, t0, t1, t_back=t0, args=args, **options)
        checks = begin + (end - begin) * torch.linspace(0.0, 1.0, n_checks + 1, dtype=end.dtype, device=end.device)
        g = _values(event, checks, search.at(checks), args)
        before, after, happened = _brackets(checks, g, direction)
        sign = torch.sign(g.gather(1, before.unsqueeze(1)))
        low, high = checks.gather(1, before.unsqueeze(1)), checks.gather(1, after.unsqueeze(1))
        after_event = _bisected(low, high, lambda t: _values(event, t, search.at(t), args) * sign > 0)
        when = torch.where(happened.unsqueeze(1), after_event, end)
    final = solve(field, z0, when, t0, when[:, 0], t_back=t0, args=args, **options)
    reach = CLOSE * (end - begin)
    times, z = polished(field, event, when, final.z[:, 0], happened, args, options.get("control"), reach)
    stats = Stats(
        final.stats.evaluations + search.stats.evaluations,
        final.stats.steps + search.stats.steps,
        final.stats.rejected + search.stats.rejected,
        lambda: final.stats.error,
    )
    return EventSolution(times, z, happened, stats)


def polished(
    field: Field, event: Callable[..., Tensor], when: Tensor, z: Tensor, happened: Tensor, args: Sequence[Tensor],
    control: Any, reach: Tensor,
) -> tuple[Tensor, Tensor]:  # fmt: skip
    """Take one step of Newton's method from ``when``; its gradients are those of the event.

    Where that step does not lead closer to zero, because the event is flat or far from a line, the change of sign is
    bracketed instead, at most ``reach`` (series, 1) away. Such a time has the gradients if the event has a slope there.
    """
    with torch.enable_grad():
        t_leaf, z_leaf = when.detach().requires_grad_(), z.detach().requires_grad_()
        value = _signed(event(t_leaf.to(z.dtype), z_leaf, *args), z)
        by_time, by_state = (
            torch.autograd.grad(value.sum(), (t_leaf, z_leaf), allow_unused=True)
            if value.requires_grad
            else (None, None)
        )
    with torch.no_grad():
        u = None if control is None else control(when).squeeze(1)
        slope = called(field, when.to(z.dtype), u, z.detach(), args).to(z.dtype)
        rate = (torch.zeros_like(slope) if by_state is None else by_state * slope).sum(-1)
        rate = rate if by_time is None else rate + by_time[:, 0].to(rate.dtype)
        has_slope = happened & torch.isfinite(rate) & (rate != 0)
        rate = torch.where(has_slope, rate, 1.0)
    left = _signed(event(when.to(z.dtype), z, *args), z)
    move = torch.where(has_slope, -left / rate, torch.zeros_like(left))

    def beyond(move: Tensor) -> Tensor:
        at = when + move.to(when.dtype).unsqueeze(1)
        return _signed(event(at.to(z.dtype), z + slope * move.unsqueeze(1), *args), z)

    with torch.no_grad():
        # A move within rounding need not lead closer to zero, and is good enough.
        rounding = torch.finfo(z.dtype).eps * (8 * when.abs() + 8 / CLOSE * reach.abs()).squeeze(1)
        closer = ~happened | (has_slope & ((beyond(move).abs() <= left.abs()) | (move.abs() <= rounding)))
        change = None if bool(closer.all()) else _change_of_sign(beyond, reach.to(z.dtype).squeeze(1))
    if change is not None:
        move = torch.where(closer, move, move - move.detach() + change)
    return when[:, 0] + move.to(when.dtype), z + slope * move.unsqueeze(1)


def _change_of_sign(g: Callable[[Tensor], Tensor], reach: Tensor) -> Tensor:
    """Return where, (series,), a function of one number per series changes its sign around 0; 0 if it does not."""
    before = torch.sign(g(-reach))
    changes = torch.sign(g(reach)) != before
    return torch.where(changes, _bisected(-reach, reach, lambda x: torch.sign(g(x)) == before), 0.0)


def _bisected(low: Tensor, high: Tensor, is_before: Callable[[Tensor], Tensor]) -> Tensor:
    """Return the upper ends of brackets after bisection; ``is_before`` is True before the change."""
    for _ in range(BISECTIONS):
        middle = 0.5 * (low + high)
        before = is_before(middle)
        low, high = torch.where(before, middle, low), torch.where(before, high, middle)
    return high


def as_numbers(g: Tensor, z: Tensor) -> Tensor:
    """Return what an event gave as numbers of the state's dtype if it is True and False: 1 and -1."""
    return 2.0 * g.to(z.dtype) - 1.0 if g.dtype == torch.bool else g


def _signed(g: Any, z: Tensor) -> Tensor:
    """Return what an event gave as one real number per series; True is 1, and False is -1."""
    if not isinstance(g, Tensor) or g.is_complex() or g.numel() != len(z):
        got = type(g).__name__ if not isinstance(g, Tensor) else f"{tuple(g.shape)} of {g.dtype}"
        raise ValueError(f"event(t, z) must return one number per series, ({len(z)},), not {got}")
    return as_numbers(g, z).reshape(len(z))


def _values(event: Callable[..., Tensor], times: Tensor, z: Tensor, args: Sequence[Tensor]) -> Tensor:
    """Return the event at every time, (series, time)."""
    each = [_signed(event(times[:, i : i + 1].to(z.dtype), z[:, i], *args), z) for i in range(times.shape[1])]
    return torch.stack(each, 1)


def _brackets(checks: Tensor, g: Tensor, direction: int) -> tuple[Tensor, Tensor, Tensor]:
    """Return the checks between which the event first happens, (series,) each, and whether it does."""
    sign = torch.sign(g)
    passed = (sign[:, :-1] != 0) & (sign[:, 1:] != sign[:, :-1])
    if direction:
        passed = passed & (sign[:, 1:] - sign[:, :-1] > 0 if direction > 0 else sign[:, 1:] - sign[:, :-1] < 0)
    happened, first = passed.any(1), passed.to(torch.uint8).argmax(1)
    return first, first + 1, happened


def _column(t: float | Tensor, z0: Tensor) -> Tensor:
    dtype = t.dtype if isinstance(t, Tensor) and t.is_floating_point() else z0.dtype
    return torch.as_tensor(t, dtype=dtype, device=z0.device).reshape(-1, 1).expand(len(z0), 1)
