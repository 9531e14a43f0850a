"""The discrete adjoint: the exact gradient of the steps that were taken, from one sweep back over them.

In the limit of small steps the sweep's lambda (see :mod:`latentode.ode.sweep`) is the adjoint a(t) of Chen et al.
(2018), da/dt = -a df/dz, and kappa_j / (h b_j) its value at a stage; but the sweep is exact for any step, solves
nothing again, and does not restart at the queries.

References
----------
Chen, Rubanova, Bettencourt & Duvenaud (2018), Neural ordinary differential equations, appendix B.
Onken & Ruthotto (2020), Discretize-optimize vs. optimize-discretize for time-series regression.
Zhuang et al. (2020), Adaptive checkpoint adjoint. Matsubara et al. (2021), Symplectic adjoint method.
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from latentode.ode.dense import DenseOutput, Queries
from latentode.ode.received import Wanted
from latentode.ode.route import Route
from latentode.ode.run import Plan, TapedRun
from latentode.ode.sweep import Sweep
from latentode.ode.trace import Trace

__all__ = ["DiscreteAdjoint", "sealed"]


class DiscreteAdjoint(torch.autograd.Function):
    """Answers of a solve, with the transposed steps as their gradient."""

    @staticmethod
    def forward(
        ctx: Any, plan: Plan, trace: Trace, queries: Queries, z0: Tensor, start: Tensor, span: Tensor, clock: Tensor,
        *leaves: Tensor,
    ) -> Tensor:  # fmt: skip
        """Take the steps and answer; ``leaves`` are the field's parameters, its args, the control's tensors."""
        tape, route = plan.tape_of(leaves, True), Route(start, span, plan.jumps)
        run = TapedRun(plan, tape, z0.detach(), route, leaves)
        record = run.advance()
        nodes, slopes = record.ledger.gather(record.path)
        dense = DenseOutput(nodes, slopes, record.path, route, plan.method, clock, queries.rows, own=queries.own)
        trace.keep(nodes, slopes, record.path)
        ctx.plan, ctx.tape, ctx.run, ctx.record, ctx.dense = plan, tape, run, record, dense
        ctx.save_for_backward(start, span, *leaves)  # their versions are checked when they come back
        return dense.answer()

    @staticmethod
    def backward(ctx: Any, g: Tensor) -> Any:
        """Transpose the reading, then the steps."""
        start, _, *leaves = ctx.saved_tensors
        plan, dense, wanted = ctx.plan, ctx.dense, Wanted(*ctx.needs_input_grad[4:7])
        with torch.no_grad():
            g_nodes, g_slopes = dense.transpose(g)
            jacobian = ctx.run.jacobian_of_slot(ctx.record)
            sweep = Sweep(plan, ctx.tape, ctx.run.drive, ctx.record, plan.split(leaves)[2], jacobian)
            received = sweep.run(g_nodes, g_slopes, wanted)
            if wanted.span:
                received.add_span(dense.span_gradient())
            g_clock = dense.clock_gradient(g).to(start.dtype) if wanted.clock else None
        return None, None, None, *sealed([received.z0, received.start, received.span, g_clock, *received.leaves])


class _Sealed(torch.autograd.Function):
    """Pass gradients on, and refuse to be differentiated."""

    @staticmethod
    def forward(ctx: Any, seal: Tensor, *grads: Tensor) -> tuple[Tensor, ...]:
        return tuple(g.view_as(g) for g in grads)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> Any:
        raise RuntimeError(
            "this solve's gradient was computed by an adjoint, which cannot be differentiated again; "
            'for second derivatives solve with adjoint="autograd".'
        )


def sealed(grads: Sequence[Tensor | None]) -> list[Tensor | None]:
    """Make the gradients refuse a second differentiation, where one is being prepared (``create_graph``)."""
    if not torch.is_grad_enabled():
        return list(grads)
    seal = torch.zeros((), requires_grad=True)
    given = iter(_Sealed.apply(seal, *(g for g in grads if g is not None)))  # type: ignore[no-untyped-call]
    return [None if g is None else next(given) for g in grads]
