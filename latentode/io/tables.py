"""Reading and writing long tables as .csv, .parquet and .xlsx files."""

import csv
import gzip
import importlib.util
import io
import re
import warnings
import zipfile
import zlib
from collections.abc import Callable, Hashable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from pandas.api import types
from pandas.api.types import infer_dtype

from latentode.data import DataError, DataWarning
from latentode.data.schema_inference import ID_NAMES, TIME_NAMES
from latentode.io.atomic import write_out
from latentode.io.dates import as_times
from latentode.io.dialects import TextFormat, rewritten

__all__ = ["TextFormat", "check_writable", "format_of", "read_table", "write_table"]

FORMATS = {".csv": "csv", ".csv.gz": "csv", ".parquet": "parquet", ".xlsx": "xlsx"}
"""Formats of tables by the end of a file's name."""

_NEEDS = {
    "parquet": "{} parquet needs pyarrow: pip install latentode[parquet]",
    "xlsx": "{} .xlsx needs openpyxl: pip install latentode[excel]",
}
_NO_WORDS: dict[str, Any] = {"keep_default_na": False, "na_values": [""]}
_UNREADABLE = (ValueError, EOFError, IndexError, KeyError, gzip.BadGzipFile, zipfile.BadZipFile, zlib.error, csv.Error)


def read_table(
    path: Path,
    time_col: Hashable | None = None,
    id_col: Hashable | None = None,
    text_format: TextFormat | None = None,
) -> pd.DataFrame:
    """Read a long table; a time column of text is parsed as dates.

    Times with a zone become UTC. Series names in text files become numbers only if every number prints as the text in
    the file: 01 and 1 are two series. An empty cell is a missing value; words such as NA, null and nan are one among
    numbers only: in a column of series or of text they are names like any other.

    A .csv file may have semicolons or tabs between columns and decimal commas, and dates may begin with the day or the
    month, where the table leaves no doubt. What reads with commas, decimal dots and ISO dates is always read so.

    Parameters
    ----------
    path : Path
        A ``.csv``, ``.csv.gz``, ``.parquet`` or ``.xlsx`` file; of the last the first sheet.
    time_col : hashable, optional
        The column of times. None means the one named ``ds``, ``timestamp`` or ``time``.
    id_col : hashable, optional
        The column of series names. None means those named ``unique_id``, ``item_id`` or ``id``.
    text_format : TextFormat, optional
        How numbers and dates are written. None means that all is found.

    Returns
    -------
    DataFrame

    Raises
    ------
    FileNotFoundError
        When there is no such file.
    DataError
        When the file cannot be read, two columns have the same name, rows hold more cells than there are names, a time
        is neither a number nor a date, or numbers or dates can be read in two ways; the message names the first such
        row and what to give.
    ImportError
        When pyarrow or openpyxl is needed and not installed.

    Warns
    -----
    DataWarning
        When a column without a name numbers the rows; it is left out. When something of `text_format` was found.
    """
    given = TextFormat() if text_format is None else text_format
    found: list[str] = []
    if not path.exists():
        raise FileNotFoundError(f"no such file: {path}")
    kind = format_of(path)
    if kind in ("csv", "xlsx") and path.is_dir():
        raise DataError(f"{path} is a directory; expected a file")
    ids, times = (ID_NAMES if id_col is None else (id_col,)), (TIME_NAMES if time_col is None else (time_col,))
    if kind == "csv":
        df = _read_csv(path, ids, times, given, found)
    elif given.sep is not None or given.decimal is not None:
        raise DataError(f"{path}: --sep and --decimal are for .csv files; a .{kind} file needs none")
    else:
        df = _read_parquet(path) if kind == "parquet" else _read_cells(path, _read_sheet, ids, times)
    present = [c for c in times if c in df.columns]
    if len(present) == 1 and _is_text(df[present[0]]):
        df[present[0]] = as_times(df[present[0]], path, given, found)
    if found:
        warnings.warn(f"{path} was read with {' and '.join(found)}", DataWarning, stacklevel=2)
    return df


def write_table(df: pd.DataFrame, path: Path) -> None:
    """Write a table; every number in a text file reads back as the same number.

    Names of series and columns are written unchanged. A spreadsheet that opens a .csv file takes a cell that begins
    with ``=``, ``+``, ``-`` or ``@`` for a formula: import such a column as text, or write .parquet.

    Parameters
    ----------
    df : DataFrame
        The table; its index is not written.
    path : Path
        The file, ``.csv``, ``.csv.gz``, ``.parquet`` or ``.xlsx``. Pipes and devices get text with commas.

    Raises
    ------
    DataError
        When the name ends in anything else, or the table is larger than a sheet.
    ImportError
        When pyarrow or openpyxl is needed and not installed.
    OSError
        When it cannot be written. An existing file is unchanged.
    """
    check_writable(path)
    kind = "csv" if _is_device(path) else format_of(path)
    if kind == "parquet":
        content = df.to_parquet(None, index=False)
    elif kind == "xlsx":
        content = _sheet(df, path)
    else:
        content = df.to_csv(index=False).encode()
        if path.suffix.lower() == ".gz":
            content = gzip.compress(content, mtime=0)
    write_out(path, content)


def format_of(path: Path) -> str:
    """The format of a table by the end of its name: csv, parquet or xlsx.

    Raises
    ------
    DataError
        When it is none of these.

    Examples
    --------
    >>> format_of(Path("visits.csv.gz"))
    'csv'
    """
    for ending, kind in FORMATS.items():
        if path.name.lower().endswith(ending):
            return kind
    raise DataError(f"{path}: expected a file ending in {', '.join(list(FORMATS)[:-1])} or {list(FORMATS)[-1]}")


