"""Which column is what: the series, the time, the channels."""

from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, NoReturn

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pandas.api import types

from latentode.data.errors import DataError, shown

__all__ = ["ID_NAMES", "TIME_NAMES", "Schema", "infer_keys", "infer_schema", "numbers_of"]

ID_NAMES = ("unique_id", "item_id", "id")
TIME_NAMES = ("ds", "timestamp", "time")
VARIABLE_NAMES = ("variable", "parameter")
"""Columns of text that say what a row's only number is a measurement of."""

LARGEST = 1e100
"""Values and times beyond it are taken as missing: their squares would overflow."""


@dataclass(frozen=True)
class Schema:
    """The roles of a frame's columns.

    Parameters
    ----------
    id_col : hashable or None
        The column (or index level) that names the series; None when the frame is one series.
    time_col : hashable or None
        The column (or index level) that holds the times; None for an index without a name.
    target_cols : tuple of hashable
        The channels.
    layout : {"columns", "index", "multiindex"}
        Where series and times stand: in columns, the times in the index, or both in a two-level index.
    static_cols : tuple of hashable
        What is known of a series for good.
    known_cols : tuple of hashable
        What is known of every time, the future's too.
    past_cols : tuple of hashable
        What is read like a channel and not forecast.
    """

    id_col: Hashable | None
    time_col: Hashable | None
    target_cols: tuple[Hashable, ...]
    layout: str = "columns"
    static_cols: tuple[Hashable, ...] = ()
    known_cols: tuple[Hashable, ...] = ()
    past_cols: tuple[Hashable, ...] = ()

    @property
    def channels(self) -> tuple[Hashable, ...]:
        """What the model reads as observations: the targets, then what is read only."""
        return (*self.target_cols, *self.past_cols)

    @property
    def id_name(self) -> Hashable:
        """Name of the ids in a frame that goes out: their own, or ``"id"`` for a level without a name."""
        return "id" if self.id_col is None else self.id_col

    @property
    def time_name(self) -> Hashable:
        """Name of the times in a frame that goes out: their own, or ``"time"`` for an index without a name."""
        return "time" if self.time_col is None else self.time_col

    def ids_of(self, df: pd.DataFrame) -> pd.Index | None:
        """The series of every row, or None when the frame is one series."""
        if self.layout == "multiindex" and isinstance(df.index, pd.MultiIndex):
            return self._level(df, self.id_col, 0)
        if self.id_col is None and self.layout != "multiindex":
            return None
        self._require(df, self.id_name, "id_col")
        return _as_ids(df[self.id_name])

    def times_of(self, df: pd.DataFrame) -> pd.Series:
        """The time of every row, as a series on the frame's own index."""
        if self.layout == "multiindex" and isinstance(df.index, pd.MultiIndex):
            return pd.Series(self._level(df, self.time_col, 1), index=df.index)
        if self.layout == "index" and self.time_name not in df.columns:
            return pd.Series(df.index, index=df.index)
        self._require(df, self.time_name, "time_col")
        return df[self.time_name]

    @staticmethod
    def _level(df: pd.DataFrame, name: Hashable | None, position: int) -> pd.Index:
        """A level of the index by its name, in whatever order they stand, or by position."""
        if df.index.nlevels != 2:
            raise DataError(
                f"the index has {df.index.nlevels} levels; expected two (series, time), or use df.reset_index()"
            )
        by_name = name is not None and list(df.index.names).count(name) == 1
        level: pd.Index = df.index.get_level_values(name if by_name else position)  # type: ignore[arg-type]
        return level

    def _require(self, df: pd.DataFrame, column: Hashable, role: str) -> None:
        if column not in df.columns:
            raise DataError(f"the frame has no column {column!r} ({role}); its columns are {_listed(df.columns)}")
        if isinstance(df[column], pd.DataFrame):
            raise DataError(f"the frame has more than one column named {column!r}; rename or drop the others")


