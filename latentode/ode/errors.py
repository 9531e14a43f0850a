"""What can go wrong in a solve, named: the cause, the time and the series."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

__all__ = ["CoarseGridWarning", "NotCompiledWarning", "SolveError", "Stuck", "Whereabouts"]


class SolveError(RuntimeError):
    """A solve could not go on.

    Parameters
    ----------
    cause : str
        What happened: a non-finite field, a step under the minimum, or the step limit.
    series : sequence of int
        The series it happened to.
    times : sequence of float
        The time each of those series had reached, in the caller's units.
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
    """A solve that was to be compiled could not be: it runs as it would have run otherwise."""


class CoarseGridWarning(UserWarning):
    """A fixed grid has too few steps for some series: their solution, and more so their gradient, is off."""


class Whereabouts(NamedTuple):
    """Where a row came to grief, on its clock and in time, and the time up to which it is known."""

    clock: float
    time: float
    reached: float


class Stuck(Exception):
    """The stepping loop cannot go on: why, and for each row to blame where."""

    def __init__(self, cause: str, advice: str, rows: Mapping[int, Whereabouts]) -> None:
        super().__init__(cause)
        self.cause, self.advice, self.rows = cause, advice, dict(rows)

    @classmethod
    def at_limit(cls, limit: int, rows: Mapping[int, Whereabouts]) -> "Stuck":
        """Too many steps."""
        return cls(f"the limit of {limit} steps was reached", "Raise max_steps, or loosen rtol and atol.", rows)

    @classmethod
    def at_least(cls, least: float, rows: Mapping[int, Whereabouts]) -> "Stuck":
        """Steps too small."""
        advice = "The solution may blow up there, or the field be too stiff or not smooth: loosen rtol and atol."
        return cls(f"the step fell under its minimum ({least:g} of the span)", advice, rows)

    @classmethod
    def on_nothing(cls, rows: Mapping[int, Whereabouts]) -> "Stuck":
        """A field without a value."""
        return cls("the field is not finite", "Check its inputs, its parameters and the span.", rows)

    def named(self, n_series: int, where: str = "") -> SolveError:
        """Say of which series it was, where each has one or more rows."""
        each = {row % n_series: place for row, place in self.rows.items()}
        times, reached = [place.time for place in each.values()], [place.reached for place in each.values()]
        return SolveError(self.cause + where, list(each), times, self.advice, reached)
