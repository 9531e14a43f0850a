"""Which likelihood each channel gets."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from latentode.data import DataError
from latentode.nn import LIKELIHOODS
from latentode.persistence.state import FittedState

__all__ = ["AUTO", "LikelihoodChoice", "are_counts", "likelihoods_for"]

Floats = NDArray[np.float64]

AUTO = "auto"

ENOUGH_VALUES = 50
"""Values of a channel from which on it can be recognised as counts."""

LEAST_ZEROS = 0.05
"""The share of zeros among counts, at least."""

SMALL_COUNT = 100
"""Three quarters of the values of counts are at most this. Larger whole numbers are amounts in small units."""


class LikelihoodChoice:
    """A name, or names by channel."""

    choices = (AUTO, *LIKELIHOODS)

    def allows(self, value: Any) -> bool:
        """Whether it is a name, or a mapping to names."""
        if isinstance(value, Mapping):
            return all(isinstance(name, str) and name in LIKELIHOODS for name in value.values())
        return isinstance(value, str) and value in self.choices

    def __str__(self) -> str:
        names = ", ".join(map(repr, self.choices))
        return f"be one of {names}, or a dict from channels to these names except 'auto'"


def likelihoods_for(
    choice: str | Mapping[Any, str], channels: tuple[Any, ...], values: Floats, previous: FittedState | None
) -> tuple[str, ...]:
    """The likelihood of each channel.

    Parameters
    ----------
    choice : str or mapping
        One name for all, ``"auto"``, or names by channel; channels it does not name are Gaussian.
    channels : tuple
        Names of the channels.
    values : array of float
        (row, channel), NaN where missing.
    previous : FittedState or None
        The fit to continue, whose likelihoods are kept.

    Raises
    ------
    DataError
        When a name is not that of a channel.
    """
    if previous is not None:
        return previous.model.config.likelihoods
    if isinstance(choice, Mapping):
        unknown = [name for name in choice if name not in channels]
        if unknown:
            raise DataError(
                f"likelihood={dict(choice)!r}: {unknown[0]!r} is not a channel; the channels are {list(channels)!r}"
            )
        return tuple(choice.get(name, "gaussian") for name in channels)
    if choice == AUTO:
        return tuple("negative_binomial" if are_counts(column) else "gaussian" for column in values.T)
    return (choice,) * len(channels)


def are_counts(values: Floats) -> bool:
    """Whether a channel holds counts with zeros, of which a Gaussian would predict negative ones.

    It does if it has at least :data:`ENOUGH_VALUES` values, all are whole and none is negative, at least
    :data:`LEAST_ZEROS` of them are 0, three quarters are at most :data:`SMALL_COUNT`, and their variance is at least
    their mean, as a negative binomial's is. So a channel of 0 and 1 is none, nor is one of grades.

    Parameters
    ----------
    values : array of float
        (row,), NaN where missing.

    Examples
    --------
    >>> are_counts(np.random.default_rng(0).negative_binomial(1, 0.2, 200).astype(float))
    True
    >>> are_counts(np.random.default_rng(0).integers(0, 2, 200).astype(float))
    False
    """
    x = values[~np.isnan(values)]
    if len(x) < ENOUGH_VALUES or (x < 0).any() or (x != np.round(x)).any():
        return False
    small = np.quantile(x, 0.75) <= SMALL_COUNT
    return bool(small and (x == 0).mean() >= LEAST_ZEROS and x.var() >= x.mean() > 0)
