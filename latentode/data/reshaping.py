"""Other shapes of data as the long frame that everything here reads."""

from collections.abc import Hashable

import pandas as pd

from latentode.data.errors import DataError, shown

__all__ = ["from_events", "from_wide"]


def from_events(
    df: pd.DataFrame,
    id_col: Hashable = "id",
    time_col: Hashable = "time",
    variable_col: Hashable = "variable",
    value_col: Hashable = "value",
) -> pd.DataFrame:
    """Records of one measurement a row, as hospitals and loggers keep them, to a row per series and time.

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
        one variable at one time are averaged; a record without a series, time or variable is refused.

    Raises
    ------
    DataError
        When a column is missing, the values are no numbers, or a record lacks its series, time or variable.

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
    _require(df, [*keys, value_col])
    lacking = df[keys].isna().any(axis=1)
    if lacking.any():
        raise DataError(
            f"{int(lacking.sum())} records lack their series, time or variable, the first in row "
            f"{shown(df.index[lacking][0])}; "
            f"drop them with df.dropna(subset={keys!r})"
        )
    if not pd.api.types.is_numeric_dtype(df[value_col].dtype):
        raise DataError(
            f"column {value_col!r} holds {df[value_col].dtype}, not numbers; convert it with "
            f"pd.to_numeric(df[{value_col!r}], errors='coerce')"
        )
    # pivot_table would pair every series with every time of any of them before it drops what was not observed.
    means = df[[*keys, value_col]].groupby(keys, observed=True).mean().iloc[:, 0]
    wide = means.unstack(variable_col).dropna(how="all").astype(float)  # noqa: PD010
    wide.columns = pd.Index(wide.columns.tolist())
    return wide.reset_index()


def from_wide(df: pd.DataFrame, time_col: Hashable | None = None, name: str = "value") -> pd.DataFrame:
    """A column per series, a row per time, to a long frame.

    Parameters
    ----------
    df : DataFrame
        Times in a column or in the index, and a column of numbers per series.
    time_col : hashable, optional
        The column of times; None means the index.
    name : str
        What the channel is to be called.

    Returns
    -------
    DataFrame
        Columns ``id``, the times' (``time`` where they have no name), and the channel; only what was observed.

    Raises
    ------
    DataError
        When the column of times is not there.

    Examples
    --------
    >>> import pandas as pd
    >>> from_wide(pd.DataFrame({"a": [1.0, None], "b": [3.0, 4.0]}, index=[0.0, 0.5]))
      id  time  value
    0  a   0.0    1.0
    1  b   0.0    3.0
    2  b   0.5    4.0
    """
    if time_col is None:
        time_col = "time" if df.index.name is None else df.index.name
        df = df.reset_index(names=[time_col])
    _require(df, [time_col])
    long = df.melt(id_vars=[time_col], var_name="id", value_name=name).dropna(subset=[name])
    long = long[["id", time_col, name]]
    return long.sort_values(list(long.columns[:2]), ignore_index=True)


def _require(df: pd.DataFrame, columns: list[Hashable]) -> None:
    missing = [c for c in columns if c not in df.columns]
    if missing:
        raise DataError(f"no column {missing[0]!r} in the frame; its columns are {list(df.columns)!r}")
