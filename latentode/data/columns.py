"""Single columns: numbers as float64, ids as an index, and errors for columns that are neither."""

from collections.abc import Hashable, Iterable, Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pandas.api import types

from latentode.data.errors import DataError, shown

__all__ = [
    "LARGEST",
    "as_ids",
    "has_hash",
    "is_date",
    "is_torn",
    "listed",
    "named_columns",
    "numbers_of",
    "require_name",
    "require_numbers_where_meant",
]

LARGEST = 1e100
"""Values and times beyond it count as missing: their squares would overflow."""


def require_numbers_where_meant(column: pd.Series, always: bool = False) -> None:
    """Refuse a text column meant as numbers, naming the first row that is not a number."""
    if types.is_complex_dtype(column.dtype):
        raise DataError(
            f"column {column.name!r} holds complex numbers; give the real and the imaginary part a column each"
        )
    if types.is_numeric_dtype(column.dtype):
        return
    if is_date(column.dtype):
        raise DataError(f"target column {column.name!r} holds dates ({column.dtype}); a channel holds numbers")
    present = column.dropna()
    as_number = _as_numbers(present)
    with_point = as_number if as_number.notna().all() else _as_numbers(_with_points(present))
    if always or with_point.notna().mean() > 0.5:
        bad = present[as_number.isna().to_numpy()]
        where = (
            f"row {shown(bad.index[0])} holds {shown(bad.iloc[0])}"
            if len(bad)
            else f"its dtype is {column.dtype}, not numeric"
        )
        raise DataError(
            f"column {column.name!r} should hold numbers but {where}; convert it with "
            f"pd.to_numeric(df[{column.name!r}], errors='coerce') (what is no number becomes missing; numbers with a "
            "comma want pd.read_csv(..., decimal=',')), "
            "or leave it out with target_cols=[...]"
        )


def numbers_of(column: pd.Series) -> NDArray[np.float64]:
    """A numeric column as float64, NaN where missing, infinite beyond the range of float64."""
    with np.errstate(over="ignore"):
        numbers: NDArray[np.float64] = column.to_numpy(dtype=np.float64, na_value=np.nan)
    return numbers


def as_ids(column: pd.Series) -> pd.Index:
    """Names of series as an index; what has no hash is refused."""
    if column.dtype == np.float16:  # pandas has no index of these
        column = column.astype(np.float32)
    if column.dtype == np.longdouble:  # nor of these that can be searched
        column = pd.Series(numbers_of(column), column.index, name=column.name)
    if types.is_object_dtype(column.dtype):
        try:
            column.unique()
        except TypeError:
            row = next(i for i, value in enumerate(column) if not has_hash(value))
            raise DataError(
                f"column {column.name!r} names the series, but row {shown(column.index[row])} holds "
                f"{shown(column.iloc[row])}, which is no name; convert it with df[{column.name!r}].astype(str)"
            ) from None
    ids: pd.Index = pd.Index(column)
    return ids


def has_hash(value: object) -> bool:
    """Whether a value can name a series or a category."""
    try:
        hash(value)
    except TypeError:
        return False
    return True


def is_torn(value: object) -> bool:
    """Whether a value is text with half of a pair of UTF-16, as text decoded wrongly has: no file can hold it."""
    return isinstance(value, str) and any("\ud800" <= c <= "\udfff" for c in value)


def require_name(column: object, role: str) -> None:
    """Refuse what cannot name a column, such as a list of names.

    Raises
    ------
    DataError
        Naming the parameter, `role`.
    """
    if not has_hash(column):
        single = column[0] if isinstance(column, list) and len(column) == 1 else None
        example = f"give {role}={single!r}" if has_hash(single) and single is not None else f"{role} is one name"
        raise DataError(f"{role}={shown(column)} is a {type(column).__name__}, which cannot name a column; {example}")


def named_columns(columns: Any, role: str) -> tuple[Hashable, ...]:
    """The names that a parameter gives: one, or a sequence of them.

    Raises
    ------
    DataError
        When one of them cannot name a column; it names the parameter, `role`.

    Examples
    --------
    >>> named_columns("x", "target_cols"), named_columns(["x", "y"], "target_cols")
    (('x',), ('x', 'y'))
    """
    given = columns.tolist() if isinstance(columns, np.ndarray | pd.Series) else columns
    if isinstance(given, str) or not isinstance(given, Sequence | pd.Index):
        if not has_hash(given):
            raise DataError(
                f"{role}={shown(given)} is a {type(given).__name__}; give the names of columns as a list, such as "
                f"{role}=['x', 'y']"
            )
        return (given,)
    for column in given:
        if not has_hash(column):
            raise DataError(
                f"{role}={shown(given)} holds {shown(column)}, a {type(column).__name__}, which cannot name a column; "
                f"give a list of names, such as {role}=['x', 'y']"
            )
    return tuple(given)


def _as_numbers(column: pd.Series) -> pd.Series:
    """Objects and text as numbers, NaN for what is none."""
    try:
        return pd.to_numeric(column, errors="coerce")
    except (OverflowError, TypeError, ValueError):  # whole numbers beyond float64; lists, on some versions
        return column.map(_as_number).astype(np.float64)


def _with_points(column: pd.Series) -> pd.Series:
    """Text with points where it has commas; anything else as it is."""
    values = [value.replace(",", ".") if isinstance(value, str) else value for value in column]
    return pd.Series(values, dtype=object)


def _as_number(value: object) -> float:
    try:
        return float(value)  # type: ignore[arg-type]
    except (OverflowError, TypeError, ValueError):
        return np.nan


def is_date(dtype: object) -> bool:
    """Whether a column of this type holds dates, time differences or periods."""
    return (
        types.is_datetime64_any_dtype(dtype)  # type: ignore[arg-type]
        or types.is_timedelta64_dtype(dtype)  # type: ignore[arg-type]
        or isinstance(dtype, pd.PeriodDtype)
    )


def listed(columns: Iterable[Hashable]) -> str:
    """The first names, for a message."""
    names = list(columns)
    first = ", ".join(repr(n) for n in names[:12])
    return first + (f", ... ({len(names)} in all)" if len(names) > 12 else "") if names else "(none)"
