"""Which recorded steps a method and its options call for."""

from collections.abc import Callable, Iterator
from itertools import count
from typing import Any

import torch
from torch import Tensor

from latentode.ode.methods import METHODS
from latentode.ode.torchdiffeq.adams import AdamsAdvance
from latentode.ode.torchdiffeq.arguments import ADAMS, Settings, SingleSeries
from latentode.ode.torchdiffeq.by_error import ErrorSteps
from latentode.ode.torchdiffeq.callbacks import supported_callbacks
from latentode.ode.torchdiffeq.collocation import COLLOCATION
from latentode.ode.torchdiffeq.grid import Advance, grid_steps, runge_kutta_advance
from latentode.ode.torchdiffeq.scipy_solver import scipy_answers
from latentode.ode.torchdiffeq.stepping import Step, SteppedState, answers, first_change

__all__ = ["stepped_answers", "stepped_event"]

STAGE_ITERATIONS = 100


def stepped_answers(series: SingleSeries, settings: Settings, t: Tensor) -> Tensor:
    """Return the states at all times, (time, latent).

    Parameters
    ----------
    series, settings
        What to solve, and how.
    t : Tensor
        (time,), in the dtype of ``series.t``.

    Raises
    ------
    SolveError
        If the equation cannot be solved.
    """
    state = _state(series, settings, t)
    if settings.method == "scipy_solver":
        return scipy_answers(state, t, *_tolerances(series, settings), settings.options)
    if settings.adaptive:
        return answers(_by_error(state, series, settings, t[-1]), state, t)
    inner = settings.inner_nodes(series.func, series.y0, t)
    nodes = torch.cat([t[:1], inner, t[-1:]]).unbind(0)
    advance = _advance(state, series, settings)
    y = answers(grid_steps(state, nodes, advance, _interp(settings)), state, t)
    if isinstance(advance, AdamsAdvance):
        advance.warn_if_unconverged()
    return y


def stepped_event(series: SingleSeries, settings: Settings, event: Callable[[Tensor, Tensor], Tensor]) -> Tensor:
    """Return the time just after an event that is positive at the beginning; ``event(t, y)`` is of a flat state.

    Raises
    ------
    ValueError
        If the method has no event, or a fixed grid no step size.
    SolveError
        If the equation cannot be solved, or there is no event.
    """
    if settings.method == "scipy_solver":
        raise ValueError("scipy_solver finds no events: use dopri5, or for a stiff field kvaerno5")
    state = _state(series, settings, series.t)
    if settings.adaptive:
        return first_change(_by_error(state, series, settings, None), event, settings.max_steps)
    step, begin = state.sign * settings.event_step(), series.t[0].detach()
    nodes = (begin + n * step for n in count())
    steps = grid_steps(state, nodes, _advance(state, series, settings), _interp(settings))
    return first_change(steps, event, settings.max_steps)


def _state(series: SingleSeries, settings: Settings, t: Tensor) -> SteppedState:
    def func(time: Tensor, y: Tensor) -> Tensor:
        slope: Tensor = series.field(time.reshape(1, 1), y.unsqueeze(0))[0]
        return slope

    return SteppedState(
        func, series.flat[0], t[0], 1.0 if bool(t[-1] > t[0]) else -1.0, series.unflatten,
        supported_callbacks(series.func, settings.method, adaptive=settings.adaptive),
    )  # fmt: skip


def _by_error(state: SteppedState, series: SingleSeries, settings: Settings, end: Tensor | None) -> Iterator[Step]:
    rtol, atol = _tolerances(series, settings)
    return iter(ErrorSteps(state, METHODS[settings.method], rtol, atol, settings.options, end, settings.max_steps))


def _advance(state: SteppedState, series: SingleSeries, settings: Settings) -> Advance:
    """Return what takes the steps of a fixed grid."""
    name, perturb = settings.method, bool(settings.options.get("perturb"))
    if name in ADAMS:
        rtol, atol = _tolerances(series, settings)
        own = {key: int(settings.options[key]) for key in ("max_iters", "max_order") if key in settings.options}
        return AdamsAdvance(
            state, implicit=name != "explicit_adams", rtol=rtol, atol=atol, perturb=perturb, **own
        )  # fmt: skip
    method = COLLOCATION[name] if name in COLLOCATION else METHODS[name]
    iterations = int(settings.options.get("max_iters", STAGE_ITERATIONS))
    return runge_kutta_advance(state, method, perturb=perturb, max_iterations=iterations)


def _interp(settings: Settings) -> str:
    return str(settings.options.get("interp", "linear" if settings.method == "euler" else "cubic"))


def _tolerances(series: SingleSeries, settings: Settings) -> tuple[float | Tensor, float | Tensor]:
    """Return rtol and atol: one number each, or one for every number of the state, (latent,)."""
    return _tolerance("rtol", settings.rtol, series), _tolerance("atol", settings.atol, series)


def _tolerance(name: str, value: Any, series: SingleSeries) -> float | Tensor:
    if isinstance(value, float):
        return value
    shapes, parts = series.field.shapes, value if isinstance(series.y0, tuple) else (value,)
    if len(parts) != len(shapes):
        raise ValueError(f"{name} must be one number, or one for each of the {len(shapes)} parts of the state")
    each = [torch.as_tensor(part).to(series.flat).detach() for part in parts]
    try:
        return torch.cat([part.expand(shape).reshape(-1) for part, shape in zip(each, shapes, strict=True)])
    except RuntimeError:
        got = ", ".join(str(tuple(part.shape)) for part in each)
        raise ValueError(f"{name} must be shaped like the state, {[tuple(s) for s in shapes]}, not {got}") from None
