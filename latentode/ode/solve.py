"""Solving for every series at its own times: the face of this floor."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil

import torch
from torch import Tensor

from latentode.ode.control import AdaptiveSteps, Controller, FixedSteps, GivenSteps
from latentode.ode.controls import ControlPath
from latentode.ode.dense import Queries
from latentode.ode.errors import SolveError, Stuck
from latentode.ode.field import Field
from latentode.ode.methods import Method, find_method
from latentode.ode.reader import Reader
from latentode.ode.route import Route
from latentode.ode.rows import ADJOINTS, Problem, solve_rows
from latentode.ode.shapes import State, shaped
from latentode.ode.solution import Solution, Stats
from latentode.ode.spans import Schedule, Side, schedule
from latentode.ode.stepping import Tolerance
from latentode.ode.trace import Trace
from latentode.ode.watch import refuse_broken, refuse_outside, warn_if_coarse

__all__ = ["solve"]

DEFAULT_STEPS = 6
RETREATS = (1.0, 0.999, 0.99, 0.9)  # of the way that is known: how far a series goes that failed once, twice, ...
CONTROLLERS = {"I": AdaptiveSteps.I, "PI": AdaptiveSteps.PI, "PID": AdaptiveSteps.PID}

Steps = int | Sequence[float] | None


def solve(
    field: Field,
    z0: State,
    times: Tensor,
    t0: float | Tensor = 0.0,
    t1: float | Tensor | None = None,
    *,
    t_back: float | Tensor | None = None,
    args: Sequence[Tensor] = (),
    control: ControlPath | None = None,
    jump_times: Tensor | Sequence[float] | None = None,
    step_times: Tensor | Sequence[float] | None = None,
    method: str = "rk4",
    n_steps: Steps = None,
    n_steps_back: Steps = None,
    rtol: float = 1e-3,
    atol: float = 1e-4,
    controller: str = "PI",
    independent: bool = False,
    adjoint: str = "discrete",
    max_steps: int = 10_000,
    min_step: float = 1e-6,
    watch: bool = True,
    coarse: float | None = 0.01,
    on_failure: str = "raise",
    compile: bool = False,
) -> Solution:
    r"""Solve dz/dt = f(t, z), z(t0) = z0 for a batch of series, and answer each at its own times.

    Parameters
    ----------
    field : nn.Module or callable
        ``field(t, z, *args)`` returns dz/dt, (series, latent), for t (series, 1) and z (series, latent); with a
        control, ``field(t, z, u, *args)`` for u (series, channel).
    z0 : Tensor or tuple of Tensor
        (series, latent), real. Any other shape (series, ...) will do, and a tuple of such: then ``field`` is given, and
        returns, what z0 is, and t has as many dimensions as z (with a tuple, two).
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
    control : ControlPath, optional
        A known input u(t), each series its own (:class:`PiecewiseConstant`, :class:`PiecewiseLinear`,
        :class:`CubicSpline`). Steps end exactly where it jumps or has a kink.
    jump_times, step_times : Tensor or sequence of float, optional
        Times at which the field jumps, and times at which a step has to end, (time,) for all series or (series, time),
        NaN where there is none, in any order. At a jump the field is evaluated on both sides, at the times next to it;
        jump times given as a tensor receive gradients.
    method : str
        One of :data:`latentode.ode.METHODS`. "rk4" on a few steps for fields that are learned, "tsit5" or "dopri5"
        where the error has to choose the steps, "kvaerno3" or "kvaerno5" for stiff fields.
    n_steps : int or sequence of float, optional
        Steps of a fixed grid, or its nodes as fractions of the span, rising from 0 to 1. None lets the error choose
        the steps for the methods made for that (``METHODS[name].adaptive``), and means 6 steps for the others. Where
        there are jump or step times, a number of steps is shared out among the pieces between, at least one each.
    n_steps_back : int or sequence of float, optional
        Steps on the other side of ``t0``; as many as ``n_steps`` when None.
    rtol, atol : float
        Tolerated error of an adaptive step, relative and absolute, for the worst series.
    controller : {"PI", "I", "PID"}
        How an adaptive step follows from the errors of the last ones; see :class:`latentode.ode.control.AdaptiveSteps`.
    independent : bool
        Whether each series chooses its own steps. All are evaluated together all the same, so that this pays where
        different series are hard at different times, not where one is much harder than all others.
    adjoint : {"discrete", "checkpointed", "continuous", "backsolve", "autograd"}
        How gradients are made. "discrete" sweeps back over the steps, exactly. "checkpointed" does so in the memory of
        the square root of the steps, taking each twice. "continuous" solves the adjoint equation along the stored
        solution, and is as good as the steps are small. "backsolve" keeps nothing but the answers, and solves the
        augmented state of Chen et al. (2018) backwards: memory does not grow with the steps, but every stretch between
        queries is solved again, and the gradient is as good as the tolerance. "autograd" records every operation, and
        may be differentiated twice.
    max_steps, min_step : int, float
        When an adaptive solve gives up: number of steps, and least step as a fraction of the span.
    watch : bool
        Whether to look at the result: queries outside the span, values that are not finite, a grid too coarse. Each is
        read by the host after the solve; in a training loop ``watch=False`` leaves them unread.
    coarse : float, optional
        Warn of series whose fixed grid has a greater estimated error than this, relative to the size of
        their state. None never warns.
    on_failure : {"raise", "nan"}
        Whether a series that cannot be solved raises, or is filled with NaN from there on while the others are solved.
    compile : bool
        Whether to compile the steps and their gradient (by :func:`torch.compile`; half a minute, once for a field and a
        method), for a grid of equal steps of an explicit method, without controls and jumps, with the discrete adjoint.
        Where there is no compiler a warning says so, once, and the solve runs uncompiled.

    Returns
    -------
    Solution
        ``solution.z`` (series, time, latent), or what z0 is with the times after the series, is differentiable in z0,
        the field's parameters, args, the control's tensors, t0, t1, t_back, jump_times and times; ``solution.stats``
        says what it cost.

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
    NotCompiledWarning
        Where ``compile=True`` could not be done.

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
    field, z0, unpack = shaped(field, z0)
    z0, times = _checked_inputs(z0, times)
    _check_choice("adjoint", adjoint, ("autograd", *ADJOINTS))
    _check_choice("controller", controller, tuple(CONTROLLERS))
    _check_choice("on_failure", on_failure, ("nan", "raise"))
    tolerance = Tolerance(rtol, atol, max_steps, min_step)
    problem = Problem(field, tuple(args), control, find_method(method), tolerance, adjoint, independent, compile)
    _check_fit(problem)
    stops, jumps = _stops(times, control, jump_times, step_times)
    if jumps and max(problem.method.tableau.c) > 1.0:
        raise ValueError(f"{problem.method.name} evaluates the field beyond the end of a step, and so beyond its jumps")
    steps = _Steps(n_steps, n_steps if n_steps_back is None else n_steps_back, controller)
    ends, parked = _Ends(t0, t1, t_back, Counter()), None
    while True:
        plan = schedule(times, ends.t0, ends.t1, ends.t_back, stops)
        if watch and not ends.cut:
            refuse_outside(plan, times)
        try:
            z, traces = _solve_sides(problem, z0, plan, steps, jumps, parked)
            if watch:
                refuse_broken(traces)
            break
        except Stuck as stuck:
            failure = stuck.named(len(z0))
            hopeless = parked is not None and bool(parked[list(failure.series)].all())  # whatever state it is given
            if on_failure == "raise" or hopeless:
                raise failure from None
            ends, parked = _without(failure, ends, plan, parked, z0)
    if watch and coarse is not None:
        warn_if_coarse(traces, coarse)
    usable = plan.asked & ~plan.outside
    if parked is not None:
        usable = usable & ~parked
    reader = Reader(plan, traces)
    answers = unpack(torch.where(usable.unsqueeze(-1), z, float("nan")))
    return Solution(answers, _stats(traces), lambda times: unpack(reader(times)))


