"""A panel of irregular series as flat arrays: sorted once, one row per (series, time), no object per series."""

from dataclasses import dataclass, field

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from latentode.data.columns import LARGEST, is_torn, numbers_of, require_numbers_where_meant
from latentode.data.covariates import Coding, Covariates, covariates_from_rows, static_of_series
from latentode.data.errors import DataError, shown
from latentode.data.ragged import average_groups, slices
from latentode.data.schema import Schema
from latentode.data.time_axis import TimeAxis

__all__ = ["Panel", "Treatment", "order_of", "panel_from_frame", "series_codes", "values_of"]

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Panel:
    """Observations of many series, each series' rows together and in time order.

    Parameters
    ----------
    ids : Index
        The series, (series,), sorted where they can be.
    offsets : array of int
        Rows of series i are ``offsets[i]:offsets[i + 1]``, (series + 1,).
    times : array of float
        (rows,), on the axis of :class:`TimeAxis`.
    values : array of float
        (rows, channel), NaN where a channel was not measured then.
    covariates : Covariates, optional
        Covariates of the series; None without such columns.
    """

    ids: pd.Index
    offsets: NDArray[np.int64]
    times: Floats
    values: Floats
    covariates: Covariates | None = None

    @property
    def n_series(self) -> int:
        """Number of series."""
        return len(self.ids)

    @property
    def lengths(self) -> NDArray[np.int64]:
        """Rows of every series, (series,)."""
        return np.diff(self.offsets)

    def is_known(self, series: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Whether there are observations of a series, by position; -1 is a series the panel does not hold."""
        counts = np.append(self.lengths, 0)
        return np.asarray(counts[series] > 0)

    def end_of(self, series: NDArray[np.int64]) -> Floats:
        """The last time of a series, by position; NaN where it is not known."""
        return np.append(self.last_times, np.nan)[series]

    def holds(self, ids: pd.Index, times: Floats) -> NDArray[np.bool_]:
        """Whether there is a row of a series and time, for each of some (row,)."""
        wanted = pd.MultiIndex.from_arrays([self.ids.get_indexer(ids), times])
        return np.asarray(wanted.isin(pd.MultiIndex.from_arrays([self.series_of_row, self.times])))

    @property
    def series_of_row(self) -> NDArray[np.int64]:
        """The position in ``ids`` of every row's series, (rows,)."""
        return np.repeat(np.arange(self.n_series), self.lengths)

    @property
    def last_times(self) -> Floats:
        """The last time of every series, NaN for one without rows, (series,)."""
        return self._edge(self.offsets[1:] - 1)

    @property
    def first_times(self) -> Floats:
        """The first time of every series, NaN for one without rows, (series,)."""
        return self._edge(self.offsets[:-1])

    def _edge(self, rows: NDArray[np.int64]) -> Floats:
        edge = np.full(self.n_series, np.nan)
        some = self.lengths > 0
        edge[some] = self.times[rows[some]]
        return edge

    def take(self, series: NDArray[np.int64]) -> "Panel":
        """The panel of some of the series, by position."""
        offsets, rows = slices(self.offsets[series], self.lengths[series])
        covariates = None if self.covariates is None else self.covariates.take(series)
        return Panel(self.ids[series], offsets, self.times[rows], self.values[rows], covariates)

    def where(self, keep: NDArray[np.bool_]) -> "Panel":
        """The panel of some of the rows; a series may be left with none."""
        counts = np.bincount(self.series_of_row[keep], minlength=self.n_series)
        offsets = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
        return Panel(self.ids, offsets, self.times[keep], self.values[keep], self.covariates)

    def updated(self, new: "Panel") -> "Panel":
        """The panel with further rows and series; at the same series and time the new value replaces the old."""
        fresh = new.ids[self.ids.get_indexer(new.ids) < 0]
        ids = self.ids.append(fresh)
        place = ids.get_indexer(new.ids)
        codes = np.concatenate([self.series_of_row, place[new.series_of_row]])
        times, values = np.concatenate([self.times, new.times]), np.concatenate([self.values, new.values])
        rows = np.lexsort((np.arange(len(times)), times, codes))
        codes, times, values = codes[rows], times[rows], values[rows]
        # A series and time has at most two rows, the new one after the old.
        again = np.flatnonzero((codes[1:] == codes[:-1]) & (times[1:] == times[:-1])) + 1
        values[again] = np.where(np.isnan(values[again]), values[again - 1], values[again])
        kept = np.ones(len(times), dtype=bool)
        kept[again - 1] = False
        offsets = np.searchsorted(codes[kept], np.arange(len(ids) + 1)).astype(np.int64)
        covariates = self.covariates
        if covariates is not None and new.covariates is not None:
            covariates = covariates.updated(new.covariates, place, len(ids))
        return Panel(ids, offsets, times[kept], values[kept], covariates)

    def append(self, other: "Panel") -> "Panel":
        """The panel with further series."""
        both = self.covariates is not None and other.covariates is not None
        return Panel(
            self.ids.append(other.ids),
            np.concatenate([self.offsets, self.offsets[-1] + other.offsets[1:]]),
            np.concatenate([self.times, other.times]),
            np.concatenate([self.values, other.values]),
            self.covariates.append(other.covariates) if both else None,  # type: ignore[union-attr, arg-type]
        )


@dataclass
class Treatment:
    """Counts of what was changed on the way from frame to panel, for one warning.

    Parameters
    ----------
    rows_without_time, rows_too_far, rows_without_id, infinite_values, huge_values, merged_rows : int
        Rows dropped because they have no time, a time beyond :data:`LARGEST`, or no id; values taken as missing because
        they are infinite or beyond it; rows merged into another of the same series and time.
    near_rows : int
        Merged rows whose time equals another's only in float64.
    example : str
        Where one of the merges happened.
    rows : array of int
        The frame's row of each row of the panel; of merged rows the first.
    """

    rows_without_time: int = 0
    rows_too_far: int = 0
    rows_without_id: int = 0
    infinite_values: int = 0
    huge_values: int = 0
    merged_rows: int = 0
    near_rows: int = 0
    example: str = ""
    rows: NDArray[np.int64] = field(default_factory=lambda: np.empty(0, dtype=np.int64))

    def sentences(self) -> list[str]:
        """A sentence for each change; empty when nothing changed."""
        found = []
        if self.rows_without_time:
            found.append(f"{self.rows_without_time} rows without a time were left out")
        if self.rows_too_far:
            found.append(f"{self.rows_too_far} rows with a time beyond {LARGEST:g} were left out")
        if self.rows_without_id:
            found.append(f"{self.rows_without_id} rows without a series id were left out")
        if self.infinite_values:
            found.append(f"{self.infinite_values} infinite values were taken as missing")
        if self.huge_values:
            found.append(f"{self.huge_values} values beyond {LARGEST:g} were taken as missing")
        if self.merged_rows:
            near = ", or are too close to it for float64 times so far from the first," if self.near_rows else ""
            found.append(
                f"{self.merged_rows} rows repeat a (series, time) of another row{near} and were averaged with it "
                f"({self.example})"
            )
        return found


def values_of(df: pd.DataFrame, schema: Schema) -> Floats:
    """The channels of a frame as float64, (rows, channel), NaN where missing.

    Raises
    ------
    DataError
        When it is no frame, or a channel is not there, there twice, or holds text.
    """
    if not isinstance(df, pd.DataFrame):
        raise DataError(f"expected a DataFrame with a row per (series, time), got {type(df).__name__}")
    columns = []
    for name in schema.channels:
        if name not in df.columns:
            raise DataError(
                f"the frame has no column {name!r}, one of the channels {list(schema.channels)!r} seen in fit"
            )
        if isinstance(df[name], pd.DataFrame):
            raise DataError(f"the frame has more than one column named {name!r}; rename or drop the others")
        require_numbers_where_meant(df[name], always=True)
        columns.append(numbers_of(df[name]))
    return np.column_stack(columns) if columns else np.empty((len(df), 0))


def panel_from_frame(
    df: pd.DataFrame, schema: Schema, axis: TimeAxis, coding: Coding | None = None
) -> tuple[Panel, Treatment]:
    """Sort a long frame into a panel, and count the changes.

    Parameters
    ----------
    df : DataFrame
        A row per (series, time), in any order.
    schema : Schema
        Which column is what.
    axis : TimeAxis
        How times map to float64.
    coding : Coding, optional
        How covariates become features; None where there are none.

    Returns
    -------
    panel : Panel
        Rows in time order within each series; rows of one series and time averaged into one, rows without
        any value left out.
    treatment : Treatment
        Counts of what was dropped, merged, or taken as missing.

    Raises
    ------
    DataError
        When a column is missing or of the wrong kind.
    """
    treatment = Treatment()
    values = values_of(df, schema)
    infinite = np.isinf(values)
    huge = (np.abs(values) > LARGEST) & ~infinite
    treatment.infinite_values, treatment.huge_values = int(infinite.sum()), int(huge.sum())
    values = np.where(infinite | huge, np.nan, values)
    times = axis.to_float(schema.times_of(df))
    too_far = np.abs(times) > LARGEST
    treatment.rows_too_far = int(too_far.sum())
    codes, ids = series_codes(schema.ids_of(df), len(df))
    _refuse_surrogates(codes, ids)
    covariates = None if coding is None else _covariates(df, coding, codes, ids, times)
    treatment.rows_without_time = int(np.isnan(times).sum())
    treatment.rows_without_id = int(((codes < 0) & ~np.isnan(times)).sum())
    times = np.where(too_far, np.nan, times)
    observed = ~np.isnan(values).all(axis=1)  # rows without values would move the end of the history
    kept = np.flatnonzero(observed & ~np.isnan(times) & (codes >= 0))
    rows = kept[np.lexsort((times[kept], codes[kept]))]
    codes, times, values = codes[rows], times[rows], _taken(values, rows)

    first = np.ones(len(rows), dtype=bool)
    first[1:] = (codes[1:] != codes[:-1]) | (times[1:] != times[:-1])
    if not first.all():
        _refuse_unnamed_series(schema, first)
        again = np.flatnonzero(~first)
        where = int(again[0])
        given = schema.times_of(df)
        this, before = (given.iloc[rows[k]].reset_index(drop=True) for k in (again, again - 1))
        treatment.merged_rows, treatment.near_rows = len(again), int((this != before).sum())
        when = given.iloc[rows[where]]
        who = f"series {shown(ids[codes[where]])}, " if schema.id_col is not None else ""
        treatment.example = f"for one, {who}time {when}"
        values = average_groups(values, np.flatnonzero(first))
        codes, times, rows = codes[first], times[first], rows[first]
    treatment.rows = rows
    offsets = np.searchsorted(codes, np.arange(len(ids) + 1)).astype(np.int64)
    return Panel(ids, offsets, times, values, covariates), treatment


def _covariates(df: pd.DataFrame, coding: Coding, codes: NDArray[np.int64], ids: pd.Index, times: Floats) -> Covariates:
    """Known and impulse columns of all rows, also of those without any channel, and static columns of each series."""
    missing = [c.name for c in (*coding.known, *coding.impulse) if c.name not in df.columns]
    if missing:
        raise DataError(f"the frame has no column {missing[0]!r}, a covariate seen in fit; add it to every row")
    static = static_of_series(df, coding, codes, ids)
    amounts = coding.amounts(df) if coding.impulse else None
    return covariates_from_rows(static, codes, times, coding.features(df, coding.known), amounts)


def series_codes(row_ids: pd.Index | None, n_rows: int) -> tuple[NDArray[np.int64], pd.Index]:
    """Series as integers in sorted order, so that nothing depends on the order of rows."""
    if row_ids is None:
        return np.zeros(n_rows, dtype=np.int64), pd.Index([0])
    if isinstance(row_ids, pd.CategoricalIndex):
        used, codes = np.unique(row_ids.codes, return_inverse=True)
        ids = row_ids.categories[used[used >= 0]]
        codes = codes - int(-1 in used)
    else:
        codes, ids = pd.factorize(row_ids)
    ids = pd.Index(ids)
    order = order_of(ids)
    rank = np.empty(len(ids) + 1, dtype=np.int64)
    rank[order] = np.arange(len(ids))
    rank[-1] = -1
    return rank[codes], ids[order]


def order_of(ids: pd.Index) -> NDArray[np.int64]:
    """Positions of ids in ascending order; mixed types, which have no order, are sorted by type and name."""
    try:
        return np.argsort(ids)
    except TypeError:
        return np.argsort([f"{type(i).__name__} {i!r}" for i in ids], kind="stable")


def _refuse_unnamed_series(schema: Schema, first: NDArray[np.bool_]) -> None:
    if schema.id_col is None and schema.layout != "multiindex" and (~first).mean() > 0.2:
        raise DataError(
            f"{int((~first).sum())} of {len(first)} rows share their time with another row: the frame seems to hold "
            "several series; pass id_col= to say which column names them"
        )


def _refuse_surrogates(codes: NDArray[np.int64], ids: pd.Index) -> None:
    """Refuse names that no file can hold."""
    if ids.dtype == object:
        for code, name in enumerate(ids):
            if is_torn(name):
                raise DataError(
                    f"the id {shown(name)} in row {int((codes == code).argmax()) + 1} holds half a character, as text "
                    "decoded wrongly does, and cannot be written to a file; decode it as UTF-8, or rename the series"
                )


def _taken(values: Floats, rows: NDArray[np.int64]) -> Floats:
    """Some rows in that order, stored in the memory of the values, which may take gigabytes."""
    for column in values.T:
        column[: len(rows)] = column[rows]
    return values[: len(rows)]
