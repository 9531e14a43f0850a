"""Independent steps: every row chooses its own, for batches in which different series are hard at different times.

All rows are still evaluated together. A row whose step was rejected, or which has reached the end of a segment, waits:
it takes a step of length zero, which changes neither its state nor any gradient.
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from latentode.ode.loop import IntegrationLoop
from latentode.ode.step_size import AdaptiveSteps
from latentode.ode.steps import AcceptedSteps

__all__ = ["IndependentLoop"]


class IndependentLoop(IntegrationLoop):
    """A pass in which every row has its own clock value, (row, 1); see :class:`IntegrationLoop`."""

    controller: AdaptiveSteps
    clock: Tensor

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.clock = torch.full_like(self.segments.start[0], float(self.clock))

    def _step(self, steps: AcceptedSteps, base: int) -> int:
        """Try one step of every row; the rows that are rejected wait, unless all are: then nothing is kept."""
        m, border, s = self.method.tableau.stages, self.segment + 1.0, self.clock
        # A row that has reached the border gets a step of length zero, until the last row is there.
        end = self.controller.next_node(s, self.taken, border)
        h = end - s
        step = self.spans[self.segment] * h.to(self.z.dtype)
        z_end, slopes = self._stages(base, end, step)
        slopes.append(self._end_slope(base + m, end, z_end, slopes))
        accepted, all_accepted, usable = self._judge_rows(z_end, slopes, step, h)
        if not usable:
            return base
        if not all_accepted:
            step, end = torch.where(accepted, step, 0.0), torch.where(accepted, end, s)
            z_end = self.buffer.keep_state(base + m, torch.where(accepted, z_end, self.z))
            slope = torch.where(accepted, slopes[-1], self.slope)
            # Evaluated again, because the tape must record the states that are kept: a row that waits keeps its own.
            self._end_slope(base + m, end, z_end, slopes)
            slopes[-1] = self.buffer.keep_slope(base + m, slope)
        self._accept(steps, base, end, step, z_end, slopes)
        if not bool((end >= border).all()):
            return base + m
        self.done = self.segment == self.last_segment
        return base + m if self.done else self._cross(base + m)

    def _start(self, adaptive: AdaptiveSteps, guess: Tensor) -> None:
        adaptive.start(guess.to(self.clock.dtype).unsqueeze(1))

    @torch.no_grad()
    def _judge_rows(
        self, z_end: Tensor, slopes: Sequence[Tensor], step: Tensor, h: Tensor
    ) -> tuple[Tensor, bool, bool]:
        """Judge every row, and choose its next step.

        Returns which rows are accepted, (row, 1); whether all are; and whether some row advances while what was
        computed for the others is finite, so that it may be kept.
        """
        control = self.controller
        error = self._error(control, z_end, slopes, step).to(h.dtype).unsqueeze(1)
        accepted, broken = control.judge(h, error), ~torch.isfinite(error)
        too_small = ~accepted & (h < control.min_step)
        flags = [accepted.all(), (accepted & (h > 0)).any() & ~broken.any(), too_small.any()]
        all_accepted, usable, failed = torch.stack(flags).tolist()  # one transfer from the device, not three
        self.rejected += not all_accepted
        if failed or self.taken + self.rejected + 1 > control.max_steps:
            rows = too_small if failed else control.smallest(h)
            self._give_up(control, rows.flatten(), finite=not bool((rows & broken).any()), too_small=failed)
        return accepted, all_accepted, usable
