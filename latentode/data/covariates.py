"""Covariates: static ones of each series, known ones of every time, and amounts given at an instant."""

from collections.abc import Hashable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pandas.api import types

from latentode.data.columns import LARGEST, has_hash, is_torn, numbers_of
from latentode.data.errors import DataError, shown
from latentode.data.ragged import average_groups, sum_groups
from latentode.data.timed_rows import TimedRows, grouped_rows

__all__ = ["Coding", "ColumnCoding", "Covariates", "covariates_from_rows", "static_of_series"]

Floats = NDArray[np.float64]
Features = NDArray[np.float32]
Ints = NDArray[np.int64]

MOST_CATEGORIES = 30
"""Categories of a column that have a feature of their own: the most frequent; all others share one."""

FARTHEST = 30.0
"""Scaled numbers are clipped here: the largest values of skewed inputs, such as rain, are not rare, and they count."""

LARGEST_AMOUNT = 8.0
"""Scaled amounts of impulses are clipped here."""


@dataclass(frozen=True)
class ColumnCoding:
    """How one column becomes features: a standardised number, or an indicator for each category.

    Parameters
    ----------
    name : hashable
        The column.
    categories : tuple of str, optional
        As text, the most frequent ones; None for a column of numbers (or of true and false).
    center, scale : float
        Of a column of numbers.
    farthest : float
        Scaled numbers are clipped here.
    """

    name: Hashable
    categories: tuple[str, ...] | None = None
    center: float = 0.0
    scale: float = 1.0
    farthest: float = FARTHEST

    @classmethod
    def from_column(cls, column: pd.Series) -> "ColumnCoding":
        """Learn the coding from the column in fit.

        Raises
        ------
        DataError
            When it holds dates, complex numbers or lists, which are neither numbers nor categories.
        """
        column = _usable(column)
        if types.is_datetime64_any_dtype(column.dtype) or types.is_timedelta64_dtype(column.dtype):
            raise DataError(
                f"column {column.name!r} holds dates; a covariate is a number or a category: "
                "give the time since something in days, or a part of the date such as its weekday"
            )
        if types.is_numeric_dtype(column.dtype):
            x = _numbers(column)
            x = np.sort(x[~np.isnan(x)])  # the order of terms changes the rounding of sums
            spread = float(x.std()) if len(x) else 0.0
            return cls(column.name, None, float(x.mean()) if len(x) else 0.0, spread if spread > 0 else 1.0)
        counts = column.dropna().astype(str).value_counts().to_dict()
        # Ties go by name, so that the order of rows has no effect.
        often = sorted((-n, str(category)) for category, n in counts.items())
        return cls(column.name, tuple(sorted(category for _, category in often[:MOST_CATEGORIES])))

    @classmethod
    def of_amounts(cls, column: pd.Series) -> "ColumnCoding":
        """Learn the scale of a column of amounts: the root mean square of those that are not zero.

        Raises
        ------
        DataError
            When it does not hold numbers.
        """
        x = np.abs(_amounts(column))
        x = np.sort(x[x > 0])  # the order of terms changes the rounding of sums
        size = float(x[-1]) if len(x) else 1.0  # in units of which no square overflows or vanishes
        return cls(column.name, scale=size * float(np.sqrt(np.square(x / size).mean())) if len(x) else 1.0)

    def amounts(self, column: pd.Series) -> Floats:
        """Scaled amounts, (row,), NaN where missing; not centred, so that nothing given is zero."""
        with np.errstate(over="ignore"):
            scaled: Floats = _amounts(column) / self.scale
        return scaled

    @property
    def n_features(self) -> int:
        """Features of the column."""
        return 1 if self.categories is None else len(self.categories)

    def features(self, column: pd.Series) -> Features:
        """Features of a column's values, (row, feature): NaN where missing, zeros for a category without a feature."""
        column = _usable(column)
        if self.categories is None:
            if not types.is_numeric_dtype(column.dtype) and not column.isna().all():
                raise DataError(f"column {self.name!r} holds {column.dtype} here but numbers in fit; convert it")
            with np.errstate(over="ignore"):
                scaled = (_numbers(column) - self.center) / self.scale
            number: Features = scaled.clip(-self.farthest, self.farthest)[:, None].astype(np.float32)
            return number
        codes = pd.Index(self.categories).get_indexer(pd.Index(column.astype(str).where(column.notna())))
        coded: Features = (codes[:, None] == np.arange(len(self.categories))).astype(np.float32)
        coded[column.isna().to_numpy()] = np.nan
        return coded

    def unknown_categories(self, column: pd.Series) -> list[str]:
        """Categories without a feature: those absent from fit and, where fit saw too many, the rarer ones."""
        if self.categories is None:
            return []
        present = column.dropna().astype(str).unique()
        return sorted(c for c in present if c not in self.categories)


