"""Small pure functions on the frames that come in and go out."""

from collections import Counter
from collections.abc import Hashable, Iterable, Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from pandas.api import types

from latentode.data import DataError, Panel, Schema, TimeAxis
from latentode.data.columns import numbers_of
from latentode.data.errors import shown
from latentode.data.time_axis import means_months
from latentode.estimators.fitting import outside

__all__ = [
    "alike",
    "filled_column",
    "forecast_times",
    "join_targets",
    "keys_of",
    "last_third",
    "refuse_doubled",
    "refuse_outside",
    "summary_of",
    "weights_of",
]

MAX_FORECAST_ROWS = 50_000_000


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
        raise DataError(f"X has {len(X)} rows and y has {len(targets)}: they go together row by row")
    if not targets.index.equals(X.index):
        raise DataError("the indexes of X and y differ: they go together row by row; align them first")
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
        names = [target_cols] if isinstance(target_cols, str) else list(target_cols)  # type: ignore[call-overload]
        if len(names) != n:
            raise DataError(f"y has {n} columns but target_cols names {len(names)}: {names!r}")
        return names
    if isinstance(y, pd.Series) and y.name is not None:
        return [y.name]
    return ["y"] if n == 1 else [f"y{k}" for k in range(n)]


def weights_of(sample_weight: ArrayLike, n_rows: int) -> NDArray[np.float64]:
    """Weights of rows as numbers.

    Raises
    ------
    ValueError
        When there is not one a row, or one is negative or not finite.
    """
    weights = np.asarray(sample_weight, dtype=np.float64)
    if weights.shape != (n_rows,):
        raise ValueError(f"sample_weight has shape {weights.shape}; expected one weight per row, ({n_rows},)")
    bad = np.flatnonzero(~(np.isfinite(weights) & (weights >= 0)))
    if len(bad):
        raise ValueError(f"sample_weight[{bad[0]}] is {weights[bad[0]]}: weights are finite and not negative")
    return weights


