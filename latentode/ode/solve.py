"""Solving for every series at its own times: the face of this floor."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from dataclasses import field as attribute
from functools import cached_property
from typing import cast

import torch
from torch import Tensor

from latentode.ode.adjoint import DiscreteAdjoint, Plan, run_plain, run_taped
from latentode.ode.control import AdaptiveSteps, Controller, FixedSteps
from latentode.ode.dense import interpolate
from latentode.ode.errors import SolveError
from latentode.ode.field import AnalyticField, Field, PlainTape, RecordedTape, Tape, checked, is_analytic, parameters_of
from latentode.ode.methods import Method, find_method
from latentode.ode.spans import Schedule, schedule
from latentode.ode.stepping import Path, Stuck, Tolerance
from latentode.ode.watch import Estimate, named, refuse_outside
from latentode.ode.watch import watch as watch_result

__all__ = ["Solution", "Stats", "solve"]

DEFAULT_STEPS = 6


@dataclass(frozen=True)
class Stats:
    """What a solve cost, and how good it is.

    Parameters
    ----------
    evaluations : int
        Evaluations of the field, each for all series at once.
    steps, rejected : int
        Steps accepted and rejected.
    """

    evaluations: int
    steps: int
    rejected: int
    _estimate: Callable[[], Tensor] = attribute(repr=False)

    @cached_property
    def error(self) -> Tensor:
        """Estimated error per series, (series,), relative to the size of its state: formed when first read."""
        return self._estimate()


@dataclass(frozen=True)
class Solution:
    """The answer to :func:`solve`.

    Parameters
    ----------
    z : Tensor
        (series, time, latent), NaN where ``times`` is NaN.
    stats : Stats
        What it cost.
    """

    z: Tensor
    stats: Stats


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
    n_steps: int | None = None,
    n_steps_back: int | None = None,
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
    n_steps : int, optional
        Steps of a fixed grid. None lets the error choose the steps for the methods made for that (heun, bosh3,
        dopri5, tsit5), and means 6 steps for the others (euler, midpoint, rk4).
    n_steps_back : int, optional
        Steps on the other side of ``t0``; as many as ``n_steps`` when None.
    rtol, atol : float
        Tolerated error of an adaptive step, relative and absolute, for the worst series.
    adjoint : {"discrete", "autograd"}
        How gradients are made: "discrete" sweeps back over the steps, exactly; "autograd" records every
        operation, and may be differentiated twice.
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
    rule = find_method(method)
    z0, times = _checked_inputs(z0, times)
    _check_choice("adjoint", adjoint, ("autograd", "discrete"))
    _check_choice("on_failure", on_failure, ("nan", "raise"))
    plan = schedule(times, t0, t1, t_back)
    if watch:
        refuse_outside(plan, times)
    tolerance = Tolerance(rtol, atol, max_steps, min_step)
    parked = torch.zeros(z0.shape[0], 1, dtype=torch.bool, device=z0.device)
    while True:
        try:
            z, stats, estimates = _solve_sides(
                field, z0, plan, tuple(args), rule, (n_steps, n_steps_back), tolerance, adjoint, parked
            )
            if watch:
                watch_result(estimates, coarse if n_steps or not rule.adaptive else None)
            break
        except SolveError as failure:
            if on_failure == "raise":
                raise
            parked[list(failure.series)] = True
    usable = plan.asked & ~plan.outside & ~parked
    return Solution(torch.where(usable.unsqueeze(-1), z, float("nan")), stats)


def _solve_sides(
    field: Field,
    z0: Tensor,
    plan: Schedule,
    args: tuple[Tensor, ...],
    rule: Method,
    n_steps: tuple[int | None, int | None],
    tolerance: Tolerance,
    adjoint: str,
    parked: Tensor,
) -> tuple[Tensor, Stats, tuple[Estimate, ...]]:
    """Solve every side there is, together where the field allows it, and answer all queries."""
    steps = (n_steps[0], n_steps[1] or n_steps[0])
    together = len(plan.sides) == 2 and steps[0] == steps[1] and is_analytic(field)
    groups = [plan.sides] if together else [(side,) for side in plan.sides]
    answers, estimates, paths = [], [], []
    safe, tiny = torch.where(parked, 0.0, z0), torch.finfo(plan.start.dtype).tiny ** 0.5
    series = torch.arange(z0.shape[0], device=z0.device).unsqueeze(1)
    for sides in groups:
        count = steps[1] if sides[0] is plan.back else steps[0]
        span = torch.cat([torch.where(parked, tiny, side.span) for side in sides])
        start, z = plan.start.repeat(len(sides), 1), safe.repeat(len(sides), 1)
        controller: Controller = (
            AdaptiveSteps(rule.tableau.error_order)
            if rule.adaptive and count is None
            else FixedSteps(_positive("n_steps", DEFAULT_STEPS if count is None else count))
        )
        try:
            nodes, slopes, path = _take_steps(
                field, z, start, span, args, rule, controller, tolerance, adjoint, len(sides)
            )
        except Stuck as stuck:
            raise named(stuck, start, span, z0.shape[0]) from None
        clock = sides[0].clock if len(sides) == 1 else torch.where(plan.ahead, sides[0].clock, sides[1].clock)
        rows = series.expand_as(clock)
        if len(sides) == 2:
            rows = torch.where(plan.ahead, rows, rows + z0.shape[0])
        answers.append(interpolate(nodes, slopes, path, span, rule, clock, rows))
        estimates.append(Estimate(nodes.detach(), slopes.detach(), path, rule, start, span, len(sides)))
        paths.append(path)
    z = answers[0]
    if len(answers) == 2:
        z = torch.where(plan.ahead.unsqueeze(-1), z, answers[1])
    stats = Stats(
        evaluations=sum(path.evaluations for path in paths),
        steps=sum(path.n_steps for path in paths),
        rejected=sum(path.rejected for path in paths),
        _estimate=lambda: torch.stack([e.error() for e in estimates]).amax(0),
    )
    return z, stats, tuple(estimates)


def _take_steps(
    field: Field,
    z0: Tensor,
    start: Tensor,
    span: Tensor,
    args: tuple[Tensor, ...],
    rule: Method,
    controller: Controller,
    tolerance: Tolerance,
    adjoint: str,
    copies: int,
) -> tuple[Tensor, Tensor, Path]:
    """Take the steps in the way the adjoint asks for; return nodes, slopes and the path."""
    parameters = parameters_of(field)
    leaves = (*parameters, *args)
    wanted = torch.is_grad_enabled() and any(x.requires_grad for x in (z0, start, span, *leaves))
    analytic = is_analytic(field)

    def tape(parameters: Sequence[Tensor], args: Sequence[Tensor]) -> Tape:
        if analytic:
            return cast(AnalyticField, field).tape(args, z0, copies=copies, record=wanted)
        return RecordedTape(field, parameters, args) if wanted else PlainTape(field, args)

    m = rule.tableau.stages
    n_slots = (controller.n_steps if isinstance(controller, FixedSteps) else 8) * m + 1
    plan = Plan(rule, controller, tolerance, n_slots, tape, len(parameters))
    if adjoint == "autograd" and wanted:
        each = [arg.repeat(copies, *[1] * (arg.dim() - 1)) if copies > 1 else arg for arg in args]
        nodes, slopes = run_plain(plan, lambda t, z: checked(field(t, z, *each), z), z0, start, span)
    elif wanted:
        nodes, slopes = DiscreteAdjoint.apply(plan, z0, start, span, *leaves)  # type: ignore[no-untyped-call]
    else:
        with torch.no_grad():
            ledger = run_taped(plan, tape(parameters, args), z0, start, span)
        nodes, slopes = ledger.gather(plan.path.n_steps if plan.path else 0, rule)
    if plan.path is None:
        raise RuntimeError("the steps were not taken")
    return nodes, slopes, plan.path


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


def _positive(name: str, value: int) -> int:
    if value < 1:
        raise ValueError(f"{name} must be at least 1, not {value}")
    return value
