"""Covariates: static ones of each series, and known ones of every time."""

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pandas.api import types

from latentode.data.columns import LARGEST, has_hash, numbers_of
from latentode.data.errors import DataError, shown
from latentode.data.ragged import average_groups, pad, slices

__all__ = ["Coding", "ColumnCoding", "Covariates", "covariates_from_rows", "static_of_series"]

Floats = NDArray[np.float64]
Features = NDArray[np.float32]
Ints = NDArray[np.int64]

MOST_CATEGORIES = 30
"""Categories of a column that have a feature of their own: the most frequent; all others share one."""

FARTHEST = 8.0
"""Scaled numbers are clipped here."""


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
    """

    name: Hashable
    categories: tuple[str, ...] | None = None
    center: float = 0.0
    scale: float = 1.0

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
            number: Features = scaled.clip(-FARTHEST, FARTHEST)[:, None].astype(np.float32)
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
    """How static and known columns become features.

    Parameters
    ----------
    static, known : tuple of ColumnCoding
        By column.
    """

    static: tuple[ColumnCoding, ...] = ()
    known: tuple[ColumnCoding, ...] = ()

    @classmethod
    def from_frame(cls, df: pd.DataFrame, static: Sequence[Hashable], known: Sequence[Hashable]) -> "Coding":
        """Learn from the frame given to fit."""
        return cls(*(tuple(ColumnCoding.from_column(df[c]) for c in columns) for columns in (static, known)))

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
                full = (
                    len(column.categories or ()) == MOST_CATEGORIES
                )  # then rare and unknown categories are not distinguished
                what = f"which is none of the {MOST_CATEGORIES} most frequent of fit" if full else "not seen in fit"
                found.append(f"column {column.name!r} holds {shown(new[0])}, a category {what}: taken as unknown")
        return found


@dataclass(frozen=True)
class Covariates:
    """Features of series, and of times, in flat arrays.

    Parameters
    ----------
    static : array of float32
        (series, feature), NaN where unknown: read as the mean, or no category.
    offsets : array of int
        (series + 1,), rows of each series in ``times`` and ``known``.
    times : array of float
        (row,), increasing within a series.
    known : array of float32
        (row, feature): a row holds until the next one.
    """

    static: Features
    offsets: Ints
    times: Floats
    known: Features

    @property
    def series_of_row(self) -> Ints:
        """The position of every row's series, (row,)."""
        return np.repeat(np.arange(len(self.static)), np.diff(self.offsets))

    def take(self, series: Ints) -> "Covariates":
        """The covariates of some of the series, by position."""
        offsets, rows = slices(self.offsets[series], np.diff(self.offsets)[series])
        return Covariates(self.static[series], offsets, self.times[rows], self.known[rows])

    def append(self, other: "Covariates") -> "Covariates":
        """The covariates with further series."""
        return Covariates(
            np.concatenate([self.static, other.static]),
            np.concatenate([self.offsets, self.offsets[-1] + other.offsets[1:]]),
            np.concatenate([self.times, other.times]),
            np.concatenate([self.known, other.known]),
        )

    def updated(self, new: "Covariates", place: Ints, n_series: int) -> "Covariates":
        """The covariates with further rows and series; ``place`` has the positions of the new series."""
        grown = self.grown(n_series)
        grown.static[place] = np.where(np.isnan(new.static), grown.static[place], new.static)
        return grown.with_rows(place[new.series_of_row], new.times, new.known)

    def grown(self, n_series: int) -> "Covariates":
        """The covariates with further, unknown series; the static features are copied."""
        static = np.full((n_series, self.static.shape[1]), np.nan, dtype=np.float32)
        static[: len(self.static)] = self.static
        offsets = np.concatenate([self.offsets, np.full(n_series - len(self.static), self.offsets[-1])])
        return Covariates(static, offsets, self.times, self.known)

    def with_rows(self, series: Ints, times: Floats, known: Features) -> "Covariates":
        """The covariates with further rows, which replace old ones of the same series and time."""
        codes = np.concatenate([self.series_of_row, series])
        when = np.concatenate([self.times, times])
        rows = np.lexsort((when, codes))  # at the same time, the old row comes first
        codes, when = codes[rows], when[rows]
        last = np.ones(len(rows), dtype=bool)
        last[:-1] = (codes[1:] != codes[:-1]) | (when[1:] != when[:-1])
        offsets = np.searchsorted(codes[last], np.arange(len(self.static) + 1)).astype(np.int64)
        return Covariates(self.static, offsets, when[last], np.concatenate([self.known, known])[rows[last]])

    def held(self, series: Ints, times: Floats) -> Features:
        """The values held by some series at some times, (row, feature); zeros for an unknown series.

        Parameters
        ----------
        series : array of int
            (row,), positions.
        times : array of float
            (row,); before the first row of a series, its first row is used.
        """
        n = len(self.times)
        order = np.lexsort(
            (
                np.arange(n + len(times)),  # a row at the query time itself counts
                np.concatenate([self.times, times]),
                np.concatenate([self.series_of_row, series]),
            )
        )
        until = np.empty(n + len(times), dtype=np.int64)
        until[order] = np.cumsum(order < n)
        begins, ends = self.offsets[series], self.offsets[series + 1]
        some = ends > begins
        held = np.zeros((len(times), self.known.shape[1]), dtype=np.float32)
        held[some] = self.known[np.maximum(until[n:] - 1, begins)[some]]
        return held

    def knots(self, series: Ints, begin: Floats, end: Floats) -> tuple[Floats, Features]:
        """The rows of some series from one time to another, and the last one before.

        Parameters
        ----------
        series : array of int
            (batch,), positions.
        begin, end : array of float
            (batch,).

        Returns
        -------
        times : array of float
            (batch, knot), inf where padded.
        values : array of float32
            (batch, knot, feature); zeros for an unknown series.
        """
        starts, stops = self.offsets[series], self.offsets[series + 1]
        first, last = starts.copy(), stops.copy()
        for i, (start, stop) in enumerate(zip(starts, stops, strict=True)):
            own = self.times[start:stop]
            first[i] = start + max(int(np.searchsorted(own, begin[i], side="right")) - 1, 0)
            last[i] = start + int(np.searchsorted(own, end[i], side="right"))
        lengths = np.maximum(last - first, np.minimum(stops - first, 1))
        return pad(self.times, first, lengths, np.inf), pad(self.known, first, lengths, 0.0)


