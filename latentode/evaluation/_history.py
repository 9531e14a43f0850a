"""A long frame as flat arrays: for every channel, each series' observations in order of time."""

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pandas.api import types

Floats = NDArray[np.float64]
Integers = NDArray[np.intp]


@dataclass(frozen=True)
class Observations:
    """One channel's observations: those of series ``s`` are ``starts[s]`` to ``starts[s + 1]``, in order of time.

    Parameters
    ----------
    starts : array of shape (series + 1,)
        Where each series begins.
    times, values : arrays of shape (observation,)
        No NaN; times of one series are distinct.
    """

    starts: Integers
    times: Floats
    values: Floats

    @property
    def counts(self) -> Integers:
        """The number of observations of each series."""
        return np.diff(self.starts)

    @property
    def series(self) -> Integers:
        """The series of each observation."""
        return np.repeat(np.arange(len(self.starts) - 1), self.counts)

    def last_at(self, series: Integers, times: Floats) -> Integers:
        """Find the last observation at or before each query: its place in the arrays, -1 where there is none."""
        places = np.concatenate([self.series, series])
        when = np.concatenate([self.times, times])
        is_query = np.repeat([False, True], [len(self.times), len(times)])
        order = np.lexsort((is_query, when, places))
        seen = np.empty(len(order), dtype=np.intp)
        seen[order] = np.cumsum(~is_query[order])
        last = seen[is_query] - 1
        known = series >= 0
        known[known] = last[known] >= self.starts[series[known]]
        return np.where(known, last, -1)


@dataclass(frozen=True)
class History:
    """Every channel's observations of a frame.

    Parameters
    ----------
    ids : Index
        The series, in order of their first row.
    channels : dict of channel to Observations
        The observations, channel by channel.
    """

    ids: pd.Index
    channels: dict[Hashable, Observations]


def build_history(ids: pd.Series, times: Floats, values: pd.DataFrame) -> History:
    """Sort once, and cut every channel to what was observed. Values of one series, time and channel are averaged."""
    codes, names = pd.factorize(ids)
    order = np.lexsort((times, codes))
    codes, times = codes[order], times[order]
    channels: dict[Hashable, Observations] = {}
    for channel in values.columns:
        column = values[channel].to_numpy(np.float64, na_value=np.nan)[order]
        known = ~np.isnan(column)
        channels[channel] = _merged(codes[known], times[known], column[known], len(names))
    return History(pd.Index(names), channels)


def _merged(series: Integers, times: Floats, values: Floats, n_series: int) -> Observations:
    new = np.ones(len(times), dtype=bool)
    new[1:] = (np.diff(series) != 0) | (np.diff(times) != 0)
    group = np.cumsum(new) - 1
    if not new.all():
        values = np.bincount(group, values) / np.bincount(group)
        series, times = series[new], times[new]
    counts = np.bincount(series, minlength=n_series)
    return Observations(np.concatenate([[0], np.cumsum(counts)]), times, values)


def require_columns(frame: pd.DataFrame, columns: Sequence[Hashable], role: str) -> None:
    """Refuse a frame that lacks a column."""
    missing = [column for column in columns if column not in frame.columns]
    if missing:
        raise ValueError(f"{role} has no column {missing}; its columns are {list(frame.columns)}")


def channels_of(
    frame: pd.DataFrame, id_col: Hashable, time_col: Hashable, target_cols: Sequence[Hashable] | None
) -> list[Hashable]:
    """The channels named, or every other numeric column."""
    if target_cols is not None:
        return [*target_cols]
    return [*frame.drop(columns=[id_col, time_col]).select_dtypes("number").columns]


def read_ids(frame: pd.DataFrame, id_col: Hashable, role: str) -> pd.Series:
    """Give the series of each row; a row that names none is refused."""
    ids = frame[id_col]
    if ids.isna().any():
        raise ValueError(f"{role}: column {id_col!r} is missing in {int(ids.isna().sum())} rows")
    return ids


def read_times(frame: pd.DataFrame, time_col: Hashable, origin: Any, role: str) -> Floats:
    """Give the times as numbers; dates as seconds since the origin, read through pandas and not as raw integers.

    `origin` is a date where the fitted times are dates, else None.
    """
    times = frame[time_col]
    if times.isna().any():
        raise ValueError(f"{role}: column {time_col!r} is missing in {int(times.isna().sum())} rows")
    if types.is_datetime64_any_dtype(times.dtype):
        if origin is None:
            raise ValueError(f"{role}: column {time_col!r} holds dates, but the fitted times were numbers")
        try:
            since: pd.Series = times - origin
        except TypeError as error:
            raise ValueError(f"{role}: column {time_col!r}: {error}; give all times a time zone, or none") from None
        return np.asarray(since.dt.total_seconds(), dtype=np.float64)
    if origin is not None or not types.is_numeric_dtype(times.dtype):
        wanted = "dates, as the fitted times are" if origin is not None else "dates or numbers"
        raise ValueError(f"{role}: column {time_col!r} holds {times.dtype}; expected {wanted}")
    return times.to_numpy(np.float64)
