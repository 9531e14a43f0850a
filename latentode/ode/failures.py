"""What can go wrong in a solve: the cause, the time and the series; and how the other series are still solved."""

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import torch
from torch import Tensor

__all__ = [
    "CoarseGridWarning",
    "FailurePoint",
    "NotCompiledWarning",
    "Retry",
    "SolveError",
    "StepFailure",
    "refuse_transforms",
]

RETRY_AT = (1.0, 0.999, 0.99, 0.9)  # of the time reached: where a series ends after it failed once, twice, ...


class SolveError(RuntimeError):
    """A series could not be solved to its end.

    Parameters
    ----------
    cause : str
        What happened: a field that is not finite, a step below the minimum, or too many steps.
    series : sequence of int
        The series that failed.
    times : sequence of float
        The time at which each of them failed, in the caller's units.
    advice : str
        What to do about it.
    reached : sequence of float, optional
        The time up to which each of those series is known; ``times`` when None.

    Examples
    --------
    >>> print(SolveError("the field is not finite", [3], [0.5], "Check its inputs."))
    the field is not finite: series 3 at t = 0.5. Check its inputs.
    """

    def __init__(
        self,
        cause: str,
        series: Sequence[int],
        times: Sequence[float],
        advice: str,
        reached: Sequence[float] | None = None,
    ) -> None:
        self.cause = cause
        self.series = tuple(series)
        self.times = tuple(times)
        self.reached = self.times if reached is None else tuple(reached)
        where = ", ".join(f"{i} at t = {t:.6g}" for i, t in list(zip(series, times, strict=True))[:8])
        more = f" and {len(self.series) - 8} more" if len(self.series) > 8 else ""
        super().__init__(f"{cause}: series {where}{more}. {advice}")


class NotCompiledWarning(UserWarning):
    """A solve could not be compiled as requested; it runs uncompiled."""


class CoarseGridWarning(UserWarning):
    """A fixed grid has too few steps for some series: their solution, and even more their gradient, is inaccurate."""


class FailurePoint(NamedTuple):
    """Where a row failed, on its clock and in time, and the time up to which its solution is known."""

    clock: float
    time: float
    reached: float


def refuse_transforms(error: RuntimeError) -> None:
    """Raise in our words if an error of PyTorch ended a solve in the middle of a function transform.

    Raises
    ------
    NotImplementedError
        If there was one.
    """
    if torch._C._are_functorch_transforms_active() and not isinstance(error, SolveError):
        raise NotImplementedError(
            "this solve cannot be transformed by torch.func. Under torch.vmap: solve all states in one call instead, "
            "as the series of one batch, (series, latent). Under torch.func.grad, vjp, jvp, jacrev and jacfwd: solve "
            'with adjoint="autograd" (as odeint does), or use torch.autograd'
        ) from error


class StepFailure(Exception):
    """The integration loop cannot continue: the cause, and where each failed row is."""

    def __init__(self, cause: str, advice: str, rows: Mapping[int, FailurePoint]) -> None:
        super().__init__(cause)
        self.cause, self.advice, self.rows = cause, advice, dict(rows)

    @classmethod
    def max_steps_reached(cls, limit: int, rows: Mapping[int, FailurePoint]) -> "StepFailure":
        """Too many steps."""
        advice = "Raise max_steps, or loosen rtol and atol. In odeint the limit is options['max_num_steps']."
        return cls(f"the limit of {limit} steps was reached", advice, rows)

    @classmethod
    def min_step_reached(cls, least: float, rows: Mapping[int, FailurePoint]) -> "StepFailure":
        """Steps too small."""
        advice = "The solution may blow up there, or the field may be too stiff or not smooth: loosen rtol and atol."
        return cls(f"the step fell under its minimum ({least:g} of the span)", advice, rows)

    @classmethod
    def field_not_finite(cls, rows: Mapping[int, FailurePoint]) -> "StepFailure":
        """No step is small enough for the field to be finite."""
        return cls("the field is not finite", "Check its inputs, its parameters and the span.", rows)

    @classmethod
    def solution_not_finite(cls, rows: Mapping[int, FailurePoint]) -> "StepFailure":
        """A fixed grid ran into values that are not finite."""
        advice = (
            "The field may be undefined there, or the grid too coarse for it: check its inputs, or take more steps."
        )
        return cls("the solution is not finite", advice, rows)

    def as_error(self, n_series: int, where: str = "") -> SolveError:
        """Name the series that failed; each of them may have several rows."""
        points = {row % n_series: point for row, point in self.rows.items()}
        times, reached = [point.time for point in points.values()], [point.reached for point in points.values()]
        cause, advice = self.cause, self.advice
        if any(math.isnan(time) for time in times):
            cause, advice = "the span of time is not finite", "t0, t1 and t_back must be finite numbers."
        return SolveError(cause + where, list(points), times, advice, reached)


@dataclass
class Retry:
    """The series that failed so far, and how each of them is treated when the batch is solved again.

    All series share every step, so one that fails stops all others. With ``on_failure="nan"`` the batch is therefore
    solved again: a failed series only goes as far as its solution is known, which keeps its answers up to there. Where
    a step fails, though, the solution may have left its domain before: each further failure of a series takes it back a
    little more, and one that fails too often, or at once, is frozen, which means that its state is 0 and that it stays
    at its start.

    Parameters
    ----------
    frozen : Tensor
        (series, 1), whether a series is frozen.
    failures : Counter
        How often each series has failed.
    """

    frozen: Tensor
    failures: Counter[int] = field(default_factory=Counter)

    def gives_up(self, error: SolveError) -> bool:
        """Return whether even frozen series fail: then the field cannot be evaluated at any state."""
        return bool(self.frozen[list(error.series)].all())

    def shorten(self, error: SolveError, start: Tensor, forward: Tensor, back: Tensor) -> None:
        """Move the ends of the series that failed, in ``forward`` or ``back``, (series,), towards its ``start``."""
        for i, reached in zip(error.series, error.reached, strict=True):
            length, solved = float(forward[i] - start[i]), reached - float(start[i])
            if solved == 0.0 or self.failures[i] == len(RETRY_AT):
                self.frozen[i] = True
            else:
                ends = forward if length * solved > 0 else back
                ends[i] = float(start[i]) + RETRY_AT[self.failures[i]] * solved
        self.failures.update(error.series)

    def frozen_span(self, span: Tensor) -> Tensor:
        """Return a span that is next to nothing where a series is frozen; zero would divide by zero."""
        return torch.where(self.frozen, torch.finfo(span.dtype).tiny ** 0.5, span)
