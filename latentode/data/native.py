"""Frames of other libraries (polars, pyarrow, ...): converted to pandas, and back."""

from collections.abc import Collection, Hashable
from dataclasses import dataclass
from typing import Any

import narwhals.stable.v1 as nw
import pandas as pd

from latentode.data.errors import DataError

__all__ = ["Given", "as_given", "as_pandas"]

MOMENTS = 100
"""Attempts to read a frame while another thread changes it."""

_HOW_TO_COLLECT = {"dask": "compute"}


@dataclass(frozen=True)
class Given:
    """A frame as it was given, and as pandas.

    Parameters
    ----------
    frame : object
        The pandas frame or column; anything else unchanged.
    native : object, optional
        The frame of another library it came from, if any.
    """

    frame: Any
    native: Any = None

    def emptied(self) -> "Given":
        """The columns without their rows."""
        native = None if self.native is None else nw.from_native(self.native).head(0).to_native()
        return Given(self.frame.iloc[:0], native)

    def back(self, out: pd.DataFrame, keys: Collection[Hashable] = ()) -> Any:
        """Convert to the library of the given frame; a named index becomes a column, missing values null.

        Parameters
        ----------
        out : DataFrame
            The result. Columns equal to the given ones are returned as given.
        keys : collection of hashable
            Columns that get the dtype of the given ones, if no value changes.
        """
        if self.native is None:
            return out
        whole = out.reset_index(drop=out.index.name is None)
        whole.columns = pd.Index([str(c) for c in whole.columns])
        given = nw.from_native(self.native, eager_only=True)
        names = whole.columns.tolist()
        same = [c for c in names if c in given.columns and whole[c].equals(self.frame[c])]
        if len(same) == len(names):
            return given.select(names).to_native()
        # The older name of this argument: the oldest supported narwhals has no other.
        made = nw.from_arrow(whole.drop(columns=same), native_namespace=nw.get_native_namespace(given))
        alike = [str(c) for c in keys if str(c) in made.columns and str(c) in given.columns]
        columns = [_alike(made[c], given[c]) for c in alike] + [given[c] for c in same]
        return made.with_columns(*columns).select(names).to_native()


def as_given(x: Any) -> Given:
    """Convert a frame or column of any library that narwhals knows to pandas; leave anything else unchanged.

    Rows and columns are consistent even if another thread changes the frame meanwhile.

    Raises
    ------
    DataError
        When the frame is lazy.
    """
    if isinstance(x, pd.DataFrame):
        return Given(_of_one_moment(x))
    if isinstance(x, pd.Series):
        return Given(x)
    wrapped = nw.from_native(x, allow_series=True, pass_through=True)
    if isinstance(wrapped, nw.LazyFrame):
        library = type(x).__module__.split(".")[0]
        raise DataError(
            f"expected a DataFrame, got a lazy {type(x).__name__} of {library}, whose rows are not there yet: "
            f"give frame.{_HOW_TO_COLLECT.get(library, 'collect')}() instead"
        )
    if isinstance(wrapped, nw.DataFrame):
        return Given(wrapped.to_pandas(), x)
    return Given(wrapped.to_pandas() if isinstance(wrapped, nw.Series) else x)


def as_pandas(x: Any) -> Any:
    """As :func:`as_given`, when nothing is converted back."""
    return as_given(x).frame


def _of_one_moment(df: pd.DataFrame) -> pd.DataFrame:
    """A consistent copy of the frame: pandas inserts a column in more than one step."""
    for _ in range(MOMENTS):
        copy = df.copy(deep=False)
        try:
            if all(len(column) == len(copy) for _, column in copy.items()):
                return copy
        except (IndexError, ValueError, TypeError, AttributeError):  # read in the middle of such a step
            continue
    raise DataError("the frame was changed by another thread again and again while it was read; give a copy of it")


def _alike(made: Any, given: Any) -> Any:
    """A column with the dtype of another, if every value survives it: 12:30 is no date without a time."""
    native, wanted = made.to_native(), _dtype(given.to_native())
    try:
        cast = _cast(native, wanted)
        # A column of nulls only may have a dtype to which nothing can be cast.
        survived = made.null_count() == len(made) or _cast(cast, _dtype(native)).equals(native)
    except Exception:  # libraries raise different errors for values that a dtype cannot hold
        return made
    return nw.from_native(cast, series_only=True).alias(given.name) if survived else made


def _dtype(column: Any) -> Any:
    return column.type if hasattr(column, "type") else column.dtype


def _cast(column: Any, dtype: Any) -> Any:
    return column.cast(dtype) if hasattr(column, "cast") else column.astype(dtype)
