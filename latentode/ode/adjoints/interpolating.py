r"""The interpolating adjoint: :math:`\dot a = -a\,\partial f/\partial z`, solved along the stored solution.

The forward solve leaves its dense output. The adjoint equation, which is linear, is then solved backwards with z(t)
read from it. The gradient of an answer between two nodes is given to state and slope of both nodes (the transpose of
cubic Hermite interpolation). So all queries of all series cost one scatter, and the adjoint jumps at nodes only, where
it need not be restarted. Theta is no part of the state: :math:`dL/d\theta = \int a\,\partial f/\partial\theta\,dt` is a
quadrature that is formed once.

Each step of the forward solve becomes one or more steps of the adjoint, by the classic Runge-Kutta method, and the
quadrature is Simpson's. The gradient is that of the equation, not of the steps: it is as accurate as the steps are
small, and agrees with the discrete adjoint in the limit.

References
----------
Chen, Rubanova, Bettencourt & Duvenaud (2018), Neural ordinary differential equations, section 2.
Kim, Ji, Deng, Ma & Rackauckas (2021), Stiff neural ordinary differential equations (the interpolating adjoint).
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from latentode.ode.adjoints.gradients import Gradients, Record, Wanted, collect
from latentode.ode.autocast import without_autocast
from latentode.ode.dense import DenseOutput, locate
from latentode.ode.diagnostics import Diagnostics
from latentode.ode.methods import METHODS
from latentode.ode.problem import SolverSetup
from latentode.ode.steps import AcceptedSteps

__all__ = ["InterpolatingAdjoint"]

# A step of the adjoint has a slot at its beginning and one in its middle, as the midpoint rule has; its end is the
# beginning of the next step.
SLOTS = METHODS["midpoint"]


class InterpolatingAdjoint(torch.autograd.Function):
    """The answers of a solve, with the adjoint equation along it as their gradient."""

    @staticmethod
    def forward(
        ctx: Any, setup: SolverSetup, z0: Tensor, start: Tensor, span: Tensor, clock: Tensor, *leaves: Tensor
    ) -> tuple[Tensor, Diagnostics]:
        """Take the steps and answer; ``leaves`` are the field's parameters, its args and the control's tensors."""
        tape = setup.tape(leaves, z0, record=False)
        loop = setup.loop(tape, setup.inputs_of(tape, leaves, z0.dtype), z0.detach(), leaves)
        steps = loop.advance()
        nodes, slopes = loop.nodes_and_slopes(steps)
        dense = DenseOutput(nodes, slopes, steps, clock)
        ctx.setup, ctx.dense, ctx.nodes, ctx.slopes = setup, dense, nodes, slopes
        ctx.save_for_backward(start, span, clock, *leaves)
        return dense.answer(), Diagnostics.of(nodes, slopes, steps, setup.copies)

    @staticmethod
    def backward(ctx: Any, g: Tensor, _: None) -> Any:
        """Solve the adjoint equation."""
        start, span, clock, *leaves = ctx.saved_tensors
        wanted = Wanted(*ctx.needs_input_grad[2:5])
        with torch.no_grad(), without_autocast(g.device):
            adjoint = _AdjointEquation(ctx.setup.on(start, span), leaves, ctx.nodes, ctx.slopes, ctx.dense.steps)
            a0, inner, ends = adjoint.solve(*adjoint.jumps(clock, g))
            gradients = adjoint.gradients(a0, inner, ends, wanted)
            g_clock = ctx.dense.clock_gradient(g).to(start.dtype) if wanted.clock else None
        return gradients.returned(1, g_clock)


class _AdjointEquation:
    """The adjoint equation on the steps that were taken, each cut into equal parts."""

    def __init__(
        self, setup: SolverSetup, leaves: Sequence[Tensor], nodes: Tensor, slopes: Tensor, taken: AcceptedSteps
    ) -> None:
        parts = max(1, round(taken.method.order / 3))  # the higher the order, the longer the steps
        self.steps = _refined(taken, setup.segments.span.to(nodes.dtype), parts)
        clocks = self.steps.slot_clocks(setup.segments.start)[..., 0].t().expand(nodes.shape[1], -1)
        dense = DenseOutput(nodes, slopes, taken, clocks)
        states = dense.answer().transpose(0, 1).contiguous()
        self.tape, inputs = setup.tape(leaves, nodes[0], record=True), setup.inputs(leaves, nodes.dtype)
        self.record = Record(
            self.tape, inputs, self.steps, states, torch.empty_like(states), setup.problem.split(leaves)[2]
        )
        self.given = inputs.at_slots(inputs.slot_times(self.steps))
        self.tape.reserve(len(states))
        for slot, (z, slope) in enumerate(zip(states, self.record.slopes, strict=True)):
            t, u = (None if x is None else x[slot] for x in self.given)
            self.tape.evaluate(slot, t, u, z, slope)

    def jumps(self, clock: Tensor, g: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return what the answers give to nodes, and to the slopes at the beginning and the end of every step.

        ``g`` is the gradient of the answers, (series, time, latent). This is the transpose of cubic Hermite
        interpolation; the adjoint jumps by it.
        """
        steps, n_rows = self.steps, self.record.states.shape[1]
        step, theta = locate(steps, clock, None)
        x = theta.to(g.dtype).unsqueeze(-1)
        index = (step * n_rows + torch.arange(n_rows, device=g.device).unsqueeze(1)).reshape(-1)
        size = torch.stack(steps.sizes)
        at_left, at_right = (1 + 2 * x) * (1 - x) ** 2, x**2 * (3 - 2 * x)
        slope_left, slope_right = x * (1 - x) ** 2, x**2 * (x - 1)
        table = g.new_zeros(4, steps.n_steps * n_rows, g.shape[-1])
        for part, weight in zip(table, (at_left, at_right, slope_left, slope_right), strict=True):
            part.index_add_(0, index, (weight * g).flatten(0, 1))
        left, right, by_left, by_right = table.view(4, steps.n_steps, n_rows, g.shape[-1])
        nodes = torch.cat([left, torch.zeros_like(left[:1])])
        nodes[1:] += right
        return nodes, by_left * size, by_right * size

    def solve(self, g_nodes: Tensor, g_inner: Tensor, g_ends: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Solve from the end to the beginning.

        The arguments are what :meth:`jumps` returns: (step + 1, row, latent) and twice (step, row, latent). Returns the
        adjoint at the beginning, and the cotangents of all slots, which are the weights of the quadrature times the
        adjoint there: (step, 2, row, latent) and (step, row, latent).
        """
        steps, a = self.steps, g_nodes[-1]
        inner, ends = torch.zeros_like(steps.inner(self.record.states)), g_ends.clone()
        for n in range(steps.n_steps - 1, -1, -1):
            left, h = steps.first_slot[n], steps.sizes[n]
            middle, right = left + 1, left + 2
            a = a + self._pull(right, g_ends[n])
            # Times h before the product, as the slope of one row may depend on the state of another.
            k1 = self._pull(right, h * a)
            k2 = self._pull(middle, h * (a + 0.5 * k1))
            k3 = self._pull(middle, h * (a + 0.5 * k2))
            k4 = self._pull(left, h * (a + k3))
            before = torch.add(a, k1 + 2 * (k2 + k3) + k4, alpha=1 / 6)
            # The adjoint halfway is that of the cubic through both ends with both slopes; Simpson's weights are 1/6,
            # 4/6, 1/6.
            between = torch.add(0.5 * (a + before), k1 - k4, alpha=1 / 8)
            ends[n] += h / 6 * a
            inner[n, 1] = 4 / 6 * h * between
            inner[n, 0] = h / 6 * before + g_inner[n]
            a = before + g_nodes[n] + self._pull(left, g_inner[n])
        return a, inner, ends

    def gradients(self, a0: Tensor, inner: Tensor, ends: Tensor, wanted: Wanted) -> Gradients:
        """Form the quadratures."""
        steps, record = self.steps, self.record
        cotangents = steps.by_slot(inner, ends)
        unused = torch.empty_like(a0)
        for slot, cotangent in enumerate(cotangents):
            self.tape.pull(slot, cotangent, unused)
        by_step = None
        if wanted.span:
            through_slopes = (inner * steps.inner(record.slopes)).sum((1, 3)) + (ends * steps.ends(record.slopes)).sum(
                2
            )
            span = steps.segments.span.to(through_slopes.dtype)
            by_step = through_slopes.unsqueeze(2) / span[steps.segment_index]
        return collect(a0, by_step, record, cotangents, wanted)

    def _pull(self, slot: int, cotangent: Tensor) -> Tensor:
        out = torch.empty_like(cotangent)
        self.tape.pull_state(slot, cotangent, out)
        return out


def _refined(taken: AcceptedSteps, span: Tensor, parts: int) -> AcceptedSteps:
    """Cut each of the steps that were taken into equal parts."""
    steps = AcceptedSteps(SLOTS, taken.segments, [taken.clocks[0]])
    slot, segment, jumps = 0, 0, taken.segments.jumps
    for begin, end, on_segment in zip(taken.clocks[:-1], taken.clocks[1:], taken.segment_index, strict=True):
        slot, segment = slot + (jumps and on_segment != segment), on_segment
        for part in range(parts):
            clock = end if part + 1 == parts else begin + (part + 1) / parts * (end - begin)
            size = span[segment] * (clock - steps.clocks[-1])
            steps.accept(segment, clock, size, slot, end_evaluated=True)
            slot += steps.stages
    return steps
