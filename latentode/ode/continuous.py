r"""The continuous adjoint along the stored solution: :math:`\dot a = -a\,\partial f/\partial z`, never restarted.

The forward solve leaves its dense output; the adjoint equation, which is linear, is then solved backwards with z(t)
read off it. What an answer between two nodes receives is handed to the state and the slope of both (the transpose of
cubic Hermite interpolation), so that all queries of all series cost one scatter, and the adjoint jumps at nodes only.
Theta is no part of the state: :math:`dL/d\theta = \int a\,\partial f/\partial\theta\,dt` is a quadrature, formed once.

Each step of the forward solve is one or more steps of the adjoint's, of the classic Runge-Kutta method, and
the quadrature is Simpson's. The gradient is that of the equation, not of the steps: it is as good as their
size, and agrees with the discrete adjoint in the limit.

References
----------
Chen, Rubanova, Bettencourt & Duvenaud (2018), Neural ordinary differential equations, section 2.
Kim, Ji, Deng, Ma & Rackauckas (2021), Stiff neural ordinary differential equations (the interpolating adjoint).
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from latentode.ode.adjoint import sealed
from latentode.ode.dense import DenseOutput, Queries, locate
from latentode.ode.drive import Drive
from latentode.ode.path import Path
from latentode.ode.received import Received, Wanted, receive
from latentode.ode.route import Route
from latentode.ode.run import Plan, TapedRun
from latentode.ode.trace import Trace

__all__ = ["ContinuousAdjoint"]

PLACES = (0.0, 0.5)  # of a step's slots: its beginning and its middle; its end is the next one's beginning


class ContinuousAdjoint(torch.autograd.Function):
    """Answers of a solve, with the adjoint equation along it as their gradient."""

    @staticmethod
    def forward(
        ctx: Any, plan: Plan, trace: Trace, queries: Queries, z0: Tensor, start: Tensor, span: Tensor, clock: Tensor,
        *leaves: Tensor,
    ) -> Tensor:  # fmt: skip
        """Take the steps and answer; ``leaves`` are the field's parameters, its args, the control's tensors."""
        route = Route(start, span, plan.jumps)
        run = TapedRun(plan, plan.tape_of(leaves, False), z0.detach(), route, leaves)
        record = run.advance()
        nodes, slopes = record.ledger.gather(record.path)
        dense = DenseOutput(nodes, slopes, record.path, route, plan.method, clock, queries.rows, own=queries.own)
        trace.keep(nodes, slopes, record.path)
        ctx.plan, ctx.queries, ctx.dense, ctx.kept = plan, queries, dense, (nodes, slopes, record.path)
        ctx.save_for_backward(start, span, clock, *leaves)
        return dense.answer()

    @staticmethod
    def backward(ctx: Any, g: Tensor) -> Any:
        """Solve the adjoint equation."""
        start, span, clock, *leaves = ctx.saved_tensors
        plan, queries, wanted = ctx.plan, ctx.queries, Wanted(*ctx.needs_input_grad[4:7])
        with torch.no_grad():
            adjoint = _Adjoint(plan, Route(start, span, plan.jumps), leaves, *ctx.kept)
            step, theta = locate(adjoint.path, clock, queries.rows, own=queries.own)
            a0, inner, ends = adjoint.back(*_jumps(adjoint, g, step, theta, queries.rows))
            received = adjoint.receive(a0, inner, ends, plan.split(leaves)[2], wanted)
            g_clock = ctx.dense.clock_gradient(g).to(start.dtype) if wanted.clock else None
        return None, None, None, *sealed([received.z0, received.start, received.span, g_clock, *received.leaves])


class _Adjoint:
    """The adjoint equation on a grid of its own, each of whose steps has a slot at its beginning and in its middle."""

    def __init__(
        self, plan: Plan, route: Route, leaves: Sequence[Tensor], nodes: Tensor, slopes: Tensor, taken: Path
    ) -> None:
        parts = max(1, round(plan.method.order / 3))  # the higher the order, the longer the steps
        self.route, self.path = route, _refined(taken, route.span.to(nodes.dtype), parts, jumps=route.jumps)
        self.drive = Drive(route, None, plan.make_control, plan.split(leaves)[2], nodes.dtype)
        rows = torch.arange(nodes.shape[1], device=nodes.device).unsqueeze(1)
        clocks = self.path.clocks(PLACES, route.start)[..., 0].t().expand(nodes.shape[1], -1)
        dense = DenseOutput(nodes, slopes, taken, route, plan.method, clocks, rows, own=True)
        self.states = dense.answer().transpose(0, 1).contiguous()
        self.slopes = torch.empty_like(self.states)
        self.tape = plan.tape_of(leaves, True)
        self.given = self.drive.given(self.drive.times(self.path, PLACES))
        self.tape.reserve(len(self.states))
        for slot, (z, slope) in enumerate(zip(self.states, self.slopes, strict=True)):
            t, u = (None if x is None else x[slot] for x in self.given)
            self.tape.evaluate(slot, t, u, z, slope)

    def back(self, g_nodes: Tensor, g_inner: Tensor, g_ends: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Solve from the end to the beginning.

        Takes what the nodes (step + 1, row, latent), and the slopes at the beginning and the end of every step, (step,
        row, latent), receive. Returns the adjoint at the beginning, and the cotangents of all slots: the weights of
        the quadrature times the adjoint there, (step, 2, row, latent) and (step, row, latent).
        """
        path, a = self.path, g_nodes[-1]
        inner, ends = torch.zeros_like(path.inner(self.states)), g_ends.clone()
        for n in range(path.n_steps - 1, -1, -1):
            left, h = path.first[n], path.scaled[n]
            middle, right = left + 1, left + 2
            a = a + self._pull(right, g_ends[n])
            k1 = self._pull(right, a)
            k2 = self._pull(middle, torch.addcmul(a, h, k1, value=0.5))
            k3 = self._pull(middle, torch.addcmul(a, h, k2, value=0.5))
            k4 = self._pull(left, torch.addcmul(a, h, k3))
            before = torch.addcmul(a, h, k1 + 2 * (k2 + k3) + k4, value=1 / 6)
            between = torch.addcmul(0.5 * (a + before), h, k1 - k4, value=1 / 8)
            ends[n] += h / 6 * a
            inner[n, 1] = 4 / 6 * h * between
            inner[n, 0] = h / 6 * before + g_inner[n]
            a = before + g_nodes[n] + self._pull(left, g_inner[n])
        return a, inner, ends

    def receive(
        self, a0: Tensor, inner: Tensor, ends: Tensor, control_leaves: Sequence[Tensor], wanted: Wanted
    ) -> Received:
        """Form the quadratures."""
        cotangents = self.path.spread(inner, ends)
        self.tape.gradients(self.states, cotangents, *self.given)  # forgets the pulls of the steps
        for slot, cotangent in enumerate(cotangents):
            self._pull(slot, cotangent)
        by_step = None
        if wanted.span:
            parts = (inner * self.path.inner(self.slopes)).sum((1, 3)) + (ends * self.path.ends(self.slopes)).sum(2)
            by_step = parts.unsqueeze(2) / self.route.span.to(parts.dtype)[self.path.pieces]
        return receive(
            a0, by_step, self.tape, self.drive, self.path, PLACES, self.states, cotangents,
            control_leaves, wanted,
        )  # fmt: skip

    def _pull(self, slot: int, cotangent: Tensor) -> Tensor:
        out = torch.empty_like(cotangent)
        self.tape.pull(slot, cotangent, out)
        return out