def check_writable(path: Path) -> None:
    """Check, before long work, that a table can be written in the format of a file's name.

    Raises
    ------
    DataError
        When the format is not known.
    ImportError
        When what it needs is not installed.
    """
    kind = "csv" if _is_device(path) else format_of(path)
    module = {"parquet": "pyarrow", "xlsx": "openpyxl"}.get(kind)
    if module is not None and importlib.util.find_spec(module) is None:
        raise ImportError(_NEEDS[kind].format("writing"))


def _is_device(path: Path) -> bool:
    return path.exists() and not path.is_file() and not path.is_dir()


def _sheet(df: pd.DataFrame, path: Path) -> bytes:
    whole = df.copy()
    for column in df.columns:  # a sheet knows no zones
        if isinstance(df[column].dtype, pd.DatetimeTZDtype):
            whole[column] = df[column].map(lambda t: None if pd.isna(t) else t.isoformat()).astype(object)
    content = io.BytesIO()
    try:
        with pd.ExcelWriter(content, engine="openpyxl") as writer:
            whole.to_excel(writer, index=False)
            for row in writer.book.active.iter_rows():
                for cell in row:
                    if cell.data_type == "f":  # a name that begins with = is no formula
                        cell.data_type = "s"
    except ValueError as cause:
        raise DataError(f"{path} cannot be written: {cause}; write .csv or .parquet") from cause
    return content.getvalue()


def _read_csv(
    path: Path, ids: Sequence[Hashable], times: Sequence[Hashable], given: TextFormat, found: list[str]
) -> pd.DataFrame:
    as_they_stand = (*ids, *times) if given.date_format is not None else ids
    try:
        text = rewritten(path, given, as_they_stand, times, found)
    except DataError:
        raise
    except _UNREADABLE as cause:
        raise _unreadable(path, cause) from cause

    def read(path: Path, **options: Any) -> pd.DataFrame:
        df: pd.DataFrame = pd.read_csv(path if text is None else io.StringIO(text), index_col=False, **options)
        return df

    return _read_cells(path, read, ids, times, as_they_stand)


def _read_cells(
    path: Path,
    read: Callable[..., pd.DataFrame],
    id_cols: Sequence[Hashable],
    time_cols: Sequence[Hashable],
    as_they_stand: Sequence[Hashable] | None = None,
) -> pd.DataFrame:
    """A .csv or .xlsx file: names and text as they stand, empty cells and words among numbers as missing values."""
    try:
        # The names in the file: pandas would rename duplicates to x and x.1, and columns without a name to "Unnamed".
        head = read(path, header=None, nrows=1, dtype=str, keep_default_na=False)
        names = [re.sub(r"^Unnamed: \d+$", "", str(name)) for name in head.iloc[0]]  # as pandas writes them
        for name in names:
            if name and names.count(name) > 1:
                raise DataError(f"{path} has more than one column named {name!r}; rename or drop the others")
        with warnings.catch_warnings():
            warnings.simplefilter("error", pd.errors.ParserWarning)
            ids = [c for c in id_cols if c in names]
            df = read(path, dtype=dict.fromkeys([c for c in as_they_stand or id_cols if c in names], str))
        texts = [c for c in df.columns if c in ids or (c not in time_cols and infer_dtype(df[c]) == "string")]
        words = [c for c in texts if df[c].isna().any()]  # what pandas took for missing may be a name
        if words:
            df[words] = read(path, dtype=str, **_NO_WORDS)[words]
    except pd.errors.ParserWarning as cause:
        raise DataError(
            f"{path} cannot be read as a table: its rows hold more cells than its first line names columns ("
            f"{len(names)}); name every column there"
        ) from cause
    except DataError:
        raise
    except _UNREADABLE as cause:
        raise _unreadable(path, cause) from cause
    df = _without_row_numbers(df, names, path)
    for column in id_cols:
        if column in df.columns:
            df[column] = _as_names(df[column])
    return df


def _unreadable(path: Path, cause: Exception) -> DataError:
    if isinstance(cause, UnicodeDecodeError):
        return DataError(f"{path} is not in UTF-8: save it again, in a spreadsheet as CSV UTF-8")
    return DataError(f"{path} cannot be read as a table: {cause}")


def _read_sheet(path: Path, **options: Any) -> pd.DataFrame:
    try:
        df: pd.DataFrame = pd.read_excel(path, engine="openpyxl", **options)
    except ImportError as cause:
        raise ImportError(_NEEDS["xlsx"].format("reading")) from cause
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
        warnings.warn(message, DataWarning, stacklevel=5)
    return df.drop(columns=left_out)


def _as_names(column: pd.Series) -> pd.Series:
    """Series names as numbers if every number prints as its text, else as text."""
    codes, names = pd.factorize(column, use_na_sentinel=False)  # every series has many rows
    texts = pd.Series(names)
    try:
        numbers = pd.to_numeric(texts)
    except (TypeError, ValueError):
        return column
    exact = types.is_numeric_dtype(numbers.dtype) and (numbers.astype(str) == texts).all()
    return pd.Series(numbers.to_numpy()[codes], column.index, name=column.name) if exact else column


def _read_parquet(path: Path) -> pd.DataFrame:
    try:
        df = pd.read_parquet(path)
    except ImportError as cause:
        raise ImportError(_NEEDS["parquet"].format("reading")) from cause
    except ValueError as cause:
        raise DataError(f"{path} cannot be read as a table: {cause}") from cause
    return df if isinstance(df.index, pd.RangeIndex) else df.reset_index()


def _is_text(column: pd.Series) -> bool:
    return types.is_object_dtype(column.dtype) or types.is_string_dtype(column.dtype)
