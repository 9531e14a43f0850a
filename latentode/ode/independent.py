"""Stepping in which every row chooses its own steps: for batches in which some series are much harder than others.

All rows are still evaluated together. A row whose step is rejected, or which has reached the border of a piece, stands
still meanwhile: it takes a step of no length, which changes neither its state nor any gradient.
"""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from latentode.ode.control import AdaptiveSteps
from latentode.ode.errors import Whereabouts
from latentode.ode.ledger import Ledger
from latentode.ode.path import Path
from latentode.ode.route import Moment
from latentode.ode.stepping import March

__all__ = ["IndependentMarch"]


class IndependentMarch(March):
    """A pass over the clock in which every row has a place of its own on it; see :class:`March`."""

    controller: AdaptiveSteps

    def advance(
        self, ledger: Ledger | None, most: int | None = None, reserve: Callable[[int], None] | None = None
    ) -> Path:
        """Take the steps to the end, or ``most`` of them, each of at least one row."""
        course, m = self.course, self.course.method.tableau.stages
        if self.begun == 0:
            self._place = torch.full_like(course.route.start[0], self.s)
        path = Path(m, [self._place], self.begun, adaptive=True)
        base = self._enter(0, path, ledger)
        while not self.done and (most is None or path.n_steps < most):
            if ledger and reserve and base + m + course.route.jumps >= len(ledger.states):
                reserve(2 * (base + m + 1))
            outs = ledger.outs(base, m + 1) if ledger else [None] * (m + 1)
            z, slope, s, border = self.z, self._known_slope(), self._place, self.piece + 1.0
            end = torch.where(s + 1.01 * self._h >= border, border, s + self._h)
            h = end - s
            step = self.spans[self.piece] * h.to(z.dtype)
            z_end, slopes, evaluations = course.stages(self.begun, self.piece, s, end, step, z, slope, base, outs)
            path.evaluations += evaluations
            slopes.append(self._end_slope(base + m, end, z_end, slopes, path))
            accepted, all_accepted, usable = self._judge_each(z_end, slopes, step, h)
            path.rejected += not all_accepted
            if not usable:
                continue
            if not all_accepted:
                step, end = torch.where(accepted, step, 0.0), torch.where(accepted, end, s)
                z_end = torch.where(accepted, z_end, z)
                z_end = ledger.enter(base + m, z_end) if ledger else z_end
                kept = torch.where(accepted, slopes[-1], slope)
                self._end_slope(base + m, end, z_end, slopes, path)
                slopes[-1] = ledger.write_slope(base + m, kept) if ledger else kept
            if ledger:
                ledger.states[base + m] = z_end
            path.accept(self.piece, end, step, base, True)
            self.z, self._place, self.slope, base = z_end, end, slopes[-1], base + m
            self.begun += 1
            if bool((end >= border).all()):
                self.s = border
                base = base if self.done else self._cross(base, path, ledger)
        return path

    def _end_slope(self, slot: int, end: Tensor, z_end: Tensor, slopes: Sequence[Tensor], path: Path) -> Tensor:
        course = self.course
        slope = course.evaluate(slot, Moment(self.begun + 1, 0.0, self.piece, end), z_end)
        path.evaluations += 1
        return slope if course.implicit is None else course.implicit.keep_slope(slot, slopes[-1])

    def _clock(self) -> Tensor:
        return self._place

    def _begin_steps(self, guess: Tensor) -> None:
        self._h = guess.to(self._place.dtype).unsqueeze(1)
        self._past: tuple[Tensor, ...] = (torch.ones_like(self._h), torch.ones_like(self._h))
        self._rejected = torch.zeros_like(self._h, dtype=torch.bool)

    @torch.no_grad()
    def _judge_each(
        self, z_end: Tensor, slopes: Sequence[Tensor], step: Tensor, h: Tensor
    ) -> tuple[Tensor, bool, bool]:
        """Choose every row's next step, as :class:`AdaptiveSteps` does for all.

        Returns which rows' steps count, (row, 1); whether all do; and whether any of them gets on, while what the
        others computed is finite and may be kept.
        """
        control, q = self.controller, self.controller.error_order
        error = self.course.error(self.z, z_end, slopes, step).to(h.dtype).unsqueeze(1)
        accepted, broken = error <= 1.0, ~torch.isfinite(error)
        errors = (error.clamp_min(1e-10), *self._past)
        factor = control.safety * errors[0] ** (-1.0 / q)
        following = torch.full_like(factor, control.safety)
        for e, weight in zip(errors, control.weights, strict=True):
            following = following * e ** (-weight / q)
        factor = torch.where(accepted, following, factor).clamp_min(control.shrink)
        ceiling = torch.where(accepted & ~self._rejected, control.grow, 1.0).to(h.dtype)
        factor = torch.where(broken, control.shrink, torch.minimum(factor, ceiling))
        moving = h > 0
        self._h = torch.where(moving, h * factor, self._h)
        self._past = tuple(torch.where(accepted, new, old) for new, old in zip(errors, self._past, strict=False))
        self._rejected = ~accepted
        too_small = ~accepted & (h < self.course.tolerance.min_step)
        flags = [accepted.all(), (accepted & moving).any() & ~broken.any(), too_small.any()]
        all_accepted, usable, stuck = torch.stack(flags).tolist()
        self.rejected += not all_accepted
        if stuck or self.begun + self.rejected + 1 > self.course.tolerance.max_steps:
            blamed = too_small if stuck else self._h <= self._h.where(moving, float("inf")).amin()
            self._give_up(blamed.flatten(), finite=not bool((blamed & broken).any()), too_small=stuck)
        return accepted, all_accepted, usable

    def _whereabouts(self, blamed: Tensor) -> dict[int, Whereabouts]:
        times = self.course.route.time(Moment(self.begun, 0.0, self.piece, self._place)).flatten().tolist()
        clocks = self._place.flatten().tolist()
        return {row: Whereabouts(clocks[row], times[row], times[row]) for row in blamed.nonzero().flatten().tolist()}
