"""What can go wrong in a solve, named: the cause, the time and the series."""

from collections.abc import Sequence

__all__ = ["CoarseGridWarning", "SolveError"]


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

    Examples
    --------
    >>> print(SolveError("the field is not finite", [3], [0.5], "Check its inputs."))
    the field is not finite: series 3 at t = 0.5. Check its inputs.
    """

    def __init__(self, cause: str, series: Sequence[int], times: Sequence[float], advice: str) -> None:
        self.cause = cause
        self.series = tuple(series)
        self.times = tuple(times)
        where = ", ".join(f"{i} at t = {t:.6g}" for i, t in list(zip(series, times, strict=True))[:8])
        more = f" and {len(self.series) - 8} more" if len(self.series) > 8 else ""
        super().__init__(f"{cause}: series {where}{more}. {advice}")


class CoarseGridWarning(UserWarning):
    """A fixed grid has too few steps for some series: their solution, and more so their gradient, is off."""
