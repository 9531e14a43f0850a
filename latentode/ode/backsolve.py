r"""The continuous adjoint of Chen et al. (2018): one augmented state, solved backwards, in constant memory.

With :math:`a(t) = dL/dz(t)`, going from the furthest query back to the start,

.. math::
    \dot z = f, \qquad \dot a = -a\,\partial f/\partial z, \qquad
    \dot a_\theta = -a\,\partial f/\partial\theta, \qquad \dot a_t = -a\,\partial f/\partial t,

and at every query :math:`t_i`, whose answer receives the gradient :math:`g_i`, the state is put back on the answer
that was given, :math:`a` jumps by :math:`g_i` and :math:`a_t` by :math:`-g_i f(z(t_i), t_i)`. Between jumps
:math:`a_t = -a f`, so at the start :math:`a = dL/dz_0`, :math:`a_\theta = dL/d\theta`, :math:`a_t = dL/dt_0`, while
:math:`dL/dt_i = g_i f(z(t_i), t_i)`. The end :math:`t_1` of the span, where it is not a query, receives nothing.

A border of two pieces, where the field may jump, is one more place where the state is put back.

Nothing of the forward solve is kept but its answers, and no more than a few of its steps are held at a time. The
price: each stretch between two queries is solved again, so
the cost grows with the number of queries (the longest series', not the union's: every series runs each stretch on a
clock of its own), and the gradient is that of the equation, not of the steps. It is here for fidelity and for long
solves in little memory.

References
----------
Chen, Rubanova, Bettencourt & Duvenaud (2018), Neural ordinary differential equations, section 2 and appendix B.2.
Kidger, Chen & Lyons (2021), "Hey, that's not an ODE": the error of the quadratures a_theta and a_t is not controlled.
"""

from collections.abc import Callable, Sequence
from itertools import repeat
from math import ceil
from typing import Any

import torch
from torch import Tensor

from latentode.ode.adjoint import sealed
from latentode.ode.control import AdaptiveSteps, Controller, FixedSteps, error_norm
from latentode.ode.dense import Queries
from latentode.ode.drive import Drive, SlotTimes
from latentode.ode.errors import Stuck, Whereabouts
from latentode.ode.route import Moment, Route
from latentode.ode.run import Plan, TapedRun
from latentode.ode.stepping import Course, March
from latentode.ode.stream import answer
from latentode.ode.trace import Trace

__all__ = ["BacksolveAdjoint"]

HELD = 32  # steps held at a time while answering


class BacksolveAdjoint(torch.autograd.Function):
    """Answers of a solve, with the augmented solve as their gradient."""

    @staticmethod
    def forward(
        ctx: Any, plan: Plan, trace: Trace, queries: Queries, z0: Tensor, start: Tensor, span: Tensor, clock: Tensor,
        *leaves: Tensor,
    ) -> Tensor:  # fmt: skip
        """Take the steps and answer; ``leaves`` are the field's parameters, its args, the control's tensors."""
        run = TapedRun(plan, plan.tape_of(leaves, False), z0.detach(), Route(start, span, plan.jumps), leaves)
        borders = torch.arange(1, len(span), dtype=clock.dtype, device=clock.device).expand(len(clock), -1)
        there = torch.ones_like(borders, dtype=torch.bool)
        asked, every = torch.cat([queries.here, there], 1), torch.cat([clock.detach(), borders], 1)
        z = answer(run, repeat(HELD), every, Queries(queries.rows, asked, queries.own), trace)
        ctx.plan, ctx.steps = plan, trace.steps
        ctx.save_for_backward(asked, z, start, span, every, *leaves)
        return z[:, : clock.shape[1]].clone()

    @staticmethod
    def backward(ctx: Any, g: Tensor) -> Any:
        """Solve the augmented state."""
        asked, z, start, span, clock, *leaves = ctx.saved_tensors
        n_queries = g.shape[1]
        with torch.no_grad():
            g = torch.cat([g, g.new_zeros(len(g), clock.shape[1] - n_queries, g.shape[2])], 1)
            g = torch.where(asked.unsqueeze(-1), g, 0.0)
            least = g.new_full((1,), torch.finfo(g.dtype).tiny)
            scale = torch.cat([g.flatten().abs(), least]).amax()  # so that the tolerances mean something
            solve = _Backsolve(ctx.plan, ctx.steps, leaves, Route(start, span, ctx.plan.jumps), z, g / scale)
            received = [x if x is None else x * scale.to(x.dtype) for x in solve.run(asked, clock, n_queries)]
        return None, None, None, *sealed(received)


