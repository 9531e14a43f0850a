"""Step-size control: how long the next step is, and whether the last one counts. Python floats throughout."""

from dataclasses import dataclass, field
from typing import Protocol

import torch
from torch import Tensor

__all__ = ["AdaptiveSteps", "Controller", "FixedSteps", "GivenSteps", "error_norm"]


class Controller(Protocol):
    """Choose where the next node is, on a clock which runs from 0 to the number of pieces (see :class:`Route`)."""

    @property
    def adaptive(self) -> bool:
        """Whether :meth:`judge` reads the error."""

    def start(self, guess: float) -> None:
        """Begin a solve, with a guess at the first step."""

    def next_node(self, s: float, n_accepted: int, end: float = 1.0) -> float:
        """Return where the step from ``s`` should end: at ``end`` at the latest, where the piece does."""

    def scaled(self, span: Tensor, h: float) -> Tensor:
        """Return the step in the caller's time, (series, 1)."""

    def judge(self, h: float, error: float) -> bool:
        """Whether to accept a step ``h`` of this error (1 is what is tolerated)."""


@dataclass
class FixedSteps:
    """Equal steps, never rejected.

    Parameters
    ----------
    n_steps : int
        How many.

    Examples
    --------
    >>> grid = FixedSteps(4)
    >>> grid.next_node(0.25, 1)
    0.5
    """

    n_steps: int
    adaptive: bool = field(default=False, init=False)
    _step: tuple[Tensor, Tensor] | None = field(default=None, init=False, repr=False)

    def start(self, guess: float) -> None:
        """Begin a solve: nothing to remember."""

    def scaled(self, span: Tensor, h: float) -> Tensor:
        """Return the step in the caller's time: divided, so that n steps over a span of n are exactly 1 each."""
        if self._step is None or self._step[0] is not span:
            self._step = (span, span / self.n_steps)
        return self._step[1]

    def next_node(self, s: float, n_accepted: int, end: float = 1.0) -> float:
        """Return the next of the equal steps."""
        return (n_accepted + 1) / self.n_steps

    def judge(self, h: float, error: float) -> bool:
        """Accept."""
        return True


@dataclass
class GivenSteps:
    """Steps between given nodes, never rejected.

    Parameters
    ----------
    nodes : tuple of float
        Rising on the clock, from 0 to the number of pieces.
    n_pieces : int
        Where they end; every whole number up to it must be among them.

    Examples
    --------
    >>> GivenSteps((0.0, 0.1, 1.0)).next_node(0.1, 1)
    1.0
    """

    nodes: tuple[float, ...]
    n_pieces: int = 1
    adaptive: bool = field(default=False, init=False)

    def __post_init__(self) -> None:
        """Refuse nodes that do not rise from 0 to 1."""
        rising = all(a < b for a, b in zip(self.nodes[:-1], self.nodes[1:], strict=True))
        if len(self.nodes) < 2 or self.nodes[0] != 0.0 or self.nodes[-1] != self.n_pieces or not rising:
            raise ValueError("the nodes of a grid must rise from 0 to 1, as fractions of the span")

    def start(self, guess: float) -> None:
        """Begin a solve: nothing to remember."""

    def scaled(self, span: Tensor, h: float) -> Tensor:
        """Return the step in the caller's time."""
        return span * h

    def next_node(self, s: float, n_accepted: int, end: float = 1.0) -> float:
        """Return the next of the nodes."""
        return self.nodes[n_accepted + 1]

    def judge(self, h: float, error: float) -> bool:
        """Accept."""
        return True


@dataclass
class AdaptiveSteps:
    r"""Proportional, integral and derivative control of the step.

    After a step of error :math:`e_n` (1 is what is tolerated) whose estimate vanishes like :math:`h^q`, the next is
    :math:`h\, \rho\, e_n^{-(\beta_1)/q} e_{n-1}^{-\beta_2/q} e_{n-2}^{-\beta_3/q}`, kept between the two
    factors, and never growing right after a rejection.

    Parameters
    ----------
    error_order : int
        The power q.
    weights : tuple of three float
        :math:`\beta_1, \beta_2, \beta_3`. ``(1, 0, 0)`` is the elementary (I) controller, ``(0.7, -0.4, 0)``
        the PI controller of Hairer & Wanner, and ``(1/18, 1/9, 1/18)`` Söderlind's H312 filter.
    safety, shrink, grow : float
        :math:`\rho`, and the least and greatest factor of one step to the next.

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
    safety: float = 0.9
    shrink: float = 0.2
    grow: float = 10.0
    adaptive: bool = field(default=True, init=False)

    I = (1.0, 0.0, 0.0)  # noqa: E741 - the controller's own name
    PI = (0.7, -0.4, 0.0)
    PID = (1 / 18, 1 / 9, 1 / 18)

    def start(self, guess: float) -> None:
        """Begin a solve, with a guess at the first step."""
        self._h = guess
        self._past = (1.0, 1.0)
        self._rejected = False

    def next_node(self, s: float, n_accepted: int, end: float = 1.0) -> float:
        """Return where the step ends; a remainder not worth a step of its own is taken along."""
        return end if s + 1.01 * self._h >= end else s + self._h

    def scaled(self, span: Tensor, h: float) -> Tensor:
        """Return the step in the caller's time."""
        return span * h

    def judge(self, h: float, error: float) -> bool:
        """Accept a step whose error is at most 1, and choose the next."""
        if not error < float("inf"):
            self._h, self._rejected = h * self.shrink, True
            return False
        accepted = error <= 1.0
        errors = (max(error, 1e-10), *self._past)
        weights = self.weights if accepted else self.I
        factor = self.safety
        for e, weight in zip(errors, weights, strict=True):
            factor *= e ** (-weight / self.error_order)
        ceiling = 1.0 if self._rejected or not accepted else self.grow
        self._h = h * min(max(factor, self.shrink), ceiling)
        if accepted:
            self._past = (errors[0], errors[1])
        self._rejected = not accepted
        return accepted


def error_norm(error: Tensor, scale: Tensor) -> Tensor:
    """Return, per series, the root mean square of an error in units of what is tolerated.

    The solver steps by the *largest* of these: a mean over a batch would dilute the one hard series among
    easy ones, and its answer would depend on its company.

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
