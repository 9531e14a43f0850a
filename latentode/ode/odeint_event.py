"""Solving until an event without a horizon: it is looked for in windows that double."""

from collections.abc import Callable
from math import isfinite
from typing import Any

import torch
from torch import Tensor

from latentode.ode.errors import SolveError
from latentode.ode.event import EventSolution, solve_event
from latentode.ode.odeint_options import Settings
from latentode.ode.odeint_problem import Posed
from latentode.ode.solve import solve

__all__ = ["until_event"]

WINDOWS = 64
SEARCH_STEPS = 20_000  # unless max_num_steps says otherwise
CHECKS = 100  # of a window, and four more for each of its steps

Event = Callable[[Tensor, Tensor], Tensor]


def until_event(posed: Posed, settings: Settings, event_fn: Callable[..., Tensor], adjoint: str) -> tuple[Tensor, Any]:
    """Solve until any element of the event changes its sign, from t[0] towards t[1] and on.

    Parameters
    ----------
    posed, settings
        What to solve, and how.
    event_fn : callable
        ``event_fn(t, y)`` for a time of no dimension and a state shaped like y0, a tensor of any shape.
    adjoint : str
        As in :func:`latentode.ode.solve`.

    Returns
    -------
    event_t : Tensor
        Without dimension.
    solution : Tensor or tuple of Tensor
        (2, *y0.shape) each: y0 and the state at the event.

    Raises
    ------
    SolveError
        If the equation cannot be solved, or nothing happens for very long.
    """
    start, event = posed.t[0], _combined(posed, event_fn)
    if event is None:
        return start, posed.unpack(torch.cat([posed.flat, posed.flat]))
    low, high = _search(posed, settings, event)
    for beyond in (0.0, 0.5):  # the second where rounding puts the event just behind the check that found it
        end = high + beyond * (high - low)
        options = settings.towards(start, end)
        found: EventSolution = solve_event(
            posed.field, posed.flat, event, start, end, n_checks=1, adjoint=adjoint, **options
        )
        if bool(found.happened):
            return found.times[0], posed.unpack(torch.cat([posed.flat, found.z]))
    raise SolveError("the event only touches zero", [0], [float(high)], "Let it pass through zero.")


def _combined(posed: Posed, event_fn: Callable[..., Tensor]) -> Event | None:
    """One event of a flat state, positive at first, which falls when any element changes its sign; None if it has."""

    def values(t: Tensor, z: Tensor) -> Tensor:
        state = posed.unpack(z)
        own = tuple(part[0] for part in state) if isinstance(state, tuple) else state[0]
        return event_fn(t.reshape(()), own)

    with torch.no_grad():
        signs = torch.sign(values(posed.t[0].to(posed.flat.dtype), posed.flat))
    if bool((signs == 0).any()):
        return None
    return lambda t, z: (values(t, z) * signs).min().reshape(1)


@torch.no_grad()
def _search(posed: Posed, settings: Settings, event: Event) -> tuple[Tensor, Tensor]:
    """Return the last check before the event and the first one after it."""
    begin, z = posed.t[0].detach(), posed.flat.detach()
    way = torch.sign(posed.t[1].detach() - begin)
    window = max(_first_window(posed), float(settings.options.get("step_size", 0.0)))
    limit, taken = int(settings.options.get("max_num_steps", SEARCH_STEPS)), 0
    for _ in range(WINDOWS):
        end = begin + way * window
        options = {**settings.towards(begin, end), "max_steps": limit}
        call = (posed.field, z, end.reshape(1), begin, end)
        found = solve(*call, t_back=begin, on_failure="nan", **options)
        taken += found.stats.steps + found.stats.rejected
        n_checks = CHECKS + 4 * found.stats.steps
        checks = begin + (end - begin) * torch.linspace(0.0, 1.0, n_checks + 1).to(begin)
        states = found.at(checks.unsqueeze(0))[0]
        values = torch.cat([event(t.to(z.dtype), state.unsqueeze(0)) for t, state in zip(checks, states, strict=True)])
        passed = (values <= 0).nonzero().flatten()  # never where the state is NaN
        if len(passed):
            after = max(1, int(passed[0]))
            return checks[after - 1], checks[after]
        if not bool(torch.isfinite(states[-1]).all()):
            solve(*call, t_back=begin, **options)  # says why
        if taken > limit or not isfinite(float(end)):
            break
        begin, z, window = end, states[-1:], 2 * window
    raise SolveError(
        f"no event was found in {taken} steps", [0], [float(end)],
        "Check that event_fn changes its sign, and that reverse_time is as meant, or raise options['max_num_steps'].",
    )  # fmt: skip


def _first_window(posed: Posed) -> float:
    """How long the state takes to change by its own size, as its first slope has it."""
    slope = posed.field(posed.t[:1].detach().reshape(1, 1).to(posed.flat.dtype), posed.flat.detach())
    size, speed = (float(torch.linalg.vector_norm(x.detach())) for x in (posed.flat, slope))
    window = size / speed if speed > 0 else 1.0
    return window if 0 < window < float("inf") else 1.0
