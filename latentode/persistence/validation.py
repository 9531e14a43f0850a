"""Validation of a saved model: kinds, ranges and sizes of every part are checked before any is used."""

import math
import re
from collections.abc import Callable, Mapping
from dataclasses import fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from latentode.data.covariates import FARTHEST, MOST_CATEGORIES
from latentode.data.time_axis import SHORTEST, is_zone_name
from latentode.nn import ACTIVATIONS, LIKELIHOODS, MODEL_DECODERS, LatentODEConfig, StackingConfig
from latentode.persistence.limits import Limit, OneOf, Range

__all__ = [
    "check_config",
    "check_model",
    "check_stacking",
    "require_arrays",
    "require_correlations",
    "require_finite",
    "require_rows",
]

MOST_UNITS = 100_000
"""Of any size of a model that is not a hyper-parameter."""

LEAST_LOG_BEYOND = 1e-3
"""Of ``log_beyond``, where it is not 0: the latent state is divided by it."""

OF_THE_MODEL: dict[str, Limit] = {
    "activation": OneOf(ACTIVATIONS),
    "decoder": OneOf(MODEL_DECODERS),
    "usual_gap": Range(above=0),
    "impulse_gap": Range(above=0),
    "observation_std": Range(above=0),
}
"""Limits of what a model is built from beside the hyper-parameters."""

_ID_DTYPES = re.compile(
    r"text|str|string|bool(ean)?|category|([UI]|u?i)nt(8|16|32|64)|[Ff]loat(32|64)|timedelta64\[(s|ms|us|ns)\]"
    r"|(string|bool|double|float|u?int(8|16|32|64))\[(pyarrow|python)\]"
)
_LISTED = ("target_cols", "static_cols", "known_cols", "impulse_cols", "past_cols")
_MAY_BE_NAN = (
    *("panel.values", "covariates.static", "impulses.values", "scaler.log_floor", "calibration.factor"),
    *("coverage.achieved", "coverage.standard_error", "bounds", "leaderboard"),
)
_POSITIVE = ("scaler.scale", "scaler.spread")


def check_model(stored: dict[str, Any], n_channels: int, limits: Mapping[str, Limit]) -> LatentODEConfig:
    """Sizes and choices of a model, once all are within their limits.

    Parameters
    ----------
    stored : dict
        As :meth:`LatentODEConfig.to_dict` wrote it.
    n_channels : int
        Channels that the columns name.
    limits : mapping of Limit
        Those of the hyper-parameters, by name.

    Raises
    ------
    ValueError
        When a part is of another kind or outside its limit.
    """
    sizes = LatentODEConfig(**stored)
    if sizes.n_channels != n_channels:
        raise ValueError("the names of the channels do not fit the model")
    limits = {**limits, **OF_THE_MODEL}
    kinds: dict[Any, Callable[[Any], bool]] = {
        int: lambda value: _is_whole(value, 0, MOST_UNITS),
        float: _is_number,
        bool: lambda value: isinstance(value, bool),
        str: lambda value: isinstance(value, str),
    }
    for field in fields(sizes):
        name, value = field.name, getattr(sizes, field.name)
        if name == "likelihood":
            each = [value] if isinstance(value, str) else value
            _require(isinstance(each, list | tuple) and all(map(OneOf(LIKELIHOODS).allows, each)), name, value)
            _require(isinstance(value, str) or len(each) == n_channels, name, value)
            continue
        if field.type in kinds:
            _require(kinds[field.type](value), name, value)
        else:
            fits = isinstance(value, list | tuple) and all(map(_is_number, value))
            _require(fits and len(value) in (0, n_channels), name, value)
        _require(field.type is not str or name in limits, name, value)
        _require(name not in limits or limits[name].allows(value), name, value)
    _require(sizes.log_beyond == 0 or sizes.log_beyond >= LEAST_LOG_BEYOND, "log_beyond", sizes.log_beyond)
    return sizes


