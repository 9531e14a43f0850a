"""Solving rows that step together, in the way the adjoint asks for."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import cast

import torch
from torch import Tensor

from latentode.ode.adjoint import DiscreteAdjoint
from latentode.ode.backsolve import BacksolveAdjoint
from latentode.ode.checkpoint import CheckpointedAdjoint
from latentode.ode.continuous import ContinuousAdjoint
from latentode.ode.control import Controller, FixedSteps
from latentode.ode.controls import ControlPath
from latentode.ode.dense import DenseOutput, Queries
from latentode.ode.field import AnalyticField, Field, PlainTape, RecordedTape, Tape, called, is_analytic, parameters_of
from latentode.ode.implicit import jacobian_of
from latentode.ode.methods import Method
from latentode.ode.path import uniform_path
from latentode.ode.route import Route
from latentode.ode.run import Plan, TapedRun, run_plain
from latentode.ode.stepping import Tolerance
from latentode.ode.trace import Trace

__all__ = ["ADJOINTS", "Problem", "solve_rows"]

ADJOINTS = {
    "backsolve": BacksolveAdjoint,
    "checkpointed": CheckpointedAdjoint,
    "continuous": ContinuousAdjoint,
    "discrete": DiscreteAdjoint,
}


@dataclass(frozen=True)
class Problem:
    """What is solved, and how."""

    field: Field
    args: tuple[Tensor, ...]
    control: ControlPath | None
    method: Method
    tolerance: Tolerance
    adjoint: str
    independent: bool
    compile: bool

    @cached_property
    def analytic(self) -> bool:
        """Whether the field brings its own derivatives."""
        return is_analytic(self.field)

    @cached_property
    def leaves(self) -> tuple[Tensor, ...]:
        """Everything that may receive a gradient besides state and times."""
        return (*parameters_of(self.field), *self.args, *(self.control.tensors if self.control else ()))

    def wants_gradient(self, *others: Tensor) -> bool:
        """Whether anybody is to receive a gradient: by autograd it may be somebody the solver does not know."""
        known = (*others, *self.leaves)
        return torch.is_grad_enabled() and (self.adjoint == "autograd" or any(x.requires_grad for x in known))

    def plan(self, controller: Controller, z0: Tensor, copies: int, *, jumps: bool, wary: bool) -> Plan:
        """Lay out the solve of rows among which every series is so often."""

        def tape(parameters: Sequence[Tensor], args: Sequence[Tensor], record: bool) -> Tape:
            if self.analytic:
                return cast(AnalyticField, self.field).tape(args, z0, copies=copies, record=record)
            if record:
                return RecordedTape(self.field, parameters, args)
            return PlainTape(self.field, parameters, args, wary=wary)

        def jacobian(t: Tensor, u: Tensor | None, z: Tensor, args: Sequence[Tensor]) -> Tensor:
            return jacobian_of(lambda z: called(self.field, t, u, z, args), z)

        control = self.control
        return Plan(
            self.method,
            controller,
            self.tolerance,
            tape,
            jacobian if self.method.implicit else None,
            (lambda tensors: control.with_tensors(*tensors).repeat(copies)) if control is not None else None,
            n_parameters=len(parameters_of(self.field)),
            n_args=len(self.args),
            jumps=jumps,
            independent=self.independent,
        )


def solve_rows(
    problem: Problem, controller: Controller, z0: Tensor, route: Route, clock: Tensor, queries: Queries, copies: int
) -> tuple[Tensor, Trace]:
    """Solve and answer.

    Parameters
    ----------
    problem, controller
        What, how, and by which steps.
    z0 : Tensor
        (row, latent)
    route : Route
        Where the rows go.
    clock, queries : Tensor, Queries
        What is asked: (series, time) on the clock.
    copies : int
        How often every series is among the rows.

    Returns
    -------
    z : Tensor
        (series, time, latent)
    trace : Trace
        What it cost, and how good it is.
    """
    leaves, trace = problem.leaves, Trace(problem.method, route, copies)
    if problem.compile:
        if not isinstance(controller, FixedSteps):
            raise ValueError("compile=True needs a grid of equal steps: give n_steps, and neither jump nor step times")
        from latentode.ode.compiled import compiled_solve  # only here: importing torch's compiler takes a second

        compiled = compiled_solve(
            problem.field, problem.method, controller.n_steps, z0, route.start[0], route.span[0], clock, problem.args
        )
        if compiled is not None:
            z, nodes, slopes = compiled
            trace.keep(nodes, slopes, uniform_path(problem.method.tableau.stages, controller.n_steps, route.span[0]))
            return z, trace
    wanted = problem.wants_gradient(z0, route.start, route.span, clock)
    plan = problem.plan(controller, z0, copies, jumps=route.jumps, wary=torch.is_grad_enabled() and not wanted)
    if wanted and problem.adjoint != "autograd":
        function = ADJOINTS[problem.adjoint]
        z = function.apply(plan, trace, queries, z0, route.start, route.span, clock, *leaves)  # type: ignore[no-untyped-call]
        return z, trace
    if wanted:
        args = [arg.repeat(copies, *[1] * (arg.dim() - 1)) if copies > 1 else arg for arg in problem.args]
        record = run_plain(plan, lambda t, u, z: called(problem.field, t, u, z, args), z0, route, leaves)
        nodes, slopes = record.ledger.gather(record.path)
    else:
        with torch.no_grad():
            record = TapedRun(plan, plan.tape_of(leaves, False), z0, route, leaves).advance()
        nodes, slopes = record.ledger.gather(record.path)
    trace.keep(nodes, slopes, record.path)
    dense = DenseOutput(nodes, slopes, record.path, route, problem.method, clock, queries.rows, own=queries.own)
    return dense.answer(), trace