@dataclass(frozen=True)
class Coding:
    """How static, known and impulse columns become features.

    Parameters
    ----------
    static, known, impulse : tuple of ColumnCoding
        By column.
    """

    static: tuple[ColumnCoding, ...] = ()
    known: tuple[ColumnCoding, ...] = ()
    impulse: tuple[ColumnCoding, ...] = ()

    @classmethod
    def from_frame(
        cls,
        df: pd.DataFrame,
        static: Sequence[Hashable],
        known: Sequence[Hashable],
        impulse: Sequence[Hashable] = (),
    ) -> "Coding":
        """Learn from the frame given to fit."""
        return cls(
            static=tuple(ColumnCoding.from_column(df[c]) for c in static),
            known=tuple(ColumnCoding.from_column(df[c]) for c in known),
            impulse=tuple(ColumnCoding.of_amounts(df[c]) for c in impulse),
        )

    @property
    def n_static(self) -> int:
        """Static features."""
        return sum(c.n_features for c in self.static)

    @property
    def n_known(self) -> int:
        """Known features."""
        return sum(c.n_features for c in self.known)

    @staticmethod
    def features(df: pd.DataFrame, columns: tuple[ColumnCoding, ...]) -> Features:
        """Features of some columns, (row, feature), NaN where a value or its column is missing."""
        parts = [np.empty((len(df), 0), dtype=np.float32)]
        for column in columns:
            there = column.name in df.columns
            blank = np.full((len(df), column.n_features), np.nan, dtype=np.float32)
            parts.append(column.features(df[column.name]) if there else blank)
        return np.concatenate(parts, axis=1)

    @property
    def n_impulses(self) -> int:
        """Impulses."""
        return len(self.impulse)

    def amounts(self, df: pd.DataFrame) -> Floats:
        """Scaled amounts of a frame, (row, impulse), NaN where one or its column is missing."""
        amounts = np.full((len(df), self.n_impulses), np.nan)
        for k, column in enumerate(self.impulse):
            if column.name in df.columns:
                amounts[:, k] = column.amounts(df[column.name])
        return amounts

    @staticmethod
    def there(df: pd.DataFrame, columns: tuple[ColumnCoding, ...]) -> NDArray[np.bool_]:
        """Which features belong to a column that the frame has, (feature,)."""
        return np.repeat([c.name in df.columns for c in columns], [c.n_features for c in columns]).astype(bool)

    def sentences(self, df: pd.DataFrame) -> list[str]:
        """A sentence for each column with categories that have no feature."""
        found = []
        for column in (*self.static, *self.known):
            new = column.unknown_categories(df[column.name]) if column.name in df.columns else []
            if new:
                # With this many, rare categories are coded as unknown ones are, and may be meant.
                full = len(column.categories or ()) == MOST_CATEGORIES
                what = f"which is none of the {MOST_CATEGORIES} most frequent of fit" if full else "not seen in fit"
                found.append(f"column {column.name!r} holds {shown(new[0])}, a category {what}: taken as unknown")
        return found


