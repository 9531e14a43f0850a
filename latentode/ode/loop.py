"""The integration loop: all rows step over the clock together, one step for the whole batch.

Every row has a clock of its own (see :mod:`latentode.ode.steps`), so that all rows begin and end together, and a step
is one Python float.
"""

from collections.abc import Callable, Sequence
from typing import Any, NoReturn, Protocol

import torch
from torch import Tensor

from latentode.ode.failures import FailurePoint, StepFailure
from latentode.ode.methods import Method
from latentode.ode.step_size import AdaptiveSteps, Controller, FixedSteps, error_norm
from latentode.ode.steps import AcceptedSteps, Segments, StageBuffer, StageTime

__all__ = ["Evaluate", "IntegrationLoop", "StageEquations", "combine"]

Evaluate = Callable[[Any, int, StageTime, Tensor], Tensor]  # of a buffer, slot, time and state: the slope


class StageEquations(Protocol):
    """Solve the stages of an implicit method: ``y = base + diagonal * step * f(y)``."""

    evaluations: int

    def begin(self, when: StageTime, z: Tensor, step: Tensor) -> None:
        """Prepare a step from ``z``."""

    def solve(
        self, buffer: StageBuffer, slot: int, when: StageTime, base: Tensor, guess: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Return the state and the slope of a stage, and keep both in the buffer."""


class IntegrationLoop:
    """One pass over the clock, which may pause: ``advance`` takes some steps, and the next call continues from there.

    Parameters
    ----------
    method, segments, controller
        The Runge-Kutta method, the segments of time, and what chooses the steps.
    z0 : Tensor
        (row, latent)
    evaluate : callable
        ``evaluate(buffer, slot, when, z)`` returns the slope f(t, z) and keeps it in the buffer.
    new_buffer : callable
        Makes a :class:`StageBuffer` of a number of slots.
    implicit : StageEquations, optional
        Solves the stages, if they are equations.
    end_slope : bool, optional
        Whether the slope at the very end is wanted; as the method's interpolant needs it when None.
    clock, taken : float, int
        The clock of ``z0``, and the number of steps taken to get there.
    """

    restarts = False  # whether a segment has nothing to do with the end of the one before

    def __init__(
        self, method: Method, segments: Segments, controller: Controller, z0: Tensor, evaluate: Evaluate, *,
        new_buffer: Callable[[int], StageBuffer], implicit: StageEquations | None = None,
        end_slope: bool | None = None, clock: float = 0.0, taken: int = 0,
    ) -> None:  # fmt: skip
        self.method, self.segments, self.controller, self.evaluate = method, segments, controller, evaluate
        self.new_buffer, self.implicit = new_buffer, implicit
        self.adaptive = controller if isinstance(controller, AdaptiveSteps) else None
        self.end_slope = method.uses_end_slope if end_slope is None else end_slope
        self.needs_last_slope = self.end_slope or (self.adaptive is not None and method.tableau.error[-1] != 0.0)
        self.buffer: StageBuffer  # of the steps of a call of advance
        self.spans = segments.span.to(z0.dtype).unbind(0)
        self.z, self.slope = z0, z0  # the slope is not known yet
        self.slope_known = self.done = False
        self.clock: Any = clock
        self.segment, self.last_segment, self.taken = int(clock), segments.count - 1, taken
        self.evaluations = self.rejected = 0

    def advance(self, n_steps: int | None = None) -> AcceptedSteps:
        """Take ``n_steps`` steps, or all steps to the end.

        Raises
        ------
        StepFailure
            If an adaptive step cannot be made small enough, or too many are needed.
        """
        m, controller = self.method.tableau.stages, self.controller
        expected = n_steps or (controller.n_steps if isinstance(controller, FixedSteps) else 8)
        self.buffer = self.new_buffer(expected * m + 1)
        evaluations, rejected = self.evaluations, self.rejected
        base = self._enter(0)
        uniform = isinstance(controller, FixedSteps) and n_steps is None and self.taken == 0
        steps = AcceptedSteps(
            self.method, self.segments, [self.clock], self.taken, uniform=uniform, adaptive=self.adaptive is not None
        )
        while not self.done and (n_steps is None or steps.n_steps < n_steps):
            # Doubled, because the number of adaptive steps is not known beforehand and the slots in use are copied each
            # time.
            if base + m + self.segments.jumps >= len(self.buffer.states):
                self.buffer.reserve(2 * (base + m + 1))
            base = self._step(steps, base)
        if not self.end_slope:
            steps.drop_last_slope()
        steps.evaluations, steps.rejected = self.evaluations - evaluations, self.rejected - rejected
        return steps

    def nodes_and_slopes(self, steps: AcceptedSteps) -> tuple[Tensor, Tensor]:
        """Return the nodes (step + 1, row, latent) and the slopes (slot, row, latent) of the steps just taken."""
        return self.buffer.nodes_and_slopes(steps)

    def stages(self, steps: AcceptedSteps) -> tuple[Tensor, Tensor]:
        """Return the states and slopes of all slots, (slot, row, latent) each, of the steps just taken."""
        return self.buffer.stages(steps)

    def _step(self, steps: AcceptedSteps, base: int) -> int:
        """Try one step, whose stages are kept from slot ``base`` on; return the slot in which the next one begins."""
        m = self.method.tableau.stages
        end = self.controller.next_node(self.clock, self.taken, self.segment + 1.0)
        h = end - self.clock
        step = self.controller.scaled(self.spans[self.segment], h)
        z_end, slopes = self._stages(base, end, step)
        crossing = end >= self.segment + 1.0
        last = crossing and self.segment == self.last_segment
        # The slope at the end of a step is the first slope of the next: only that of the very last step can be spared.
        spared = last or (crossing and self.restarts)
        if not spared or self.needs_last_slope:
            slopes.append(self._end_slope(base + m, end, z_end, slopes))
        if self.adaptive is not None and not self._judge(self.adaptive, z_end, slopes, step, h):
            return base
        self._accept(steps, base, end, step, z_end, slopes)
        if last:
            self.done = True
        return self._cross(base + m) if crossing and not last else base + m

    def _accept(
        self, steps: AcceptedSteps, base: int, end: Any, step: Tensor, z_end: Tensor, slopes: list[Tensor]
    ) -> None:
        m = self.method.tableau.stages
        self.buffer.states[base + m] = z_end
        steps.accept(self.segment, end, step, base, len(slopes) > m)
        self.z, self.clock, self.slope = z_end, end, slopes[-1]
        self.taken += 1

    def _stages(self, base: int, end: Any, step: Tensor) -> tuple[Tensor, list[Tensor]]:
        """Take one step from the present state and slope; return its end and the slopes of its stages."""
        s, z, buffer, tableau, slopes = self.clock, self.z, self.buffer, self.method.tableau, [self.slope]
        m, h = tableau.stages, end - s
        outs = buffer.states_from(base, m + 1)
        # A stage at the end of the step gets the end itself: s + h can miss it by a rounding, and so the side of a
        # jump.
        whens = [StageTime(self.taken, c, self.segment, end if c == 1.0 else s + c * h) for c in tableau.c[1:]]
        if self.implicit is not None:
            return self._implicit_stages(self.implicit, buffer, base, whens, step, outs[m])
        for j, when in enumerate(whens, 1):
            y = combine(z, slopes, tableau.a[j], step, outs[j])
            slopes.append(self.evaluate(buffer, base + j, when, y))
        self.evaluations += m - 1
        return combine(z, slopes, tableau.b, step, outs[m]), slopes

    def _implicit_stages(
        self, implicit: StageEquations, buffer: StageBuffer, base: int, whens: Sequence[StageTime], step: Tensor,
        out: Tensor | None,
    ) -> tuple[Tensor, list[Tensor]]:  # fmt: skip
        """Solve the stages of one step; the last one is its end, for all implicit methods are stiffly accurate."""
        before, slopes, y = implicit.evaluations, [self.slope], self.z
        implicit.begin(StageTime(self.taken, 0.0, self.segment, self.clock), self.z, step)
        for j, when in enumerate(whens, 1):
            known = combine(self.z, slopes, self.method.tableau.a[j], step, None)
            y, slope = implicit.solve(buffer, base + j, when, known, self.z)
            slopes.append(slope)
        self.evaluations += implicit.evaluations - before
        return (y if out is None else out.copy_(y)), slopes

    def _end_slope(self, slot: int, end: Any, z_end: Tensor, slopes: Sequence[Tensor]) -> Tensor:
        """Return the slope at the end of a step, which is the first slope of the next one."""
        slope = self.evaluate(self.buffer, slot, StageTime(self.taken + 1, 0.0, self.segment, end), z_end)
        self.evaluations += 1
        if self.implicit is None:
            return slope
        # The last stage is the end. Its slope follows from its own equation; evaluated anew, the slope of a stiff field
        # would magnify what error is left in the state.
        return self.buffer.keep_slope(slot, slopes[-1])

    def _enter(self, slot: int) -> int:
        """Keep the state from which the next step begins, and its slope, in ``slot``; return the slot."""
        self.z = self.buffer.keep_state(slot, self.z)
        if not self.slope_known:
            self.slope = self.evaluate(self.buffer, slot, StageTime(self.taken, 0.0, self.segment, self.clock), self.z)
            self.slope_known = True
            self.evaluations += 1
            self._restart()
        else:
            self.slope = self.buffer.keep_slope(slot, self.slope)
        return slot

    def _cross(self, base: int) -> int:
        """Enter the next segment; where the field jumps, in a new slot, because the state has another slope there."""
        self.segment += 1
        if self.segments.jumps:
            self.slope_known = False
            return self._enter(base + 1)
        self._restart()
        return base

    def _restart(self) -> None:
        """Choose a first step for a new segment."""
        if self.adaptive is not None:
            guess = self.adaptive.first_step(self.z, self.slope, self.spans[self.segment], self.method.order)
            self._start(self.adaptive, guess)

    def _start(self, adaptive: AdaptiveSteps, guess: Tensor) -> None:
        adaptive.start(float(guess.amin()) if guess.numel() else 1.0)

    def _judge(self, adaptive: AdaptiveSteps, z_end: Tensor, slopes: Sequence[Tensor], step: Tensor, h: float) -> bool:
        """Return whether the step is accepted; give up if steps are too small or too many."""
        error = self._error(adaptive, z_end, slopes, step)
        worst = float(error.amax()) if error.numel() else 0.0
        accepted = adaptive.judge(h, worst)
        self.rejected += not accepted
        too_small = h < adaptive.min_step and not accepted
        if too_small or self.taken + self.rejected + 1 > adaptive.max_steps:
            # Rows that are as bad as the worst, but for rounding, are all named: each of them would have failed alone.
            finite = worst < float("inf")
            self._give_up(adaptive, error >= 0.999 * worst if finite else ~torch.isfinite(error), finite, too_small)
        return accepted

    @torch.no_grad()
    def _error(self, adaptive: AdaptiveSteps, z_end: Tensor, slopes: Sequence[Tensor], step: Tensor) -> Tensor:
        """Return the error of a step per row, in units of the tolerated error."""
        error = combine(torch.zeros_like(self.z), slopes, self.method.tableau.error, step, None)
        return error_norm(error, adaptive.tolerated(self.z, z_end))

    def _give_up(self, adaptive: AdaptiveSteps, failed: Tensor, finite: bool, too_small: bool) -> NoReturn:
        points = self._points(failed)
        if not finite:
            raise StepFailure.field_not_finite(points)
        failure = StepFailure.max_steps_reached(adaptive.max_steps, points)
        if too_small:
            failure = StepFailure.min_step_reached(adaptive.min_step, points)
        if adaptive.rtol < torch.finfo(self.z.dtype).eps:
            failure.advice += f" rtol={adaptive.rtol:g} is below the rounding of {self.z.dtype}."
        raise failure

    def _points(self, failed: Tensor) -> dict[int, FailurePoint]:
        """Return where the failed rows are; segments of one row serve all rows, as in a backward solve."""
        time, n = self.segments.time(StageTime(self.taken, 0.0, self.segment, self.clock)), len(failed)
        times = time.expand(n, -1).flatten().tolist()
        clocks = self.clock.flatten().tolist() if isinstance(self.clock, Tensor) else [self.clock] * n
        return {row: FailurePoint(clocks[row], times[row], times[row]) for row in failed.nonzero().flatten().tolist()}


def combine(z: Tensor, slopes: Sequence[Tensor], weights: Sequence[float], step: Tensor, out: Tensor | None) -> Tensor:
    """Return ``z + step * sum_j weights_j slopes_j``, written to ``out`` if there is one, which must not be ``z``.

    The sum is formed first, in units of its first weight, and added to ``z`` once. Added one by one, every slope would
    round ``z`` anew, and the drift of a long solve would grow with the number of stages.
    """
    used = [(slope, weight) for slope, weight in zip(slopes, weights, strict=False) if weight]
    if not used:
        return z if out is None else out.copy_(z)
    total, unit = used[0]
    for slope, weight in used[1:]:
        total = torch.add(total, slope, alpha=weight / unit, out=out)
    return torch.addcmul(z, total, step, value=unit, out=out)