class _Backsolve:
    """One augmented solve: [z, a, a_t] per series and a_theta for all, as one row of numbers."""

    def __init__(self, plan: Plan, n_steps: int, leaves: Sequence[Tensor], route: Route, z: Tensor, g: Tensor) -> None:
        self.plan, self.n_steps, self.leaves, self.route, self.z, self.g = plan, n_steps, leaves, route, z, g
        self.tape, self.control_leaves = plan.tape_of(leaves, True), plan.split(leaves)[2]
        self.tape.reserve(1)
        self.drive: Drive = plan.drive(route, leaves, z.dtype)
        self.sizes = [leaf.numel() for leaf in leaves]

    def run(self, asked: Tensor, clock: Tensor, n_queries: int) -> list[Tensor | None]:
        """Return the gradients of z0, start, span, clock and the leaves."""
        series, _, latent = self.z.shape
        a, a_t = self.z.new_zeros(series, latent), self.z.new_zeros(series, 1)
        a_theta = self.z.new_zeros(sum(self.sizes))
        g_clock = torch.zeros_like(clock)
        self.g_start, self.g_span = torch.zeros_like(self.route.start), torch.zeros_like(self.route.span)
        pick, clocks, n_steps = self._stretches(asked, clock)
        row = torch.arange(series, device=self.z.device)
        for k, n in enumerate(n_steps):
            i, s = pick[:, k], clocks[k]
            z, g = self.z[row, i], self.g[row, i]
            if bool((i >= n_queries).any()):
                a_t = self._cross((i >= n_queries).unsqueeze(1), s, z, a, a_t)
            piece, inside = self._on_piece(s, s)
            rate = (g * self._slope(piece, inside, z, -1)).sum(-1, keepdim=True)
            a, a_t = a + g, a_t - rate
            rate = rate.to(g_clock.dtype)
            g_clock[row, i] += (rate * self._of_piece(self.route.span, piece)).squeeze(1)
            self._add(piece, rate, rate * inside)
            z, a, a_t, a_theta = self._stretch(z, a, a_t, a_theta, s, clocks[k + 1], n)
        self.g_start[0] += a_t.to(g_clock.dtype)
        by_leaf = [
            part.view(leaf.shape) for part, leaf in zip(torch.split(a_theta, self.sizes), self.leaves, strict=True)
        ]
        return [a, self.g_start, self.g_span, g_clock[:, :n_queries], *by_leaf]

    def _stretches(self, asked: Tensor, clock: Tensor) -> tuple[Tensor, list[Tensor], list[int]]:
        """Sort the queries, the furthest first; those of the other side wait at the start, where nothing happens.

        Returns which query comes when, (series, time), the clocks the stretches lie between, and their steps: a
        fixed grid's steps are shared out among the stretches, at least one each.
        """
        clock = torch.where(asked, clock, 0.0)
        count = int(asked.sum(1).max()) if clock.numel() else 0
        # A border, of which all come last, is crossed before a query there, which belongs to the piece that ends.
        clock, back = clock.flip(1).sort(dim=1, descending=True, stable=True)
        pick = clock.shape[1] - 1 - back
        bounds = torch.cat([clock[:, :count], torch.zeros_like(clock[:, :1])], 1)
        clocks = [column.unsqueeze(1) for column in bounds.unbind(1)]
        if isinstance(self.plan.controller, AdaptiveSteps) or not count:
            return pick, clocks, [0] * count
        shares = (bounds[:, :-1] - bounds[:, 1:]).amax(0) / self.route.n_pieces
        return pick, clocks, [max(1, ceil(self.n_steps * share - 1e-6)) for share in shares.tolist()]

    def _cross(self, here: Tensor, s: Tensor, z: Tensor, a: Tensor, a_t: Tensor) -> Tensor:
        """Go over a border: what ends there moves with the field before it, what begins there against the one after.

        Along a piece a_t = -a f, so that it jumps where the field does.
        """
        after = torch.where(here, s.round(), 0.0).long().clamp_(max=self.route.n_pieces - 1)
        before = (after - 1).clamp_min(0)
        one, zero = torch.ones_like(s), torch.zeros_like(s)
        h_after = (a * self._slope(after, zero, z, 1)).sum(-1, keepdim=True) * here
        h_before = (a * self._slope(before, one, z, -1)).sum(-1, keepdim=True) * here
        self._add(after, -h_after.to(s.dtype), zero)
        self._add(before, h_before.to(s.dtype), h_before.to(s.dtype))
        return a_t + h_after - h_before

    def _add(self, piece: Tensor, start: Tensor, span: Tensor) -> None:
        """Add to the gradients of each series' piece."""
        self.g_start.scatter_add_(0, piece.unsqueeze(0), start.unsqueeze(0))
        self.g_span.scatter_add_(0, piece.unsqueeze(0), span.unsqueeze(0))

    def _on_piece(self, s: Tensor, to: Tensor) -> tuple[Tensor, Tensor]:
        """The piece on which a stretch lies, or a place, (series, 1); a border belongs to the piece before it."""
        middle = 0.5 * (s + to)
        piece = (middle.ceil() - 1).clamp_(0, self.route.n_pieces - 1).long()
        return piece, s - piece

    def _of_piece(self, each: Tensor, piece: Tensor) -> Tensor:
        return each[0] if len(each) == 1 else each.gather(0, piece.unsqueeze(0))[0]

    def _time(self, piece: Tensor, inside: Tensor, edge: int) -> Tensor:
        """The time at a place on each series' piece; at its ends, where the field may jump or bend, just inside."""
        exact = torch.addcmul(self._of_piece(self.route.start, piece), inside, self._of_piece(self.route.span, piece))
        if self.route.n_pieces == 1:
            return exact
        following = (piece + 1).clamp_(max=self.route.n_pieces - 1)
        at_end = (inside == 1) & (following > piece)
        return self.drive.nudged(torch.where(at_end, self._of_piece(self.route.start, following), exact), edge or None)

    def _given(self, time: Tensor) -> tuple[Tensor, Tensor | None]:
        control = self.drive.control
        return time.to(self.z.dtype), None if control is None else control(time).squeeze(1).to(self.z.dtype)

    def _slope(self, piece: Tensor, inside: Tensor, z: Tensor, edge: int) -> Tensor:
        slope = torch.empty_like(z)
        self.tape.evaluate(0, *self._given(self._time(piece, inside, edge)), z.contiguous(), slope)
        return slope

    def _stretch(
        self, z: Tensor, a: Tensor, a_t: Tensor, a_theta: Tensor, s: Tensor, to: Tensor, n_steps: int
    ) -> tuple[Tensor, ...]:
        """Carry the augmented state from one query to the next, on a clock from 0 to 1."""
        piece, inside = self._on_piece(s, to)
        length = ((to - s) * self._of_piece(self.route.span, piece)).to(z.dtype)
        shapes = [z.shape, a.shape, a_t.shape, a_theta.shape]
        sizes = [shape.numel() for shape in shapes]

        def unpack(state: Tensor) -> list[Tensor]:
            return [part.view(shape) for part, shape in zip(torch.split(state[0], sizes), shapes, strict=True)]

        def evaluate(slot: int, moment: Moment, state: Tensor) -> Tensor:
            z, a, _, _ = unpack(state)
            u = float(moment.clock)
            time = self._time(piece, inside + u * (to - s), -1 if u == 0.0 else int(u == 1.0))
            slope, by_z, by_time, by_leaf = self._products(z.contiguous(), a * length, time)
            parts = [slope * length, -by_z, -by_time, *(-grad for grad in by_leaf)]
            return torch.cat([part.reshape(-1) for part in parts]).unsqueeze(0)

        def norm(error: Tensor, scale: Tensor) -> Tensor:
            return torch.cat([error_norm(e, c) for e, c in zip(unpack(error)[:2], unpack(scale)[:2], strict=True)])

        state = torch.cat([part.reshape(-1) for part in (z, a, a_t, a_theta)]).unsqueeze(0)
        z, a, a_t, a_theta = unpack(self._march(evaluate, state, n_steps, norm, s, to))
        return z, a, a_t, a_theta

    def _products(self, z: Tensor, cotangent: Tensor, time: Tensor) -> tuple[Tensor, Tensor, Tensor, list[Tensor]]:
        """The slope, and the cotangent times its derivatives by state, time and every leaf."""
        t, u = self._given(time)
        slope, by_z = torch.empty_like(z), torch.empty_like(z)
        self.tape.evaluate(0, t, u, z, slope)
        self.tape.pull(0, cotangent, by_z)
        field = self.tape.gradients(
            z.unsqueeze(0), cotangent.unsqueeze(0), t.unsqueeze(0), None if u is None else u.unsqueeze(0)
        )
        by_time = torch.zeros_like(t) if field.times is None else field.times[0]
        by_control: list[Tensor | None] = [None] * len(self.control_leaves)
        if field.controls is not None:
            more, by_control = self.drive.control_gradients(
                SlotTimes(time.unsqueeze(0)), field.controls, self.control_leaves
            )
            by_time = by_time + more[0].to(by_time.dtype)
        each = [*field.parameters, *field.args, *by_control]
        leaves = zip(each, self.leaves, strict=True)
        return (
            slope,
            by_z,
            by_time,
            [leaf.new_zeros(leaf.shape, dtype=z.dtype) if grad is None else grad.to(z.dtype) for grad, leaf in leaves],
        )

    def _march(
        self,
        evaluate: Callable[[int, Moment, Tensor], Tensor],
        state: Tensor,
        n_steps: int,
        norm: Callable[[Tensor, Tensor], Tensor],
        s: Tensor,
        to: Tensor,
    ) -> Tensor:
        method = self.plan.method
        controller: Controller = FixedSteps(n_steps) if n_steps else AdaptiveSteps(method.tableau.error_order)
        one = state.new_ones(1, 1, 1)
        course = Course(evaluate, Route(torch.zeros_like(one), one), method, self.plan.tolerance, False, norm)
        march = March(course, controller, state)
        try:
            march.advance(None)
        except Stuck as stuck:
            piece, inside = self._on_piece(s, to)
            rows = {}
            for row, place in stuck.rows.items():
                time = float(self._time(piece, inside + place.clock * (to - s), 0)[row % len(s)])
                rows[row % len(s)] = Whereabouts(place.clock, time, time)
            raise Stuck(stuck.cause, stuck.advice, rows).named(len(s), " (in the backward solve)") from None
        return march.z
