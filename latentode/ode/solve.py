"""Solving for every series at its own times: the face of this floor."""

from collections.abc import Sequence

import torch
from torch import Tensor

from latentode.ode.control import AdaptiveSteps, Controller, FixedSteps, GivenSteps
from latentode.ode.errors import SolveError
from latentode.ode.field import Field
from latentode.ode.methods import Method, find_method
from latentode.ode.rows import Problem, Queries, solve_rows
from latentode.ode.solution import Solution, Stats
from latentode.ode.spans import Schedule, schedule
from latentode.ode.stepping import Stuck, Tolerance
from latentode.ode.watch import Estimate, named, refuse_outside
from latentode.ode.watch import watch as watch_result

__all__ = ["solve"]

DEFAULT_STEPS = 6

Steps = int | Sequence[float] | None


def solve(
    field: Field,
    z0: Tensor,
    times: Tensor,
    t0: float | Tensor = 0.0,
    t1: float | Tensor | None = None,
    *,
    t_back: float | Tensor | None = None,
    args: Sequence[Tensor] = (),
    method: str = "rk4",
    n_steps: Steps = None,
    n_steps_back: Steps = None,
    rtol: float = 1e-3,
    atol: float = 1e-4,
    adjoint: str = "discrete",
    max_steps: int = 10_000,
    min_step: float = 1e-6,
    watch: bool = True,
    coarse: float | None = 0.01,
    on_failure: str = "raise",
) -> Solution:
    r"""Solve dz/dt = f(t, z), z(t0) = z0 for a batch of series, and answer each at its own times.

    Parameters
    ----------
    field : nn.Module or callable
        ``field(t, z, *args)`` returns dz/dt, (series, latent), for t (series, 1) and z (series, latent).
    z0 : Tensor
        (series, latent), real.
    times : Tensor
        (series, time), or (time,) for all series: the queries, in any order, on both sides of ``t0``, NaN where
        there is none. Times may be float64 beside a float32 state; integers become floats.
    t0 : float or Tensor
        Where z0 is, for all series or one per series.
    t1 : float or Tensor, optional
        How far to go; None means to the furthest query ahead. With ``t1`` given, the steps of a series depend
        on its t0 and t1 only, never on its queries, nor on the other series.
    t_back : float or Tensor, optional
        How far to go on the other side of ``t0``; None means to the furthest query there, if there is one
        (which the host has to look up). ``t_back=t0`` says that there is nothing.
    args : sequence of Tensor
        Whatever else the field reads and is to receive gradients: a context per series, parameters of a closure.
    method : str
        "euler", "midpoint", "heun", "bosh3", "rk4", "dopri5" or "tsit5".
    n_steps : int or sequence of float, optional
        Steps of a fixed grid, or its nodes as fractions of the span, rising from 0 to 1. None lets the error choose
        the steps for the methods made for that (heun, bosh3, dopri5, tsit5), and means 6 steps for the others (euler,
        midpoint, rk4).
    n_steps_back : int or sequence of float, optional
        Steps on the other side of ``t0``; as many as ``n_steps`` when None.
    rtol, atol : float
        Tolerated error of an adaptive step, relative and absolute, for the worst series.
    adjoint : {"discrete", "backsolve", "autograd"}
        How gradients are made. "discrete" sweeps back over the steps, exactly. "backsolve" keeps nothing but the
        answers, and solves the augmented state of Chen et al. (2018) backwards: memory does not grow with the steps,
        but every stretch between queries is solved again, and the gradient is as good as the tolerance. "autograd"
        records every operation, and may be differentiated twice.
    max_steps, min_step : int, float
        When an adaptive solve gives up: number of steps, and least step as a fraction of the span.
    watch : bool
        Whether to look at the result: queries outside the span, values that are not finite, a grid too coarse. Each is
        read by the host after the solve; in a training loop ``watch=False`` leaves them unread.
    coarse : float, optional
        Warn of series whose fixed grid has a greater estimated error than this, relative to the size of
        their state. None never warns.
    on_failure : {"raise", "nan"}
        Whether a series that cannot be solved raises, or is filled with NaN while the others are solved.

    Returns
    -------
    Solution
        ``solution.z`` (series, time, latent) is differentiable in z0, the field's parameters, args, t0, t1, t_back
        and times; ``solution.stats`` says what it cost.

    Raises
    ------
    ValueError
        If shapes or options do not fit, or a query lies outside [t_back, t1]. (Unwatched, such queries are NaN.)
    SolveError
        If a series cannot be solved, naming it, the time and the cause.

    Warns
    -----
    CoarseGridWarning
        Naming the series whose fixed grid is too coarse.

    Notes
    -----
    Every series runs on its own clock :math:`s \in [0, 1]`, :math:`t = t_0 + s\,(t_1 - t_0)`, so that one step serves
    all of them, and all queries are read off the steps afterwards: the number of evaluations does not
    depend on the number of queries.

    Examples
    --------
    >>> z0 = torch.tensor([[1.0], [2.0]])
    >>> times = torch.tensor([[0.5, -1.0], [1.0, float("nan")]])
    >>> solve(lambda t, z: -z, z0, times).z.squeeze(-1)
    tensor([[0.6065, 2.7183],
            [0.7358,    nan]])

    References
    ----------
    Chen, Rubanova, Bettencourt & Duvenaud (2018), Neural ordinary differential equations.
    Chen, Amos & Nickel (2021), Learning neural event functions, appendix (the change of clock).
    """
    z0, times = _checked_inputs(z0, times)
    _check_choice("adjoint", adjoint, ("autograd", "backsolve", "discrete"))
    _check_choice("on_failure", on_failure, ("nan", "raise"))
    plan = schedule(times, t0, t1, t_back)
    if watch:
        refuse_outside(plan, times)
    problem = Problem(field, tuple(args), find_method(method), Tolerance(rtol, atol, max_steps, min_step), adjoint)
    steps = (n_steps, n_steps if n_steps_back is None else n_steps_back)
    parked = None
    while True:
        try:
            z, stats, estimates = _solve_sides(problem, z0, plan, steps, parked)
            if watch:
                watch_result(estimates, coarse)
            break
        except SolveError as failure:
            if on_failure == "raise":
                raise
            parked = _park(parked, failure.series, z0)
    usable = plan.asked & ~plan.outside
    if parked is not None:
        usable = usable & ~parked
    return Solution(torch.where(usable.unsqueeze(-1), z, float("nan")), stats)