@dataclass(frozen=True)
class _Steps:
    """The steps the caller asked for, on either side."""

    ahead: Steps
    back: Steps
    controller: str

    def on(self, method: Method, side: Side, *, ahead: bool) -> Controller:
        """Choose the caller's steps, or the method's own way."""
        steps, n_pieces = self.ahead if ahead else self.back, len(side.span)
        if steps is None and method.adaptive:
            return AdaptiveSteps(method.tableau.error_order, CONTROLLERS[self.controller])
        steps = DEFAULT_STEPS if steps is None else steps
        if not isinstance(steps, int):
            if n_pieces > 1:
                raise ValueError("n_steps must be a number where there are jump or step times: those are nodes already")
            return GivenSteps(tuple(steps))
        if steps < 1:
            raise ValueError(f"n_steps must be at least 1, not {steps}")
        return FixedSteps(steps) if n_pieces == 1 else GivenSteps(_shared_out(steps, side), n_pieces)


@dataclass(frozen=True)
class _Ends:
    """Where the series begin and end: as the caller gave it, or cut short, so often, where one could not be solved."""

    t0: float | Tensor
    t1: float | Tensor | None
    t_back: float | Tensor | None
    cut: Counter[int]


def _solve_sides(
    problem: Problem, z0: Tensor, plan: Schedule, steps: _Steps, jumps: bool, parked: Tensor | None
) -> tuple[Tensor, list[Trace]]:
    """Solve every side there is, together where the field allows it, and answer all queries."""
    groups = [plan.sides] if _together(problem, plan, steps) else [(side,) for side in plan.sides]
    safe = z0 if parked is None else torch.where(parked, 0.0, z0)
    answers: list[Tensor] = []
    traces: list[Trace] = []
    for sides in groups:
        copies, ahead = len(sides), sides[0] is plan.forward
        span = _stacked([_still(side.span, parked) for side in sides], 1)
        start, first = _stacked([side.start for side in sides], 1), _stacked([safe] * copies, 0)
        here = plan.asked & (plan.ahead if ahead else ~plan.ahead)
        clock = sides[0].clock if copies == 1 else torch.where(plan.ahead, sides[0].clock, sides[1].clock)
        rows = torch.arange(len(z0), device=z0.device).unsqueeze(1)
        if copies == 2:
            rows = torch.where(plan.ahead, rows, rows + len(z0))
        controller, queries = steps.on(problem.method, sides[0], ahead=ahead), Queries(rows, here, own=copies == 1)
        z, trace = solve_rows(problem, controller, first, Route(start, span, jumps), clock, queries, copies)
        answers.append(z)
        traces.append(trace)
    z = answers[0] if len(answers) == 1 else torch.where(plan.ahead.unsqueeze(-1), answers[0], answers[1])
    return z, traces


