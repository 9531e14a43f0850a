"""Tables in files: .csv and .parquet in, times read as times; the same out, to six digits."""

import gzip
import zlib
from collections.abc import Hashable, Sequence
from pathlib import Path

import pandas as pd
from pandas.api import types

from latentode.data import DataError
from latentode.data.schema import TIME_NAMES

__all__ = ["read_table", "write_table"]

_ZONE = r"(?:[Zz]|[T ]\d.*[+-]\d\d(?::?\d\d)?)$"


def read_table(path: Path, time_col: Hashable | None = None) -> pd.DataFrame:
    """Read a long table; a time column of text is read as ISO dates.

    Times with a zone become UTC.

    Parameters
    ----------
    path : Path
        A ``.csv``, ``.csv.gz`` or ``.parquet`` file.
    time_col : hashable, optional
        The column of times. None means the one named ``ds``, ``timestamp`` or ``time``.

    Returns
    -------
    DataFrame

    Raises
    ------
    FileNotFoundError
        When there is no such file.
    DataError
        When it cannot be read, or a time is neither a number nor an ISO date: the message names the first row.
    ImportError
        When it is a parquet file and pyarrow is not installed.
    """
    if not path.exists():
        raise FileNotFoundError(f"no such file: {path}")
    if path.name.endswith((".csv", ".csv.gz")):
        if path.is_dir():
            raise DataError(f"{path} is a directory; expected a file")
        try:
            df = pd.read_csv(path)
        except (ValueError, EOFError, gzip.BadGzipFile, zlib.error) as cause:
            raise DataError(f"{path} cannot be read as a table: {cause}") from cause
    elif path.suffix == ".parquet":
        df = _read_parquet(path)
    else:
        raise DataError(f"{path}: expected a file ending in .csv, .csv.gz or .parquet")
    found = [c for c in TIME_NAMES if c in df.columns] if time_col is None else [time_col]
    if len(found) == 1 and found[0] in df.columns and _is_text(df[found[0]]):
        df[found[0]] = _as_times(df[found[0]], path)
    return df


def write_table(df: pd.DataFrame, path: Path, values: Sequence[Hashable]) -> None:
    """Write a table, the columns `values` to six digits: more would pretend.

    Names of series and of columns are written as they came. A spreadsheet that opens a .csv file takes a cell that
    begins with ``=``, ``+``, ``-`` or ``@`` for a formula: import such a column as text, or write .parquet.

    Parameters
    ----------
    df : DataFrame
        The table; its index is not written.
    path : Path
        Ends in ``.parquet``, or is written as text with commas.
    values : sequence of hashable
        The columns to round.
    """
    rounded = df.copy()
    for column in values:
        rounded[column] = df[column].map("{:.6g}".format).astype(float)
    if path.suffix == ".parquet":
        rounded.to_parquet(path, index=False)
    else:
        rounded.to_csv(path, index=False)


def _read_parquet(path: Path) -> pd.DataFrame:
    try:
        df = pd.read_parquet(path)
    except ImportError as cause:
        raise ImportError("reading parquet needs pyarrow: pip install latentode[parquet]") from cause
    except ValueError as cause:
        raise DataError(f"{path} cannot be read as a table: {cause}") from cause
    return df if isinstance(df.index, pd.RangeIndex) else df.reset_index()


def _is_text(column: pd.Series) -> bool:
    return types.is_object_dtype(column.dtype) or types.is_string_dtype(column.dtype)


def _as_times(column: pd.Series, path: Path) -> pd.Series:
    dates = pd.to_datetime(column, format="ISO8601", errors="coerce", utc=True)
    numbers = pd.to_numeric(column, errors="coerce")
    meant = numbers if numbers.notna().sum() > dates.notna().sum() else dates
    bad = (column.notna() & meant.isna()).to_numpy()
    if bad.any():
        row = int(bad.argmax())
        raise DataError(
            f"{path}: row {row + 1} below the header: {column.iloc[row]!r} in column {column.name!r} is no "
            f"{'number as the others are' if meant is numbers else 'number and no ISO date such as 2024-05-01 12:30'}"
        )
    zoned = column.dropna().astype(str).str.contains(_ZONE, regex=True)
    if zoned.any() and not zoned.all():
        raise DataError(f"{path}: in column {column.name!r} some times have a zone and some have none")
    return dates if zoned.any() else dates.dt.tz_localize(None)