def infer_schema(
    df: pd.DataFrame,
    id_col: Hashable | None = None,
    time_col: Hashable | None = None,
    target_cols: Sequence[Hashable] | Hashable | None = None,
    static_cols: Sequence[Hashable] | Hashable | None = None,
    known_cols: Sequence[Hashable] | Hashable | None = None,
    past_cols: Sequence[Hashable] | Hashable | None = None,
) -> Schema:
    """Say which column is what, by written rules; None means infer.

    The series: a column named ``unique_id``, ``item_id`` or ``id``, or the first level of a two-level index;
    with none of these the frame is one series. The time: a column named ``ds``, ``timestamp`` or ``time``,
    the second level of a two-level index, a DatetimeIndex (or TimedeltaIndex, PeriodIndex), or the only
    column of a date type. The channels: every other numeric column.

    Parameters
    ----------
    df : DataFrame
        A long frame, a row per (series, time).
    id_col, time_col : hashable, optional
        Column names; None means infer.
    target_cols : hashable or sequence of hashable, optional
        The channels; None means every other numeric column.
    static_cols, known_cols, past_cols : hashable or sequence of hashable, optional
        Covariates; None means none.

    Returns
    -------
    Schema

    Raises
    ------
    DataError
        When a named column is not there, or nothing (or more than one column) matches a rule.

    Examples
    --------
    >>> import pandas as pd
    >>> infer_schema(pd.DataFrame({"id": ["a"], "time": [0.0], "heart_rate": [71.0]}))
    Schema(id_col='id', time_col='time', target_cols=('heart_rate',), layout='columns',
           static_cols=(), known_cols=(), past_cols=())
    """
    keys = infer_keys(df, id_col, time_col)
    roles = {keys.id_col, keys.time_col} if keys.layout == "columns" else {keys.id_col}
    others: list[tuple[Hashable, ...]] = []
    for name, columns in (("static_cols", static_cols), ("known_cols", known_cols), ("past_cols", past_cols)):
        taken = () if columns is None else _named(df, columns, roles, name)
        roles |= set(taken)
        others.append(taken)
    targets = (
        _infer_targets(df, roles, keys.id_col, keys.layout)
        if target_cols is None
        else _channels(df, target_cols, roles, "target_cols")
    )
    for column in others[2]:
        require_numbers_where_meant(df[column], always=True)
    schema = Schema(keys.id_col, keys.time_col, targets, keys.layout, *others)
    if target_cols is None:
        _refuse_records(df, schema)
        if schema.id_col is None and schema.layout != "multiindex":
            _refuse_hidden_ids(df, schema)
    return schema


def infer_keys(df: pd.DataFrame, id_col: Hashable | None = None, time_col: Hashable | None = None) -> Schema:
    """Say where series and times stand, by the rules of :func:`infer_schema`; the schema has no channels yet.

    Parameters
    ----------
    df : DataFrame
        A long frame; it may hold nothing but ids and times.
    id_col, time_col : hashable, optional
        Column names; None means infer.

    Raises
    ------
    DataError
        As :func:`infer_schema`.
    """
    if not isinstance(df, pd.DataFrame):
        raise DataError(
            f"expected a pandas DataFrame with a row per (series, time), got {type(df).__name__}; "
            "from arrays, build one with pd.DataFrame({'id': ..., 'time': ..., 'value': ...}); "
            "a step of scikit-learn gives one after its set_output(transform='pandas')"
        )
    if df.columns.nlevels > 1:
        raise DataError(
            f"the frame's columns have {df.columns.nlevels} levels; give each column one name, for instance with "
            "df.columns = ['-'.join(map(str, c)) for c in df.columns]"
        )
    doubled = df.columns[df.columns.duplicated()].unique()
    if len(doubled):
        raise DataError(f"the frame has more than one column named {_listed(doubled)}; rename or drop the others")
    for column, role in ((id_col, "id_col"), (time_col, "time_col")):
        if column is not None and column not in df.columns and column not in df.index.names:
            raise DataError(f"{role}={column!r}: no such column; the frame's columns are {_listed(df.columns)}")
    if isinstance(df.index, pd.MultiIndex) and time_col not in df.columns:
        layout = "multiindex"
        id_col, time_col = _infer_levels(df, id_col, time_col)
    else:
        id_col = _infer_id(df) if id_col is None else id_col
        if id_col is not None and id_col not in df.columns:
            raise DataError(f"the series ({id_col!r}) stand in the index; make them a column with df.reset_index()")
        if id_col is None and isinstance(df.index, pd.MultiIndex):  # its series would be taken for one
            _refuse_column_beside_levels("time_col", time_col, list(df.index.names))
        layout, time_col = _infer_time(df, id_col, time_col)
    return Schema(id_col, time_col, (), layout)


def _infer_id(df: pd.DataFrame) -> Hashable | None:
    found = [name for name in ID_NAMES if name in df.columns]
    if len(found) > 1:
        raise DataError(f"columns {_listed(found)} could each name the series; pass id_col=")
    in_index = [name for name in ID_NAMES if name in df.index.names]
    return found[0] if found else in_index[0] if in_index else None


def _refuse_column_beside_levels(role: str, column: Hashable, names: list[Hashable]) -> NoReturn:
    raise DataError(
        f"{role}={column!r} is a column, but the frame has an index of {len(names)} levels {names!r}; "
        "use df.reset_index() to choose among columns"
    )


