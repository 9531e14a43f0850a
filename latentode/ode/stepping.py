"""The stepping loop: all rows go over the clock together, one step for the whole batch.

Every row runs on a clock of its own (see :class:`Route`), so that all of them start and end together, and a step is
one Python float.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NoReturn, Protocol

import torch
from torch import Tensor

from latentode.ode.control import Controller, FixedSteps, error_norm
from latentode.ode.errors import Stuck, Whereabouts
from latentode.ode.ledger import Ledger
from latentode.ode.methods import Method
from latentode.ode.path import Path
from latentode.ode.route import Moment, Route

__all__ = ["Course", "March", "Stages", "Tolerance", "combine"]

Evaluate = Callable[[int, Moment, Tensor], Tensor]
Norm = Callable[[Tensor, Tensor], Tensor]


@dataclass(frozen=True)
class Tolerance:
    """What an adaptive solve may get wrong in a step, and when it gives up."""

    rtol: float
    atol: float
    max_steps: int
    min_step: float

    def scale(self, z: Tensor, z_end: Tensor) -> Tensor:
        """What is tolerated in a step between these states, shaped like them."""
        return torch.maximum(z.abs(), z_end.abs()).mul_(self.rtol).add_(self.atol)


class Stages(Protocol):
    """Solve the stages of an implicit method: ``y = base + diagonal * step * f(y)``."""

    evaluations: int

    def begin(self, moment: Moment, z: Tensor, step: Tensor) -> None:
        """Prepare a step from ``z``."""

    def solve(self, slot: int, moment: Moment, base: Tensor, guess: Tensor) -> tuple[Tensor, Tensor]:
        """Return the state and the slope of a stage, and enter them in the ledger."""

    def keep_slope(self, slot: int, slope: Tensor) -> Tensor:
        """Enter the last stage's slope as that of the end, which it is, and return it."""


@dataclass
class Course:
    """What does not change along a solve.

    Parameters
    ----------
    evaluate : callable
        ``evaluate(slot, moment, z)`` returns the slope f(t, z) and enters it in the ledger.
    route, method, tolerance
        Where to, how, and when to give up.
    end_slope : bool
        Whether the slope at the very end is wanted.
    norm : callable
        From an error and its scale to what the controller judges, one number per row.
    implicit : Stages, optional
        For methods whose stages are equations.
    """

    evaluate: Evaluate
    route: Route
    method: Method
    tolerance: Tolerance
    end_slope: bool = True
    norm: Norm = error_norm
    implicit: Stages | None = None

    def wants_end(self, adaptive: bool) -> bool:
        """Whether the slope at the very end is needed."""
        return self.end_slope or (adaptive and self.method.tableau.error[-1] != 0.0)

    def stages(
        self, n: int, piece: int, s: float | Tensor, end: float | Tensor, step: Tensor, z: Tensor, slope: Tensor,
        slot: int, outs: Sequence[Tensor | None],
    ) -> tuple[Tensor, list[Tensor], int]:  # fmt: skip
        """Take one step, its first slope being known; return its end, its slopes, and the evaluations made."""
        h, tableau, slopes, implicit, y = end - s, self.method.tableau, [slope], self.implicit, z
        m = tableau.stages
        before = 0
        if implicit is not None:
            before = implicit.evaluations
            implicit.begin(Moment(n, 0.0, piece, s), z, step)
        for j in range(1, m):
            place = tableau.c[j]
            moment = Moment(n, place, piece, end if place == 1.0 else s + place * h)
            y = combine(z, slopes, tableau.a[j], step, None if implicit else outs[j])
            if implicit is None:
                slopes.append(self.evaluate(slot + j, moment, y))
            else:
                y, k = implicit.solve(slot + j, moment, y, z)
                slopes.append(k)
        if implicit is None:
            return combine(z, slopes, tableau.b, step, outs[m]), slopes, m - 1
        end = y if (out := outs[m]) is None else out.copy_(y)  # stiffly accurate: the last stage is the end
        return end, slopes, implicit.evaluations - before

    @torch.no_grad()
    def error(self, z: Tensor, z_end: Tensor, slopes: Sequence[Tensor], step: Tensor) -> Tensor:
        """Error of a step per row, in units of what is tolerated."""
        error = combine(torch.zeros_like(z), slopes, self.method.tableau.error, step, None)
        return self.norm(error, self.tolerance.scale(z, z_end))

    @torch.no_grad()
    def first_step(self, z: Tensor, slope: Tensor, span: Tensor) -> Tensor:
        """Guess a first step per row, (row,), from the state's size and slope.

        The first half of the algorithm of Hairer, Nørsett & Wanner (1993), section II.4.
        """
        scale = z.abs().mul(self.tolerance.rtol).add_(self.tolerance.atol)
        size, speed = error_norm(z, scale), error_norm(slope * span, scale)
        guess = (0.01 * size / speed).nan_to_num_(1.0, 1.0, 1.0).clamp_(1e-6, 1.0)
        return guess.mul_(2.0**self.method.order).clamp_(max=1.0)