@dataclass(frozen=True)
class Covariates:
    """Features of series, and of times.

    Parameters
    ----------
    static : array of float32
        (series, feature), NaN where unknown: read as the mean, or no category.
    known : TimedRows
        Values that hold until the next row.
    impulses : TimedRows
        Amounts given at an instant, NaN where a row gives none.
    """

    static: Features
    known: TimedRows
    impulses: TimedRows

    @cached_property
    def given_impulses(self) -> TimedRows:
        """The impulses without rows in which nothing is given."""
        amounts = np.nan_to_num(self.impulses.values)
        given = (amounts != 0).any(axis=1)
        return replace(self.impulses, values=amounts).where(given)

    @cached_property
    def changes(self) -> TimedRows:
        """The known values without rows that repeat the one before: what holds goes on, and costs nothing."""
        return self.known.without_repeats()

    @property
    def n_rows(self) -> int:
        """Rows of known covariates and of impulses."""
        return len(self.known.times) + len(self.impulses.times)

    def take(self, series: Ints) -> "Covariates":
        """The covariates of some of the series, by position."""
        return Covariates(self.static[series], self.known.take(series), self.impulses.take(series))

    def append(self, other: "Covariates") -> "Covariates":
        """The covariates with further series."""
        static = np.concatenate([self.static, other.static])
        return Covariates(static, self.known.append(other.known), self.impulses.append(other.impulses))

    def updated(self, new: "Covariates", place: Ints, n_series: int) -> "Covariates":
        """The covariates with further rows and series; ``place`` has the positions of the new series."""
        grown = self.grown(n_series)
        grown.static[place] = np.where(np.isnan(new.static), grown.static[place], new.static)
        known, impulses = (
            old.with_rows(place[rows.series_of_row], rows.times, rows.values)
            for old, rows in ((grown.known, new.known), (grown.impulses, new.impulses))
        )
        return Covariates(grown.static, known, impulses)

    def grown(self, n_series: int) -> "Covariates":
        """The covariates with further, unknown series; the static features are copied."""
        static = np.full((n_series, self.static.shape[1]), np.nan, dtype=np.float32)
        static[: len(self.static)] = self.static
        return Covariates(static, self.known.grown(n_series), self.impulses.grown(n_series))


def covariates_from_rows(
    static: Features, series: Ints, times: Floats, known: Features, amounts: Floats | None = None
) -> Covariates:
    """Sort rows into series and times; rows without a series (-1) or a time are left out.

    Of rows of the same series and time, known features are averaged, each over the rows that have it; a feature that
    none of them has becomes the mean, or no category. Amounts are added up.

    Parameters
    ----------
    static : array of float32
        (series, feature).
    series : array of int
        (row,), positions.
    times : array of float
        (row,).
    known : array of float32
        (row, feature), NaN where missing.
    amounts : array of float, optional
        (row, impulse), scaled, NaN where missing.
    """
    n_series = len(static)
    levels = grouped_rows(n_series, series, times, known, average_groups)
    if amounts is None:
        return Covariates(static, replace(levels, values=np.nan_to_num(levels.values)), TimedRows.empty(n_series))
    impulses = grouped_rows(n_series, series, times, amounts, sum_groups)
    impulses = replace(impulses, values=impulses.values.clip(-LARGEST_AMOUNT, LARGEST_AMOUNT).astype(np.float32))
    # A row that is there for an amount alone says nothing of the known covariates: what held before holds on.
    for_amount = (np.nan_to_num(impulses.values) != 0).any(axis=1)
    levels = levels.where(np.asarray(~(for_amount & np.isnan(levels.values).all(axis=1))))
    levels = replace(levels, values=np.nan_to_num(levels.values))
    return Covariates(static, levels, impulses.where(np.asarray(~np.isnan(impulses.values).all(axis=1))))


