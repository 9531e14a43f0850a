"""The roles of a frame's columns: the series, the time, the channels."""

from collections.abc import Hashable
from dataclasses import dataclass

import pandas as pd

from latentode.data.columns import as_ids, listed
from latentode.data.errors import DataError

__all__ = ["Schema"]


@dataclass(frozen=True)
class Schema:
    """The roles of a frame's columns.

    Parameters
    ----------
    id_col : hashable or None
        The column (or index level) that names the series; None when the frame is one series.
    time_col : hashable or None
        The column (or index level) that holds the times; None for an index without a name.
    target_cols : tuple of hashable
        The channels.
    layout : {"columns", "index", "multiindex"}
        Where series and times stand: in columns, the times in the index, or both in a two-level index.
    static_cols : tuple of hashable
        Constant within a series.
    known_cols : tuple of hashable
        Known at every time, also in the future.
    past_cols : tuple of hashable
        Read like channels, but not forecast.
    impulse_cols : tuple of hashable
        Amounts given at an instant.
    """

    id_col: Hashable | None
    time_col: Hashable | None
    target_cols: tuple[Hashable, ...]
    layout: str = "columns"
    static_cols: tuple[Hashable, ...] = ()
    known_cols: tuple[Hashable, ...] = ()
    past_cols: tuple[Hashable, ...] = ()
    impulse_cols: tuple[Hashable, ...] = ()

    @property
    def channels(self) -> tuple[Hashable, ...]:
        """The columns the model reads as observations: targets, then past columns."""
        return (*self.target_cols, *self.past_cols)

    @property
    def id_name(self) -> Hashable:
        """Name of the ids in a frame that goes out: their own, or ``"id"`` for a level without a name."""
        return "id" if self.id_col is None else self.id_col

    @property
    def time_name(self) -> Hashable:
        """Name of the times in a frame that goes out: their own, or ``"time"`` for an index without a name."""
        return "time" if self.time_col is None else self.time_col

    def ids_of(self, df: pd.DataFrame) -> pd.Index | None:
        """The series of every row, or None when the frame is one series."""
        if self.layout == "multiindex" and isinstance(df.index, pd.MultiIndex):
            return self._level(df, self.id_col, 0)
        if self.id_col is None and self.layout != "multiindex":
            return None
        self._require(df, self.id_name, "id_col")
        return as_ids(df[self.id_name])

    def times_of(self, df: pd.DataFrame) -> pd.Series:
        """The time of every row, as a series on the frame's own index."""
        if self.layout == "multiindex" and isinstance(df.index, pd.MultiIndex):
            return pd.Series(self._level(df, self.time_col, 1), index=df.index)
        if self.layout == "index" and self.time_name not in df.columns:
            return pd.Series(df.index, index=df.index)
        self._require(df, self.time_name, "time_col")
        return df[self.time_name]

    @staticmethod
    def _level(df: pd.DataFrame, name: Hashable | None, position: int) -> pd.Index:
        """A level of the index by its name, in whatever order they stand, or by position."""
        if df.index.nlevels != 2:
            raise DataError(
                f"the index has {df.index.nlevels} levels; expected two (series, time), or use df.reset_index()"
            )
        by_name = name is not None and list(df.index.names).count(name) == 1
        level: pd.Index = df.index.get_level_values(name if by_name else position)  # type: ignore[arg-type]
        return level

    def _require(self, df: pd.DataFrame, column: Hashable, role: str) -> None:
        if column not in df.columns:
            raise DataError(f"the frame has no column {column!r} ({role}); its columns are {listed(df.columns)}")
        if isinstance(df[column], pd.DataFrame):
            raise DataError(f"the frame has more than one column named {column!r}; rename or drop the others")
