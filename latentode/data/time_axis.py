"""Times of any kind as float64, and back.

Dates become seconds since the first date of fit; numbers are unchanged. Dates are subtracted as integers: precision is
a nanosecond near the first date, and a microsecond a century later.
"""

import re
from dataclasses import dataclass
from datetime import date, tzinfo
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pandas.api import types

from latentode.data.errors import DataError, shown

__all__ = ["SHORTEST", "TimeAxis", "is_zone_name", "means_months"]

SHORTEST, LONGEST = 1e-300, 1e100
"""Durations between which quotients of two stay numbers, or at least differ from them."""

_KINDS = {
    "datetime": "dates",
    "timedelta": "time differences",
    "period": "periods",
    "number": "numbers",
}


_COUNTED, _COUNTED_BY_NANOSECONDS = 9_223_372_036_000, 9_223_372_036
"""Seconds that microseconds, and nanoseconds, count to in 64 bits."""

_ZONED = (-62_135_510_400, 253_402_214_400)
"""Seconds from 1970 of the years 1 to 9999, but for a day at each end: all that dates with a zone reach."""

_YEAR = 31_556_952
"""Seconds of the calendar's mean year."""

_OFFSET = re.compile(r"[T ]\d.*(?:[Zz]|[+-]\d\d:?\d\d)$")
# To pandas' offsets a start of a month, to its durations a millisecond: the one text that is both.
_MONTHS = re.compile(r"\s*[+-]?\d+\s*MS\s*")
_CALENDAR = re.compile(
    r"\s*\+?(\d+(?:\.\d+)?)?\s*(?:(M|ME|mo|mon|months?)|(Q|QE|QS|quarters?)|(Y|YE|YS|A|AS|y|yr|years?))\s*"
)
_DAYS = (30.436875, 91.310625, 365.2425)
"""Mean days of a month, a quarter and a year."""
_DIGITS = re.compile(r"\s*[+-]?\d+\s*")
_ZONE_NAME = re.compile(r"(?!dateutil/)\w[\w+-]*(/\w[\w+-]*)*|UTC[+-]\d\d:\d\d(:\d\d)?|tzlocal\(\)", re.ASCII)