def _together(problem: Problem, plan: Schedule, steps: _Steps) -> bool:
    """Whether both sides go as rows of one batch: the fewer the operators, the faster."""
    sides = plan.sides
    if len(sides) < 2 or steps.ahead != steps.back or not problem.analytic or problem.compile:
        return False
    whole = problem.adjoint in ("discrete", "autograd") and not problem.independent and not problem.method.implicit
    return whole and len(sides[0].span) == len(sides[1].span) == 1


def _stats(traces: Sequence[Trace]) -> Stats:
    return Stats(
        evaluations=sum(trace.evaluations for trace in traces),
        steps=sum(trace.steps for trace in traces),
        rejected=sum(trace.rejected for trace in traces),
        _estimate=lambda: torch.stack([trace.error() for trace in traces]).amax(0),
    )


def _without(
    failure: SolveError, ends: _Ends, plan: Schedule, parked: Tensor | None, z0: Tensor
) -> tuple[_Ends, Tensor | None]:
    """Cut the series that failed short where they did, or before; park at zero what failed at once or too often."""
    start = plan.sides[0].start[0, :, 0].detach()
    t1, t_back = (_end_of(side, start) for side in (plan.forward, plan.back))
    parked = torch.zeros_like(z0[:, :1], dtype=torch.bool) if parked is None else parked.clone()
    for i, reached in zip(failure.series, failure.reached, strict=True):
        way, gone = float(t1[i] - start[i]), reached - float(start[i])
        if gone == 0.0 or ends.cut[i] == len(RETREATS):
            parked[i] = True
        else:  # a step that fails may already lie beyond what there is to be solved
            (t1 if way * gone > 0 else t_back)[i] = float(start[i]) + RETREATS[ends.cut[i]] * gone
    cut = ends.cut + Counter(failure.series)
    return _Ends(ends.t0, t1, ends.t0 if plan.back is None else t_back, cut), parked


