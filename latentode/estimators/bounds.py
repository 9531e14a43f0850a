"""Lower and upper bounds of the forecasts of each channel."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from latentode.data import DataError, Panel, Schema
from latentode.data.columns import numbers_of
from latentode.data.errors import shown
from latentode.nn import LIKELIHOODS
from latentode.persistence.state import FittedState

__all__ = ["BoundsChoice", "bounds_for"]

Floats = NDArray[np.float64]

AUTO = "auto"


class BoundsChoice:
    """``"auto"``, None, or bounds by channel.

    Examples
    --------
    >>> choice = BoundsChoice()
    >>> choice.allows({"share": (0, 1), "level": (None, 40.0)}), choice.allows({"share": (1, 0)}), choice.allows("none")
    (True, False, False)
    """

    def allows(self, value: Any) -> bool:
        """Whether it is one of them; of two bounds, the lower must be below the upper."""
        if isinstance(value, Mapping):
            return all(map(_is_pair, value.values()))
        return value is None or (isinstance(value, str) and value == AUTO)

    def __str__(self) -> str:
        return (
            "be 'auto', None, or a dict of channels and their lower and upper bounds, such as {'share': (0, 1)}, with "
            "None where there is no bound"
        )


def bounds_for(
    choice: str | Mapping[Any, Any] | None,
    df: pd.DataFrame,
    panel: Panel,
    schema: Schema,
    likelihoods: tuple[str, ...],
    previous: FittedState | None,
) -> Floats:
    """The bounds of each channel.

    The rule of ``"auto"``, which also applies to channels that a mapping does not name: a channel none of whose values
    in fit is negative is bounded by 0 from below. Whether its values come near 0 does not matter: a channel that stays
    far above 0 has forecasts far above 0 too, and the bound changes nothing.

    Parameters
    ----------
    choice : "auto", None or mapping
        The parameter ``bounds``.
    df : DataFrame
        The frame given to fit.
    panel : Panel
        Its observations.
    schema : Schema
        The roles of its columns.
    likelihoods : tuple of str
        (channel,), the likelihood of each channel. Bounds of counts are narrowed to whole numbers.
    previous : FittedState or None
        The fit to continue, whose data count too.

    Returns
    -------
    array of float
        (2, channel), lower and upper; NaN where there is none.

    Raises
    ------
    DataError
        When a name is not that of a channel, or a value lies outside the bounds given for its channel.
    """
    bounds = np.full((2, len(schema.channels)), np.nan)
    if choice is None:
        return bounds
    given = choice if isinstance(choice, Mapping) else {}
    unknown = [name for name in given if name not in schema.channels]
    if unknown:
        raise DataError(
            f"bounds={dict(given)!r}: {unknown[0]!r} is not a channel; the channels are {list(schema.channels)!r}"
        )
    before = None if previous is None else previous.bounds
    for k, channel in enumerate(schema.channels):
        if channel in given:
            bounds[:, k] = _pair(given[channel])
            _refuse_outside(df, schema, channel, bounds[:, k])
            if LIKELIHOODS[likelihoods[k]].counts:
                bounds[:, k] = np.ceil(bounds[0, k]), np.floor(bounds[1, k])
            continue
        seen = panel.values[:, k]
        never = bool((seen >= 0).any() and not (seen < 0).any())
        bounds[0, k] = 0.0 if never and (before is None or before[0, k] >= 0) else np.nan
    return bounds


def _is_pair(value: Any) -> bool:
    """Whether a value is a lower and an upper bound, of which either may be missing."""
    try:
        low, high = _pair(value)
    except (TypeError, ValueError):
        return False
    return not low >= high


def _pair(value: Any) -> tuple[float, float]:
    """Lower and upper bound, NaN where there is none: None or infinite."""
    if isinstance(value, str):
        raise TypeError("a text is not a pair")
    low, high = (np.nan if one is None or np.isinf(one) else float(one) for one in value)
    return low, high


def _refuse_outside(df: pd.DataFrame, schema: Schema, channel: Any, bounds: Floats) -> None:
    """Refuse the first value of a channel outside the bounds that the user gave."""
    values = numbers_of(df[channel])
    wrong = np.isfinite(values) & ((values < bounds[0]) | (values > bounds[1]))
    if not wrong.any():
        return
    row = int(np.flatnonzero(wrong)[0])
    ids = schema.ids_of(df)
    series = "" if ids is None else f", of series {shown(ids[row])}"
    low, high = ("none" if np.isnan(one) else f"{one:g}" for one in bounds)
    raise DataError(
        f"column {channel!r} holds {values[row]:g} in row {shown(df.index[row])}{series} at time "
        f"{schema.times_of(df).iloc[row]}, outside its bounds ({low}, {high}); {int(wrong.sum())} of its values lie "
        "outside: correct them, or give wider bounds="
    )