def last_third(times: ArrayLike, ids: ArrayLike) -> NDArray[np.bool_]:
    """Which rows are the last third of their series in time: at least one; rows of one time go together.

    Parameters
    ----------
    times : array
        (row,), numbers or dates; a row without a time is in no third.
    ids : array
        (row,), the series of each row.
    """
    grouped = pd.Series(np.asarray(times)).groupby(np.asarray(ids), sort=False, dropna=False)
    rank, size = grouped.rank(method="max"), grouped.transform("count")
    return (rank > size - np.maximum(size // 3, 1)).to_numpy(dtype=np.bool_)


def forecast_times(
    panel: Panel, schema: Schema, axis: TimeAxis, horizon: Any, freq: Any, fitted_horizon: float
) -> pd.DataFrame:
    """Ids and times after the end of every series.

    Parameters
    ----------
    panel : Panel
        The series; one without observations has no end and is left out.
    schema : Schema
        Names of the columns.
    axis : TimeAxis
        Kind of the times.
    horizon, freq : str, Timedelta, offset, number or None
        How far, and how far apart; None for the fitted horizon and a tenth of the horizon.
    fitted_horizon : float
        The horizon of the fit, on the axis.
    """
    length = fitted_horizon if horizon is None else axis.length_of(horizon, "horizon")
    ends = panel.last_times
    some = np.flatnonzero(~np.isnan(ends))
    if len(some) == 0:
        raise DataError("no series has observations, so there is no end to forecast from; pass history=")
    offset = _calendar_offset(freq, axis)
    if offset is not None:
        grids = [_calendar_steps(axis, ends[i], length, offset) for i in some]
        lengths = np.array([len(g) for g in grids], dtype=np.int64)
        times = np.concatenate(grids)
        if len(times) == 0:
            raise DataError(f"no date of freq={freq!r} lies within the horizon: there is nothing to forecast")
    else:
        step = length / 10 if freq is None else axis.length_of(freq, "freq")
        steps = length / step * (1 + 1e-9)
        if steps < 1:
            raise DataError(f"freq={freq!r} is longer than horizon={horizon!r}: there is nothing to forecast")
        if steps * len(some) > MAX_FORECAST_ROWS:
            raise DataError(f"{steps:.12g} times for each of {len(some)} series are too many; choose a longer freq")
        n = int(steps)
        times = (ends[some][:, None] + step * np.arange(1, n + 1)).ravel()
        lengths = np.full(len(some), n)
    frame: dict[Hashable, Any] = {}
    if schema.id_col is not None or schema.layout == "multiindex":
        frame[schema.id_name] = panel.ids[np.repeat(some, lengths)]
    frame[schema.time_name] = axis.from_float(times).array
    return pd.DataFrame(frame)


def _calendar_offset(freq: Any, axis: TimeAxis) -> pd.offsets.BaseOffset | None:
    """An offset such as a month's start, whose length varies; None for one of fixed length."""
    if axis.kind == "number":
        return None
    if axis.kind == "period":  # periods come one after the other, whatever their length
        freq = axis.freq if freq is None else freq
    elif freq is None or _is_duration(freq):
        return None
    try:
        offset: pd.offsets.BaseOffset = pd.tseries.frequencies.to_offset(freq, is_period=axis.kind == "period")
        if axis.kind == "period":
            pd.period_range("2000", periods=1, freq=offset)  # pandas before 3 takes a month's start, which is none
        return offset
    except (ValueError, TypeError):
        example = "'M' or '2M'" if axis.kind == "period" else "'1D', '6h' or 'MS'"
        raise DataError(f"freq={freq!r} is no frequency: use for instance {example}") from None


def _is_duration(freq: Any) -> bool:
    if means_months(freq):
        return False
    try:
        pd.Timedelta(freq)
    except (TypeError, ValueError):
        return False
    return True


def _calendar_steps(axis: TimeAxis, end: float, length: float, offset: pd.offsets.BaseOffset) -> Any:
    if axis.kind == "timedelta":
        raise DataError("times are time differences, which have no calendar: give freq as a duration such as '1D'")
    first, last = axis.from_float(np.array([end, end + length]))
    if axis.kind == "period":
        steps = pd.period_range(first.asfreq(offset), last.asfreq(offset), freq=offset)
        dates: pd.Series = pd.Series(steps.asfreq(axis.freq, how="S").unique())
    else:
        dates = pd.Series(pd.date_range(first, last, freq=offset))
    grid = axis.to_float(dates)
    return grid[grid > end]


def keys_of(df: pd.DataFrame, schema: Schema) -> pd.DataFrame:
    """The ids (where there are any) and times of a frame, as columns by the names they go out with."""
    keys: dict[Hashable, Any] = {}
    ids = schema.ids_of(df)
    if ids is not None:
        keys[schema.id_name] = ids.array
    keys[schema.time_name] = schema.times_of(df).array
    return pd.DataFrame(keys)


def alike(column: pd.Series, dtype: Any) -> pd.Series:
    """Ids or times of ours in the dtype of the user's own: categories, and integers where every number is whole.

    Parameters
    ----------
    column : Series
        Ids or times.
    dtype : dtype
        Of the ids or times given. Ids that are none of its categories are added to them.
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
    """Values for a column with holes, in its own dtype or, where that holds no fractions, a floating one of its kind.

    Parameters
    ----------
    column : Series
        With holes.
    values : array of float
        (row,), NaN where nothing can be said.
    """
    dtype: Any = column.dtype
    if isinstance(dtype, np.dtype):
        return values.astype(dtype) if dtype.kind == "f" else values
    if not types.is_float_dtype(dtype):
        dtype = "double[pyarrow]" if isinstance(dtype, pd.ArrowDtype) else "Float64"
    return pd.array(values, dtype=dtype)


def refuse_doubled(names: Iterable[Hashable]) -> None:
    """Refuse an answer in which two columns would have one name.

    Raises
    ------
    DataError
        It says which.
    """
    doubled = [name for name, count in Counter(names).items() if count > 1]
    if doubled:
        raise DataError(
            f"{len(doubled)} names of columns would stand in the answer more than once, {doubled[0]!r} for one; rename "
            "the column of the data that has that name already, or ask for each level, or quantile, once"
        )


def refuse_outside(df: pd.DataFrame, schema: Schema, likelihood: str) -> None:
    """Refuse what a likelihood says cannot be: one of counts would take -3.5 for the nearest that can.

    Parameters
    ----------
    df : DataFrame
        The observations, a row per (series, time).
    schema : Schema
        Which columns are channels.
    likelihood : str
        Its name; one that is none is refused elsewhere.

    Raises
    ------
    DataError
        When a channel holds such a value; it names the first.
    """
    for channel in schema.channels:
        values = numbers_of(df[channel])
        wrong, support = outside(likelihood, values)
        if wrong.any():
            row = int(np.flatnonzero(wrong)[0])
            raise DataError(
                f"likelihood={likelihood!r} is of {support}, but column {channel!r} holds {values[row]:g} in row "
                f"{shown(df.index[row])}; choose another likelihood, or leave the column out with target_cols=[...]"
            )


def summary_of(names: pd.Index, most: int = 5) -> str:
    """The first few names, and how many there are."""
    shown = ", ".join(repr(n) for n in names[:most])
    return shown if len(names) <= most else f"{shown}, ... ({len(names)} in all)"