def _end_of(side: Side | None, start: Tensor) -> Tensor:
    """Where every series ends on this side, (series,)."""
    return start.clone() if side is None else (side.start[-1] + side.span[-1])[:, 0].detach()


def _still(span: Tensor, parked: Tensor | None) -> Tensor:
    return span if parked is None else torch.where(parked, torch.finfo(span.dtype).tiny ** 0.5, span)


def _stacked(parts: Sequence[Tensor], dim: int) -> Tensor:
    return parts[0] if len(parts) == 1 else torch.cat(list(parts), dim)


def _stops(
    times: Tensor,
    control: ControlPath | None,
    jump_times: Tensor | Sequence[float] | None,
    step_times: Tensor | Sequence[float] | None,
) -> tuple[Tensor | None, bool]:
    """All times at which a step has to end, (series, stop), and whether the field may jump there."""
    by_control = (None, None) if control is None else (control.jumps, control.kinks)
    jumps = [_per_series(jump_times, "jump_times", times), _per_series(by_control[0], "control", times)]
    steps = [_per_series(step_times, "step_times", times), _per_series(by_control[1], "control", times)]
    given = [x for x in (*jumps, *steps) if x is not None]
    return (torch.cat(given, 1) if given else None), any(x is not None for x in jumps)


def _per_series(stops: Tensor | Sequence[float] | None, name: str, times: Tensor) -> Tensor | None:
    if stops is None:
        return None
    stops = torch.as_tensor(stops, dtype=times.dtype, device=times.device)
    if stops.dim() == 1:
        stops = stops.unsqueeze(0)
    if stops.dim() != 2 or len(stops) not in (1, len(times)):
        raise ValueError(f"{name} must be (time,) or (series, time) for {len(times)} series, not {tuple(stops.shape)}")
    return stops.expand(len(times), -1)


def _shared_out(n_steps: int, side: Side) -> tuple[float, ...]:
    """Nodes of so many steps on the clock, shared out by the longest stay of any series in each piece."""
    spans = side.span.detach().abs()
    shares = (spans / spans.sum(0, keepdim=True)).amax(1).flatten().tolist()
    nodes = [0.0]
    for piece, share in enumerate(shares):
        n = max(1, ceil(n_steps * share - 1e-6))
        nodes += [piece + i / n for i in range(1, n)] + [piece + 1.0]
    return tuple(nodes)


def _check_fit(problem: Problem) -> None:
    """Refuse combinations that would be wrong."""
    if problem.method.implicit and problem.adjoint in ("backsolve", "continuous"):
        raise ValueError(
            f'adjoint="{problem.adjoint}" solves a new equation by explicit steps, which a stiff field makes unstable: '
            f'with {problem.method.name} use "discrete", "checkpointed" or "autograd"'
        )
    plain = problem.adjoint in ("autograd", "discrete") and problem.control is None and not problem.method.implicit
    if problem.compile and not plain:
        raise ValueError(
            "compile=True is for explicit methods without a control, with the discrete adjoint: "
            f"not for method={problem.method.name!r}, adjoint={problem.adjoint!r} or a control"
        )
    if problem.independent and problem.adjoint == "checkpointed":
        raise ValueError("with independent=True use another adjoint than checkpointed: each series has its own steps")


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
