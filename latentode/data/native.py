"""Frames of other libraries (polars, pyarrow, ...): read as pandas', and given back in kind."""

from collections.abc import Collection, Hashable
from dataclasses import dataclass
from typing import Any

import narwhals.stable.v1 as nw
import pandas as pd

from latentode.data.errors import DataError

__all__ = ["Given", "as_given", "as_pandas"]

MOMENTS = 100
"""Moments at which a frame that another thread changes may be caught in the middle of it."""

_HOW_TO_COLLECT = {"dask": "compute"}


@dataclass(frozen=True)
class Given:
    """What was given, and as pandas has it.

    Parameters
    ----------
    frame : object
        A frame or column of pandas', or what is neither, as it came.
    native : object, optional
        The frame of another library behind it; None where there is none.
    """

    frame: Any
    native: Any = None

    def emptied(self) -> "Given":
        """The columns without their rows."""
        native = None if self.native is None else nw.from_native(self.native).head(0).to_native()
        return Given(self.frame.iloc[:0], native)

    def back(self, out: pd.DataFrame, keys: Collection[Hashable] = ()) -> Any:
        """A frame in the kind of the one given; an index with a name becomes a column, what is missing is null.

        Parameters
        ----------
        out : DataFrame
            A column in which nothing differs from the one given is that very column.
        keys : collection of hashable
            Columns that get the dtype of those given, where no value changes by it.
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
        # The older of two names of that argument: the lowest narwhals that will do has no other.
        made = nw.from_arrow(whole.drop(columns=same), native_namespace=nw.get_native_namespace(given))
        alike = [str(c) for c in keys if str(c) in made.columns and str(c) in given.columns]
        columns = [_alike(made[c], given[c]) for c in alike] + [given[c] for c in same]
        return made.with_columns(*columns).select(names).to_native()


def as_given(x: Any) -> Given:
    """A frame or column of any library narwhals knows as pandas has it; anything else as it is.

    The rows and columns of a frame stay those of one moment, whatever another thread does to it.

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
    """As :func:`as_given`, where nothing is to be given back."""
    return as_given(x).frame


def _of_one_moment(df: pd.DataFrame) -> pd.DataFrame:
    """The frame without its later rows and columns: pandas puts a column in place in more than one step."""
    for _ in range(MOMENTS):
        copy = df.copy(deep=False)
        try:
            if all(len(column) == len(copy) for _, column in copy.items()):
                return copy
        except (IndexError, ValueError, TypeError, AttributeError):  # caught in the middle of such a step
            continue
    raise DataError("the frame was changed by another thread again and again while it was read; give a copy of it")


def _alike(made: Any, given: Any) -> Any:
    """A column with the dtype of another, if every value survives it: 12:30 is no date without a time."""
    native, wanted = made.to_native(), _dtype(given.to_native())
    try:
        cast = _cast(native, wanted)
        # A column of nothing at all has a dtype of its own, to which none can be cast.
        survived = made.null_count() == len(made) or _cast(cast, _dtype(native)).equals(native)
    except Exception:  # every library has errors of its own for a value that a dtype cannot hold
        return made
    return nw.from_native(cast, series_only=True).alias(given.name) if survived else made


def _dtype(column: Any) -> Any:
    return column.type if hasattr(column, "type") else column.dtype


def _cast(column: Any, dtype: Any) -> Any:
    return column.cast(dtype) if hasattr(column, "cast") else column.astype(dtype)
