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

Nothing depends on a_t and a_theta. They are therefore no part of the state that is stepped: as quadratures with the
weights of the method they are the same numbers, and are formed for a few steps at once.

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
from functools import cached_property
from itertools import repeat
from typing import Any

import torch
from torch import Tensor

from latentode.ode.adjoints.chunked import Answers, answer_in_chunks
from latentode.ode.adjoints.gradients import once_differentiable
from latentode.ode.autocast import without_autocast
from latentode.ode.failures import FailurePoint, SolveError, StepFailure
from latentode.ode.field import Tape
from latentode.ode.field_inputs import SlotTimes
from latentode.ode.loop import IntegrationLoop
from latentode.ode.problem import SolverSetup
from latentode.ode.step_size import AdaptiveSteps, Controller, SharedSteps
from latentode.ode.steps import AcceptedSteps, Segments, StageBuffer, StageTime

__all__ = ["BacksolveAdjoint"]

CHUNK = 32  # steps held at a time while answering
STAGES = 16  # stages held at a time while solving backwards


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
            gradients = [x * scale.to(x.dtype) for x in solve.run(queried, clock, n_queries)]
        return None, *once_differentiable(gradients)


class _LoopWithJumps(IntegrationLoop):
    """A loop whose state jumps at the borders between segments: ``jump(segment, state)`` is that of the next one."""

    restarts = True
    jump: Callable[[int, Tensor], Tensor]

    def _cross(self, base: int) -> int:
        self.z = self.jump(self.segment + 1, self.z)
        self.rejected = -self.taken  # the limit of steps, taken and rejected, is that of one segment
        return super()._cross(base)