def _infer_levels(
    df: pd.DataFrame, id_col: Hashable | None, time_col: Hashable | None
) -> tuple[Hashable | None, Hashable | None]:
    """Which level of a two-level index is what: as named, else series first and time second."""
    names = list(df.index.names)
    if len(names) != 2:
        raise DataError(f"the index has {len(names)} levels; expected two (series, time), or use df.reset_index()")
    if id_col is not None and id_col not in names:
        _refuse_column_beside_levels("id_col", id_col, names)
    time_first = names[0] is not None and (names[0] == time_col or (time_col is None and names[0] in TIME_NAMES))
    id_second = names[1] is not None and (names[1] == id_col or (id_col is None and names[1] in ID_NAMES))
    if time_first or id_second:
        names.reverse()
    elif _is_date(df.index.get_level_values(0).dtype) and not _is_date(df.index.get_level_values(1).dtype):
        raise DataError("the first level of the index holds dates: the series come first; use df.swaplevel()")
    return names[0], names[1]


def _infer_time(df: pd.DataFrame, id_col: Hashable | None, time_col: Hashable | None) -> tuple[str, Hashable | None]:
    if time_col is not None:
        return ("columns" if time_col in df.columns else "index"), time_col
    found: list[Hashable] = [name for name in TIME_NAMES if name in df.columns and name != id_col]
    if len(found) > 1:
        raise DataError(f"columns {_listed(found)} could each be the time; pass time_col=")
    if found:
        return "columns", found[0]
    if isinstance(df.index, pd.DatetimeIndex | pd.TimedeltaIndex | pd.PeriodIndex):
        name = df.index.name
        if name is not None and name in df.columns and not _is_date(df[name].dtype):
            raise DataError(f"the index of times and a column are both named {name!r}; rename one of them")
        return "index", name
    dated = [c for c in df.columns if c != id_col and _is_date(df[c].dtype)]
    if len(dated) == 1:
        return "columns", dated[0]
    if len(dated) > 1:
        raise DataError(f"columns {_listed(dated)} are all dates; pass time_col= to say which is the time")
    raise DataError(
        f"no time column found among {_listed(df.columns)}: pass time_col= (or name it one of {', '.join(TIME_NAMES)})"
    )


def _infer_targets(
    df: pd.DataFrame, roles: set[Hashable | None], id_col: Hashable | None, layout: str
) -> tuple[Hashable, ...]:
    rest = [c for c in df.columns if c not in roles]
    text = [c for c in rest if not types.is_numeric_dtype(df[c].dtype) and not _is_date(df[c].dtype)]
    for column in text:
        require_numbers_where_meant(df[column])
    targets = tuple(c for c in rest if types.is_numeric_dtype(df[c].dtype))
    for column in targets:
        require_numbers_where_meant(df[column])
    if text and id_col is None and layout != "multiindex":
        raise DataError(
            f"column {text[0]!r} holds text: pass id_col={text[0]!r} if it names the series, "
            "or target_cols=[...] to say which columns to forecast"
        )
    if not targets:
        raise DataError(f"no numeric column to forecast among {_listed(rest)}; pass target_cols=")
    return targets


def _refuse_records(df: pd.DataFrame, schema: Schema) -> None:
    """One measurement a row, and its name in a column of text: all of them together are no channel."""
    for name in VARIABLE_NAMES:
        kinds = df[name].nunique() if name in df.columns and len(schema.channels) == 1 else 0
        if kinds > 1:
            (value,) = schema.channels
            raise DataError(
                f"the frame seems to hold one measurement a row, of {kinds} kinds named in column {name!r}: make it "
                "a row per (series, time) with latentode.data.from_events(df, ...), "
                f"or pass target_cols=[{value!r}] to take them all for one channel"
            )


def _refuse_hidden_ids(df: pd.DataFrame, schema: Schema) -> None:
    """A column of whole numbers that is called an id, or at whose changes, and only there, time goes back."""
    times = schema.times_of(df)
    comparable: Any = (
        numbers_of(times) if times.dtype == np.longdouble else times
    )  # pandas ranks none of that precision
    rank = np.zeros(len(df)) if types.is_object_dtype(times.dtype) else pd.factorize(comparable, sort=True)[0]
    back = np.diff(rank) < 0
    for name in schema.channels:
        if not types.is_integer_dtype(df[name].dtype):
            continue
        called = str(name).lower().replace("-", "_").endswith("_id") or str(name).endswith(("Id", "ID"))
        changes = np.diff(numbers_of(df[name])) != 0
        runs = int(changes.sum()) + 1
        begins = back.any() and changes[back].all() and runs == df[name].nunique() and runs <= len(df) / 2
        if called or begins:
            raise DataError(
                f"column {name!r} seems to name the series: pass id_col={name!r}, "
                "or target_cols=[...] to say which columns to forecast"
            )


def _channels(
    df: pd.DataFrame, target_cols: Sequence[Hashable] | Hashable, roles: set[Hashable | None], role: str
) -> tuple[Hashable, ...]:
    targets = _named(df, target_cols, roles, role)
    if not targets:
        raise DataError("target_cols is empty; name at least one column to forecast")
    for column in targets:
        require_numbers_where_meant(df[column], always=True)
    return targets


