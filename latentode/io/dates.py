"""Text as times: numbers, ISO dates, dates with the day or the month first, or dates in a given format."""

import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pandas.api.types import infer_dtype

from latentode.data import DataError
from latentode.io.dialects import TextFormat

__all__ = ["as_times"]

_ZONE = r"(?:[Zz]|[T ]\d.*[+-]\d\d(?::?\d\d)?)$"
_COMMA_SECONDS = r"(:\d\d),(\d+)"
_YEAR_LAST = re.compile(
    r"\s*(\d{1,2})([./-])(\d{1,2})\2(\d{4}|\d{2})"
    r"(?:(?:,?\s+|T)(\d{1,2})(:\d\d(?::\d\d(?:[.,]\d+)?)?)\s*([Zz]|[+-]\d\d:?\d\d)?)?\s*"
)


def as_times(column: pd.Series, path: Path, given: TextFormat, found: list[str]) -> pd.Series:
    """A column of text as dates; times with a zone become UTC.

    Days stand first where some first number is above 12 and no second one, months where it is the other way round.

    Parameters
    ----------
    column : Series
        Text, with missing values.
    path : Path
        The file, for messages.
    given : TextFormat
        What is known of the dates.
    found : list of str
        What was found and not given is added, as words for a sentence.

    Raises
    ------
    DataError
        When a row is no such date, dates can be read in two ways, or only some times have a zone.
    """
    if given.date_format is not None:
        return _in_format(column, path, given.date_format)
    codes, texts = _once(column)
    dates: pd.Series = _iso(texts).reindex(codes).set_axis(column.index)
    dates.name = column.name
    zoned = texts.dropna().astype(str).str.contains(_ZONE, regex=True)
    meant = dates
    if dates.notna().sum() < column.notna().sum():  # the slowest reading, and needed only where this one fails
        numbers = pd.to_numeric(column, errors="coerce")
        meant = numbers if numbers.notna().sum() > dates.notna().sum() else dates
    bad = (column.notna() & meant.isna()).to_numpy()
    if bad.any():
        # Only here, so that a column of ISO dates is never read otherwise.
        parts = [_YEAR_LAST.fullmatch(str(text)) for text in column]
        if sum(part is not None for part in parts) > meant.notna().sum():
            texts = _year_first(column, parts, path, given.dayfirst, found)
            dates, zoned = _iso(texts), texts.dropna().str.contains(_ZONE, regex=True)
            _refuse_bad(column, dates, path, "is no date of the calendar")
        else:
            dated = "number and no ISO date such as 2024-05-01 12:30; give --date-format if all are written so"
            _refuse_bad(column, meant, path, f"is no {dated if meant is dates else 'number as the others are'}")
    if zoned.any() and not zoned.all():
        raise DataError(f"{path}: in column {column.name!r} some times have a zone and some have none")
    return dates if zoned.any() else dates.dt.tz_localize(None)


def _once(column: pd.Series) -> tuple[NDArray[np.int64], pd.Series]:
    """The different times of a column, of which many series have the same, and which of them every row holds."""
    if infer_dtype(column) != "string":  # others may be equal and yet be read differently, as 1 and True
        return np.arange(len(column)), column.reset_index(drop=True)
    codes, texts = pd.factorize(column)
    return codes, pd.Series(texts)


def _iso(texts: pd.Series) -> pd.Series:
    dates = pd.to_datetime(texts, format="ISO8601", errors="coerce", utc=True)
    if (texts.notna() & dates.isna()).any():  # ISO 8601 allows a comma before parts of seconds, pandas does not
        dotted = texts.astype(object).where(
            texts.isna(), texts.astype(str).str.replace(_COMMA_SECONDS, r"\1.\2", regex=True)
        )
        dates = pd.to_datetime(dotted, format="ISO8601", errors="coerce", utc=True)
    return dates


def _in_format(column: pd.Series, path: Path, date_format: str) -> pd.Series:
    zoned = "%z" in date_format or "%Z" in date_format
    try:
        dates: pd.Series = pd.to_datetime(column, format=date_format, errors="coerce", utc=zoned)
    except ValueError as cause:
        raise DataError(f"--date-format {date_format!r}: {cause}") from cause
    _refuse_bad(column, dates, path, f"is no date in --date-format {date_format!r}")
    return dates


def _refuse_bad(column: pd.Series, times: pd.Series, path: Path, why: str) -> None:
    bad = (column.notna() & times.isna()).to_numpy()
    if bad.any():
        row = int(bad.argmax())
        raise DataError(f"{path}: row {row + 1} below the header: {column.iloc[row]!r} in column {column.name!r} {why}")


def _year_first(
    column: pd.Series, parts: Sequence[re.Match[str] | None], path: Path, dayfirst: bool | None, found: list[str]
) -> pd.Series:
    """Dates that end with the year, as ISO text."""

    def fail(row: int, why: str) -> DataError:
        return DataError(
            f"{path}: row {row + 1} below the header: {column.iloc[row]!r} in column {column.name!r} {why}"
        )

    rows: list[int] = np.flatnonzero(column.notna()).tolist()
    example = next(part for part in parts if part is not None)
    for row in rows:
        part = parts[row]
        if part is None or part[2] != example[2]:
            raise fail(row, f"is written otherwise than {example[0]!r}; write all times in one way")
        if len(part[4]) == 2:
            raise fail(row, "has a year of two digits: give --date-format, such as --date-format %d.%m.%y")
    matches = [part for part in parts if part is not None]
    first = np.array([int(part[1]) for part in matches])
    second = np.array([int(part[3]) for part in matches])
    if dayfirst is None:
        if (first > 12).any() == (second > 12).any():
            if (first > 12).any():
                row = rows[max(int((first > 12).argmax()), int((second > 12).argmax()))]
                raise fail(row, "has the day elsewhere than the rows before; write all dates in one way")
            raise fail(rows[0], "can begin with the day or the month: give --dayfirst, --no-dayfirst or --date-format")
        dayfirst = bool((first > 12).any())
        found.append(f"dates that begin with the {'day (--dayfirst)' if dayfirst else 'month (--no-dayfirst)'}")
    days, months = (first, second) if dayfirst else (second, first)
    texts = pd.Series(np.full(len(column), None, dtype=object), index=column.index)
    texts.iloc[rows] = [
        f"{part[4]}-{month:02d}-{day:02d}" + (f"T{int(part[5]):02d}{part[6]}{part[7] or ''}" if part[5] else "")
        for part, day, month in zip(matches, days, months, strict=True)
    ]
    return texts