class _AugmentedSolve:
    """One augmented solve, back from query to query, each of these intervals being a segment of the loop.

    The loop steps z and a, as twice as many rows. Nothing depends on a_t and a_theta, so that these are quadratures:
    they are formed for several steps at once, with the weights of the method. As parts of the state they would be
    written anew at every stage.
    """

    def __init__(self, setup: SolverSetup, n_steps: int, leaves: Sequence[Tensor], z: Tensor, g: Tensor) -> None:
        self.setup, self.segments, self.n_steps, self.z, self.g = setup, setup.segments, n_steps, z, g
        self.leaves, self.control_leaves = leaves, setup.problem.split(leaves)[2]
        like = z.new_empty(len(z), z.shape[2])
        self.tape = tape = setup.tape(leaves, like, record=True)
        self.inputs = setup.inputs(leaves, z.dtype)
        self.driven = self.tape.reads_time or self.inputs.control is not None
        self.buffer = StageBuffer(1, torch.cat([like, like]), lambda n: tape.reserve(n + 1))
        self.places: dict[int, int] = {}  # of the loop's slots on the tape: at a border one is not evaluated
        self.latest, self.times = 0, dict[int, Tensor]()  # the place that was evaluated last; by place
        self.a, self.a_t = torch.zeros_like(like), z.new_zeros(len(z), 1)
        # Not in less precision than the state has: many small parts are added.
        self.a_theta = [torch.zeros_like(x, dtype=torch.promote_types(x.dtype, z.dtype)) for x in leaves]
        self.g_start, self.g_span = torch.zeros_like(self.segments.start), torch.zeros_like(self.segments.span)

    def run(self, queried: Tensor, clock: Tensor, n_queries: int) -> list[Tensor]:
        """Return the gradients of z0, start, span, clock and the leaves."""
        g_clock = torch.zeros_like(clock)
        pick, bounds = self._intervals(queried, clock)
        if pick.shape[1]:
            self._lay_out(pick, bounds, n_queries)
            self._solve()
            rate = self.rates.to(clock.dtype)
            self.a_t -= self.rates.sum(0)
            self._add(self.segment, rate, rate * self.inside)
            by_query = (rate * self._of_segment(self.segments.span, self.segment))[..., 0].t()
            g_clock.scatter_add_(1, pick, by_query)
        self.g_start[0] += self.a_t.to(clock.dtype)
        return [self.a, self.g_start, self.g_span, g_clock[:, :n_queries], *self.a_theta]

    def _intervals(self, queried: Tensor, clock: Tensor) -> tuple[Tensor, Tensor]:
        """Sort the queries, the furthest first; those of the other direction stay at the start, where nothing happens.

        Returns which query comes when, (series, interval), and the clocks between which the intervals lie, (interval +
        1, series, 1).
        """
        clock = torch.where(queried, clock, 0.0)
        count = int(queried.sum(1).max()) if clock.numel() else 0
        # Borders come last in a row. Flipped, a border comes before a query at the same time, which belongs to the
        # segment that ends there: backwards, the border is crossed first.
        clock, back = clock.flip(1).sort(dim=1, descending=True, stable=True)
        pick = clock.shape[1] - 1 - back[:, :count]
        bounds = torch.cat([clock[:, :count], torch.zeros_like(clock[:, :1])], 1)
        return pick, bounds.t().unsqueeze(2)

    def _lay_out(self, pick: Tensor, bounds: Tensor, n_queries: int) -> None:
        """Keep what holds on each interval, (interval, series, ...)."""
        row, at = torch.arange(len(pick), device=pick.device), pick.t()
        self.states, self.received = self.z[row, at], self.g[row, at]
        self.bounds, self.along = bounds, bounds[1:] - bounds[:-1]
        self.segment, self.inside = self._on_segment(bounds[:-1], bounds[1:])
        length = (self.along * self._of_segment(self.segments.span, self.segment)).to(self.z.dtype)
        self.lengths, self.forwards, self.backwards = length, length.unbind(0), (-length).unbind(0)
        self.rates = torch.zeros_like(length)  # g f at every query
        self.border = (at >= n_queries).unsqueeze(2)
        self.crosses = self.border.flatten(1).any(1).tolist()

    def _solve(self) -> None:
        """Step from the furthest query to the start."""
        one = self.z.new_ones(len(self.along), 1, 1)
        segments = Segments(torch.zeros_like(one), one, jumps=True)
        loop = _LoopWithJumps(
            self.setup.problem.method, segments, self._controller(), self._begin(0), self._evaluate,
            new_buffer=self._reserved, end_slope=False,
        )  # fmt: skip
        loop.jump = self._begin
        try:
            while not loop.done:
                # The slope with which the steps before ended is the first of these: it stays where it is on the tape.
                self.places = {0: self.latest}
                self._add_quadratures(loop.advance(max(STAGES // loop.method.tableau.stages, 1)))
        except StepFailure as failure:
            raise self._named(failure, loop.segment) from None
        self.a = loop.z[len(self.z) :]

    def _begin(self, k: int, before: Tensor | None = None) -> Tensor:
        """Return z and a at the beginning of an interval: z is reset to the answer, and a jumps."""
        a = self.a if before is None else before[len(self.z) :]
        if self.crosses[k]:
            self._cross(k, a)
        return torch.cat([self.states[k], a + self.received[k]])

    def _evaluate(self, buffer: StageBuffer, slot: int, when: StageTime, state: Tensor) -> Tensor:
        """Write the slopes of z and a on the clock of an interval."""
        k, place, n = when.segment, float(when.clock) - when.segment, len(self.z)
        slope, t, u = buffer.slope_at(slot), None, None
        if slot not in self.places:
            number = len(self.places) - 1
            self.places[slot] = number + (number >= self.places[0])
        self.latest = on_tape = self.places[slot]
        if self.driven:
            self.times[on_tape] = self._time_at(k, place, -1 if place == 0.0 else int(place == 1.0))
            t, u = self.inputs.at(self.times[on_tape], None)
        (z, a), (along_z, along_a) = torch.split(state, n), torch.split(slope, n)
        self.tape.evaluate(on_tape, t, u, z, along_z)
        if place == 0.0:
            torch.sum(self.received[k] * along_z, -1, keepdim=True, out=self.rates[k])
        # Times the length before the product, as the slope of one row may depend on the state of another.
        self.tape.pull_state(on_tape, a * self.backwards[k], along_a)
        along_z.mul_(self.forwards[k])
        return slope

    def _add_quadratures(self, steps: AcceptedSteps) -> None:
        """Add to a_theta and a_t: the weights of the method times their slopes, of all stages at once."""
        n, count = len(self.z), max(self.places.values()) + 1
        # By place on the tape. What is no stage of these steps has no weight.
        weights, intervals, slots = [0.0] * count, [0] * count, [0] * count
        for slot, place in self.places.items():
            slots[place] = slot
        for first, k, begin, end in zip(
            steps.first_slot, steps.segment_index, steps.clocks[:-1], steps.clocks[1:], strict=True
        ):
            for j, b in enumerate(steps.method.tableau.b):
                place = self.places[first + j]
                weights[place], intervals[place] = b * float(end - begin), k
        z, a = torch.split(self.buffer.all_states[slots], n, 1)
        at = t = u = None
        if self.driven:
            at = torch.stack([self.times[place] for place in range(count)])
            t, u = self.inputs.at_slots(SlotTimes(at))
        weighted = a.new_tensor(weights).view(-1, 1, 1)
        field = self.tape.weighted_gradients(z, a * -self.lengths[intervals], t, u, weighted)
        if field.times is not None:
            self.a_t += field.times.sum(0)
        by_control: list[Tensor | None] = [None] * len(self.control_leaves)
        if at is not None and field.controls is not None:
            by_time, by_control = self.inputs.control_gradients(at, None, field.controls, self.control_leaves)
            self.a_t += by_time.sum(0).to(self.a_t.dtype)
        for total, found in zip(self.a_theta, [*field.parameters, *field.args, *by_control], strict=True):
            if found is not None:
                total += found

    def _reserved(self, n_slots: int) -> StageBuffer:
        """Return the one buffer, with room for so many slots."""
        self.buffer.reserve(n_slots)
        return self.buffer

    def _cross(self, k: int, a: Tensor) -> None:
        """Cross the borders at which an interval begins.

        A border that moves takes the end of one segment and the beginning of the next with it. Along a segment
        a_t = -a f, so that a_t jumps where the field does.
        """
        here, s, z = self.border[k], self.bounds[k], self.states[k]
        after = torch.where(here, s.round(), 0.0).long().clamp_(max=self.segments.count - 1)
        before = (after - 1).clamp_min(0)
        one, zero = torch.ones_like(s), torch.zeros_like(s)
        h_after = (a * self._slope(after, zero, z, 1)).sum(-1, keepdim=True) * here
        h_before = (a * self._slope(before, one, z, -1)).sum(-1, keepdim=True) * here
        self._add(after[None], -h_after[None].to(s.dtype), zero[None])
        self._add(before[None], h_before[None].to(s.dtype), h_before[None].to(s.dtype))
        self.a_t += h_after - h_before

    def _add(self, segment: Tensor, start: Tensor, span: Tensor) -> None:
        """Add to the gradients of the segments, from (any, series, 1)."""
        self.g_start.scatter_add_(0, segment, start)
        self.g_span.scatter_add_(0, segment, span)

    def _on_segment(self, s: Tensor, to: Tensor) -> tuple[Tensor, Tensor]:
        """Return the segment of an interval and the place of ``s`` on it; a border ends its segment."""
        middle = 0.5 * (s + to)
        segment = (middle.ceil() - 1).clamp_(0, self.segments.count - 1).long()
        return segment, s - segment

    def _of_segment(self, each: Tensor, segment: Tensor) -> Tensor:
        """Pick from (segment, series, 1) by the segment, (series, 1) or (interval, series, 1)."""
        return each[0] if len(each) == 1 else each.gather(0, segment.view(-1, *each.shape[1:])).view_as(segment)

    def _time_at(self, k: int, place: float, side: int) -> Tensor:
        return self._time(self.segment[k], self.inside[k] + place * self.along[k], side)

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

    @cached_property
    def _at_borders(self) -> Tape:
        """A tape of one slot, beside that of the stages."""
        tape = self.setup.tape(self.leaves, torch.empty_like(self.a), record=False)
        tape.reserve(1)
        return tape

    def _slope(self, segment: Tensor, inside: Tensor, z: Tensor, side: int) -> Tensor:
        slope = torch.empty_like(z)
        self._at_borders.evaluate(0, *self.inputs.at(self._time(segment, inside, side), None), z.contiguous(), slope)
        return slope

    def _controller(self) -> Controller:
        """Return what chooses the steps: those of a fixed grid are shared among the intervals, at least one each."""
        chosen = self.setup.controller
        if isinstance(chosen, AdaptiveSteps):
            return replace(chosen, weights=AdaptiveSteps.PI)
        shares = (-self.along).amax(1).flatten() / self.segments.count
        return SharedSteps.among(shares, self.n_steps)

    def _named(self, failure: StepFailure, k: int) -> SolveError:
        """Return a failure on an interval with the series and their times."""
        n, points = len(self.z), {}
        for row, point in failure.rows.items():
            time = float(self._time_at(k, point.clock - k, 0)[row % n])
            points[row % n] = FailurePoint(point.clock, time, time)
        return StepFailure(failure.cause, failure.advice, points).as_error(n, " (in the backward solve)")