def _solve_sides(
    problem: Problem, z0: Tensor, plan: Schedule, steps: tuple[Steps, Steps], parked: Tensor | None
) -> tuple[Tensor, Stats, tuple[Estimate, ...]]:
    """Solve every side there is, together where the field allows it, and answer all queries."""
    together = len(plan.sides) == 2 and steps[0] == steps[1] and problem.adjoint != "backsolve" and problem.analytic
    groups = [plan.sides] if together else [(side,) for side in plan.sides]
    safe = z0 if parked is None else torch.where(parked, 0.0, z0)
    answers: list[Tensor] = []
    estimates: list[Estimate] = []
    for sides in groups:
        copies = len(sides)
        span = _stacked([_still(side.span, parked) for side in sides])
        start, first = _stacked([plan.start] * copies), _stacked([safe] * copies)
        here = plan.asked & (plan.ahead if sides[0] is plan.forward else ~plan.ahead)
        clock = sides[0].clock if copies == 1 else torch.where(plan.ahead, sides[0].clock, sides[1].clock)
        rows = torch.arange(len(z0), device=z0.device).unsqueeze(1)
        if copies == 2:
            rows = torch.where(plan.ahead, rows, rows + len(z0))
        controller = _controller(problem.method, steps[1] if sides[0] is plan.back else steps[0])
        try:
            z, nodes, slopes, path = solve_rows(
                problem, controller, first, start, span, Queries(clock, rows, here), copies
            )
        except Stuck as stuck:
            raise named(stuck, start, span, len(z0)) from None
        answers.append(z)
        estimates.append(Estimate(nodes, slopes, path, problem.method, start.detach(), span.detach(), copies))
    z = answers[0] if len(answers) == 1 else torch.where(plan.ahead.unsqueeze(-1), answers[0], answers[1])
    paths = [estimate.path for estimate in estimates]
    stats = Stats(
        evaluations=sum(path.evaluations for path in paths),
        steps=sum(path.n_steps for path in paths),
        rejected=sum(path.rejected for path in paths),
        _estimate=lambda: torch.stack([estimate.error() for estimate in estimates]).amax(0),
    )
    return z, stats, tuple(estimates)


def _park(parked: Tensor | None, series: Sequence[int], z0: Tensor) -> Tensor:
    """Add the series that failed to those parked, (series, 1): they stand still at zero while the others go on."""
    parked = torch.zeros_like(z0[:, :1], dtype=torch.bool) if parked is None else parked
    parked[list(series)] = True
    return parked


def _still(span: Tensor, parked: Tensor | None) -> Tensor:
    return span if parked is None else torch.where(parked, torch.finfo(span.dtype).tiny ** 0.5, span)


def _stacked(parts: Sequence[Tensor]) -> Tensor:
    return parts[0] if len(parts) == 1 else torch.cat(list(parts))


def _controller(method: Method, steps: Steps) -> Controller:
    """Choose the steps the caller asked for, or the method's own way."""
    if steps is None and method.adaptive:
        return AdaptiveSteps(method.tableau.error_order)
    if steps is None:
        return FixedSteps(DEFAULT_STEPS)
    if isinstance(steps, int):
        if steps < 1:
            raise ValueError(f"n_steps must be at least 1, not {steps}")
        return FixedSteps(steps)
    return GivenSteps(tuple(steps))


def _checked_inputs(z0: Tensor, times: Tensor) -> tuple[Tensor, Tensor]:
    """Refuse what is not (series, latent) and (series, time); give integers a floating dtype."""
    if z0.dim() != 2:
        raise ValueError(f"z0 must be (series, latent), not {tuple(z0.shape)}")
    if z0.is_complex() or times.is_complex():
        raise TypeError("complex states are not supported: stack real and imaginary parts as two real dimensions")
    if not z0.is_floating_point():
        z0 = z0.to(torch.get_default_dtype())
    if not times.is_floating_point():
        times = times.to(z0.dtype)
    if times.dim() == 1:
        times = times.expand(z0.shape[0], -1)
    if times.dim() != 2 or times.shape[0] != z0.shape[0]:
        raise ValueError(f"times must be (series, time) for {z0.shape[0]} series, or (time,), not {tuple(times.shape)}")
    return z0, times


def _check_choice(name: str, value: str, choices: tuple[str, ...]) -> None:
    if value not in choices:
        raise ValueError(f"{name} must be one of {', '.join(choices)}, not {value!r}")