class March:
    """One pass over the clock, which may pause: ``advance`` takes so many steps, and the next call goes on.

    Parameters
    ----------
    course : Course
        How.
    controller : Controller
        By which steps.
    z0 : Tensor
        (row, latent)
    clock, begun : float, int
        Where on the clock ``z0`` is, and how many steps were taken to get there.
    """

    def __init__(self, course: Course, controller: Controller, z0: Tensor, clock: float = 0.0, begun: int = 0) -> None:
        self.course, self.controller = course, controller
        self.z, self.s, self.piece, self.begun = z0, clock, int(clock), begun
        self.slope: Tensor | None = None
        self.spans = course.route.span.to(z0.dtype).unbind(0)
        self.rejected = 0

    @property
    def done(self) -> bool:
        """Whether the end of the route is reached."""
        return self.s >= self.course.route.n_pieces

    def advance(
        self, ledger: Ledger | None, most: int | None = None, reserve: Callable[[int], None] | None = None
    ) -> Path:
        """Take the steps to the end, or ``most`` of them.

        Parameters
        ----------
        ledger : Ledger, optional
            Where to write.
        most : int, optional
            How many steps to take.
        reserve : callable
            Called with a number of slots before any beyond the ledger's is used.

        Raises
        ------
        Stuck
            If an adaptive step cannot be made small enough, or there are too many.
        """
        course, controller = self.course, self.controller
        m, last_piece = course.method.tableau.stages, course.route.n_pieces - 1
        whole = isinstance(controller, FixedSteps) and most is None and self.begun == 0
        path = Path(m, [self.s], self.begun, uniform=whole, adaptive=controller.adaptive)
        base = self._enter(0, path, ledger)
        while not self.done and (most is None or path.n_steps < most):
            if ledger and reserve and base + m + course.route.jumps >= len(ledger.states):
                reserve(2 * (base + m + 1))
            outs = ledger.outs(base, m + 1) if ledger else [None] * (m + 1)
            end = controller.next_node(self.s, self.begun, self.piece + 1.0)
            h = end - self.s
            step = controller.scaled(self.spans[self.piece], h)
            z_end, slopes, evaluations = course.stages(
                self.begun, self.piece, self.s, end, step, self.z, self._known_slope(), base, outs
            )
            path.evaluations += evaluations
            crossing = end >= self.piece + 1.0
            if not (crossing and self.piece == last_piece) or course.wants_end(controller.adaptive):
                slope = course.evaluate(base + m, Moment(self.begun + 1, 0.0, self.piece, end), z_end)
                slopes.append(slope if course.implicit is None else course.implicit.keep_slope(base + m, slopes[-1]))
                path.evaluations += 1
            if controller.adaptive and not self._judge(path, z_end, slopes, step, h):
                continue
            if ledger:
                ledger.states[base + m] = z_end
            path.accept(self.piece, end, step, base, len(slopes) > m)
            self.z, self.s, self.slope, base = z_end, end, slopes[-1], base + m
            self.begun += 1
            if crossing and self.piece < last_piece:
                base = self._cross(base, path, ledger)
        return path

    def _clock(self) -> float | Tensor:
        """Where on the clock the rows are."""
        return self.s

    def _known_slope(self) -> Tensor:
        if self.slope is None:
            raise RuntimeError("a step begins with a slope")
        return self.slope

    def _enter(self, slot: int, path: Path, ledger: Ledger | None) -> int:
        """Write the state the next step begins from, with its slope; return its slot."""
        if ledger:
            self.z = ledger.enter(slot, self.z)
        if self.slope is not None and ledger:
            self.slope = ledger.write_slope(slot, self.slope)
        elif self.slope is None:
            self.slope = self.course.evaluate(slot, Moment(self.begun, 0.0, self.piece, self._clock()), self.z)
            path.evaluations += 1
            self._restart()
        return slot

    def _cross(self, base: int, path: Path, ledger: Ledger | None) -> int:
        """Enter the next piece: after a jump of the field in a new slot, with a slope of its own."""
        self.piece += 1
        if self.course.route.jumps:
            self.slope = None
            return self._enter(base + 1, path, ledger)
        self._restart()
        return base

    def _restart(self) -> None:
        """Choose a first step for a new piece."""
        if self.controller.adaptive:
            self._begin_steps(self.course.first_step(self.z, self._known_slope(), self.spans[self.piece]))

    def _begin_steps(self, guess: Tensor) -> None:
        self.controller.start(float(guess.amin()) if guess.numel() else 1.0)

    def _judge(self, path: Path, z_end: Tensor, slopes: Sequence[Tensor], step: Tensor, h: float) -> bool:
        """Whether the step counts; give up once steps are too small or too many."""
        error, tolerance = self.course.error(self.z, z_end, slopes, step), self.course.tolerance
        worst = float(error.amax()) if error.numel() else 0.0
        accepted = self.controller.judge(h, worst)
        self.rejected += not accepted
        path.rejected += not accepted
        too_small = h < tolerance.min_step and not accepted
        if too_small or self.begun + self.rejected + 1 > tolerance.max_steps:
            finite = worst < float("inf")
            self._give_up(error >= 0.999 * worst if finite else ~torch.isfinite(error), finite, too_small)
        return accepted

    def _give_up(self, blamed: Tensor, finite: bool, too_small: bool) -> NoReturn:
        rows = self._whereabouts(blamed)
        if not finite:
            raise Stuck.on_nothing(rows)
        if too_small:
            raise Stuck.at_least(self.course.tolerance.min_step, rows)
        raise Stuck.at_limit(self.course.tolerance.max_steps, rows)

    def _whereabouts(self, blamed: Tensor) -> dict[int, Whereabouts]:
        """The clock and the time of the rows to blame; a route of one row serves all, as in a backward solve."""
        time = self.course.route.time(Moment(self.begun, 0.0, self.piece, self.s))
        times = time.expand(len(blamed), -1).flatten().tolist()
        return {row: Whereabouts(self.s, times[row], times[row]) for row in blamed.nonzero().flatten().tolist()}


def combine(z: Tensor, slopes: Sequence[Tensor], weights: Sequence[float], step: Tensor, out: Tensor | None) -> Tensor:
    """Return ``z + step * sum_j weights_j slopes_j``, to ``out`` where there is one."""
    total = z
    for slope, weight in zip(slopes, weights, strict=False):
        if weight:
            total = torch.addcmul(total, slope, step, value=weight, out=out)
    return total if out is None or total is not z else out.copy_(z)
