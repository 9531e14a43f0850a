"""What is stepped where :func:`latentode.ode.solve` has no such method or option: one flat state, recorded by autograd.

Autograd sees every operation of a step, so gradients are those of the steps, whatever chose them.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import torch
from torch import Tensor

from latentode.ode.failures import SolveError
from latentode.ode.torchdiffeq.callbacks import Callback

__all__ = ["Step", "SteppedState", "answers", "first_change"]

BISECTIONS = 60


class Step(NamedTuple):
    """A step that was taken: its two ends, 0-dimensional, and the state between them."""

    begin: Tensor
    end: Tensor
    at: Callable[[Tensor], Tensor]


@dataclass
class SteppedState:
    """The problem of one series, as the steps see it.

    Parameters
    ----------
    func : callable
        ``func(t, y)`` for a 0-dimensional time and a flat state, (latent,).
    y0 : Tensor
        (latent,)
    begin : Tensor
        The time of ``y0``.
    sign : float
        1 forwards in time, -1 backwards.
    shaped : callable
        From a flat state to one shaped as the caller's.
    callbacks : mapping
        By name.
    """

    func: Callable[[Tensor, Tensor], Tensor]
    y0: Tensor
    begin: Tensor
    sign: float
    shaped: Callable[[Tensor], Any]
    callbacks: Mapping[str, Callback] = field(default_factory=dict)

    def slope(self, t: Tensor, y: Tensor, side: int = 0) -> Tensor:
        """Return the slope; with a ``side`` at the time just before (-1) or after it (1), where the field may jump."""
        t = t.to(y.dtype)
        if side:
            at = t.detach()
            t = t + (torch.nextafter(at, at + side * self.sign) - at)
        return self.func(t, y)

    def before_step(self, t: Tensor, y: Tensor, step: Tensor) -> Tensor:
        """Call back, and return the state, which the callback may have changed in place."""
        if "callback_step" not in self.callbacks:
            return y
        y = y.clone()
        self.call("callback_step", t, y, step)
        return y

    def call(self, name: str, t: Tensor, y: Tensor, step: Tensor) -> None:
        """Call back, if there is a callback of that name."""
        if name in self.callbacks:
            self.callbacks[name](t, self.shaped(y), step.abs())


def answers(steps: Iterator[Step], state: SteppedState, t: Tensor) -> Tensor:
    """Return the states at all times, (time, latent).

    Raises
    ------
    SolveError
        If one of them is not finite.
    """
    found, times = [state.y0], [state.sign * time for time in t.tolist()]
    while len(found) < len(times):
        step = next(steps)
        reached = state.sign * step.end.item()  # float() warns of a tensor that requires a gradient
        while len(found) < len(times) and times[len(found)] <= reached:
            found.append(step.at(t[len(found)]))
    y = torch.stack(found)
    finite = torch.isfinite(y.detach()).all(1).tolist()
    if not all(finite):
        raise SolveError(
            "the state is not finite", [0], [t[finite.index(False)].item()], "Check the field, or take smaller steps."
        )
    return y


@torch.no_grad()
def first_change(steps: Iterator[Step], event: Callable[[Tensor, Tensor], Tensor], limit: int) -> Tensor:
    """Return the time just after which an event, positive at the beginning, is positive no more.

    Raises
    ------
    SolveError
        If that does not happen in ``limit`` steps.
    """
    for _ in range(limit):
        step = next(steps)
        if bool(event(step.end, step.at(step.end)) > 0):
            continue
        low, high = step.begin, step.end
        for _ in range(BISECTIONS):
            middle = 0.5 * (low + high)
            before = bool(event(middle, step.at(middle)) > 0)
            low, high = (middle, high) if before else (low, middle)
        return high
    raise SolveError(
        f"no event was found in {limit} steps", [0], [float(step.end)],
        "Check that event_fn changes its sign, and that reverse_time is as meant, or raise options['max_num_steps'].",
    )  # fmt: skip
