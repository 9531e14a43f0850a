"""Solving rows that step together, in the way the adjoint asks for."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import cast

import torch
from torch import Tensor

from latentode.ode.adjoint import DiscreteAdjoint, Plan, run_plain, run_taped
from latentode.ode.backsolve import BacksolveAdjoint
from latentode.ode.control import Controller, FixedSteps
from latentode.ode.dense import DenseOutput
from latentode.ode.field import AnalyticField, Field, PlainTape, RecordedTape, Tape, checked, is_analytic, parameters_of
from latentode.ode.methods import Method
from latentode.ode.stepping import Path, Tolerance

__all__ = ["Problem", "Queries", "solve_rows"]


@dataclass(frozen=True)
class Problem:
    """What is solved, and how."""

    field: Field
    args: tuple[Tensor, ...]
    method: Method
    tolerance: Tolerance
    adjoint: str

    @cached_property
    def analytic(self) -> bool:
        """Whether the field brings its own derivatives."""
        return is_analytic(self.field)

    def tape(
        self, z0: Tensor, copies: int, parameters: Sequence[Tensor], args: Sequence[Tensor], record: bool, wary: bool
    ) -> Tape:
        """Return a tape for one solve from ``z0``; a wary one refuses trainable tensors it was not told of."""
        if self.analytic:
            return cast(AnalyticField, self.field).tape(args, z0, copies=copies, record=record)
        return (
            RecordedTape(self.field, parameters, args) if record else PlainTape(self.field, parameters, args, wary=wary)
        )


@dataclass(frozen=True)
class Queries:
    """What the rows are asked: at which clock, from which row, and whether it is asked at all; (series, time) each."""

    clock: Tensor
    rows: Tensor
    here: Tensor


def solve_rows(
    problem: Problem, controller: Controller, z0: Tensor, start: Tensor, span: Tensor, queries: Queries, copies: int
) -> tuple[Tensor, Tensor, Tensor, Path]:
    """Solve and answer.

    Parameters
    ----------
    problem, controller
        What, how, and by which steps.
    z0, start, span : Tensor
        (row, latent), (row, 1), (row, 1)
    queries : Queries
        What is asked.
    copies : int
        How often every series is among the rows.

    Returns
    -------
    z : Tensor
        (series, time, latent)
    nodes, slopes : Tensor
        What the steps left, detached.
    path : Path
        Where they went.
    """
    leaves = (*parameters_of(problem.field), *problem.args)
    method, n_parameters = problem.method, len(leaves) - len(problem.args)
    wanted = torch.is_grad_enabled() and any(x.requires_grad for x in (z0, start, span, queries.clock, *leaves))

    wary = torch.is_grad_enabled() and not wanted

    def tape(parameters: Sequence[Tensor], args: Sequence[Tensor], record: bool) -> Tape:
        return problem.tape(z0, copies, parameters, args, record, wary)

    n_slots = (controller.n_steps if isinstance(controller, FixedSteps) else 8) * method.tableau.stages + 1
    plan = Plan(method, controller, problem.tolerance, n_slots, tape, n_parameters)
    if wanted and problem.adjoint != "autograd":
        function, given = {
            "discrete": (DiscreteAdjoint, queries.rows),
            "backsolve": (BacksolveAdjoint, queries.here),
        }[problem.adjoint]
        z, nodes, slopes = function.apply(plan, given, z0, start, span, queries.clock, *leaves)  # type: ignore[no-untyped-call]
        return z, nodes, slopes, plan.taken()
    if wanted:
        args = [arg.repeat(copies, *[1] * (arg.dim() - 1)) if copies > 1 else arg for arg in problem.args]
        nodes, slopes = run_plain(plan, lambda t, z: checked(problem.field(t, z, *args), z), z0, start, span)
    else:
        with torch.no_grad():
            ledger = run_taped(plan, tape(leaves[:n_parameters], problem.args, False), z0, start, span)
        nodes, slopes = ledger.gather(plan.taken().n_steps, method)
    z = DenseOutput(nodes, slopes, plan.taken(), span, method, queries.clock, queries.rows).answer()
    return z, nodes.detach(), slopes.detach(), plan.taken()