def covariates_from_rows(static: Features, series: Ints, times: Floats, known: Features) -> Covariates:
    """Sort rows into series and times; rows without a series (-1) or a time are left out.

    Rows of the same series and time are averaged, each feature over the rows that have it. A feature that none of them
    has becomes the mean, or no category.

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
    """
    kept = np.flatnonzero((series >= 0) & ~np.isnan(times))
    rows = kept[np.lexsort((times[kept], series[kept]))]
    codes, when, known = series[rows], times[rows], known[rows]
    first = np.ones(len(rows), dtype=bool)
    first[1:] = (codes[1:] != codes[:-1]) | (when[1:] != when[:-1])
    if not first.all():
        known = average_groups(known, np.flatnonzero(first))
    offsets = np.searchsorted(codes[first], np.arange(len(static) + 1)).astype(np.int64)
    return Covariates(static, offsets, when[first], np.nan_to_num(known))


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
        When it holds complex numbers, or lists and the like, which are no categories.
    """
    if types.is_complex_dtype(column.dtype):
        raise DataError(
            f"covariate column {column.name!r} holds complex numbers in every row ({column.dtype}); "
            "give the real and the imaginary part a column each"
        )
    if not types.is_numeric_dtype(column.dtype):
        try:
            column.unique()
        except (TypeError, NotImplementedError):  # the latter is pyarrow's
            row = next(i for i, value in enumerate(column) if not has_hash(value))
            raise DataError(
                f"covariate column {column.name!r} holds {shown(column.iloc[row])} in row {shown(column.index[row])}, "
                "which is no category; give each part of it a column of its own, or convert it with "
                f"df[{column.name!r}].astype(str)"
            ) from None
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