@dataclass(frozen=True)
class TimeAxis:
    """How the times of a frame map to float64.

    Parameters
    ----------
    kind : {"datetime", "timedelta", "period", "number"}
        What the time column holds.
    origin : int
        Seconds since 1970 of the zero of the axis (dates and periods; 0 otherwise).
    tz : str or None
        Time zone of the column, if it has one.
    freq : str or None
        Frequency of the periods, if they are periods.

    Examples
    --------
    >>> import pandas as pd
    >>> times = pd.Series(pd.to_datetime(["2024-05-01 12:00", "2024-05-01 12:30"]))
    >>> axis = TimeAxis.from_times(times)
    >>> axis.to_float(times)
    array([   0., 1800.])
    """

    kind: str
    origin: int = 0
    tz: str | None = None
    freq: str | None = None

    def __post_init__(self) -> None:
        if self.kind not in _KINDS:
            raise ValueError(f"kind={self.kind!r} is none of {', '.join(_KINDS)}")

    @classmethod
    def from_times(cls, times: pd.Series) -> "TimeAxis":
        """Read the axis off a time column.

        Raises
        ------
        DataError
            When the column holds text or anything else that is no time.
        """
        times = _as_dates(times)
        kind, tz, freq = _kind_of(times)
        if kind in ("timedelta", "number"):
            return cls(kind)
        dates = times.dt.to_timestamp() if kind == "period" else times
        return cls(kind, _first_second(dates), tz, freq)

    def to_float(self, times: pd.Series) -> NDArray[np.float64]:
        """Times as float64: seconds since the origin, or the numbers themselves; NaN where there is none.

        Raises
        ------
        DataError
            When the column is of another kind than the axis, or one has a time zone and the other none.
        """
        times = _as_dates(times)
        kind, tz, _ = _kind_of(times)
        if kind != self.kind:
            raise DataError(
                f"times are {_KINDS[kind]} here but were {_KINDS[self.kind]} in fit "
                f"({_where(times)}, {times.dtype}); give both in the same form"
            )
        if (tz is None) != (self.tz is None):
            here, there = ("a time zone", "none") if tz else ("no time zone", f"the zone {self.tz}")
            raise DataError(
                f"{_where(times)} has {here} here but had {there} in fit; "
                "add one with .dt.tz_localize(zone) or drop it with .dt.tz_localize(None)"
            )
        if self.kind == "number":
            with np.errstate(over="ignore"):  # longdouble has a larger range
                values = times.to_numpy(dtype=np.float64, na_value=np.nan)
            return np.where(np.isfinite(values), values, np.nan)
        if self.kind == "period":
            times = times.dt.to_timestamp()
        elif self.tz is not None:
            times = times.dt.tz_convert(None)
        return _split_seconds(times.to_numpy(), self.origin)

    def length_of(self, duration: object, name: str) -> float:
        """A duration given by the user ("30D", a Timedelta, a number) on this axis: seconds, or the number.

        Raises
        ------
        DataError
            When the duration does not fit the kind of times, is not positive, or too short or long for any number.
        """
        if isinstance(duration, np.timedelta64):  # np.timedelta64 counts as a number by class
            duration = pd.Timedelta(duration)
        try:
            if isinstance(duration, bool | np.bool_):
                raise TypeError
            if self.kind == "number":
                if isinstance(duration, str | pd.Timedelta):
                    raise TypeError
                length = float(duration)  # type: ignore[arg-type]
            else:
                if duration is None or isinstance(duration, int | float | np.number):
                    raise TypeError
                _refuse_ambiguous(duration, name)
                length = pd.Timedelta(duration).total_seconds()  # type: ignore[arg-type]
        except DataError:
            raise
        except (TypeError, ValueError):
            want = "a number, as the times are" if self.kind == "number" else "a duration such as '30D' or '6h'"
            raise DataError(f"{name}={shown(duration)}: expected {want}") from None
        if not (length > 0 and np.isfinite(length)):
            raise DataError(f"{name}={duration!r} must be positive")
        if not SHORTEST <= length <= LONGEST:
            raise DataError(f"{name}={duration!r} must be between {SHORTEST:g} and {LONGEST:g}")
        return length

    def duration_text(self, length: float) -> str:
        """A duration on this axis, for a sentence."""
        if self.kind == "number":
            return f"{length:.4g}"
        if length > _COUNTED_BY_NANOSECONDS:  # the longest duration in all versions of pandas
            return f"{length / _YEAR:.4g} years"
        return f"{length:.4g} s" if length < 60 else str(pd.Timedelta(length, unit="s").round("s"))

    def from_float(self, values: NDArray[np.float64]) -> pd.Series:
        """Times in the column's own kind, to the microsecond for dates.

        Raises
        ------
        DataError
            When a date or a time difference is beyond what microseconds can count, or what a calendar with zones holds.
        """
        if self.kind == "number":
            return pd.Series(values)
        whole = np.floor(values)
        self._require_within(whole)
        micro = 1_000_000 * (whole.astype(np.int64) + self.origin) + np.round((values - whole) * 1e6).astype(np.int64)
        if self.kind == "timedelta":
            return pd.Series(micro.astype("timedelta64[us]"))
        dates = pd.Series(micro.astype("datetime64[us]"))
        if self.kind == "period":
            try:
                return dates.dt.to_period(self.freq)
            except pd.errors.OutOfBoundsDatetime:
                raise DataError(
                    f"periods of freq={self.freq!r} cannot hold {dates.max()}; choose a shorter horizon"
                ) from None
        return dates if self.tz is None else dates.dt.tz_localize("UTC").dt.tz_convert(self.tz)

    def _require_within(self, whole: NDArray[np.float64]) -> None:
        """Refuse times that the dtype cannot hold."""
        least, most = _ZONED if self.tz is not None else (-_COUNTED, _COUNTED)
        seconds = whole + self.origin
        outside = np.flatnonzero((seconds < least) | (seconds > most))
        if len(outside):
            far = seconds[outside[0]] / _YEAR
            what, which = (
                (f"{far:.6g} years", "time differences")
                if self.kind == "timedelta"
                else (f"about the year {1970 + far:.6g}", "dates with a zone" if self.tz is not None else "dates")
            )
            raise DataError(
                f"a query time lies at {what}, beyond what {which} can hold; "
                "choose a shorter horizon, or make the times numbers"
            )


def means_months(text: object) -> bool:
    """Whether a text such as ``"2MS"`` names starts of months, though ``pd.Timedelta`` reads milliseconds."""
    return isinstance(text, str) and _MONTHS.fullmatch(text) is not None


def _refuse_ambiguous(duration: object, name: str) -> None:
    """Refuse steps of the calendar, and texts that ``pd.Timedelta`` reads otherwise than they are likely meant."""
    days = _days_of(duration)
    if days is not None:
        raise DataError(
            f"{name}={shown(duration)} is a step of the calendar, whose length varies; give days, for instance "
            f"'{days:.0f}D'"
        )
    if means_months(duration):
        raise DataError(
            f"{name}={duration!r} names starts of months, whose distance varies; "
            "give days such as '30D', or write 'ms' for milliseconds"
        )
    if isinstance(duration, str) and _DIGITS.fullmatch(duration):
        digits = duration.strip()
        raise DataError(f"{name}={duration!r} has no unit; write '{digits}D' for days, '{digits}h' for hours")


