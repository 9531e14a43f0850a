"""Parameters, ids and codings as values JSON can hold, and back."""

import datetime as dt
from collections.abc import Mapping
from dataclasses import asdict, fields
from typing import Any

import numpy as np
import pandas as pd

from latentode.data import Coding, ColumnCoding

__all__ = ["coding_from_plain", "ids_from_plain", "params_from_plain", "plain", "plain_coding", "plain_ids"]

LISTS = ("target_cols", "static_cols", "known_cols", "impulse_cols", "past_cols", "seasonality")
"""Parameters that may be a list."""

CODED = tuple(field.name for field in fields(Coding))
"""Roles of columns that have a coding."""

NAMES = ("column", "id")
"""What ``plain`` is given as `name` for the name of a column or series; none of these is None."""


def plain(value: Any, name: str) -> Any:
    """A value as JSON holds it.

    A generator as ``random_state`` and ``checkpoint_dir``, which belongs to one machine, become None.

    Parameters
    ----------
    value : object
        The value of a parameter, or the name of a column or series.
    name : str
        The parameter, for the message; ``"column"`` or ``"id"`` for a name.

    Raises
    ------
    ValueError
        When JSON cannot hold it, or it is a name that cannot be read back: None, a tuple, a date, or NaN as an id.
    """
    if name == "checkpoint_dir":
        return None
    if name in LISTS and isinstance(value, tuple | list | pd.Index | pd.Series | np.ndarray):
        return [plain(v, "column") for v in value]
    if name == "likelihood" and isinstance(value, Mapping):
        return [[plain(channel, "column"), plain(kind, name)] for channel, kind in value.items()]
    if name == "bounds" and isinstance(value, Mapping):
        return [[plain(channel, "column"), *(plain(one, name) for one in pair)] for channel, pair in value.items()]
    if isinstance(value, pd.Timedelta | dt.timedelta | np.timedelta64):
        return str(pd.Timedelta(value))
    if isinstance(value, np.generic) and not isinstance(value, np.datetime64):  # its item may be a bare number
        value = value.item()
    if isinstance(value, bool | int | float | str) and (value == value or name == "column"):
        return value
    if value is None and name not in NAMES:
        return value
    if name == "random_state":
        return None
    raise ValueError(f"{name}={value!r} is neither text nor a number and cannot be saved; use a text instead")


def params_from_plain(stored: dict[str, Any]) -> dict[str, Any]:
    """Parameters as :func:`plain` wrote them: what is by channel, kept as lists, becomes a mapping again."""
    likelihood, bounds = stored.get("likelihood"), stored.get("bounds")
    if isinstance(likelihood, list):
        stored = {**stored, "likelihood": dict(map(tuple, likelihood))}
    if isinstance(bounds, list):
        stored = {**stored, "bounds": {channel: (low, high) for channel, low, high in bounds}}
    return stored


def plain_ids(ids: pd.Index) -> dict[str, Any]:
    """Ids of series and their dtype as JSON holds them."""
    if pd.api.types.is_datetime64_any_dtype(ids.dtype):
        raise ValueError("series ids are dates, which cannot be saved; convert the id column to text")
    return {
        "dtype": "text" if ids.dtype == object else str(ids.dtype),
        "values": [plain(i, "id") for i in ids],
    }


def ids_from_plain(stored: dict[str, Any]) -> pd.Index:
    """The ids that :func:`plain_ids` wrote."""
    dtype = stored["dtype"]
    ids: pd.Index = pd.Index(stored["values"], dtype=object if dtype == "text" else dtype)
    return ids


def plain_coding(coding: Coding) -> dict[str, Any]:
    """The coding of covariates as JSON holds it."""
    return {role: [{**asdict(c), "name": plain(c.name, "column")} for c in getattr(coding, role)] for role in CODED}


def coding_from_plain(stored: dict[str, Any]) -> Coding:
    """The coding that :func:`plain_coding` wrote."""
    return Coding(*(tuple(_column(c) for c in stored[k]) for k in CODED))


def _column(stored: dict[str, Any]) -> ColumnCoding:
    categories = stored["categories"]
    return ColumnCoding(**{**stored, "categories": None if categories is None else tuple(map(str, categories))})
