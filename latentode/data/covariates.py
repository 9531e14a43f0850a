"""What is known beside the channels: of each series for good, and of every time ahead of it."""

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pandas.api import types

from latentode.data.errors import DataError, shown
from latentode.data.ragged import slices
from latentode.data.schema import LARGEST, numbers_of

__all__ = ["Coding", "ColumnCoding", "Covariates", "covariates_from_rows"]

Floats = NDArray[np.float64]
Features = NDArray[np.float32]
Ints = NDArray[np.int64]

MOST_CATEGORIES = 30
"""Categories of a column told apart: the most frequent ones; all others are one."""

FARTHEST = 8.0
"""Scaled numbers end here."""


@dataclass(frozen=True)
class ColumnCoding:
    """How one column becomes features: a number in spreads from its mean, or a place for each category.

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
        """Learn from what a column holds in fit.

        Raises
        ------
        DataError
            When it holds dates, which are neither numbers nor categories.
        """
        if types.is_datetime64_any_dtype(column.dtype) or types.is_timedelta64_dtype(column.dtype):
            raise DataError(
                f"column {column.name!r} holds dates; a covariate is a number or a category: "
                "give the time since something in days, or a part of the date such as its weekday"
            )
        if types.is_numeric_dtype(column.dtype):
            x = _numbers(column)
            x = np.sort(x[~np.isnan(x)])  # sums round by the order of their terms
            spread = float(x.std()) if len(x) else 0.0
            return cls(column.name, None, float(x.mean()) if len(x) else 0.0, spread if spread > 0 else 1.0)
        counts = column.dropna().astype(str).value_counts().to_dict()
        # Of equally frequent ones the first by name: which row came first says nothing.
        often = sorted((-n, str(category)) for category, n in counts.items())
        return cls(column.name, tuple(sorted(category for _, category in often[:MOST_CATEGORIES])))

    @property
    def n_features(self) -> int:
        """Features of the column."""
        return 1 if self.categories is None else len(self.categories)

    def features(self, column: pd.Series) -> Features:
        """Features of a column's values, (row, feature); what is missing is the mean, or no category."""
        if self.categories is None:
            if not types.is_numeric_dtype(column.dtype) and not column.isna().all():
                raise DataError(f"column {self.name!r} holds {column.dtype} here but numbers in fit; convert it")
            with np.errstate(over="ignore"):
                scaled = (_numbers(column) - self.center) / self.scale
            number: Features = np.nan_to_num(scaled.clip(-FARTHEST, FARTHEST))[:, None].astype(np.float32)
            return number
        codes = pd.Index(self.categories).get_indexer(pd.Index(column.astype(str).where(column.notna())))
        told: Features = (codes[:, None] == np.arange(len(self.categories))).astype(np.float32)
        return told

    def strangers(self, column: pd.Series) -> list[str]:
        """Categories that are not told apart: those fit has not seen and, where it saw too many, the rarer ones."""
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
        """Features of some columns, (row, feature).

        Raises
        ------
        DataError
            When one is not there.
        """
        parts = [np.empty((len(df), 0), dtype=np.float32)]
        for column in columns:
            if column.name not in df.columns:
                raise DataError(
                    f"the frame has no column {column.name!r}, a covariate seen in fit; add it to every row"
                )
            parts.append(column.features(df[column.name]))
        return np.concatenate(parts, axis=1)

    def sentences(self, df: pd.DataFrame) -> list[str]:
        """What is to be said of categories that are not told apart, a sentence each."""
        said = []
        for column in (*self.static, *self.known):
            new = column.strangers(df[column.name]) if column.name in df.columns else []
            if new:
                full = len(column.categories or ()) == MOST_CATEGORIES  # a rare one of fit and a stranger are one then
                what = f"which is none of the {MOST_CATEGORIES} most frequent of fit" if full else "not seen in fit"
                said.append(f"column {column.name!r} holds {shown(new[0])}, a category {what}: taken as unknown")
        return said