def static_of_series(df: pd.DataFrame, coding: Coding, codes: Ints, ids: pd.Index) -> Features:
    """Static features of series, (series, feature), NaN where no row of a series has them.

    Parameters
    ----------
    df : DataFrame
        The static columns; a missing one leaves its features unknown.
    coding : Coding
        How they become features.
    codes : array of int
        (row,), position of every row's series, -1 for none.
    ids : Index
        The series.

    Raises
    ------
    DataError
        When a column changes within a series, or holds what is neither a number nor a category.
    """
    static = np.full((len(ids), coding.n_static), np.nan, dtype=np.float32)
    columns = [_usable(df[c.name]) for c in coding.static if c.name in df.columns]
    for column in columns:
        _refuse_change(column, codes, ids)
    if columns:
        values = pd.concat(columns, axis=1)
        values.columns = pd.Index([c.name for c in columns], dtype=object, tupleize_cols=False)
        rows = np.flatnonzero((codes >= 0) & values.notna().any(axis=1).to_numpy())
        # A value may stand in one row of a series only, so values are filled within the series first.
        filled = values.iloc[rows].groupby(codes[rows]).first()
        static[filled.index.to_numpy()] = coding.features(filled, coding.static)
    return static


def _usable(column: pd.Series) -> pd.Series:
    """A column of numbers or categories, numbers of any precision as pandas can group them.

    Raises
    ------
    DataError
        When it holds complex numbers, lists and the like, which are no categories, or text that no file can hold.
    """
    if types.is_complex_dtype(column.dtype):
        raise DataError(
            f"covariate column {column.name!r} holds complex numbers in every row ({column.dtype}); "
            "give the real and the imaginary part a column each"
        )
    if not types.is_numeric_dtype(column.dtype):
        try:
            torn = [value for value in column.unique() if is_torn(value)]
        except (TypeError, NotImplementedError):  # the latter is pyarrow's
            row = next(i for i, value in enumerate(column) if not has_hash(value))
            raise DataError(
                f"covariate column {column.name!r} holds {shown(column.iloc[row])} in row {shown(column.index[row])}, "
                "which is no category; give each part of it a column of its own, or convert it with "
                f"df[{column.name!r}].astype(str)"
            ) from None
        if torn:
            row = next(i for i, value in enumerate(column) if is_torn(value))
            raise DataError(
                f"covariate column {column.name!r} holds {shown(torn[0])} in row {shown(column.index[row])}, with "
                "half a character, as text decoded wrongly has; no file can hold it: decode it as UTF-8"
            )
    if column.dtype == np.longdouble:
        return pd.Series(numbers_of(column), column.index, name=column.name)
    return column


def _refuse_change(column: pd.Series, codes: Ints, ids: pd.Index) -> None:
    """Refuse a static column with two values in one series."""
    there = (codes >= 0) & column.notna().to_numpy()
    n = column[there].groupby(codes[there]).nunique()
    if (n > 1).any():
        series = int(n.index[n > 1][0])
        values = column[there & (codes == series)].unique()[:2].tolist()
        raise DataError(
            f"static column {column.name!r} changes within series {shown(ids[series])}: it holds {shown(values[0])} "
            f"and {shown(values[1])}; what changes in time belongs to known_cols (if it is known ahead) or target_cols"
        )


def _numbers(column: pd.Series) -> NDArray[Any]:
    x = numbers_of(column)
    return np.where(np.abs(x) > LARGEST, np.nan, x)


def _amounts(column: pd.Series) -> NDArray[Any]:
    """A column of amounts as float64, NaN where missing."""
    if types.is_complex_dtype(column.dtype) or not (types.is_numeric_dtype(column.dtype) or column.isna().all()):
        some = column.dropna()
        raise DataError(
            f"column {column.name!r} of impulse_cols holds {shown(some.iloc[0])} in row {shown(some.index[0])} "
            f"(its dtype is {column.dtype}); an impulse is an amount, a number: convert the column with "
            f"pd.to_numeric(df[{column.name!r}], errors='coerce'), or give it to known_cols if it holds categories"
        )
    return _numbers(column)
