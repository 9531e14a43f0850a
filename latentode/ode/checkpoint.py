"""Checkpointing: the discrete adjoint of a long solve in the memory of the square root of its steps.

The steps are taken in stretches of 1, 2, 3, ... steps, and only the state at the beginning of each is kept. The sweep
takes the stretches again, the last one first, each with a tape of its own. N steps make about sqrt(2N) stretches, and
the longest has as many steps, without N being known beforehand.

References
----------
Griewank (1992), Achieving logarithmic growth of temporal and spatial complexity in reverse automatic differentiation.
"""

from dataclasses import dataclass
from itertools import count
from typing import Any

import torch
from torch import Tensor

from latentode.ode.adjoint import sealed
from latentode.ode.control import Controller
from latentode.ode.dense import Queries
from latentode.ode.received import Received, Wanted
from latentode.ode.route import Route
from latentode.ode.run import Plan, Record, TapedRun
from latentode.ode.stream import answer, queries_on, read
from latentode.ode.sweep import Sweep
from latentode.ode.trace import Trace

__all__ = ["CheckpointedAdjoint"]


@dataclass
class _Stretch:
    """Where a stretch begins, and how far it goes."""

    z: Tensor
    knots: list[float]
    begun: int


@dataclass
class _SameSteps:
    """The steps a controller has taken, once more."""

    knots: list[float]
    begun: int
    taken_by: Controller
    adaptive: bool = False

    def start(self, guess: float) -> None:
        """Begin a solve: nothing to remember."""

    def next_node(self, s: float, n_accepted: int, end: float = 1.0) -> float:
        """Return the next of the nodes."""
        return self.knots[n_accepted - self.begun + 1]

    def scaled(self, span: Tensor, h: float) -> Tensor:
        """Return the step in the caller's time, as it was."""
        return self.taken_by.scaled(span, h)

    def judge(self, h: float, error: float) -> bool:
        """Accept."""
        return True


class CheckpointedAdjoint(torch.autograd.Function):
    """Answers of a solve, with the transposed steps, taken again stretch by stretch, as their gradient."""

    @staticmethod
    def forward(
        ctx: Any, plan: Plan, trace: Trace, queries: Queries, z0: Tensor, start: Tensor, span: Tensor, clock: Tensor,
        *leaves: Tensor,
    ) -> Tensor:  # fmt: skip
        """Take the steps and answer; ``leaves`` are the field's parameters, its args, the control's tensors."""
        run = TapedRun(plan, plan.tape_of(leaves, False), z0.detach(), Route(start, span, plan.jumps), leaves)
        stretches: list[_Stretch] = []

        def keep(record: Record) -> None:
            nodes, _ = record.ledger.gather(record.path)
            knots = [float(knot) for knot in record.path.knots]
            stretches.append(_Stretch(nodes[0].clone(), knots, record.path.begun))

        z = answer(run, count(1), clock, queries, trace, keep)
        ctx.plan, ctx.queries, ctx.stretches = plan, queries, stretches
        ctx.save_for_backward(start, span, clock, *leaves)
        return z

    @staticmethod
    def backward(ctx: Any, g: Tensor) -> Any:
        """Take every stretch again, and sweep back over it."""
        start, span, clock, *leaves = ctx.saved_tensors
        wanted = Wanted(*ctx.needs_input_grad[4:7])
        with torch.no_grad():
            again = _Again(ctx.plan, Route(start, span, ctx.plan.jumps), leaves, clock, ctx.queries, g, wanted)
            received: Received | None = None
            for stretch in reversed(ctx.stretches):
                received = again.sweep(stretch, received, last=stretch is ctx.stretches[-1])
        if received is None:
            raise RuntimeError("a solve has at least one stretch")
        g_clock = again.g_clock if wanted.clock else None
        return None, None, None, *sealed([received.z0, received.start, received.span, g_clock, *received.leaves])


class _Again:
    """The backward pass of one solve."""

    def __init__(
        self, plan: Plan, route: Route, leaves: list[Tensor], clock: Tensor, queries: Queries, g: Tensor, wanted: Wanted
    ) -> None:
        self.plan, self.route, self.leaves, self.wanted = plan, route, leaves, wanted
        self.clock, self.queries, self.g = clock, queries, g
        self.g_clock = torch.zeros_like(clock)

    def sweep(self, stretch: _Stretch, later: Received | None, *, last: bool) -> Received:
        """Take one stretch again, and return what everything receives from it and all later ones."""
        plan, tape = self.plan, self.plan.tape_of(self.leaves, True)
        run = TapedRun(
            plan, tape, stretch.z, self.route, self.leaves, clock=stretch.knots[0], begun=stretch.begun,
            controller=_SameSteps(stretch.knots, stretch.begun, plan.controller),
        )  # fmt: skip
        record = run.advance(len(stretch.knots) - 1)
        which = queries_on(record.path, self.clock, self.queries, last=last)
        dense = read(record, run, self.clock, self.queries, which)
        g = self.g[which].unsqueeze(1)
        g_nodes, g_slopes = dense.transpose(g)
        if later is not None:
            g_nodes[-1] += later.z0
        if self.wanted.clock:
            self.g_clock[which] += dense.clock_gradient(g).squeeze(1).to(self.g_clock.dtype)
        sweep = Sweep(plan, tape, run.drive, record, plan.split(self.leaves)[2], run.jacobian_of_slot(record))
        received = sweep.run(g_nodes, g_slopes, self.wanted)
        if self.wanted.span:
            received.add_span(dense.span_gradient())
        return received.after(later)
