"""Reading and writing long tables as .csv and .parquet files."""

import gzip
import re
import warnings
import zlib
from collections.abc import Hashable, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from pandas.api import types

from latentode.data import DataError, DataWarning
from latentode.data.schema_inference import ID_NAMES, TIME_NAMES
from latentode.io.atomic import write_out

__all__ = ["read_table", "write_table"]

_ZONE = r"(?:[Zz]|[T ]\d.*[+-]\d\d(?::?\d\d)?)$"


def read_table(path: Path, time_col: Hashable | None = None, id_col: Hashable | None = None) -> pd.DataFrame:
    """Read a long table; a time column of text is parsed as ISO dates.

    Times with a zone become UTC. Series names in text files become numbers only if every number prints as the text in
    the file: 01 and 1 are two series.

    Parameters
    ----------
    path : Path
        A ``.csv``, ``.csv.gz`` or ``.parquet`` file.
    time_col : hashable, optional
        The column of times. None means the one named ``ds``, ``timestamp`` or ``time``.
    id_col : hashable, optional
        The column of series names. None means those named ``unique_id``, ``item_id`` or ``id``.

    Returns
    -------
    DataFrame

    Raises
    ------
    FileNotFoundError
        When there is no such file.
    DataError
        When the file cannot be read, two columns have the same name, rows hold more cells than there are names, or a
        time is neither a number nor an ISO date; the message names the first such row.
    ImportError
        When it is a Parquet file and pyarrow is not installed.

    Warns
    -----
    DataWarning
        When a column without a name numbers the rows; it is left out.
    """
    if not path.exists():
        raise FileNotFoundError(f"no such file: {path}")
    if path.name.endswith((".csv", ".csv.gz")):
        if path.is_dir():
            raise DataError(f"{path} is a directory; expected a file")
        df = _read_csv(path, ID_NAMES if id_col is None else (id_col,))
    elif path.suffix == ".parquet":
        df = _read_parquet(path)
    else:
        raise DataError(f"{path}: expected a file ending in .csv, .csv.gz or .parquet")
    found = [c for c in TIME_NAMES if c in df.columns] if time_col is None else [time_col]
    if len(found) == 1 and found[0] in df.columns and _is_text(df[found[0]]):
        df[found[0]] = _as_times(df[found[0]], path)
    return df


def write_table(df: pd.DataFrame, path: Path, values: Sequence[Hashable]) -> None:
    """Write a table, with the columns `values` rounded to six digits: predictions are not more precise.

    Names of series and columns are written unchanged. A spreadsheet that opens a .csv file takes a cell that begins
    with ``=``, ``+``, ``-`` or ``@`` for a formula: import such a column as text, or write .parquet.

    Parameters
    ----------
    df : DataFrame
        The table; its index is not written.
    path : Path
        The file: Parquet if the name ends in ``.parquet``, else text with commas.
    values : sequence of hashable
        The columns to round.

    Raises
    ------
    OSError
        When it cannot be written. An existing file is unchanged.
    """
    rounded = df.copy()
    for column in values:
        rounded[column] = df[column].map("{:.6g}".format).astype(float)
    if path.suffix == ".parquet":
        content = rounded.to_parquet(None, index=False)
    else:
        content = rounded.to_csv(index=False).encode()
    write_out(path, content)


def _read_csv(path: Path, id_cols: Sequence[Hashable]) -> pd.DataFrame:
    try:
        # The names in the file: pandas would rename duplicates to x and x.1, and columns without a name to "Unnamed".
        head = pd.read_csv(path, header=None, nrows=1, dtype=str, keep_default_na=False)
        names = [re.sub(r"^Unnamed: \d+$", "", str(name)) for name in head.iloc[0]]  # as pandas writes them
        with warnings.catch_warnings():
            warnings.simplefilter("error", pd.errors.ParserWarning)
            df = pd.read_csv(path, index_col=False, dtype={c: str for c in id_cols if c in names})
    except pd.errors.ParserWarning as cause:
        raise DataError(
            f"{path} cannot be read as a table: its rows hold more cells than its first line names columns ("
            f"{len(names)}); name every column there"
        ) from cause
    except (ValueError, EOFError, gzip.BadGzipFile, zlib.error) as cause:
        raise DataError(f"{path} cannot be read as a table: {cause}") from cause
    for name in names:
        if name and names.count(name) > 1:
            raise DataError(f"{path} has more than one column named {name!r}; rename or drop the others")
    df = _without_row_numbers(df, names, path)
    for column in id_cols:
        if column in df.columns:
            df[column] = _as_names(df[column])
    return df


def _without_row_numbers(df: pd.DataFrame, names: Sequence[str], path: Path) -> pd.DataFrame:
    """Drop nameless columns of numbers: empty ones, and those that number the rows, with a warning."""
    left_out = []
    for place, (name, column) in enumerate(zip(names, df.columns, strict=True)):
        if name or not types.is_numeric_dtype(df[column].dtype):
            continue
        numbers = df[column].to_numpy(dtype=float)
        left_out.append(column)
        if np.isnan(numbers).all():
            continue
        if not (numbers - numbers[0] == np.arange(len(numbers))).all():
            raise DataError(f"{path}: column {place + 1} holds numbers and no name: name it in the first line")
        message = f"{path}: column {place + 1} has no name and numbers the rows: it was left out"
        warnings.warn(message, DataWarning, stacklevel=4)
    return df.drop(columns=left_out)


def _as_names(column: pd.Series) -> pd.Series:
    """Series names as numbers if every number prints as its text, else as text."""
    try:
        numbers = pd.to_numeric(column)
    except (TypeError, ValueError):
        return column
    exact = types.is_numeric_dtype(numbers.dtype) and (numbers.astype(str) == column).all()
    return numbers if exact else column


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
