"""The one stepping loop: from clock 0 to clock 1, for all series at once.

Every series runs on a clock s of its own, ``t = start + s * span``, so that all of them start and end together, and
a step is one Python float for the whole batch.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from latentode.ode.control import Controller, FixedSteps, error_norm
from latentode.ode.errors import SolveError
from latentode.ode.methods import Method
from latentode.ode.tableau import Tableau

__all__ = ["Ledger", "Path", "Stuck", "Tolerance", "combine", "march"]

Evaluate = Callable[[int, float, Tensor], Tensor]
Norm = Callable[[Tensor, Tensor], Tensor]


class Stuck(Exception):
    """The loop cannot go on: why, when on the clock, and in which rows."""

    def __init__(self, cause: str, advice: str, s: float, rows: list[int]) -> None:
        super().__init__(cause)
        self.cause, self.advice, self.s, self.rows = cause, advice, s, rows

    def named(self, series: list[int], times: list[float], where: str = "") -> SolveError:
        """Say which series it was, and when."""
        return SolveError(self.cause + where, series, times, self.advice)


@dataclass(frozen=True)
class Tolerance:
    """What an adaptive solve may get wrong in a step, and when it gives up."""

    rtol: float
    atol: float
    max_steps: int
    min_step: float


@dataclass
class Path:
    """What one pass over the clock leaves behind: the nodes it stepped over, and what that cost.

    ``scaled`` holds each step in the caller's time, (series, 1): the very numbers the loop used.
    """

    knots: list[float]
    scaled: list[Tensor]
    evaluations: int
    rejected: int = 0
    uniform: bool = False
    adaptive: bool = False

    @property
    def n_steps(self) -> int:
        """How many steps were accepted."""
        return len(self.scaled)

    def lengths(self, like: Tensor) -> Tensor:
        """Each step as a fraction of the span, (step,)."""
        return like.new_tensor([b - a for a, b in zip(self.knots[:-1], self.knots[1:], strict=True)])


class Ledger:
    """Stage states and slopes by slot: stage j of step n is slot n m + j, and slot n m is also node n.

    With ``like`` the slots are rows of preallocated tensors, written in place; without it they are whatever
    tensors the loop computes, and autograd sees every one.
    """

    def __init__(self, n_slots: int, like: Tensor | None) -> None:
        self.like = like
        self._states = self._slopes = torch.empty(0)
        self.states: list[Tensor | None] = []
        self.slopes: list[Tensor | None] = []
        self.reserve(n_slots)

    def reserve(self, n_slots: int) -> None:
        """Make room for that many slots, keeping what the present ones hold."""
        used = len(self.states)
        if n_slots <= used:
            return
        if self.like is None:
            self.states.extend([None] * (n_slots - used))
            self.slopes.extend([None] * (n_slots - used))
            return
        states, slopes = (self.like.new_empty((n_slots, *self.like.shape)) for _ in range(2))
        if used:
            states[:used].copy_(self._states)
            slopes[:used].copy_(self._slopes)
        self._states, self._slopes = states, slopes
        self.states, self.slopes = list(states.unbind(0)), list(slopes.unbind(0))

    def enter(self, z0: Tensor) -> Tensor:
        """Write the first node."""
        first = self._states[0]
        first.copy_(z0)
        return first

    def slope_buffer(self, slot: int) -> Tensor:
        """Where the slope of a slot is to be written."""
        return self._slopes[slot]

    def outs(self, base: int, count: int) -> list[Tensor | None]:
        """Where so many states, from slot ``base`` on, are to be written; nowhere, where autograd looks on."""
        return self.states[base : base + count] if self.like is not None else [None] * count

    def stacked(self, n_slots: int) -> tuple[Tensor, Tensor]:
        """States and slopes, (slot, series, latent)."""
        return self._states[:n_slots], self._slopes[:n_slots]

    def gather(self, n_steps: int, method: Method) -> tuple[Tensor, Tensor]:
        """Nodes (step + 1, series, latent), and the slopes its interpolant uses, (slot, series, latent)."""
        m = method.tableau.stages
        n_slots = n_steps * m + method.uses_end_slope
        if self.like is not None:
            return self._states[: n_steps * m + 1 : m], self._slopes[:n_slots]
        nodes = [x for x in self.states[: n_steps * m + 1 : m] if x is not None]
        slopes = [x for x in self.slopes[:n_slots] if x is not None]
        return torch.stack(nodes), torch.stack(slopes)


def combine(z: Tensor, slopes: Sequence[Tensor], weights: Sequence[float], step: Tensor, out: Tensor | None) -> Tensor:
    """Return ``z + step * sum_j weights_j slopes_j``, to ``out`` where there is one."""
    total = z
    for slope, weight in zip(slopes, weights, strict=False):
        if weight:
            total = torch.addcmul(total, slope, step, value=weight, out=out)
    return total


def march(
    evaluate: Evaluate,
    z0: Tensor,
    span: Tensor,
    tableau: Tableau,
    controller: Controller,
    ledger: Ledger | None,
    tolerance: Tolerance,
    *,
    end_slope: bool,
    reserve: Callable[[int], None] | None = None,
    norm: Norm = error_norm,
) -> tuple[Path, Tensor]:
    """Step from 0 to 1.

    Parameters
    ----------
    evaluate : callable
        ``evaluate(slot, s, z)`` returns the slope f(t, z) at clock ``s`` and enters it in the ledger.
    z0 : Tensor
        (series, latent)
    span : Tensor
        (series, 1)
    tableau, controller, ledger, tolerance
        How to step, how far, where to write (nowhere, where there is no ledger), and when to give up.
    end_slope : bool
        Whether the slope at the very end is wanted.
    reserve : callable
        Called with a number of slots before any beyond the ledger's is used.
    norm : callable
        From an error and its scale to what the controller judges, one number per row.

    Returns
    -------
    Path, Tensor
        Where it stepped, and the last node.

    Raises
    ------
    Stuck
        If an adaptive step cannot be made small enough, or there are too many.
    """
    m = tableau.stages
    z, s = z0, 0.0
    slope = evaluate(0, 0.0, z)
    path = Path([0.0], [], 1, uniform=isinstance(controller, FixedSteps), adaptive=controller.adaptive)
    if controller.adaptive:
        controller.start(_first_step(z, slope, span, tableau.order, tolerance))
    while s < 1.0:
        base = path.n_steps * m
        if ledger and reserve and base + m >= len(ledger.states):
            reserve(2 * (base + m) + 1)
        outs = ledger.outs(base, m + 1) if ledger else [None] * (m + 1)
        end = controller.next_node(s, path.n_steps)
        h = end - s
        step = controller.scaled(span, h)
        slopes = [slope]
        for j in range(1, m):
            y = combine(z, slopes, tableau.a[j], step, outs[j])
            slopes.append(evaluate(base + j, s + tableau.c[j] * h, y))
        z_end = combine(z, slopes, tableau.b, step, outs[m])
        path.evaluations += m - 1
        if controller.adaptive or end_slope or end < 1.0:
            slopes.append(evaluate(base + m, end, z_end))
            path.evaluations += 1
        if controller.adaptive:
            error = _error(z, z_end, slopes, step, tableau, tolerance, norm)
            worst = float(error.amax())
            if not controller.judge(h, worst):
                path.rejected += 1
                _refuse_to_stall(error, worst, h, s, path, tolerance)
                continue
            _refuse_to_stall(error, worst, 1.0, s, path, tolerance)
        z, s, slope = z_end, end, slopes[-1]
        if ledger:
            ledger.states[base + m] = z
        path.knots.append(end)
        path.scaled.append(step)
    return path, z


@torch.no_grad()
def _error(
    z: Tensor, z_end: Tensor, slopes: Sequence[Tensor], step: Tensor, tableau: Tableau, tolerance: Tolerance, norm: Norm
) -> Tensor:
    """Error of a step per series, in units of what is tolerated."""
    error = combine(torch.zeros_like(z), slopes, tableau.error, step, None)
    scale = torch.maximum(z.abs(), z_end.abs()).mul_(tolerance.rtol).add_(tolerance.atol)
    return norm(error, scale)


def _refuse_to_stall(error: Tensor, worst: float, h: float, s: float, path: Path, tolerance: Tolerance) -> None:
    """Give up, naming the rows to blame, once steps are too small or too many."""
    if h >= tolerance.min_step and path.n_steps + path.rejected < tolerance.max_steps:
        return
    finite = worst < float("inf")
    blamed = error >= 0.999 * worst if finite else ~torch.isfinite(error)
    rows = blamed.nonzero().flatten().tolist()
    if not finite:
        cause, advice = "the field is not finite", "Check its inputs, its parameters and the span."
    elif h < tolerance.min_step:
        cause = f"the step fell under its minimum ({tolerance.min_step:g} of the span)"
        advice = "The solution may blow up there, or the field be too stiff or not smooth: loosen rtol and atol."
    else:
        cause = f"the limit of {tolerance.max_steps} steps was reached"
        advice = "Raise max_steps, or loosen rtol and atol."
    raise Stuck(cause, advice, s, rows)


@torch.no_grad()
def _first_step(z: Tensor, slope: Tensor, span: Tensor, order: int, tolerance: Tolerance) -> float:
    """Guess a first step from the state's size and slope (Hairer, Nørsett & Wanner, section II.4, first half)."""
    scale = z.abs().mul(tolerance.rtol).add_(tolerance.atol)
    size, speed = error_norm(z, scale), error_norm(slope * span, scale)
    guess = float((0.01 * size / speed).nan_to_num_(1.0, 1.0, 1.0).clamp_(1e-6, 1.0).amin()) if z.numel() else 1.0
    return min(1.0, guess * 2.0**order)
