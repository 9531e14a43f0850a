"""Solve an ordinary differential equation for a batch of series, each at its own times."""

from collections.abc import Sequence
from contextlib import nullcontext
from typing import cast

import torch
from torch import Tensor

from latentode.ode.adjoints.backsolve import BacksolveAdjoint
from latentode.ode.adjoints.checkpointed import CheckpointedAdjoint
from latentode.ode.adjoints.discrete import DiscreteAdjoint
from latentode.ode.adjoints.interpolating import InterpolatingAdjoint
from latentode.ode.autocast import for_autocast, without_autocast
from latentode.ode.control_paths import ControlPath
from latentode.ode.dense import DenseOutput
from latentode.ode.diagnostics import Diagnostics, refuse_not_finite, warn_if_coarse
from latentode.ode.directions import Ends, Stops, answered, ends_of, in_one_batch, lay_out, read_at, refuse_outside
from latentode.ode.failures import Retry, StepFailure, refuse_transforms
from latentode.ode.field import Field, State
from latentode.ode.flat_field import flatten
from latentode.ode.problem import Problem, SolverSetup, Steps, check_choice
from latentode.ode.solution import Solution, solution_of

__all__ = ["Steps", "solve"]

ADJOINTS = {
    "backsolve": BacksolveAdjoint,
    "checkpointed": CheckpointedAdjoint,
    "continuous": InterpolatingAdjoint,
    "discrete": DiscreteAdjoint,
}


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
    r"""Solve dz/dt = f(t, z), z(t0) = z0 for a batch of series, each at its own times.

    Parameters
    ----------
    field : nn.Module or callable
        ``field(t, z, *args)`` returns dz/dt, (series, latent), for t (series, 1) and z (series, latent); with a
        control, ``field(t, z, u, *args)`` for u (series, channel).
    z0 : Tensor or tuple of Tensor
        (series, latent), real. Any other shape (series, ...), or a tuple of such tensors, is allowed too: ``field`` is
        then given, and returns, what z0 is, and t has as many dimensions as z (two, with a tuple).
    times : Tensor
        (series, time), or (time,) for all series: the queries, in any order, on both sides of ``t0``, NaN where
        there is none. Times may be float64 with a float32 state; integers become floats.
    t0 : float or Tensor
        The time of z0, for all series or one per series.
    t1 : float or Tensor, optional
        Where to stop; None means at the furthest query ahead. With ``t1`` given, the steps of a series depend
        on its t0 and t1 only, not on its queries, and on a fixed grid not on the other series.
    t_back : float or Tensor, optional
        Where to stop on the other side of ``t0``; None means at the furthest query there, if there is one
        (which the host has to read). ``t_back=t0`` means that there is none.
    args : sequence of Tensor
        Other tensors the field reads that should receive gradients: a context per series, parameters of a closure.
    control : ControlPath, optional
        A known input u(t) for each series (:class:`PiecewiseConstant`, :class:`PiecewiseLinear`,
        :class:`CubicSpline`). Steps end exactly where it jumps or has a kink.
    jump_times, step_times : Tensor or sequence of float, optional
        Times at which the field jumps, and times at which a step has to end: (time,) for all series or (series, time),
        NaN where there is none, in any order. At a jump the field is evaluated on both sides, at the times next to it.
        Jump times given as a tensor receive gradients.
    method : str
        One of :data:`latentode.ode.METHODS`: "rk4" with a few steps for learned fields, "tsit5" or "dopri5" if the
        error should choose the steps, "kvaerno3" or "kvaerno5" for stiff fields.
    n_steps : int or sequence of float, optional
        Steps of a fixed grid, or its nodes as fractions of the span, rising from 0 to 1. None lets the error choose
        the steps of adaptive methods (``METHODS[name].adaptive``), and means 6 steps for the others. With jump or step
        times, the steps are shared among the segments between them, at least one each.
    n_steps_back : int or sequence of float, optional
        Steps on the other side of ``t0``; the same as ``n_steps`` when None.
    rtol, atol : float
        Tolerated error of an adaptive step, relative and absolute, for the worst series.
    controller : {"PI", "I", "PID"}
        How an adaptive step follows from the last errors; see :class:`latentode.ode.step_size.AdaptiveSteps`.
    independent : bool
        Whether each series chooses its own steps. All series are still evaluated together, so this pays if different
        series are hard at different times, and does not if one is much harder than all others.
    adjoint : {"discrete", "checkpointed", "continuous", "backsolve", "autograd"}
        How gradients are computed. "discrete" sweeps back over the steps, and is exact. "checkpointed" does the same in
        the memory of the square root of the steps, and takes each step twice. "continuous" solves the adjoint equation
        along the stored solution, and is as accurate as the steps are small. "backsolve" keeps only the answers, and
        solves the augmented state of Chen et al. (2018) backwards: memory does not grow with the steps, but every
        interval between queries is solved again, and the gradient is as accurate as the tolerance. "autograd" records
        every operation, and can be differentiated twice.
    max_steps, min_step : int, float
        When an adaptive solve gives up: the number of steps, and the smallest step as a fraction of the span.
    watch : bool
        Whether to check for queries outside the span, values that are not finite, and a grid that is too coarse. The
        host waits for each check; in a training loop ``watch=False`` avoids that.
    coarse : float, optional
        Warn of series whose fixed grid has a greater estimated error than this, relative to the size of
        their state. None never warns.
    on_failure : {"raise", "nan"}
        Whether a series that cannot be solved raises, or is filled with NaN from there on while the others are solved.
    compile : bool
        Whether to compile the steps and their gradient (by :func:`torch.compile`; half a minute, once per field and
        method). Possible for equal steps of an explicit method, without controls and jumps, with the discrete adjoint.
        Without a compiler a warning says so, once, and the solve runs uncompiled.

    Returns
    -------
    Solution
        ``solution.z`` is (series, time, latent), or has z0's shape with the times after the series. It is
        differentiable in z0, the field's parameters, args, the control's tensors, t0, t1, t_back, jump_times and times.
        ``solution.stats`` tells what it cost.

    Raises
    ------
    ValueError
        If shapes or options do not fit, the field changes its state in place, or a query lies outside [t_back, t1] or
        is infinite (with ``watch=False`` it is NaN).
    TypeError
        If the state, the times or a slope are complex, or the state is sparse.
    NotImplementedError
        If the solve is transformed by ``torch.vmap``, or by ``torch.func.grad`` and the like with another adjoint than
        "autograd".
    SolveError
        If a series cannot be solved; it names the series, the time and the cause.

    Warns
    -----
    CoarseGridWarning
        If a fixed grid is too coarse; it names the series.
    NotCompiledWarning
        If the solve could not be compiled.

    Notes
    -----
    Every series has its own clock :math:`s \in [0, 1]`, :math:`t = t_0 + s\,(t_1 - t_0)`, so that one step serves
    all of them. All queries are read from the dense output afterwards: the number of evaluations does not depend on the
    number of queries.

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
    autocast = _under_autocast(z0)
    if autocast:
        field, z0, args = for_autocast(field, z0, args, compiled=compile)
    field, z0, unflatten = flatten(field, z0)
    z0, times = _checked_inputs(z0, times)
    check_choice("on_failure", on_failure, ("nan", "raise"))
    back = n_steps if n_steps_back is None else n_steps_back
    problem = Problem(
        field, tuple(args), control, method, n_steps, back, rtol, atol, controller, independent, adjoint, max_steps,
        min_step, compile,
    )  # fmt: skip
    ends, stops = (t0, t1, t_back), (jump_times, step_times)
    try:
        with without_autocast(z0.device) if autocast else nullcontext():
            z, setups, batches = _solve_until_none_fails(problem, z0, times, ends, stops, watch, on_failure == "raise")
    except RuntimeError as error:
        refuse_transforms(error)
        raise
    if watch and coarse is not None:
        warn_if_coarse(batches, coarse)
    readers = [diagnostics.read for diagnostics in batches]

    def read(times: Tensor) -> State:
        with without_autocast(times.device):
            return cast(State, unflatten(read_at(setups, readers, times)))

    return solution_of(unflatten(z), batches, read)


def _solve_until_none_fails(
    problem: Problem, z0: Tensor, times: Tensor, ends: Ends, stops: tuple[Stops, Stops], watch: bool, raises: bool
) -> tuple[Tensor, Sequence[SolverSetup], Sequence[Diagnostics]]:
    """Solve; unless failures raise, solve again without the series that failed, until none does.

    Returns the answers, (series, time, latent), NaN where there are none, and what was solved in the end.
    """
    t0, retry = ends[0], None
    while True:
        setups = lay_out(problem, times, ends, *stops)
        # Later rounds cut the spans of series that failed short of their queries, which are then NaN on purpose.
        if watch and retry is None:
            refuse_outside(setups, times)
        try:
            z, batches = _solve_directions(setups, z0, retry)
            if watch:
                refuse_not_finite(batches)
            break
        except StepFailure as failure:
            error = failure.as_error(len(z0))
            retry = retry or Retry(torch.zeros_like(z0[:, :1], dtype=torch.bool))
            if raises or retry.gives_up(error):
                raise error from None
            start, forward, back = ends_of(setups)
            retry.shorten(error, start, forward, back)
            ends = (t0, forward, back if setups[-1].back else t0)
    usable = answered(setups)
    if retry is not None:
        usable = usable & ~retry.frozen
    return torch.where(usable.unsqueeze(-1), z, float("nan")), setups, batches


def _solve_directions(
    setups: Sequence[SolverSetup], z0: Tensor, retry: Retry | None
) -> tuple[Tensor, list[Diagnostics]]:
    """Solve every direction, both as one batch if possible; return the answers to all queries."""
    if retry is not None:
        z0 = torch.where(retry.frozen, 0.0, z0)
        setups = [s.on(s.segments.start, retry.frozen_span(s.segments.span)) for s in setups]
    answers, batches = [], []
    for setup in in_one_batch(setups):
        z, diagnostics = _solve_batch(setup, z0)
        answers.append(z)
        batches.append(diagnostics)
    if len(answers) == 2:
        z = torch.where(setups[0].queried.unsqueeze(-1), answers[0], answers[1])
    return z, batches


def _solve_batch(setup: SolverSetup, z0: Tensor) -> tuple[Tensor, Diagnostics]:
    """Solve rows that step together, in the way the adjoint needs; return the answers, (series, time, latent)."""
    problem, segments, clock = setup.problem, setup.segments, setup.clock
    z0 = z0 if setup.copies == 1 else torch.cat([z0, z0])
    leaves, compiled = problem.leaves, None
    if problem.compile:
        from latentode.ode.compiled import compiled_solve  # only here: importing torch's compiler takes a second

        compiled = compiled_solve(setup, z0)
    if compiled is not None:
        z, nodes, slopes = compiled
        return z, Diagnostics.of(nodes, slopes, setup.equal_steps(), setup.copies)
    known = (z0, segments.start, segments.span, clock, *leaves)
    recording = torch.is_grad_enabled()
    wanted = recording and (problem.adjoint == "autograd" or any(x.requires_grad for x in known))
    if wanted and problem.adjoint != "autograd":
        answers: tuple[Tensor, Diagnostics] = ADJOINTS[problem.adjoint].apply(  # type: ignore[no-untyped-call]
            setup, z0, segments.start, segments.span, clock, *leaves
        )
        return answers
    if wanted:
        loop = setup.autograd_loop(z0, leaves)
        steps = loop.advance()
    else:
        with torch.no_grad():
            tape = setup.tape(leaves, z0, record=False, expects_gradient=recording)
            loop = setup.loop(tape, setup.inputs_of(tape, leaves, z0.dtype), z0, leaves)
            steps = loop.advance()
    nodes, slopes = loop.nodes_and_slopes(steps)
    dense = DenseOutput(nodes, slopes, steps, clock, setup.rows)
    return dense.answer(), Diagnostics.of(nodes, slopes, steps, setup.copies)


def _under_autocast(z0: State) -> bool:
    """Return whether autocast is on for the device of a state, which need not be valid yet."""
    first = z0[0] if isinstance(z0, tuple) and z0 else z0
    if not isinstance(first, Tensor) or not torch.amp.is_autocast_available(first.device.type):
        return False
    return torch.is_autocast_enabled(first.device.type)


def _checked_inputs(z0: Tensor, times: Tensor) -> tuple[Tensor, Tensor]:
    """Return z0 as (series, latent) and times as (series, time), of floating dtypes; raise if they cannot be."""
    if z0.dim() != 2:
        raise ValueError(f"z0 must be (series, latent), not {tuple(z0.shape)}")
    if z0.shape[1] == 0:
        raise ValueError(f"z0 has no numbers to solve for: its shape is {tuple(z0.shape)}")
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
