"""Step sizes: how long the next step is, and whether the last one is accepted.

The solver steps all series together, so a step size is a Python float: nothing is read from the device. Only with
``independent=True`` is it a tensor, one number per row; one rule serves both.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from math import ceil
from typing import Any, Protocol, overload

import torch
from torch import Tensor

__all__ = ["AdaptiveSteps", "Controller", "FixedSteps", "GivenSteps", "RepeatedSteps", "SharedSteps", "error_norm"]


class Controller(Protocol):
    """Choose the next node, on a clock that runs from 0 to the number of segments."""

    def next_node(self, s: float, n_accepted: int, end: float = 1.0) -> float:
        """Return where the step from ``s`` should end: at the latest at ``end``, the end of the segment."""

    def scaled(self, span: Tensor, h: float) -> Tensor:
        """Return the step in the caller's time, (row, 1)."""


@dataclass
class FixedSteps:
    """Equal steps that are never rejected.

    Parameters
    ----------
    n_steps : int
        Number of steps.

    Examples
    --------
    >>> grid = FixedSteps(4)
    >>> grid.next_node(0.25, 1)
    0.5
    """

    n_steps: int
    _step: tuple[Tensor, Tensor] | None = field(default=None, init=False, repr=False)

    def scaled(self, span: Tensor, h: float) -> Tensor:
        """Return the step in the caller's time: a quotient, so that n steps over a span of n are exactly 1 each."""
        if self._step is None or self._step[0] is not span:
            self._step = (span, span / self.n_steps)
        return self._step[1]

    def next_node(self, s: float, n_accepted: int, end: float = 1.0) -> float:
        """Return the end of the next of the equal steps."""
        return (n_accepted + 1) / self.n_steps


@dataclass
class GivenSteps:
    """Steps between given nodes, never rejected.

    Parameters
    ----------
    nodes : tuple of float
        Rising on the clock, from 0 to 1.

    Examples
    --------
    >>> GivenSteps((0.0, 0.1, 1.0)).next_node(0.1, 1)
    1.0
    """

    nodes: tuple[float, ...]

    def __post_init__(self) -> None:
        """Raise if the nodes do not rise from 0 to 1."""
        rising = all(a < b for a, b in zip(self.nodes[:-1], self.nodes[1:], strict=True))
        if len(self.nodes) < 2 or self.nodes[0] != 0.0 or self.nodes[-1] != 1.0 or not rising:
            raise ValueError("the nodes of a grid must rise from 0 to 1, as fractions of the span")

    def scaled(self, span: Tensor, h: float) -> Tensor:
        """Return the step in the caller's time."""
        return span * h

    def next_node(self, s: float, n_accepted: int, end: float = 1.0) -> float:
        """Return the next of the nodes."""
        return self.nodes[n_accepted + 1]


@dataclass(frozen=True)
class SharedSteps:
    """Equal steps on every segment, never rejected.

    Parameters
    ----------
    n_steps : tuple of int
        Of each segment.

    Examples
    --------
    >>> SharedSteps((1, 4)).next_node(1.25, 2, end=2.0)
    1.5
    """

    n_steps: tuple[int, ...]

    @classmethod
    def among(cls, shares: Tensor, n_steps: int) -> "SharedSteps":
        """Share ``n_steps`` among segments by their ``shares``, (segment,); every segment gets at least one."""
        # A share of exactly n steps may be computed as a little more.
        return cls(tuple(max(1, ceil(n_steps * share - 1e-6)) for share in shares.tolist()))

    def scaled(self, span: Tensor, h: float) -> Tensor:
        """Return the step in the caller's time."""
        return span * h

    def next_node(self, s: float, n_accepted: int, end: float = 1.0) -> float:
        """Return the end of the next of the equal steps of the segment that ends at ``end``."""
        begin, n = end - 1.0, self.n_steps[round(end) - 1]
        number = round((s - begin) * n) + 1
        return end if number == n else begin + number / n


