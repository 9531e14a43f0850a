"""From other shapes of data to a long frame."""

from collections.abc import Hashable
from typing import Any

import pandas as pd

from latentode.data.errors import DataError, shown
from latentode.data.native import as_given
from latentode.data.panel import order_of

__all__ = ["from_events", "from_wide"]


def from_events(
    df: pd.DataFrame,
    id_col: Hashable = "id",
    time_col: Hashable = "time",
    variable_col: Hashable = "variable",
    value_col: Hashable = "value",
) -> pd.DataFrame:
    """From one measurement per row, as hospitals and loggers keep them, to one row per series and time.

    Parameters
    ----------
    df : DataFrame
        A row per (series, time, variable).
    id_col, time_col, variable_col, value_col : hashable
        Its columns.

    Returns
    -------
    DataFrame
        A row per (series, time), sorted, a column per variable, NaN where it was not measured then. Several values of
        one variable at one time are averaged; a record without a series, time or variable is refused. In the kind of
        the frame given, be it of pandas, polars or another library.

    Raises
    ------
    DataError
        When a column is missing, the values are no numbers, a record lacks its series, time or variable, or a variable
        is named like the column of series or of times.

    Examples
    --------
    >>> import pandas as pd
    >>> records = pd.DataFrame({
    ...     "id": [1, 1, 1], "time": [0.0, 0.0, 2.5], "variable": ["pulse", "temp", "pulse"], "value": [71, 36.6, 80]})
    >>> from_events(records)
       id  time  pulse  temp
    0   1   0.0   71.0  36.6
    1   1   2.5   80.0   NaN
    """
    keys = [id_col, time_col, variable_col]
    given = as_given(df)
    df = given.frame
    _require(df, [*keys, value_col])
    lacking = df[keys].isna().any(axis=1)
    if lacking.any():
        raise DataError(
            f"{int(lacking.sum())} records lack their series, time or variable, the first in row "
            f"{shown(df.index[lacking][0])}; "
            f"drop them with df.dropna(subset={keys!r})"
        )
    for key in (id_col, time_col):
        if (df[variable_col] == key).any():
            raise DataError(
                f"column {variable_col!r} names a variable {key!r}, as the column of "
                f"{'series' if key == id_col else 'times'} is named; give it another name, for instance with "
                f"df[{variable_col!r}].replace({key!r}, ...), or rename the column and pass "
                f"{'id_col' if key == id_col else 'time_col'}="
            )
    if not pd.api.types.is_numeric_dtype(df[value_col].dtype):
        raise DataError(
            f"column {value_col!r} holds {df[value_col].dtype}, not numbers; convert it with "
            f"pd.to_numeric(df[{value_col!r}], errors='coerce')"
        )
    # pivot_table would first build every pair of a series and a time.
    means = df[[*keys, value_col]].groupby(keys, observed=True).mean().iloc[:, 0]
    wide = means.unstack(variable_col).dropna(how="all").astype(float)  # noqa: PD010
    wide.columns = pd.Index(wide.columns.tolist())
    result: pd.DataFrame = given.back(wide.reset_index(), keys)
    return result


def from_wide(df: pd.DataFrame, time_col: Hashable | None = None, name: Hashable = "value") -> pd.DataFrame:
    """From one column per series and one row per time to a long frame.

    Parameters
    ----------
    df : DataFrame
        Times in a column or in the index, and a column of numbers per series.
    time_col : hashable, optional
        The column of times; None means the index.
    name : hashable
        What the channel is to be called.

    Returns
    -------
    DataFrame
        Columns ``id``, the times' (``time`` where they have no name), and the channel; only what was observed, sorted.
        In the kind of the frame given, be it of pandas, polars or another library.

    Raises
    ------
    DataError
        When the column of times is not there, the columns have several levels, or two columns of the result would have
        one name.

    Examples
    --------
    >>> import pandas as pd
    >>> from_wide(pd.DataFrame({"a": [1.0, None], "b": [3.0, 4.0]}, index=[0.0, 0.5]))
      id  time  value
    0  a   0.0    1.0
    1  b   0.0    3.0
    2  b   0.5    4.0
    """
    given = as_given(df)
    df = given.frame
    _require(df, [] if time_col is None else [time_col])
    if df.columns.nlevels > 1:
        raise DataError(
            f"the frame's columns have {df.columns.nlevels} levels; give each series one name, for instance with "
            "df.columns = ['-'.join(map(str, c)) for c in df.columns]"
        )
    if time_col is not None:
        times, df = df[time_col], df.drop(columns=[time_col])
    elif given.native is not None or df.index.nlevels > 1:
        raise DataError("the times are not in an index of their own; pass time_col= to say which column holds them")
    else:
        times, time_col = pd.Series(df.index), "time" if df.index.name is None else df.index.name
    _refuse_doubled(time_col, name)
    if df.shape[1] == 0:
        raise DataError("the frame has no column beside the times: expected one for every series")
    rows = times.reset_index(drop=True).sort_values(kind="stable")
    df = df.iloc[rows.index, order_of(df.columns)]
    long = pd.DataFrame(
        {
            "id": df.columns.repeat(len(df)),
            time_col: pd.concat([rows] * df.shape[1], ignore_index=True),
            name: pd.concat([df.iloc[:, k] for k in range(df.shape[1])], ignore_index=True),
        }
    )
    result: pd.DataFrame = given.back(long.dropna(subset=[name]).reset_index(drop=True), [time_col])
    return result


def _refuse_doubled(time_col: Hashable, name: Hashable) -> None:
    """Refuse duplicate column names of a long frame."""
    if time_col == "id":
        raise DataError(
            "the times are named 'id', as the column of series will be; rename them, for instance with "
            "df.rename_axis('time') or df.rename(columns={'id': 'time'})"
        )
    if name in ("id", time_col):
        raise DataError(f"name={name!r} is the name of another column, of series or of times; choose another name")


def _require(df: Any, columns: list[Hashable]) -> None:
    if not isinstance(df, pd.DataFrame):
        raise DataError(f"expected a DataFrame, got {type(df).__name__}")
    missing = [c for c in columns if c not in df.columns]
    if missing:
        raise DataError(f"no column {missing[0]!r} in the frame; its columns are {list(df.columns)!r}")
