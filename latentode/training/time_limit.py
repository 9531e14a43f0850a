"""The time a fit may take, and how its parts share it."""

import math
import time
from collections.abc import Callable

__all__ = ["FEWEST_STEPS", "TimeLimit"]

FEWEST_STEPS = 100
"""Steps for which a model is worth training: rather fewer models than shorter ones."""

PLANNED = 0.95
"""Fraction of the time left that is planned for: a later step may take longer than those before it."""

SHORTEST = 1e-9
"""Seconds of a step at least: a clock may stand still."""


class TimeLimit:
    """The time a fit may take, counted from now.

    One part after another gets a share of what is left. Time that a part does not use is left to the next.

    Parameters
    ----------
    seconds : float
        From now; infinite for no limit.
    clock : callable, optional
        The time in seconds since any moment.

    Attributes
    ----------
    end : float
        When the fit should have ended, on the clock.
    latest : float
        When the last training must have ended.
    until : float
        When the present part should have ended; it is not after `latest`.
    pace : float
        Seconds that a step of training takes, its part of a validation check included; 0 before any was measured.
    shortened : list of str
        What the limit has shortened, in words. Where this is empty, the limit has changed nothing.

    Examples
    --------
    >>> limit = TimeLimit(60.0, clock=lambda: 0.0)
    >>> limit.reserve(10.0)
    >>> limit.share(1 / 2)
    >>> limit.left
    25.0
    """

    def __init__(self, seconds: float = math.inf, clock: Callable[[], float] | None = None) -> None:
        self.clock = time.perf_counter if clock is None else clock
        self.end = self.latest = self.until = self.clock() + seconds
        self.pace = 0.0
        self.shortened: list[str] = []

    @property
    def left(self) -> float:
        """Seconds left to the present part."""
        return self.until - self.clock()

    @property
    def finite(self) -> bool:
        """Whether there is a limit."""
        return math.isfinite(self.end)

    def reserve(self, seconds: float) -> None:
        """Keep time for what follows the training, in place of what was kept before."""
        self.latest = self.end - seconds
        self.until = min(self.until, self.latest)

    def share(self, part: float) -> None:
        """Give the next part of the fit a fraction of what is left."""
        now = self.clock()
        self.until = now + part * (self.latest - now)

    def measure(self, pace: float, step: int) -> None:
        """Note the pace of a training. It gets time for its fewest steps, and all that is too short for another model.

        Parameters
        ----------
        pace : float
            Seconds a step.
        step : int
            Steps taken by now.
        """
        self.pace = pace
        wanted = self.clock() + max(FEWEST_STEPS - step, 0) * pace / PLANNED
        self.until = min(max(self.until, wanted), self.latest)
        if self.latest - self.until < FEWEST_STEPS * pace:
            self.until = self.latest

    @property
    def steps_left(self) -> float:
        """Steps of training that the present part has time for, at the pace measured; infinite without a limit."""
        return PLANNED * self.left / max(self.pace, SHORTEST)

    @property
    def allows_another(self) -> bool:
        """Whether there is time for the fewest steps of another model."""
        return self.latest - self.clock() >= FEWEST_STEPS * self.pace

    @property
    def over(self) -> bool:
        """Whether the last training must end now."""
        return self.clock() >= self.latest
