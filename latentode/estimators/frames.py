"""Pure functions on the frames that users pass and get back."""

from collections import Counter
from collections.abc import Hashable, Iterable, Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from pandas.api import types

from latentode.data import DataError, Schema
from latentode.data.columns import named_columns

__all__ = [
    "as_dtype",
    "filled_column",
    "join_targets",
    "keys_of",
    "last_third",
    "refuse_duplicates",
    "summary_of",
    "weights_of",
]


def join_targets(
    X: pd.DataFrame,
    y: pd.DataFrame | pd.Series | ArrayLike | None,
    target_cols: Sequence[Hashable] | Hashable | None,
) -> pd.DataFrame:
    """``X`` with the channels of ``y`` beside it, row by row; ``X`` itself when ``y`` is None.

    Raises
    ------
    DataError
        When the two do not have the same rows.
    """
    if y is None or not isinstance(X, pd.DataFrame):
        return X
    targets = y if isinstance(y, pd.DataFrame) else _as_frame(X, y, target_cols)
    if len(targets) != len(X):
        raise DataError(f"X has {len(X)} rows and y has {len(targets)}: their rows must correspond")
    if not targets.index.equals(X.index):
        raise DataError("the indexes of X and y differ: their rows must correspond; align them first")
    return pd.concat([X.drop(columns=[c for c in targets.columns if c in X.columns]), targets], axis=1)


def _as_frame(
    X: pd.DataFrame, y: pd.Series | ArrayLike, target_cols: Sequence[Hashable] | Hashable | None
) -> pd.DataFrame:
    if isinstance(y, pd.Series):
        return y.to_frame(_names_for(1, y, target_cols)[0])
    values = np.asarray(y)
    if values.ndim not in (1, 2):
        raise DataError(f"y has shape {values.shape}; expected a row for each row of X, a column for each channel")
    values = values[:, None] if values.ndim == 1 else values
    index = X.index if len(values) == len(X) else None
    return pd.DataFrame(values, index=index, columns=_names_for(values.shape[1], y, target_cols))


def _names_for(n: int, y: Any, target_cols: Sequence[Hashable] | Hashable | None) -> list[Hashable]:
    if target_cols is not None:
        names = [*named_columns(target_cols, "target_cols")]
        if len(names) != n:
            raise DataError(f"y has {n} columns but target_cols names {len(names)}: {names!r}")
        return names
    if isinstance(y, pd.Series) and y.name is not None:
        return [y.name]
    return ["y"] if n == 1 else [f"y{k}" for k in range(n)]


def weights_of(sample_weight: ArrayLike, n_rows: int) -> NDArray[np.float64]:
    """Sample weights as an array, (row,).

    Raises
    ------
    ValueError
        When there is not one weight per row, or a weight is negative or not finite.
    """
    weights = np.asarray(sample_weight, dtype=np.float64)
    if weights.shape != (n_rows,):
        raise ValueError(f"sample_weight has shape {weights.shape}; expected one weight per row, ({n_rows},)")
    bad = np.flatnonzero(~(np.isfinite(weights) & (weights >= 0)))
    if len(bad):
        raise ValueError(f"sample_weight[{bad[0]}] is {weights[bad[0]]}: weights are finite and not negative")
    return weights


def last_third(times: ArrayLike, ids: ArrayLike) -> NDArray[np.bool_]:
    """Which rows are the last third of their series in time, at least one row; rows of one time stay together.

    Parameters
    ----------
    times : array
        (row,), numbers or dates; a row without a time is never among them.
    ids : array
        (row,), the series of each row.
    """
    grouped = pd.Series(np.asarray(times)).groupby(np.asarray(ids), sort=False, dropna=False)
    rank, size = grouped.rank(method="max"), grouped.transform("count")
    return (rank > size - np.maximum(size // 3, 1)).to_numpy(dtype=np.bool_)


def keys_of(df: pd.DataFrame, schema: Schema) -> pd.DataFrame:
    """The ids (if there are any) and times of a frame, as columns named as in results."""
    keys: dict[Hashable, Any] = {}
    ids = schema.ids_of(df)
    if ids is not None:
        keys[schema.id_name] = ids.array
    keys[schema.time_name] = schema.times_of(df).array
    return pd.DataFrame(keys)


def as_dtype(column: pd.Series, dtype: Any) -> pd.Series:
    """Ids or times in the dtype of the user's own: categories, and integers if every number is whole.

    Parameters
    ----------
    column : Series
        Ids or times.
    dtype : dtype
        The dtype of the user's column. Ids that are not among its categories are added to them.
    """
    if isinstance(dtype, pd.CategoricalDtype):
        new = pd.Index(column.dropna().unique()).difference(dtype.categories, sort=False)
        categories = dtype.categories.append(new) if len(new) else dtype.categories
        return column.astype(pd.CategoricalDtype(categories, dtype.ordered))
    if not (types.is_integer_dtype(dtype) and types.is_float_dtype(column.dtype)):
        return column
    if not (column == np.floor(column)).all():
        return column
    held = np.iinfo(getattr(dtype, "numpy_dtype", dtype))
    return column.astype(dtype if column.between(held.min, held.max).all() else np.int64)


def filled_column(column: pd.Series, values: NDArray[np.float64]) -> Any:
    """Values for a column with missing entries, in its own dtype or, if that holds no fractions, a float of its kind.

    Parameters
    ----------
    column : Series
        The column, with missing entries.
    values : array of float
        (row,), NaN where the prediction is NaN.
    """
    dtype: Any = column.dtype
    if isinstance(dtype, np.dtype):
        return values.astype(dtype) if dtype.kind == "f" else values
    if not types.is_float_dtype(dtype):
        dtype = "double[pyarrow]" if isinstance(dtype, pd.ArrowDtype) else "Float64"
    return pd.array(values, dtype=dtype)


def refuse_duplicates(names: Iterable[Hashable]) -> None:
    """Refuse a result in which two columns would have the same name.

    Raises
    ------
    DataError
        Naming the first of them.
    """
    duplicates = [name for name, count in Counter(names).items() if count > 1]
    if duplicates:
        raise DataError(
            f"{len(duplicates)} column names would appear twice in the result, for instance {duplicates[0]!r}; "
            "rename the column of the data that has this name, or request each level or quantile once"
        )


def summary_of(names: pd.Index, most: int = 5) -> str:
    """The first few names, and their number."""
    first = ", ".join(repr(n) for n in names[:most])
    return first if len(names) <= most else f"{first}, ... ({len(names)} in all)"
