"""The rules by which columns of a frame get their roles."""

from collections.abc import Hashable, Sequence
from typing import Any, NoReturn

import numpy as np
import pandas as pd
from pandas.api import types

from latentode.data.columns import (
    is_date,
    listed,
    named_columns,
    numbers_of,
    require_name,
    require_numbers_where_meant,
)
from latentode.data.errors import DataError
from latentode.data.schema import Schema

__all__ = ["ID_NAMES", "TIME_NAMES", "infer_keys", "infer_schema"]

ID_NAMES = ("unique_id", "item_id", "id")
TIME_NAMES = ("ds", "timestamp", "time")
VARIABLE_NAMES = ("variable", "parameter")
"""Columns of text that name the variable of a row's only measurement."""


def infer_schema(
    df: pd.DataFrame,
    id_col: Hashable | None = None,
    time_col: Hashable | None = None,
    target_cols: Sequence[Hashable] | Hashable | None = None,
    static_cols: Sequence[Hashable] | Hashable | None = None,
    known_cols: Sequence[Hashable] | Hashable | None = None,
    past_cols: Sequence[Hashable] | Hashable | None = None,
    impulse_cols: Sequence[Hashable] | Hashable | None = None,
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
    static_cols, known_cols, past_cols, impulse_cols : hashable or sequence of hashable, optional
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
           static_cols=(), known_cols=(), past_cols=(), impulse_cols=())
    """
    keys = infer_keys(df, id_col, time_col)
    roles = {keys.id_col, keys.time_col} if keys.layout == "columns" else {keys.id_col}
    others: list[tuple[Hashable, ...]] = []
    covariates = {"static_cols": static_cols, "known_cols": known_cols, "past_cols": past_cols}
    for name, columns in {**covariates, "impulse_cols": impulse_cols}.items():
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
        raise DataError(f"the frame has more than one column named {listed(doubled)}; rename or drop the others")
    for column, role in ((id_col, "id_col"), (time_col, "time_col")):
        require_name(column, role)
        if column is not None and column not in df.columns and column not in df.index.names:
            raise DataError(f"{role}={column!r}: no such column; the frame's columns are {listed(df.columns)}")
    if isinstance(df.index, pd.MultiIndex) and time_col not in df.columns:
        layout = "multiindex"
        id_col, time_col = _infer_levels(df, id_col, time_col)
    else:
        id_col = _infer_id(df) if id_col is None else id_col
        if id_col is not None and id_col not in df.columns:
            raise DataError(f"the series ({id_col!r}) stand in the index; make them a column with df.reset_index()")
        if id_col is None and isinstance(df.index, pd.MultiIndex):  # its series would count as one
            _refuse_column_beside_levels("time_col", time_col, list(df.index.names))
        layout, time_col = _infer_time(df, id_col, time_col)
    return Schema(id_col, time_col, (), layout)


def _infer_id(df: pd.DataFrame) -> Hashable | None:
    found = [name for name in ID_NAMES if name in df.columns]
    if len(found) > 1:
        raise DataError(f"columns {listed(found)} could each name the series; pass id_col=")
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
    elif is_date(df.index.get_level_values(0).dtype) and not is_date(df.index.get_level_values(1).dtype):
        raise DataError("the first level of the index holds dates: the series come first; use df.swaplevel()")
    return names[0], names[1]


def _infer_time(df: pd.DataFrame, id_col: Hashable | None, time_col: Hashable | None) -> tuple[str, Hashable | None]:
    if time_col is not None:
        return ("columns" if time_col in df.columns else "index"), time_col
    found: list[Hashable] = [name for name in TIME_NAMES if name in df.columns and name != id_col]
    if len(found) > 1:
        raise DataError(f"columns {listed(found)} could each be the time; pass time_col=")
    if found:
        return "columns", found[0]
    if isinstance(df.index, pd.DatetimeIndex | pd.TimedeltaIndex | pd.PeriodIndex):
        name = df.index.name
        if name is not None and name in df.columns and not is_date(df[name].dtype):
            raise DataError(f"the index of times and a column are both named {name!r}; rename one of them")
        return "index", name
    dated = [c for c in df.columns if c != id_col and is_date(df[c].dtype)]
    if len(dated) == 1:
        return "columns", dated[0]
    if len(dated) > 1:
        raise DataError(f"columns {listed(dated)} are all dates; pass time_col= to say which is the time")
    raise DataError(
        f"no time column found among {listed(df.columns)}: pass time_col= (or name it one of {', '.join(TIME_NAMES)})"
    )


def _infer_targets(
    df: pd.DataFrame, roles: set[Hashable | None], id_col: Hashable | None, layout: str
) -> tuple[Hashable, ...]:
    rest = [c for c in df.columns if c not in roles]
    text = [c for c in rest if not types.is_numeric_dtype(df[c].dtype) and not is_date(df[c].dtype)]
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
        raise DataError(f"no numeric column to forecast among {listed(rest)}; pass target_cols=")
    return targets


def _refuse_records(df: pd.DataFrame, schema: Schema) -> None:
    """Refuse frames with one measurement per row and a text column that names it."""
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
    """Refuse an integer column that is named like an id, or whose changes are the only places where time goes back."""
    times = schema.times_of(df)
    comparable: Any = numbers_of(times) if times.dtype == np.longdouble else times  # pandas cannot rank longdouble
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
    named = named_columns(columns, role)
    missing = [c for c in named if c not in df.columns]
    if missing:
        raise DataError(f"{role}: no column {listed(missing)}; the frame's columns are {listed(df.columns)}")
    if len(set(named)) < len(named) or roles & set(named):
        raise DataError(
            f"{role}={list(named)!r} repeats a column, or names one with another role (id, time, covariate)"
        )
    return named
