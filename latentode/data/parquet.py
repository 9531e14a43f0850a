"""Parquet files of any size as a frame that fits into memory: all series or a sample of whole ones."""

import glob
import os
import warnings
from collections.abc import Hashable
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from latentode.data.errors import DataError, DataWarning
from latentode.data.schema_inference import ID_NAMES

__all__ = ["MOST_CELLS", "is_stored", "read_parquet"]

MOST_CELLS = 50_000_000
"""Rows times columns read when nobody says. The fit then takes less than 3 GB, however large the files are."""

ROWS_AT_ONCE, PARTS_AT_ONCE = 65_536, 32


def is_stored(x: Any) -> bool:
    """Whether an object is a path or a pyarrow dataset, not a frame."""
    return isinstance(x, str | os.PathLike) or type(x).__module__.startswith("pyarrow._dataset")


def read_parquet(source: Any, id_col: Hashable | None = None, max_rows: int | None = None) -> pd.DataFrame:
    """Read a long table: all of it if it is small enough, else a sample of whole series.

    The ids are counted first, then the rows of the chosen series are read, both in batches: memory holds little more
    than the result. The sample depends on the ids only, not on the order of rows or files. It is the same every time.

    Parameters
    ----------
    source : str, Path or pyarrow.dataset.Dataset
        A Parquet file, a directory of them, a pattern (``visits/*.parquet``), or a dataset of pyarrow's of any format.
    id_col : hashable, optional
        The column that names the series; None means the one called ``unique_id``, ``item_id`` or ``id``.
    max_rows : int, optional
        Rows at most; None means 50,000,000 cells (rows times columns).

    Returns
    -------
    DataFrame
        The table as pandas would read it; of a chosen series every row.

    Raises
    ------
    FileNotFoundError
        When there is no such file.
    DataError
        When it is no Parquet, has no such column, or a single series is larger than `max_rows`.
    ImportError
        When pyarrow is not installed.

    Warns
    -----
    DataWarning
        When only some of the series were read: how many of how many, and how many rows.

    Examples
    --------
    >>> from latentode.data import read_parquet
    >>> read_parquet("visits.parquet", id_col="patient", max_rows=5_000_000)  # doctest: +SKIP
    """
    dataset = _opened(source)
    names = dataset.schema.names
    most = MOST_CELLS // max(len(names), 1) if max_rows is None else max_rows
    total = dataset.count_rows()
    if total <= most:
        return _frame(dataset)
    found = [n for n in ID_NAMES if n in names] if id_col is None else [id_col]
    if len(found) != 1 or found[0] not in names:
        problem = (
            f"id_col={id_col!r}: no such column" if id_col is not None else "no single id column found; pass id_col="
        )
        raise DataError(f"{problem}; the table's columns are {names!r}")
    name = str(found[0])
    ids, counts = _rows_of_series(dataset, name)
    # Ordered by a hash of the ids: a random sample that does not depend on the order of rows.
    order = np.argsort(pd.util.hash_array(ids.to_numpy(zero_copy_only=False), categorize=False), kind="stable")
    chosen = order[np.cumsum(counts[order]) <= most]
    if len(chosen) == 0:
        raise DataError(f"no series can be read whole within max_rows={most}; give more, or cut the series in time")
    df = _frame(dataset, _field(name).cast(ids.type).isin(ids.take(chosen)))
    warnings.warn(
        f"{len(chosen)} of {len(ids)} series were read, {len(df)} of {total} rows: the table is larger than "
        f"{most} rows; latentode.data.read_parquet(..., max_rows=) reads more",
        DataWarning,
        stacklevel=2,
    )
    return df


def _opened(source: Any) -> Any:
    try:
        import pyarrow
        import pyarrow.dataset
    except ImportError as cause:
        raise ImportError("reading Parquet needs pyarrow: pip install latentode[parquet]") from cause
    if not isinstance(source, str | os.PathLike):
        return source
    path = os.fspath(source)
    paths: str | list[str] = path
    if not os.path.exists(path):  # a name may hold a star; otherwise it is a pattern
        paths = sorted(filter(os.path.isfile, glob.glob(path, recursive=True)))
    if not paths:
        raise FileNotFoundError(f"no such file: {path}")
    try:
        return pyarrow.dataset.dataset(paths, format="parquet")
    except (pyarrow.ArrowInvalid, OSError) as cause:
        raise DataError(
            f"{os.fspath(source)} is not a Parquet file, and a path is read as Parquet only; give a frame instead, for "
            f"instance pd.read_csv({os.fspath(source)!r})"
        ) from cause


def _field(name: str) -> Any:
    from pyarrow import compute

    return compute.field(name)


def _batches(dataset: Any, **options: Any) -> Any:
    """Small batches with little read-ahead, so that no file is held whole (Arrow's default for Parquet)."""
    import pyarrow.dataset

    if isinstance(getattr(dataset, "format", None), pyarrow.dataset.ParquetFileFormat):
        options["fragment_scan_options"] = pyarrow.dataset.ParquetFragmentScanOptions(
            use_buffered_stream=True, pre_buffer=False
        )
    scanner = dataset.scanner(
        batch_size=ROWS_AT_ONCE, batch_readahead=1, fragment_readahead=1, use_threads=False, **options
    )
    return scanner.to_batches()


def _rows_of_series(dataset: Any, name: str) -> tuple[Any, NDArray[np.int64]]:
    """The sorted ids as a pyarrow array, and the number of rows of each."""
    import pyarrow

    parts: list[Any] = []
    for batch in _batches(dataset, columns=[name]):
        ids = batch.column(0)
        ids = ids.dictionary_decode() if pyarrow.types.is_dictionary(ids.type) else ids
        found = ids.value_counts()
        parts.append(pyarrow.table({"id": found.field("values"), "rows": found.field("counts")}))
        if len(parts) == PARTS_AT_ONCE:
            parts = [_summed(parts)]
    whole = _summed(parts).filter(_field("id").is_valid()).sort_by("id")
    return whole["id"].combine_chunks(), whole["rows"].to_numpy()


def _summed(parts: list[Any]) -> Any:
    import pyarrow

    found = pyarrow.concat_tables(parts).group_by("id").aggregate([("rows", "sum")])
    return pyarrow.table({"id": found["id"], "rows": found["rows_sum"]})


def _frame(dataset: Any, chosen: Any = None) -> pd.DataFrame:
    import pyarrow

    batches = [b for b in _batches(dataset, filter=chosen) if b.num_rows]
    table = pyarrow.Table.from_batches(batches, schema=dataset.schema)
    df: pd.DataFrame = table.to_pandas(split_blocks=True, self_destruct=True)
    return df