@dataclass
class RepeatedSteps:
    """The steps another controller has taken, taken once more.

    Parameters
    ----------
    nodes : list of float
        The clocks of the nodes, the first of which is where the steps begin.
    taken_before : int
        Number of steps taken before these.
    chosen_by : Controller
        The controller that took them, which scales them as it did then.
    """

    nodes: list[float]
    taken_before: int
    chosen_by: Controller

    def next_node(self, s: float, n_accepted: int, end: float = 1.0) -> float:
        """Return the next of the nodes."""
        return self.nodes[n_accepted - self.taken_before + 1]

    def scaled(self, span: Tensor, h: float) -> Tensor:
        """Return the step in the caller's time, as it was."""
        return self.chosen_by.scaled(span, h)


@dataclass
class AdaptiveSteps:
    r"""Proportional, integral and derivative (PID) control of the step by its error.

    After a step of error :math:`e_n` (1 is the tolerated error) whose estimate vanishes like :math:`h^q`, the next step
    is :math:`h\, \rho\, e_n^{-\beta_1/q} e_{n-1}^{-\beta_2/q} e_{n-2}^{-\beta_3/q}`. The factor is kept between two
    bounds, and the step does not grow right after a rejection.

    Parameters
    ----------
    error_order : int
        The power q.
    weights : tuple of three float
        :math:`\beta_1, \beta_2, \beta_3`. ``(1, 0, 0)`` is the elementary (I) controller, ``(0.7, -0.4, 0)``
        the PI controller of Hairer & Wanner, and ``(1/18, 1/9, 1/18)`` Söderlind's H312 filter.
    rtol, atol : float
        The tolerated error of a step, relative and absolute.
    max_steps, min_step : int, float
        When to give up: the number of steps, accepted and rejected, and the smallest step on the clock.
    safety, shrink, grow : float
        :math:`\rho`, and the least and the greatest factor from one step to the next.

    Examples
    --------
    >>> control = AdaptiveSteps(error_order=5, weights=AdaptiveSteps.I)
    >>> control.start(0.1)
    >>> control.judge(0.1, 32.0), round(control.next_node(0.0, 0), 3)
    (False, 0.045)

    References
    ----------
    Söderlind (2003), Digital filters in adaptive time-stepping, ACM TOMS 29(1).
    Hairer & Wanner (1996), Solving Ordinary Differential Equations II, section IV.2.
    """

    error_order: int
    weights: tuple[float, float, float] = (0.7, -0.4, 0.0)
    rtol: float = 1e-3
    atol: float = 1e-4
    max_steps: int = 10_000
    min_step: float = 1e-6
    safety: float = 0.9
    shrink: float = 0.2
    grow: float = 10.0

    def __post_init__(self) -> None:
        """Raise if there is no tolerated error to choose steps by."""
        for name in ("rtol", "atol"):
            if not 0.0 <= getattr(self, name) < float("inf"):
                raise ValueError(f"{name} must be a finite number of at least 0, not {getattr(self, name)}")
        if self.rtol == self.atol == 0.0:
            raise ValueError("rtol and atol are both 0, and no step has an error of 0: give one of them")
        if self.max_steps < 1:
            raise ValueError(f"the limit of steps must be at least 1, not {self.max_steps}")

    I = (1.0, 0.0, 0.0)  # noqa: E741 - the controller's own name
    PI = (0.7, -0.4, 0.0)
    PID = (1 / 18, 1 / 9, 1 / 18)

    def start(self, guess: float | Tensor) -> None:
        """Begin a segment, with a guess at the first step: one number, or one per row, (row, 1)."""
        one = torch.ones_like(guess) if isinstance(guess, Tensor) else 1.0
        self._h: Any = guess
        self._past: tuple[Any, Any] = (one, one)
        self._may_grow: Any = True

    @overload
    def next_node(self, s: float, n_accepted: int, end: float = 1.0) -> float: ...
    @overload
    def next_node(self, s: Tensor, n_accepted: int, end: float = 1.0) -> Tensor: ...
    def next_node(self, s: Any, n_accepted: int, end: float = 1.0) -> Any:
        """Return where the step ends; a remainder too small for a step of its own is added to this one."""
        return _where(s + 1.01 * self._h >= end, end, s + self._h)

    def scaled(self, span: Tensor, h: float) -> Tensor:
        """Return the step in the caller's time."""
        return span * h

    @overload
    def judge(self, h: float, error: float) -> bool: ...
    @overload
    def judge(self, h: Tensor, error: Tensor) -> Tensor: ...
    def judge(self, h: Any, error: Any) -> Any:
        """Accept a step whose error is at most 1, and choose the next one.

        A row that waits (``h`` is 0) keeps its step; an error that is not finite shrinks it by the most.
        """
        accepted = error <= 1.0
        errors = (_at_least(error, 1e-10), *self._past)
        # A rejected step is repeated by its own error alone: the errors before it say nothing of this one.
        factor = _where(accepted, self._factor(errors, self.weights), self._factor(errors, self.I))
        ceiling = _where(accepted & self._may_grow, self.grow, 1.0)
        factor = _where(error < float("inf"), _at_most(_at_least(factor, self.shrink), ceiling), self.shrink)
        self._h = _where(h > 0, h * factor, self._h)
        self._past = (_where(accepted, errors[0], errors[1]), _where(accepted, errors[1], errors[2]))
        self._may_grow = accepted
        return accepted

    def smallest(self, h: Tensor) -> Tensor:
        """Return which rows, of those with a step ``h`` > 0, have the smallest next step."""
        smallest: Tensor = self._h <= self._h.where(h > 0, float("inf")).amin()
        return smallest

    @torch.no_grad()
    def first_step(self, z: Tensor, slope: Tensor, span: Tensor, order: int) -> Tensor:
        """Guess a first step per row, (row,), from the sizes of state and slope.

        This is the first half of the algorithm of Hairer, Nørsett & Wanner (1993), section II.4.
        """
        scale = z.abs().mul(self.rtol).add_(self.atol)
        size, speed = error_norm(z, scale), error_norm(slope * span, scale)
        guess = (0.01 * size / speed).nan_to_num_(1.0, 1.0, 1.0).clamp_(1e-6, 1.0)
        # In the guess an Euler step changes the state by a hundredth; a method of higher order can go farther.
        return guess.mul_(2.0**order).clamp_(max=1.0)

    def tolerated(self, z: Tensor, z_end: Tensor) -> Tensor:
        """Return the tolerated error of a step between two states, shaped like them."""
        return torch.maximum(z.abs(), z_end.abs()).mul_(self.rtol).add_(self.atol)

    def _factor(self, errors: Sequence[Any], weights: Sequence[float]) -> Any:
        factor = self.safety
        for e, weight in zip(errors, weights, strict=True):
            if weight:
                factor = factor * e ** (-weight / self.error_order)
        return factor


def error_norm(error: Tensor, scale: Tensor) -> Tensor:
    """Return, per series, the root mean square of an error in units of the tolerated error.

    The solver steps by the *largest* of these. A mean over the batch would dilute the one hard series among easy ones,
    and the answer for a series would depend on the other series in its batch.

    Parameters
    ----------
    error, scale : Tensor
        (series, latent) each.

    Returns
    -------
    Tensor
        (series,)

    Examples
    --------
    >>> error_norm(torch.tensor([[3.0, 4.0]]), torch.ones(1, 2))
    tensor([3.5355])
    """
    norms: Tensor = torch.linalg.vector_norm(error / scale, dim=-1) / error.shape[-1] ** 0.5
    return norms


def _where(condition: Any, a: Any, b: Any) -> Any:
    """Choose, for one step or per row."""
    if isinstance(condition, Tensor):
        return torch.where(condition, a, b)
    return a if condition else b


def _at_least(x: Any, least: float) -> Any:
    return x.clamp_min(least) if isinstance(x, Tensor) else max(x, least)


def _at_most(x: Any, most: Any) -> Any:
    return torch.minimum(x, most) if isinstance(x, Tensor) else min(x, most)