def check_stacking(stored: Any, n_channels: int, n_impulses: int) -> StackingConfig | None:
    """Sizes of a stacking, once all are within their limits; None where a model has none.

    Parameters
    ----------
    stored : dict or None
        As :meth:`StackingConfig.to_dict` wrote it.
    n_channels : int
        Channels that the columns name.
    n_impulses : int
        Impulses that the model knows.

    Raises
    ------
    ValueError
        When a part is of another kind or outside its limit.
    """
    if stored is None:
        return None
    _require(_is_dict(stored), "stacking", stored)
    sizes = StackingConfig(**stored)
    _require(sizes.n_channels == n_channels and _is_whole(sizes.n_given, 0, MOST_UNITS), "stacking", stored)
    _require(_is_whole(sizes.n_impulses, 0, n_impulses), "n_impulses", sizes.n_impulses)
    _require(_is_whole(sizes.n_frequencies, 0, MOST_UNITS), "n_frequencies", sizes.n_frequencies)
    _require(_is_whole(sizes.n_draws, 1, 1 if sizes.n_frequencies else MOST_UNITS), "n_draws", sizes.n_draws)
    for name in ("usual_gap", "duration", "impulse_gap"):
        value = getattr(sizes, name)
        _require(_is_number(value) and value > 0, name, value)
    return sizes


def check_config(config: Any) -> None:
    """Check that the parts of a config are of the right kinds; whether they fit together is not checked.

    Parameters
    ----------
    config : object
        As JSON holds it.

    Raises
    ------
    ValueError
        When a part is of another kind.
    KeyError
        When a part is missing.
    """
    kinds: dict[str, Callable[[Any], bool]] = {
        "params": _is_dict,
        "schema": _is_dict,
        "time_axis": _is_dict,
        "model": _is_dict,
        "horizon": lambda v: _is_number(v) and v >= SHORTEST,
        "seasons": lambda v: isinstance(v, list) and all(_is_number(p) and p > 0 for p in v),
        "coding": lambda v: v is None or _is_dict(v),
        "ids": lambda v: _is_dict(v) and isinstance(v["values"], list) and all(map(_is_name, v["values"])),
        "feature_names_in": lambda v: isinstance(v, list) and all(isinstance(c, str) for c in v),
        "history": lambda v: _is_dict(v) and all(isinstance(c, list) for c in v.values()),
    }
    _require(_is_dict(config), "config", config)
    for name, fits in kinds.items():
        _require(fits(config[name]), name, config[name])
    dtype = config["ids"]["dtype"]
    _require(isinstance(dtype, str) and _ID_DTYPES.fullmatch(dtype) is not None, "ids", dtype)
    _check_schema(config["schema"])
    _check_coding(config["coding"], config["schema"])
    _check_time_axis(config["time_axis"])


def _check_schema(schema: dict[str, Any]) -> None:
    for name in _LISTED:
        columns = schema[name]
        _require(isinstance(columns, list) and all(map(_is_name, columns)), name, columns)
        _require(len(set(columns)) == len(columns), name, columns)
    _require(len(schema["target_cols"]) > 0, "target_cols", schema["target_cols"])
    for name in ("id_col", "time_col"):
        _require(schema[name] is None or _is_name(schema[name]), name, schema[name])
    _require(schema["layout"] in ("columns", "index", "multiindex"), "layout", schema["layout"])


def _check_time_axis(axis: dict[str, Any]) -> None:
    _require(_is_whole(axis["origin"], -(10**12), 10**12), "origin", axis["origin"])
    zone, freq = axis["tz"], axis["freq"]
    _require(zone is None or (isinstance(zone, str) and is_zone_name(zone)), "tz", zone)
    _require(freq is None or isinstance(freq, str), "freq", freq)


