"""Solving until an event without a horizon: the event is looked for in windows of doubling length."""

from collections.abc import Callable
from math import isfinite
from typing import Any

import torch
from torch import Tensor

from latentode.ode.event import CLOSE, EventSolution, as_numbers, polished, solve_event
from latentode.ode.failures import SolveError
from latentode.ode.solve import solve
from latentode.ode.torchdiffeq.arguments import Settings, SingleSeries
from latentode.ode.torchdiffeq.stepped import stepped_event

__all__ = ["until_event"]

WINDOWS = 64
CHECKS = 100  # per window, and four more for each of its steps

Event = Callable[[Tensor, Tensor], Tensor]


def until_event(
    series: SingleSeries,
    settings: Settings,
    event_fn: Callable[..., Tensor],
    adjoint: str,
    answers: Callable[[Tensor], Tensor] | None = None,
) -> tuple[Tensor, Any]:
    """Solve until any element of the event changes its sign, from t[0] towards t[1] and beyond.

    Parameters
    ----------
    series, settings
        What to solve, and how.
    event_fn : callable
        ``event_fn(t, y)`` returns a tensor of any shape for a 0-dimensional time and a state shaped like y0.
    adjoint : str
        As in :func:`latentode.ode.solve`.
    answers : callable, optional
        Solves for the states at given times, (time, latent), where :func:`latentode.ode.solve` cannot.

    Returns
    -------
    event_t : Tensor
        0-dimensional.
    solution : Tensor or tuple of Tensor
        (2, *y0.shape) each: y0 and the state at the event.

    Raises
    ------
    SolveError
        If the equation cannot be solved, or there is no event in very many steps.
    """
    start, event = series.t[0], _combined(series, event_fn)
    if event is None:
        return start, series.unflatten(torch.cat([series.flat, series.flat]))
    if answers is not None:
        when = stepped_event(series, settings, lambda t, y: event(t.to(y.dtype), y.unsqueeze(0)))
        z = answers(torch.stack([start, when]))[-1:]
        happened = torch.ones_like(when, dtype=torch.bool).view(1)
        reach = CLOSE * (when - start).detach().view(1, 1)
        times, z = polished(series.field, event, when.view(1, 1), z, happened, (), None, reach)
        return times[0], series.unflatten(torch.cat([series.flat, z]))
    low, high = _search(series, settings, event)
    for beyond in (0.0, 0.5):  # the second if rounding puts the event just behind the check that found it
        end = high + beyond * (high - low)
        options = settings.options_for_event(start, end)
        found: EventSolution = solve_event(
            series.field, series.flat, event, start, end, n_checks=1, adjoint=adjoint, **options
        )
        if bool(found.happened):
            return found.times[0], series.unflatten(torch.cat([series.flat, found.z]))
    raise SolveError("the event only touches zero", [0], [float(high)], "Let it pass through zero.")


def _combined(series: SingleSeries, event_fn: Callable[..., Tensor]) -> Event | None:
    """Return one event of a flat state that becomes negative when any element changes sign; None if one is zero now."""

    def values(t: Tensor, z: Tensor) -> Tensor:
        state = series.unflatten(z)
        own = tuple(part[0] for part in state) if isinstance(state, tuple) else state[0]
        return _signs_of(event_fn(t.reshape(()), own), z)

    with torch.no_grad():
        signs = torch.sign(values(series.t[0].to(series.flat.dtype), series.flat))
    if bool((signs == 0).any()):
        return None
    return lambda t, z: (values(t, z) * signs).min().reshape(1)


def _signs_of(value: Any, z: Tensor) -> Tensor:
    """Return what ``event_fn`` gave as numbers of the state's dtype; True is 1, and False is -1."""
    if not isinstance(value, Tensor) or value.is_complex() or value.numel() == 0:
        got = type(value).__name__ if not isinstance(value, Tensor) else f"{tuple(value.shape)} of {value.dtype}"
        raise ValueError(f"event_fn(t, y) must return a tensor of real numbers or of booleans, not {got}")
    return as_numbers(value, z)


@torch.no_grad()
def _search(series: SingleSeries, settings: Settings, event: Event) -> tuple[Tensor, Tensor]:
    """Return the last check before the event and the first one after it."""
    begin, z = series.t[0].detach(), series.flat.detach()
    sign = torch.sign(series.t[1].detach() - begin)
    window = max(_first_window(series), float(settings.options.get("step_size", 0.0)))
    limit, taken = settings.max_steps, 0
    for _ in range(WINDOWS):
        end = begin + sign * window
        options = {**settings.options_for_event(begin, end), "max_steps": limit}
        call = (series.field, z, end.reshape(1), begin, end)
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
            solve(*call, t_back=begin, **options)  # raises, and says why
        if taken > limit or not isfinite(float(end)):
            break
        begin, z, window = end, states[-1:], 2 * window
    raise SolveError(
        f"no event was found in {taken} steps", [0], [float(end)],
        "Check that event_fn changes its sign, and that reverse_time is as meant, or raise options['max_num_steps'].",
    )  # fmt: skip


def _first_window(series: SingleSeries) -> float:
    """Return the time in which the first slope would change the state by its own size."""
    slope = series.field(series.t[:1].detach().reshape(1, 1).to(series.flat.dtype), series.flat.detach())
    size, speed = (float(torch.linalg.vector_norm(x.detach())) for x in (series.flat, slope))
    window = size / speed if speed > 0 else 1.0
    return window if 0 < window < float("inf") else 1.0