def _days_of(duration: object) -> float | None:
    """About how many days a step of the calendar has; None for anything else."""
    if isinstance(duration, pd.offsets.BaseOffset) and not isinstance(duration, pd.offsets.Tick):
        start = pd.Timestamp("2001-01-01")
        return max(float((start + duration - start) / pd.Timedelta("1D")), 1.0)
    found = _CALENDAR.fullmatch(duration) if isinstance(duration, str) else None
    if found is None:
        return None
    number, *units = found.groups()
    return max(float(number or 1) * next(days for days, unit in zip(_DAYS, units, strict=True) if unit), 1.0)


def is_zone_name(name: str) -> bool:
    """Whether a text can be the name of a time zone only.

    pandas opens any file for a name such as ``dateutil//etc/passwd``. Keys of the zone database, offsets from UTC and
    the local zone are safe.
    """
    return _ZONE_NAME.fullmatch(name) is not None


def _kind_of(times: pd.Series) -> tuple[str, str | None, str | None]:
    """Kind, zone and frequency of times."""
    dtype = times.dtype
    if isinstance(dtype, pd.PeriodDtype):
        return "period", None, str(dtype).removeprefix("period[").removesuffix("]")
    if isinstance(dtype, pd.DatetimeTZDtype):
        return "datetime", _zone_name(dtype.tz), None
    if types.is_datetime64_any_dtype(dtype):
        return "datetime", None, None
    return ("timedelta" if types.is_timedelta64_dtype(dtype) else "number"), None, None


def _where(times: pd.Series) -> str:
    return "the index" if times.name is None else f"time column {times.name!r}"


def _as_dates(times: pd.Series) -> pd.Series:
    """Convert date objects to datetimes; refuse what is not a time."""
    dtype = times.dtype
    if types.is_bool_dtype(dtype) or types.is_complex_dtype(dtype):
        raise DataError(f"{_where(times)} holds {dtype}; expected dates or numbers")
    if isinstance(dtype, pd.ArrowDtype) and dtype.kind in "Mm":
        return _without_arrow(times)
    if (
        types.is_numeric_dtype(dtype)
        or types.is_datetime64_any_dtype(dtype)
        or types.is_timedelta64_dtype(dtype)
        or isinstance(dtype, pd.PeriodDtype)
    ):
        return times
    present = times.dropna()
    if len(present) == 0:
        raise DataError(f"{_where(times)} is empty")
    if all(isinstance(value, date) for value in present):
        try:
            return pd.to_datetime(times)
        except ValueError as cause:  # several time zones
            raise DataError(f"{_where(times)}: {cause}; use pd.to_datetime(..., utc=True)") from cause
    first = present.iloc[0]
    source = "df.index" if times.name is None else f"df[{times.name!r}]"
    held = "text" if isinstance(first, str) else f"objects of type {type(first).__name__}"
    # Text with offsets, such as pd.read_csv leaves as it is where summer time changes them, needs a common zone.
    zoned = isinstance(first, str) and _OFFSET.search(first)
    raise DataError(
        f"{_where(times)} holds {held} ({shown(first)} in row {shown(present.index[0])}) instead of times; "
        f"convert it with pd.to_datetime({source}{', utc=True' if zoned else ''}), or pd.to_numeric if it holds numbers"
    )


def _without_arrow(times: pd.Series) -> pd.Series:
    dtype: Any = times.dtype
    zone = getattr(dtype.pyarrow_dtype, "tz", None)
    if zone is None:
        return times.astype(dtype.numpy_dtype)
    unit: Any = np.datetime_data(dtype.numpy_dtype)[0]
    return times.astype(pd.DatetimeTZDtype(unit, zone))


def _zone_name(tz: tzinfo) -> str:
    """The name of a zone; UTC if it cannot be found by its name."""
    name = str(tz)
    if not is_zone_name(name):
        return "UTC"
    try:
        pd.Timestamp(0, tz=name)
    except (AttributeError, KeyError, ValueError):
        return "UTC"
    return name


def _first_second(dates: pd.Series) -> int:
    if not dates.notna().any():
        raise DataError(f"time column {dates.name!r} holds no time at all")
    return int(dates.min().to_datetime64().astype("datetime64[s]").astype(np.int64))


def _split_seconds(values: NDArray[np.generic], origin: int) -> NDArray[np.float64]:
    """Subtract whole seconds as integers and the rest separately, so that no unit overflows or is rounded."""
    kind = "datetime64" if values.dtype.kind == "M" else "timedelta64"
    whole = values.astype(f"{kind}[s]")
    rest = (values - whole) / np.timedelta64(1, "s")  # NaN where there is no time
    seconds: NDArray[np.float64] = whole.astype(np.int64) - origin + rest
    return seconds