@dataclass(frozen=True)
class Covariates:
    """Features of series, and of times, in flat arrays.

    Parameters
    ----------
    static : array of float32
        (series, feature).
    offsets : array of int
        (series + 1,), rows of each series in ``times`` and ``known``.
    times : array of float
        (row,), rising within a series.
    known : array of float32
        (row, feature): a row holds until the next one.
    """

    static: Features
    offsets: Ints
    times: Floats
    known: Features

    def take(self, series: Ints) -> "Covariates":
        """Those of some of the series, by position."""
        offsets, rows = slices(self.offsets[series], np.diff(self.offsets)[series])
        return Covariates(self.static[series], offsets, self.times[rows], self.known[rows])

    def append(self, other: "Covariates") -> "Covariates":
        """These, and those of further series."""
        return Covariates(
            np.concatenate([self.static, other.static]),
            np.concatenate([self.offsets, self.offsets[-1] + other.offsets[1:]]),
            np.concatenate([self.times, other.times]),
            np.concatenate([self.known, other.known]),
        )

    def updated(self, new: "Covariates", place: Ints, n_series: int) -> "Covariates":
        """These with further rows and series: ``place`` is where each new series stands, among ``n_series``."""
        static = np.zeros((n_series, self.static.shape[1]), dtype=np.float32)
        static[: len(self.static)] = self.static
        static[place] = np.where(new.static.any(axis=1, keepdims=True), new.static, static[place])
        offsets = np.concatenate([self.offsets, np.full(n_series - len(self.static), self.offsets[-1])])
        series = place[np.repeat(np.arange(len(new.static)), np.diff(new.offsets))]
        return Covariates(static, offsets, self.times, self.known).with_rows(series, new.times, new.known)

    def with_rows(self, series: Ints, times: Floats, known: Features) -> "Covariates":
        """These and further rows of the same series; at one time the later given holds."""
        mine = np.repeat(np.arange(len(self.static)), np.diff(self.offsets))
        return covariates_from_rows(
            self.static,
            np.concatenate([mine, series]),
            np.concatenate([self.times, times]),
            np.concatenate([self.known, known]),
        )

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
            (batch, knot, feature); zeros for a series of which nothing is known.
        """
        starts, stops = self.offsets[series], self.offsets[series + 1]
        first, last = starts.copy(), stops.copy()
        for i, (start, stop) in enumerate(zip(starts, stops, strict=True)):
            own = self.times[start:stop]
            first[i] = start + max(int(np.searchsorted(own, begin[i], side="right")) - 1, 0)
            last[i] = start + int(np.searchsorted(own, end[i], side="right"))
        lengths = np.maximum(last - first, np.minimum(stops - first, 1))
        steps = np.arange(max(int(lengths.max(initial=0)), 1))
        inside = steps < lengths[:, None]
        rows = (first[:, None] + steps)[inside]
        times = np.full(inside.shape, np.inf)
        values = np.zeros((*inside.shape, self.known.shape[1]), dtype=np.float32)
        times[inside], values[inside] = self.times[rows], self.known[rows]
        return times, values


def covariates_from_rows(static: Features, series: Ints, times: Floats, known: Features) -> Covariates:
    """Sort rows into series and times; rows without a series (-1) or a time are left out, of two at one time the last.

    Parameters
    ----------
    static : array of float32
        (series, feature).
    series : array of int
        (row,), positions.
    times : array of float
        (row,).
    known : array of float32
        (row, feature).
    """
    kept = np.flatnonzero((series >= 0) & ~np.isnan(times))
    rows = kept[np.lexsort((times[kept], series[kept]))]
    codes, when = series[rows], times[rows]
    last = np.ones(len(rows), dtype=bool)
    last[:-1] = (codes[1:] != codes[:-1]) | (when[1:] != when[:-1])
    rows = rows[last]
    offsets = np.searchsorted(series[rows], np.arange(len(static) + 1)).astype(np.int64)
    return Covariates(static, offsets, times[rows], known[rows])


def _numbers(column: pd.Series) -> NDArray[Any]:
    x = numbers_of(column)
    return np.where(np.abs(x) > LARGEST, np.nan, x)