def _named(
    df: pd.DataFrame, columns: Sequence[Hashable] | Hashable, roles: set[Hashable | None], role: str
) -> tuple[Hashable, ...]:
    """The columns of a parameter: all there, none twice, none with another role."""
    given: Any = columns
    if isinstance(given, np.ndarray | pd.Series):
        given = given.tolist()
    single = isinstance(given, str) or not isinstance(given, Sequence | pd.Index)
    named: tuple[Hashable, ...] = (given,) if single else tuple(given)
    missing = [c for c in named if c not in df.columns]
    if missing:
        raise DataError(f"{role}: no column {_listed(missing)}; the frame's columns are {_listed(df.columns)}")
    if len(set(named)) < len(named) or roles & set(named):
        raise DataError(
            f"{role}={list(named)!r} repeats a column, or names one with another role (id, time, covariate)"
        )
    return named


def require_numbers_where_meant(column: pd.Series, always: bool = False) -> None:
    """Refuse a column of text that was meant as numbers, naming the first row that is none."""
    if types.is_complex_dtype(column.dtype):
        raise DataError(
            f"column {column.name!r} holds complex numbers; give the real and the imaginary part a column each"
        )
    if types.is_numeric_dtype(column.dtype):
        return
    if _is_date(column.dtype):
        raise DataError(f"target column {column.name!r} holds dates ({column.dtype}); a channel holds numbers")
    present = column.dropna()
    as_number = _as_numbers(present)
    with_point = as_number if as_number.notna().all() else _as_numbers(_with_points(present))
    if always or with_point.notna().mean() > 0.5:
        bad = present[as_number.isna().to_numpy()]
        where = (
            f"row {shown(bad.index[0])} holds {shown(bad.iloc[0])}"
            if len(bad)
            else f"its dtype is {column.dtype}, not numeric"
        )
        raise DataError(
            f"column {column.name!r} should hold numbers but {where}; convert it with "
            f"pd.to_numeric(df[{column.name!r}], errors='coerce') (what is no number becomes missing; numbers with a "
            "comma want pd.read_csv(..., decimal=',')), "
            "or leave it out with target_cols=[...]"
        )


def numbers_of(column: pd.Series) -> NDArray[np.float64]:
    """A numeric column as float64, NaN where missing, infinite where its own precision reaches beyond."""
    with np.errstate(over="ignore"):
        numbers: NDArray[np.float64] = column.to_numpy(dtype=np.float64, na_value=np.nan)
    return numbers


def _as_ids(column: pd.Series) -> pd.Index:
    """Names of series as an index; what has no hash is refused."""
    if column.dtype == np.float16:  # pandas has no index of these
        column = column.astype(np.float32)
    if column.dtype == np.longdouble:  # nor of these that can be searched
        column = pd.Series(numbers_of(column), column.index, name=column.name)
    if types.is_object_dtype(column.dtype):
        try:
            column.unique()
        except TypeError:
            row = next(i for i, value in enumerate(column) if not has_hash(value))
            raise DataError(
                f"column {column.name!r} names the series, but row {shown(column.index[row])} holds "
                f"{shown(column.iloc[row])}, which is no name; convert it with df[{column.name!r}].astype(str)"
            ) from None
    ids: pd.Index = pd.Index(column)
    return ids


def has_hash(value: object) -> bool:
    try:
        hash(value)
    except TypeError:
        return False
    return True


def _as_numbers(column: pd.Series) -> pd.Series:
    """Objects and text as numbers, NaN for what is none."""
    try:
        return pd.to_numeric(column, errors="coerce")
    except (OverflowError, TypeError, ValueError):  # whole numbers beyond float64; lists, on some versions
        return column.map(_as_number).astype(np.float64)


def _with_points(column: pd.Series) -> pd.Series:
    """Text with points where it has commas; anything else as it is."""
    values = [value.replace(",", ".") if isinstance(value, str) else value for value in column]
    return pd.Series(values, dtype=object)


def _as_number(value: object) -> float:
    try:
        return float(value)  # type: ignore[arg-type]
    except (OverflowError, TypeError, ValueError):
        return np.nan


def _is_date(dtype: object) -> bool:
    return (
        types.is_datetime64_any_dtype(dtype)  # type: ignore[arg-type]
        or types.is_timedelta64_dtype(dtype)  # type: ignore[arg-type]
        or isinstance(dtype, pd.PeriodDtype)
    )


def _listed(listed: Iterable[Hashable]) -> str:
    names = list(listed)
    shown = ", ".join(repr(n) for n in names[:12])
    return shown + (f", ... ({len(names)} in all)" if len(names) > 12 else "") if names else "(none)"
