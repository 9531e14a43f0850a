r"""The continuous adjoint of Chen et al. (2018): one augmented state, solved backwards, in constant memory.

With :math:`a(t) = dL/dz(t)`, from the furthest query back to the start,

.. math::
    \dot z = f, \qquad \dot a = -a\,\partial f/\partial z, \qquad
    \dot a_\theta = -a\,\partial f/\partial\theta, \qquad \dot a_t = -a\,\partial f/\partial t,

and at every query :math:`t_i`, whose answer has the gradient :math:`g_i`, the state is reset to the answer that was
given, :math:`a` jumps by :math:`g_i` and :math:`a_t` by :math:`-g_i f(z(t_i), t_i)`. Between jumps :math:`a_t = -a f`,
so at the start :math:`a = dL/dz_0`, :math:`a_\theta = dL/d\theta`, :math:`a_t = dL/dt_0`, while
:math:`dL/dt_i = g_i f(z(t_i), t_i)`. The end :math:`t_1` of the span has no gradient unless it is a query.

A border between two segments, where the field may jump, is one more place at which the state is reset.

Only the answers of the forward solve are kept, and only a few of its steps are held at a time. In return each interval
between two queries is solved again. The cost therefore grows with the number of queries (of the series that has most,
not of their union: every series has its own clock on each interval), and the gradient is that of the equation, not of
the steps. It is here for fidelity to the paper, and for long solves in little memory.

References
----------
Chen, Rubanova, Bettencourt & Duvenaud (2018), Neural ordinary differential equations, section 2 and appendix B.2.
Kidger, Chen & Lyons (2021), "Hey, that's not an ODE": the error of the quadratures a_theta and a_t is not controlled.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import repeat
from math import ceil
from typing import Any

import torch
from torch import Tensor

from latentode.ode.adjoints.chunked import Answers, answer_in_chunks
from latentode.ode.adjoints.gradients import once_differentiable
from latentode.ode.autocast import without_autocast
from latentode.ode.failures import FailurePoint, StepFailure
from latentode.ode.loop import Evaluate, IntegrationLoop
from latentode.ode.problem import SolverSetup
from latentode.ode.step_size import AdaptiveSteps, Controller, FixedSteps, error_norm
from latentode.ode.steps import Segments, StageTime

__all__ = ["BacksolveAdjoint"]

CHUNK = 32  # steps held at a time while answering


class BacksolveAdjoint(torch.autograd.Function):
    """The answers of a solve, with the augmented solve as their gradient."""

    @staticmethod
    def forward(
        ctx: Any, setup: SolverSetup, z0: Tensor, start: Tensor, span: Tensor, clock: Tensor, *leaves: Tensor
    ) -> Answers:
        """Take the steps and answer; ``leaves`` are the field's parameters, its args and the control's tensors."""
        tape = setup.tape(leaves, z0, record=False)
        loop = setup.loop(tape, setup.inputs_of(tape, leaves, z0.dtype), z0.detach(), leaves)
        borders = torch.arange(1, len(span), dtype=clock.dtype, device=clock.device).expand(len(clock), -1)
        queried = torch.cat([setup.queried, torch.ones_like(borders, dtype=torch.bool)], 1)
        clocks = torch.cat([clock.detach(), borders], 1)
        z, diagnostics = answer_in_chunks(loop, repeat(CHUNK), clocks, queried)
        ctx.setup, ctx.n_steps = setup, diagnostics.n_steps
        ctx.save_for_backward(queried, z, start, span, clocks, *leaves)
        return z[:, : clock.shape[1]].clone(), diagnostics

    @staticmethod
    def backward(ctx: Any, g: Tensor, _: None) -> Any:
        """Solve the augmented state."""
        queried, z, start, span, clock, *leaves = ctx.saved_tensors
        n_queries = g.shape[1]
        with torch.no_grad(), without_autocast(g.device):
            g = torch.cat([g, g.new_zeros(len(g), clock.shape[1] - n_queries, g.shape[2])], 1)
            g = torch.where(queried.unsqueeze(-1), g, 0.0)
            # Scaled, because the tolerances are meant for numbers of order 1 and a loss may have any size.
            least = g.new_full((1,), torch.finfo(g.dtype).tiny)
            scale = torch.cat([g.flatten().abs(), least]).amax()
            solve = _AugmentedSolve(ctx.setup.on(start, span), ctx.n_steps, leaves, z, g / scale)
            gradients = [x if x is None else x * scale.to(x.dtype) for x in solve.run(queried, clock, n_queries)]
        return None, *once_differentiable(gradients)


def _real(leaf: Tensor) -> Tensor:
    """Return real numbers as they are, and complex ones, (...), as real and imaginary parts, (..., 2)."""
    return torch.view_as_real(leaf.resolve_conj()) if leaf.is_complex() else leaf


class _AugmentedSolve:
    """One augmented solve: [z, a, a_t] per series, and a_theta for all series, as one row of numbers."""

    def __init__(self, setup: SolverSetup, n_steps: int, leaves: Sequence[Tensor], z: Tensor, g: Tensor) -> None:
        self.setup, self.segments, self.n_steps, self.z, self.g = setup, setup.segments, n_steps, z, g
        self.leaves, self.control_leaves = leaves, setup.problem.split(leaves)[2]
        self.tape, self.inputs = (
            setup.tape(leaves, z.new_empty(len(z), z.shape[2]), record=True),
            setup.inputs(leaves, z.dtype),
        )
        self.tape.reserve(1)
        self.sizes = [_real(leaf).numel() for leaf in leaves]

    def run(self, queried: Tensor, clock: Tensor, n_queries: int) -> list[Tensor | None]:
        """Return the gradients of z0, start, span, clock and the leaves."""
        series, _, latent = self.z.shape
        a, a_t = self.z.new_zeros(series, latent), self.z.new_zeros(series, 1)
        a_theta = self.z.new_zeros(sum(self.sizes))
        g_clock = torch.zeros_like(clock)
        self.g_start, self.g_span = torch.zeros_like(self.segments.start), torch.zeros_like(self.segments.span)
        pick, clocks, n_steps = self._intervals(queried, clock)
        row = torch.arange(series, device=self.z.device)
        for k, n in enumerate(n_steps):
            i, s = pick[:, k], clocks[k]
            z, g = self.z[row, i], self.g[row, i]
            if bool((i >= n_queries).any()):
                a_t = self._cross((i >= n_queries).unsqueeze(1), s, z, a, a_t)
            segment, inside = self._on_segment(s, s)
            rate = (g * self._slope(segment, inside, z, -1)).sum(-1, keepdim=True)
            a, a_t = a + g, a_t - rate
            rate = rate.to(g_clock.dtype)
            g_clock[row, i] += (rate * self._of_segment(self.segments.span, segment)).squeeze(1)
            self._add(segment, rate, rate * inside)
            z, a, a_t, a_theta = self._carry((z, a, a_t, a_theta), s, clocks[k + 1], n)
        self.g_start[0] += a_t.to(g_clock.dtype)
        parts = zip(torch.split(a_theta, self.sizes), self.leaves, strict=True)
        by_leaf = [
            torch.complex(*part.view(*leaf.shape, 2).unbind(-1)) if leaf.is_complex() else part.view(leaf.shape)
            for part, leaf in parts
        ]
        return [a, self.g_start, self.g_span, g_clock[:, :n_queries], *by_leaf]

    def _intervals(self, queried: Tensor, clock: Tensor) -> tuple[Tensor, list[Tensor], list[int]]:
        """Sort the queries, the furthest first; those of the other direction stay at the start, where nothing happens.

        Returns which query comes when, (series, time), the clocks between which the intervals lie, and their steps: the
        steps of a fixed grid are shared among the intervals, at least one each.
        """
        clock = torch.where(queried, clock, 0.0)
        count = int(queried.sum(1).max()) if clock.numel() else 0
        # Borders come last in a row. Flipped, a border comes before a query at the same time, which belongs to the
        # segment that ends there: backwards, the border is crossed first.
        clock, back = clock.flip(1).sort(dim=1, descending=True, stable=True)
        pick = clock.shape[1] - 1 - back
        bounds = torch.cat([clock[:, :count], torch.zeros_like(clock[:, :1])], 1)
        clocks = [column.unsqueeze(1) for column in bounds.unbind(1)]
        if isinstance(self.setup.controller, AdaptiveSteps) or not count:
            return pick, clocks, [0] * count
        shares = (bounds[:, :-1] - bounds[:, 1:]).amax(0) / self.segments.count
        return pick, clocks, [max(1, ceil(self.n_steps * share - 1e-6)) for share in shares.tolist()]

    def _cross(self, here: Tensor, s: Tensor, z: Tensor, a: Tensor, a_t: Tensor) -> Tensor:
        """Cross a border, and return a_t before it.

        A border that moves takes the end of one segment and the beginning of the next with it. Along a segment
        a_t = -a f, so that a_t jumps where the field does.
        """
        after = torch.where(here, s.round(), 0.0).long().clamp_(max=self.segments.count - 1)
        before = (after - 1).clamp_min(0)
        one, zero = torch.ones_like(s), torch.zeros_like(s)
        h_after = (a * self._slope(after, zero, z, 1)).sum(-1, keepdim=True) * here
        h_before = (a * self._slope(before, one, z, -1)).sum(-1, keepdim=True) * here
        self._add(after, -h_after.to(s.dtype), zero)
        self._add(before, h_before.to(s.dtype), h_before.to(s.dtype))
        return a_t + h_after - h_before

    def _add(self, segment: Tensor, start: Tensor, span: Tensor) -> None:
        """Add to the gradients of each series' segment."""
        self.g_start.scatter_add_(0, segment.unsqueeze(0), start.unsqueeze(0))
        self.g_span.scatter_add_(0, segment.unsqueeze(0), span.unsqueeze(0))

    def _on_segment(self, s: Tensor, to: Tensor) -> tuple[Tensor, Tensor]:
        """Return the segment of an interval and the place of ``s`` on it, (series, 1); a border ends its segment."""
        middle = 0.5 * (s + to)
        segment = (middle.ceil() - 1).clamp_(0, self.segments.count - 1).long()
        return segment, s - segment

    def _of_segment(self, each: Tensor, segment: Tensor) -> Tensor:
        return each[0] if len(each) == 1 else each.gather(0, segment.unsqueeze(0))[0]

    def _time(self, segment: Tensor, inside: Tensor, side: int) -> Tensor:
        """Return the time at a place on each series' segment; at its ends, where the field may jump, just inside."""
        segments = self.segments
        start, span = self._of_segment(segments.start, segment), self._of_segment(segments.span, segment)
        exact = torch.addcmul(start, inside, span)
        if segments.count == 1:
            return exact
        following = (segment + 1).clamp_(max=segments.count - 1)
        at_end = (inside == 1) & (following > segment)
        at_border = torch.where(at_end, self._of_segment(segments.start, following), exact)
        return self.inputs.nudged(at_border, side or None)

    def _slope(self, segment: Tensor, inside: Tensor, z: Tensor, side: int) -> Tensor:
        slope = torch.empty_like(z)
        self.tape.evaluate(0, *self.inputs.at(self._time(segment, inside, side), None), z.contiguous(), slope)
        return slope

    def _carry(self, state: tuple[Tensor, ...], s: Tensor, to: Tensor, n_steps: int) -> list[Tensor]:
        """Carry the augmented state from one query to the next, on a clock from 0 to 1."""
        segment, inside = self._on_segment(s, to)
        length = ((to - s) * self._of_segment(self.segments.span, segment)).to(state[0].dtype)
        shapes, sizes = [part.shape for part in state], [part.numel() for part in state]

        def unpack(flat: Tensor) -> list[Tensor]:
            return [part.view(shape) for part, shape in zip(torch.split(flat[0], sizes), shapes, strict=True)]

        def time_at(clock: float, side: int) -> Tensor:
            return self._time(segment, inside + clock * (to - s), side)

        def evaluate(buffer: None, slot: int, when: StageTime, flat: Tensor) -> Tensor:
            z, a, _, _ = unpack(flat)
            clock = float(when.clock)
            time = time_at(clock, -1 if clock == 0.0 else int(clock == 1.0))
            slope, *products = self._products(z.contiguous(), -a * length, time)
            parts = [slope * length, *products]
            return torch.cat([part.reshape(-1) for part in parts]).unsqueeze(0)

        def norm(error: Tensor, scale: Tensor) -> Tensor:  # of z and a: the quadratures are not controlled
            return torch.cat([error_norm(e, c) for e, c in zip(unpack(error)[:2], unpack(scale)[:2], strict=True)])

        flat = torch.cat([part.reshape(-1) for part in state]).unsqueeze(0)
        return unpack(self._integrate(evaluate, flat, n_steps, norm, lambda clock: time_at(clock, 0)))

    def _products(self, z: Tensor, cotangent: Tensor, time: Tensor) -> list[Tensor]:
        """Return the slope, and the cotangent times its derivatives by state, time and every leaf."""
        t, u = self.inputs.at(time, None)
        slope, by_z = torch.empty_like(z), torch.empty_like(z)
        self.tape.evaluate(0, t, u, z, slope)
        self.tape.pull(0, cotangent, by_z)
        field = self.tape.gradients(
            z.unsqueeze(0), cotangent.unsqueeze(0), t.unsqueeze(0), None if u is None else u.unsqueeze(0)
        )
        by_time = torch.zeros_like(t) if field.times is None else field.times[0]
        by_control: list[Tensor | None] = [None] * len(self.control_leaves)
        if field.controls is not None:
            at = time.unsqueeze(0)
            more, by_control = self.inputs.control_gradients(at, None, field.controls, self.control_leaves)
            by_time = by_time + more[0].to(by_time.dtype)
        each = zip([*field.parameters, *field.args, *by_control], self.leaves, strict=True)
        by_leaf = [_real(torch.zeros_like(leaf) if x is None else x).to(z.dtype) for x, leaf in each]
        return [slope, by_z, by_time, *by_leaf]

    def _integrate(
        self, evaluate: Evaluate, state: Tensor, n_steps: int, norm: Callable[[Tensor, Tensor], Tensor],
        time_at: Callable[[float], Tensor],
    ) -> Tensor:  # fmt: skip
        method, chosen = self.setup.problem.method, self.setup.controller
        controller: Controller = FixedSteps(n_steps)
        if isinstance(chosen, AdaptiveSteps):
            controller = replace(chosen, weights=AdaptiveSteps.PI)
        one = state.new_ones(1, 1, 1)
        segments = Segments(torch.zeros_like(one), one)
        loop = IntegrationLoop(method, segments, controller, state, evaluate, norm=norm, end_slope=False)
        try:
            loop.advance()
        except StepFailure as failure:
            n_series, points = len(self.z), {}
            for row, point in failure.rows.items():  # norm has rows for z and for a
                time = float(time_at(point.clock)[row % n_series])
                points[row % n_series] = FailurePoint(point.clock, time, time)
            found = StepFailure(failure.cause, failure.advice, points)
            raise found.as_error(n_series, " (in the backward solve)") from None
        return loop.z
