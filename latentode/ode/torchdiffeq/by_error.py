"""Recorded steps that are chosen by their error, with a norm, tolerances and step control of the caller's own."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any, NoReturn

import torch
from torch import Tensor

from latentode.ode.failures import SolveError
from latentode.ode.loop import combine
from latentode.ode.methods.runge_kutta import Method
from latentode.ode.step_size import AdaptiveSteps
from latentode.ode.torchdiffeq.collocation import full_matrix
from latentode.ode.torchdiffeq.stages import explicit_stages, implicit_stages, step_end
from latentode.ode.torchdiffeq.stepping import Step, SteppedState

__all__ = ["ErrorSteps", "default_norm"]

STAGE_ITERATIONS = 20

Norm = Callable[[Any], Tensor | float]
Tolerance = float | Tensor


def default_norm(state: Tensor | tuple[Tensor, ...]) -> Tensor:
    """Return the root mean square of a state; of a tuple, the largest of its parts'.

    Examples
    --------
    >>> default_norm((torch.tensor([3.0, 4.0]), torch.ones(())))
    tensor(3.5355)
    """
    parts = state if isinstance(state, tuple) else (state,)
    return torch.stack([part.abs().square().mean().sqrt() for part in parts if part.numel()]).amax()


class ErrorSteps:
    """The steps of one solve.

    Parameters
    ----------
    state : SteppedState
        What is stepped.
    method : Method
        With an estimate of its error.
    rtol, atol : float or Tensor
        For the whole state, or for each of its numbers, (latent,).
    options : mapping
        Those of torchdiffeq: norm, first_step, min_step, max_step, safety, ifactor, dfactor, step_t, jump_t.
    end : Tensor, optional
        Where to stop; without it the steps never end.
    limit : int
        Of steps, with rejected ones.
    """

    def __init__(
        self, state: SteppedState, method: Method, rtol: Tolerance, atol: Tolerance, options: Mapping[str, Any],
        end: Tensor | None, limit: int,
    ) -> None:  # fmt: skip
        self.state, self.method, self.rtol, self.atol = state, method, rtol, atol
        self.own_norm: Norm = options.get("norm", default_norm)
        self.shortest = float(options.get("min_step", 0.0))
        self.longest = float(options.get("max_step", float("inf")))
        self.limit = limit
        self.first = options.get("first_step")
        self.jumps = set(self._clocks(options.get("jump_t", ())))
        ends = () if end is None else self._clocks(end.detach())
        self.stops = sorted({*self.jumps, *self._clocks(options.get("step_t", ())), *ends})
        self.control = AdaptiveSteps(
            method.tableau.error_order, AdaptiveSteps.I, safety=float(options.get("safety", 0.9)),
            shrink=float(options.get("dfactor", 0.2)), grow=float(options.get("ifactor", 10.0)),
        )  # fmt: skip
        self.taken = 0

    def __iter__(self) -> Iterator[Step]:
        """Yield every step that is accepted."""
        state, clock = self.state, self._clocks(self.state.begin.detach())[0]
        begin, y = state.begin, state.y0
        slope = state.slope(begin, y, 1 if clock in self.jumps else 0)
        self.control.start(self._first_step(begin, y, slope) if self.first is None else float(self.first))
        while True:
            stop = next((s for s in self.stops if s > clock), float("inf"))
            length = self.control.next_node(0.0, 0, stop - clock)
            length = min(max(length, self.shortest), self.longest, stop - clock)
            reached = stop if length == stop - clock else clock + length
            if reached <= clock or self.taken >= self.limit:
                self._give_up(clock, y)
            end = self._time(reached)
            y = state.before_step(begin, y, end.detach() - begin.detach())
            slopes, y_end, accepted = self._try(begin, end, y, slope, length, -1 if reached in self.jumps else 0)
            self.taken += 1
            with torch.no_grad():
                state.call(
                    "callback_accept_step" if accepted else "callback_reject_step", begin, y,
                    end.detach() - begin.detach(),
                )  # fmt: skip
            if not accepted:
                continue
            yield Step(begin, end, self._dense(begin, end, y, y_end, slopes))
            slope = state.slope(end, y_end, 1) if reached in self.jumps else slopes[-1]
            begin, clock, y = end, reached, y_end

    def _try(
        self, begin: Tensor, end: Tensor, y: Tensor, slope: Tensor, length: float, side: int
    ) -> tuple[list[Tensor], Tensor, bool]:
        """Take a step; return the slopes of its stages and at its end, its end, and whether it is accepted."""
        tableau, step = self.method.tableau, (end - begin).to(y.dtype)
        sides = [side if c == 1.0 else 0 for c in tableau.c]
        if self.method.implicit:
            full = full_matrix(tableau)
            slopes = implicit_stages(self.state, full, begin, end, y, slope, sides, STAGE_ITERATIONS)
        else:
            slopes = explicit_stages(self.state, tableau, begin, end, y, slope, sides)
        y_end = step_end(y, slopes, tableau.b, step)
        # The last stage of an implicit method is the end of the step.
        slopes.append(slopes[-1] if self.method.implicit else self.state.slope(end, y_end, side))
        with torch.no_grad():
            error = combine(torch.zeros_like(y), slopes, tableau.error, step, None)
            ratio = self.norm(error / (self.atol + self.rtol * torch.maximum(y.abs(), y_end.abs())))
        accepted = self.control.judge(length, ratio)
        return slopes, y_end, accepted or (length <= self.shortest and ratio < float("inf"))

    def _dense(
        self, begin: Tensor, end: Tensor, y: Tensor, y_end: Tensor, slopes: list[Tensor]
    ) -> Callable[[Tensor], Tensor]:
        weights = self.method.dense_weights(y)

        def at(t: Tensor) -> Tensor:
            if t.item() == end.item() and not t.requires_grad:
                return y_end
            theta, step = ((t - begin) / (end - begin)).to(y.dtype), (end - begin).to(y.dtype)
            powers = torch.stack([theta**p for p in range(1, weights.shape[1] + 1)])
            return y + step * ((weights @ powers) @ torch.stack(slopes[: len(weights)]))

        return at

    def norm(self, ratio: Tensor) -> float:
        """Return the size of a flat state."""
        return abs(float(self.own_norm(self.state.shaped(ratio))))

    @torch.no_grad()
    def _first_step(self, begin: Tensor, y: Tensor, slope: Tensor) -> float:
        """Guess a first step from the sizes of state, slope and second derivative (HNW, section II.4)."""
        scale = self.atol + self.rtol * y.abs()
        size, speed = self.norm(y / scale), self.norm(slope / scale)
        guess = 1e-6 if min(size, speed) < 1e-5 else 0.01 * size / speed
        step = self.state.sign * guess
        further = self.state.slope(begin + step, y + step * slope)
        bend = self.norm((further - slope) / scale) / guess
        if max(speed, bend) <= 1e-15:
            return max(1e-6, 1e-3 * guess)
        return min(100 * guess, float((0.01 / max(speed, bend)) ** (1.0 / self.method.order)))

    def _clocks(self, times: Any) -> list[float]:
        """Return times as numbers that rise along the solve, in the dtype of the times."""
        begin = self.state.begin
        given = torch.as_tensor(times, dtype=begin.dtype, device=begin.device)  # numbers keep all their digits
        return [self.state.sign * t for t in given.flatten().tolist()]

    def _time(self, clock: float) -> Tensor:
        """Return a time that moves with the first one."""
        begin = self.state.begin
        return torch.full_like(begin.detach(), self.state.sign * clock) + (begin - begin.detach())

    def _give_up(self, clock: float, y: Tensor) -> NoReturn:
        time = self.state.sign * clock
        if self.taken >= self.limit:
            raise SolveError(
                f"the solve needs more steps than its limit of {self.limit}", [0], [time],
                "Raise options['max_num_steps'], or the tolerances.",
            )  # fmt: skip
        cause = "the step is lost in rounding" if bool(torch.isfinite(y).all()) else "the state is not finite"
        raise SolveError(
            cause, [0], [time], "Check the field there, raise the tolerances, or give options['min_step']."
        )
