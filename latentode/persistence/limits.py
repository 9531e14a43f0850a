"""Which values a hyper-parameter may have; the same limits hold when a model is fitted and when one is loaded."""

from collections.abc import Iterable
from dataclasses import dataclass
from math import inf
from typing import Any, Protocol

__all__ = ["Limit", "OneOf", "Range"]


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

    Examples
    --------
    >>> print(Range(least=1, most=10_000))
    be at least 1 and at most 10,000
    >>> Range(above=0, below=1).allows(1)
    False
    """

    least: float = -inf
    most: float = inf
    above: float = -inf
    below: float = inf

    def allows(self, value: Any) -> bool:
        """Whether a number lies within the ends; NaN does not."""
        return bool(self.least <= value <= self.most and self.above < value < self.below)

    def __str__(self) -> str:
        ends = {
            "at least": self.least,
            "greater than": self.above,
            "at most": self.most,
            "less than": self.below,
        }
        return "be " + " and ".join(f"{words} {end:,}" for words, end in ends.items() if abs(end) != inf)