def _check_coding(coding: dict[str, Any] | None, schema: dict[str, Any]) -> None:
    """Check the coding of covariates: a column for each that the schema names, in its order."""
    for role in ("static", "known", "impulse"):
        columns = [] if coding is None else coding[role]
        _require(isinstance(columns, list) and all(map(_is_dict, columns)), "coding", columns)
        # Compared as text: in Python 1 == True, and NaN, which may be the name of a column, does not equal itself.
        same = [repr(one["name"]) for one in columns] == [repr(name) for name in schema[f"{role}_cols"]]
        _require(same, f"coding of the {role} columns", columns)
        for one in columns:
            _check_column(one)
            amount = one["center"] == 0 and one["categories"] is None
            _require(amount or role != "impulse", "coding of the impulse columns", one)


def _check_column(one: dict[str, Any]) -> None:
    _require(_is_number(one["center"]), "center", one["center"])
    for name in ("scale", "farthest"):
        _require(_is_number(one[name]) and one[name] > 0, name, one[name])
    _require(one["farthest"] <= FARTHEST, "farthest", one["farthest"])
    categories = one["categories"]
    if categories is not None:
        texts = isinstance(categories, list) and all(isinstance(c, str) for c in categories)
        _require(texts and len(set(categories)) == len(categories) <= MOST_CATEGORIES, "categories", categories)


def require_arrays(arrays: Mapping[str, NDArray[Any]], expected: Mapping[str, tuple[type, tuple[int, ...]]]) -> None:
    """Refuse arrays of another dtype or shape than expected.

    Raises
    ------
    ValueError
        Naming the array.
    KeyError
        When an array is missing.
    """
    for name, (kind, shape) in expected.items():
        found = arrays[name]
        if found.dtype != kind or found.shape != shape:
            raise ValueError(
                f"{name} holds {found.dtype} of shape {found.shape}, expected {np.dtype(kind)} of shape {shape}"
            )


def require_correlations(name: str, matrix: NDArray[np.float64]) -> None:
    """Refuse a matrix that is not symmetric, with ones on its diagonal and no number beyond 1.

    Raises
    ------
    ValueError
        Naming the array.
    """
    if not np.array_equal(matrix, matrix.T) or (np.diag(matrix) != 1).any() or (np.abs(matrix) > 1).any():
        raise ValueError(f"{name} does not hold correlations")


def require_finite(arrays: Mapping[str, NDArray[Any]]) -> None:
    """Refuse arrays that would carry NaN or infinity into predictions.

    Raises
    ------
    ValueError
        Naming the array.
    """
    for name, array in arrays.items():
        bad = np.isinf(array) if name in _MAY_BE_NAN else ~np.isfinite(array)
        if bad.any() or (name in _POSITIVE and (array <= 0).any()):
            raise ValueError(f"{name} holds values that are not finite, or not positive")


def require_rows(name: str, offsets: NDArray[np.int64], times: NDArray[np.float64]) -> None:
    """Refuse offsets that do not divide the rows among the series, and times that do not increase within a series.

    Raises
    ------
    ValueError
        Naming the part.
    """
    if offsets[0] != 0 or (np.diff(offsets) < 0).any() or offsets[-1] != len(times):
        raise ValueError(f"{name}.offsets do not divide the rows among the series")
    increasing = np.ones(len(times), dtype=bool)
    increasing[1:] = np.diff(times) > 0
    increasing[offsets[:-1][offsets[:-1] < len(times)]] = True
    if not increasing.all():
        raise ValueError(f"{name}.times do not increase within the series")


def _require(fits: bool, name: str, value: Any) -> None:
    if not fits:
        raise ValueError(f"{name}={str(value)[:80]} is of the wrong kind or out of range")


def _is_dict(value: Any) -> bool:
    return isinstance(value, dict)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _is_whole(value: Any, least: float = -math.inf, most: float = math.inf) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and least <= value <= most


def _is_name(value: Any) -> bool:
    return isinstance(value, str | int | float | bool)
