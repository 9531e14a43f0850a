"""Warnings about columns whose inferred role may not be the intended one, with what to pass instead."""

from collections.abc import Hashable

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pandas.api import types

from latentode.data.columns import is_date, listed
from latentode.data.panel import Panel
from latentode.data.schema import Schema

__all__ = ["constant_channels", "dates_as_numbers", "left_out"]

_CENTURIES = (1900, 2100)
"""Years that a number is taken for a date of."""

_SINCE_1970 = (978_307_200, 4_102_444_800)
"""Seconds from 1970 to 2001 and to 2100: smaller numbers may count anything."""

_UNITS = {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}

FEWEST_SERIES = 3
"""Series with two values or more, at least, before a channel is called constant."""


def dates_as_numbers(times: pd.Series) -> list[str]:
    """A sentence where all times are whole numbers that read as dates, such as 20240131 or seconds since 1970.

    Parameters
    ----------
    times : Series
        The times of a frame, of any kind.

    Examples
    --------
    >>> import pandas as pd
    >>> dates_as_numbers(pd.Series([20240131, 20240201], name="day"))  # doctest: +ELLIPSIS
    ["the times in column 'day' are numbers such as 20240131 and ... pd.to_datetime(df['day'].astype(str), ...
    >>> dates_as_numbers(pd.Series([0, 1, 2], name="day"))
    []
    """
    if not types.is_numeric_dtype(times.dtype) or types.is_bool_dtype(times.dtype):
        return []
    with np.errstate(over="ignore"):  # long doubles beyond float64 become infinite, and are no dates
        values = times.to_numpy(dtype=np.float64, na_value=np.nan)
    values = values[np.isfinite(values)]
    if len(np.unique(values)) < 2 or (values != np.floor(values)).any():
        return []
    how = _how_to_parse(values)
    if how is None:
        return []
    where, source = (
        ("the index", "df.index") if times.name is None else (f"column {times.name!r}", f"df[{times.name!r}]")
    )
    if how.startswith("format"):  # pandas reads formats in text only
        source += ".astype(str)" if types.is_integer_dtype(times.dtype) else ".astype('Int64').astype('string')"
    return [
        f"the times in {where} are numbers such as {values[0]:.0f} and are read as plain numbers; if they are dates, "
        f"parse them with pd.to_datetime({source}, {how})"
    ]


def _how_to_parse(values: NDArray[np.float64]) -> str | None:
    """The argument of ``pd.to_datetime`` that reads some whole numbers as dates; None if they are none."""
    first, last = _CENTURIES
    if ((values >= first * 100) & (values < last * 100 + 13)).all():
        return "format='%Y%m'" if ((values % 100 >= 1) & (values % 100 <= 12)).all() else None
    if ((values >= first * 10_000) & (values < (last + 1) * 10_000)).all():
        dates = pd.to_datetime(
            pd.Series(np.unique(values).astype(np.int64)).astype(str), format="%Y%m%d", errors="coerce"
        )
        return "format='%Y%m%d'" if dates.notna().all() else None
    for unit, per_second in _UNITS.items():
        if ((values >= _SINCE_1970[0] * per_second) & (values < _SINCE_1970[1] * per_second)).all():
            return f"unit={unit!r}"
    return None


def left_out(df: pd.DataFrame, schema: Schema) -> list[str]:
    """A sentence about columns that have no role because they hold no numbers.

    Parameters
    ----------
    df : DataFrame
        The frame given to fit.
    schema : Schema
        The roles of its columns.
    """
    covariates = {*schema.static_cols, *schema.known_cols, *schema.impulse_cols}
    roles = {schema.id_col, schema.time_col, *schema.channels, *covariates}
    rest: list[Hashable] = [c for c in df.columns if c not in roles and not types.is_numeric_dtype(df[c].dtype)]
    dates = [c for c in rest if is_date(df[c].dtype)]
    others = [c for c in rest if c not in dates]
    sentences = []
    if others:
        sentences.append(
            f"columns {listed(others)} hold no numbers and are not used; pass static_cols={others!r} where they "
            "describe the series, known_cols= where they change in time, or target_cols= to leave them out"
        )
    if dates:
        sentences.append(f"columns {listed(dates)} hold dates beside those of the times and are not used")
    return sentences


def constant_channels(panel: Panel, schema: Schema) -> list[str]:
    """A sentence about channels that never change within a series and differ between series, such as an age.

    Parameters
    ----------
    panel : Panel
        The observations.
    schema : Schema
        The roles of the columns; a single channel is what the user wants to forecast.
    """
    if len(schema.channels) < 2:
        return []
    names = [c for c, values in zip(schema.channels, panel.values.T, strict=True) if _is_constant(panel, values)]
    if not names or len(names) == len(schema.channels):
        return []
    return [
        f"channels {listed(names)} never change within a series, and are forecast like the others; pass "
        f"static_cols={names!r} if they describe the series"
    ]


def _is_constant(panel: Panel, values: NDArray[np.float64]) -> bool:
    rows = np.flatnonzero(~np.isnan(values))
    series, observed = panel.series_of_row[rows], values[rows]
    same = np.diff(series) == 0
    if not same.any() or np.diff(observed)[same].any():
        return False
    return len(np.unique(series[1:][same])) >= FEWEST_SERIES and len(np.unique(observed)) > 1
