"""Which values a hyper-parameter may have; the same limits hold when a model is fitted and when one is loaded."""

from collections.abc import Iterable
from dataclasses import dataclass
from math import inf
from numbers import Integral, Real
from os import PathLike
from typing import Any, Protocol

import numpy as np

from latentode.data import DataError, TimeAxis

__all__ = ["Directory", "Duration", "Flag", "Limit", "OneOf", "Range", "Seed", "seconds_of"]


class Limit(Protocol):
    """What a hyper-parameter may be."""

    def allows(self, value: Any) -> bool:
        """Whether the value is within the limit."""

    def __str__(self) -> str:
        """The rest of the sentence ``{name}={value} must ...``."""


class OneOf:
    """One of several names.

    Parameters
    ----------
    choices : iterable of str
        The names.

    Examples
    --------
    >>> print(OneOf(["end", "start"]))
    be one of 'end', 'start'
    """

    def __init__(self, choices: Iterable[str]) -> None:
        self.choices = tuple(choices)

    def allows(self, value: Any) -> bool:
        """Whether it is one of the names."""
        return isinstance(value, str) and value in self.choices

    def __str__(self) -> str:
        return f"be one of {', '.join(map(repr, self.choices))}"


@dataclass(frozen=True, kw_only=True)
class Range:
    """Numbers within ends, each of which is given either as allowed itself or as not.

    Parameters
    ----------
    least, most : number
        Ends that are allowed.
    above, below : number
        Ends that are not.
    whole : bool
        Whether only integers are allowed.
    of : str
        What the number counts.

    Examples
    --------
    >>> print(Range(least=1, most=10_000))
    be at least 1 and at most 10,000 (a number)
    >>> print(Range(least=1, whole=True))
    be at least 1 (a whole number)
    >>> Range(above=0, below=1).allows(1)
    False
    """

    least: float = -inf
    most: float = inf
    above: float = -inf
    below: float = inf
    whole: bool = False
    of: str = ""

    def allows(self, value: Any) -> bool:
        """Whether it is a number that lies within the ends; NaN does not, and True is no number."""
        kind = Integral if self.whole else Real
        if isinstance(value, bool) or not isinstance(value, kind):
            return False
        number: Any = value
        return bool(self.least <= number <= self.most and self.above < number < self.below)

    def __str__(self) -> str:
        ends = {
            "at least": self.least,
            "greater than": self.above,
            "at most": self.most,
            "less than": self.below,
        }
        limits = " and ".join(f"{words} {end:,}" for words, end in ends.items() if abs(end) != inf)
        kind = "a whole number" if self.whole else "a number"
        return f"be {limits} ({kind}{f' of {self.of}' if self.of else ''})"


@dataclass(frozen=True)
class Flag:
    """True or False.

    Parameters
    ----------
    or_count : bool
        Whether a whole number from 0 up is allowed too.

    Examples
    --------
    >>> Flag().allows(1), Flag(or_count=True).allows(1)
    (False, True)
    """

    or_count: bool = False

    def allows(self, value: Any) -> bool:
        """Whether it is one of the two, or such a number."""
        counts = self.or_count and isinstance(value, Integral) and int(value) >= 0
        return isinstance(value, bool | np.bool_) or counts

    def __str__(self) -> str:
        return "be True or False" + (", or a whole number from 0 up" if self.or_count else "")


class Seed:
    """A source of randomness.

    Examples
    --------
    >>> Seed().allows(0), Seed().allows("a"), Seed().allows(-1)
    (True, False, False)
    """

    def allows(self, value: Any) -> bool:
        """Whether random numbers can be drawn from it."""
        if isinstance(value, bool):
            return False
        if isinstance(value, Integral):
            return int(value) >= 0
        return value is None or isinstance(value, np.random.RandomState | np.random.Generator)

    def __str__(self) -> str:
        return "be a whole number from 0 up, a RandomState, a Generator or None"


class Directory:
    """The path of a directory; whether there is one is not checked.

    Examples
    --------
    >>> Directory().allows("runs"), Directory().allows(3)
    (True, False)
    """

    def allows(self, value: Any) -> bool:
        """Whether it is a path."""
        return isinstance(value, str | PathLike)

    def __str__(self) -> str:
        return "be the path of a directory (text or a Path)"


class Duration:
    """A time on the clock: seconds, or a duration.

    Examples
    --------
    >>> Duration().allows(90), Duration().allows("10min"), Duration().allows("10"), Duration().allows(0)
    (True, True, False, False)
    """

    def allows(self, value: Any) -> bool:
        """Whether it is a positive, finite time."""
        try:
            return 0 < seconds_of(value) < inf
        except DataError:
            return False

    def __str__(self) -> str:
        return "be a positive number of seconds, or a duration such as '10min'"


def seconds_of(value: Any) -> float:
    """A time on the clock in seconds.

    Parameters
    ----------
    value : number, str or Timedelta
        Seconds, or a duration.

    Raises
    ------
    DataError
        When it is neither.

    Examples
    --------
    >>> seconds_of("1min 30s")
    90.0
    """
    number: Any = value
    if isinstance(number, bool | np.timedelta64) or not isinstance(number, Real):  # NumPy's durations count as numbers
        return TimeAxis("timedelta").length_of(value, "the duration")
    return float(number)