def _jumps(adjoint: _Adjoint, g: Tensor, step: Tensor, theta: Tensor, rows: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """What nodes, and slopes at the beginning and the end of every step, receive from the answers: cubic Hermite."""
    path, n_rows, x = adjoint.path, adjoint.states.shape[1], theta.to(g.dtype).unsqueeze(-1)
    index = (step * n_rows + rows).reshape(-1)
    h = torch.stack(path.scaled)
    at_left, at_right = (1 + 2 * x) * (1 - x) ** 2, x**2 * (3 - 2 * x)
    slope_left, slope_right = x * (1 - x) ** 2, x**2 * (x - 1)
    table = g.new_zeros(4, path.n_steps * n_rows, g.shape[-1])
    for part, weight in zip(table, (at_left, at_right, slope_left, slope_right), strict=True):
        part.index_add_(0, index, (weight * g).flatten(0, 1))
    left, right, by_left, by_right = table.view(4, path.n_steps, n_rows, g.shape[-1])
    nodes = torch.cat([left, torch.zeros_like(left[:1])])
    nodes[1:] += right
    return nodes, by_left * h, by_right * h


def _refined(taken: Path, span: Tensor, parts: int, *, jumps: bool) -> Path:
    """The steps that were taken, each cut into equal parts; slots as for a method of two stages."""
    path = Path(2, [taken.knots[0]])
    slot, piece = 0, 0
    for begin, end, of_piece in zip(taken.knots[:-1], taken.knots[1:], taken.pieces, strict=True):
        slot, piece = slot + (jumps and of_piece != piece), of_piece
        for part in range(parts):
            knot = end if part + 1 == parts else begin + (part + 1) / parts * (end - begin)
            length = knot - path.knots[-1]
            path.accept(piece, knot, span[piece] * length, slot, end_evaluated=True)
            slot += path.stages
    return path
