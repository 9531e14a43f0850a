"""Times on the clock and the calendar: on the hour, at midnight, on the first of a month, on multiples of a number."""

from typing import Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from latentode.data import DataError, TimeAxis

__all__ = ["MAX_ROWS", "clock_times"]

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

MAX_ROWS = 50_000_000
"""Rows of a forecast at most."""

_DAY = 86_400_000_000
_LONGEST_SHIFT = 3 * 3_600_000_000
"""Microseconds by which clocks are set back at most, and a little more."""


def clock_times(
    axis: TimeAxis, ends: Floats, length: float, step: float, offset: pd.offsets.BaseOffset | None
) -> tuple[Ints, Floats]:
    """The multiples of a step after each end and within a length of it.

    Numbers and time differences are counted from 0, dates from midnight of 1970-01-01 in their own zone. Where clocks
    are set forward, skipped times are left out; only a day whose midnight is skipped begins at the next time there is.
    Where clocks are set back, a time that occurs twice counts twice if the step is not longer than the hour between.

    Parameters
    ----------
    axis : TimeAxis
        Of numbers, time differences or dates.
    ends : array
        (series,), on the axis.
    length, step : float
        How far, and the distance of the times, on the axis.
    offset : offset or None
        A step of the calendar, instead of `step`.

    Returns
    -------
    lengths : array of int
        (series,), how many times each has; perhaps none.
    times : array
        On the axis, series by series.

    Raises
    ------
    DataError
        When there are too many times, or dates are beyond what can be held.
    """
    lengths: Ints
    if axis.kind == "number":
        return _multiples_of_number(ends, length, step)
    begin, last = _micros(axis.from_float(ends)), _micros(axis.from_float(ends + length))
    if offset is not None:
        zone, unit = axis.tz, "datetime64[us]"
        grid = _calendar(_walls(begin, zone).min(), _walls(last, zone).max(), offset)
        instants = np.unique(_instants(grid.astype(unit).astype(np.int64), zone, None))
        first, stop = (np.searchsorted(instants, edge, side="right").astype(np.int64) for edge in (begin, last))
        lengths = stop - first
        found = instants[_places(first, lengths)]
    else:
        lengths, found = _multiples(axis, begin, last, step)
    dtype = "timedelta64[us]" if axis.kind == "timedelta" else "datetime64[us]"
    times = pd.Series(found.astype(dtype))
    return lengths, axis.to_float(times if axis.tz is None else times.dt.tz_localize("UTC"))


def _multiples_of_number(ends: Floats, length: float, step: float) -> tuple[Ints, Floats]:
    begin, last = ends / step, (ends + length) / step
    near = np.maximum(1e-9, 4 * np.finfo(float).eps * np.maximum(abs(begin), abs(last)))  # 0.3 is 3 steps of 0.1
    first = np.floor(begin + near) + 1
    lengths = np.maximum(np.floor(last + near) - first + 1, 0)
    _refuse_many(lengths)
    counts = lengths.astype(np.int64)
    within = _places(np.zeros(len(ends), dtype=np.int64), counts)
    times: Floats = ((np.repeat(first, counts) + within) * step).astype(np.float64)
    return counts, times


def _multiples(axis: TimeAxis, begin: Ints, last: Ints, step: float) -> tuple[Ints, Ints]:
    """Multiples of a duration between instants, in microseconds; begin is not among them."""
    distance = round(step * 1e6)
    if distance < 1 or abs(distance - step * 1e6) > 1e-3:
        raise DataError(f"freq={step:g} s is not a whole number of microseconds, which align='clock' needs")
    zone = axis.tz
    aside = 0 if zone is None else _LONGEST_SHIFT
    first = (_walls(begin, zone) - aside) // distance + 1
    counts = np.maximum((_walls(last, zone) + aside) // distance - first + 1, 0)
    _refuse_many(counts.astype(float))
    walls = _places(first, counts) * distance
    series = np.repeat(np.arange(len(begin)), counts)
    if zone is None:
        return counts, walls
    found, series = _instants(walls, zone, distance), np.tile(series, 2)  # a skipped time is before all others
    inside = (found > begin[series]) & (found <= last[series])
    pairs = np.unique(np.stack([series[inside], found[inside]]), axis=1)
    return np.bincount(pairs[0], minlength=len(begin)).astype(np.int64), pairs[1]


def _calendar(begin: np.int64, last: np.int64, offset: pd.offsets.BaseOffset) -> NDArray[np.datetime64]:
    """Dates of an offset from midnight of 1970-01-01 on, or from before it, without a zone."""
    first, stop = (pd.Timestamp(edge.astype("datetime64[us]")) for edge in (begin, last))
    start = pd.date_range(pd.Timestamp("1970-01-01").as_unit("us"), periods=1, freq=offset)[0]
    if start > first:
        steps = (start - first) // (start + offset - start) + 1
        # Months differ in length, so that the estimated number of steps may be a few too small.
        while start > first:
            start, steps = start - int(steps) * offset, 1
    dates: NDArray[np.datetime64] = pd.date_range(start, stop, freq=offset).to_numpy()
    return dates


def _micros(times: pd.Series) -> Ints:
    """Microseconds since 1970 in UTC, or of a time difference."""
    plain = times.dt.tz_convert(None) if isinstance(times.dtype, pd.DatetimeTZDtype) else times
    kind = "m8[us]" if plain.dtype.kind == "m" else "M8[us]"
    return plain.to_numpy().astype(kind).astype(np.int64)


def _walls(instants: Ints, zone: str | None) -> Ints:
    """What clocks of a zone show, as microseconds since their 1970."""
    if zone is None:
        return instants
    dates = pd.Series(instants.astype("datetime64[us]")).dt.tz_localize("UTC").dt.tz_convert(zone)
    return dates.dt.tz_localize(None).to_numpy().astype("datetime64[us]").astype(np.int64)


def _instants(walls: Ints, zone: str | None, distance: int | None) -> Ints:
    """The instants of what clocks show, the first of two; then, given a distance, all again with the second of two."""
    if zone is None:
        return walls
    dates = pd.Series(walls.astype("datetime64[us]"))
    summer = np.ones(len(dates), dtype=bool)
    nonexistent: Literal["shift_forward", "NaT"] = (
        "NaT" if distance is not None and distance % _DAY else "shift_forward"
    )
    first, second = (
        _micros(dates.dt.tz_localize(zone, ambiguous=is_summer, nonexistent=nonexistent))
        for is_summer in (summer, ~summer)
    )
    if distance is None:
        return first
    return np.concatenate([first, np.where(second - first >= distance, second, first)])


def _places(first: Ints, counts: Ints) -> Ints:
    """first, first + 1, ..., as many as counted, for each."""
    starts = np.cumsum(counts) - counts
    return np.repeat(first - starts, counts) + np.arange(counts.sum())


def _refuse_many(counts: Floats) -> None:
    if not counts.sum() <= MAX_ROWS:
        raise DataError(
            f"up to {counts.max():.12g} times for each of {len(counts)} series are too many; choose a longer freq"
        )
