"""What a directory says of itself, checked before it is believed: kinds, ranges and sizes of every part."""

import json
import math
import re
from collections.abc import Callable, Iterable
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from latentode.data.covariates import MOST_CATEGORIES
from latentode.data.time_axis import SHORTEST, is_zone_name
from latentode.estimators.settings import CHOICES, LARGEST_SIZE, MOST_MODELS
from latentode.nn import ACTIVATIONS, LatentODEConfig
from latentode.ode.methods import METHODS

__all__ = [
    "LARGEST_CONFIG",
    "bytes_at_most",
    "file_inside",
    "read_json",
    "read_whole",
    "require_finite",
    "require_rows",
    "sound_config",
    "sound_sizes",
]

LARGEST_CONFIG = 2**25
"""Bytes of a config at most: a million names of series, which as objects of Python take ten times as many."""

MOST_BRACKETS = 1_000_000
"""Lists and objects of a config at most: an empty one takes two bytes there, and eighty in memory."""

LARGEST_HEADER, MOST_CELLS = 2**20, 10**9
"""Bytes of what a file of arrays says of them, and times and values that are read from it, at most."""

MOST_UNITS, MOST_DRAWS = 100_000, 1_000_000

LEAST = 1e-3
"""Size of a latent state, at least, beyond which its logarithm is read: what is divided by it is still a number."""

_CHOICES: dict[str, Iterable[str]] = {
    **CHOICES,
    "activation": ACTIVATIONS,
    "method": METHODS,
    "adjoint": ("discrete", "checkpointed", "continuous", "backsolve", "autograd"),
}
_ID_DTYPES = re.compile(
    r"text|str|string|bool(ean)?|category|([UI]|u?i)nt(8|16|32|64)|[Ff]loat(32|64)|timedelta64\[(s|ms|us|ns)\]"
    r"|(string|bool|double|float|u?int(8|16|32|64))\[(pyarrow|python)\]"
)
_LISTED = ("target_cols", "static_cols", "known_cols", "past_cols")


def file_inside(path: Path, name: str) -> Path:
    """A file of a directory, of that directory only.

    Raises
    ------
    ValueError
        When it is no ordinary file, or leads out of the directory.
    """
    file = path / name
    if not file.is_file():
        raise ValueError(f"{path} holds no saved forecaster: {name} is not there")
    if file.resolve().parent != path.resolve():
        raise ValueError(f"{path} is no forecaster that can be read: {name} is a link that leads out of it")
    return file


def read_whole(file: Path, most: int) -> bytes:
    """The content of a file.

    Raises
    ------
    ValueError
        When it is larger than `most` bytes, or than the memory.
    """
    size = file.stat().st_size
    if size > most:
        raise ValueError(f"{file.name} is of {size} bytes, larger than the {most} that such a model can take")
    try:
        return file.read_bytes()
    except MemoryError:
        raise ValueError(f"{file.name} is of {size} bytes, more than fit into memory") from None


def read_json(file: Path) -> Any:
    """What a config says, if it is not so large that reading it would fill the memory.

    Raises
    ------
    ValueError
        When it is too large, holds too many lists and objects, or is no JSON.
    """
    text = read_whole(file, LARGEST_CONFIG)
    brackets = text.count(b"[") + text.count(b"{")
    if brackets > MOST_BRACKETS:
        raise ValueError(f"{file.name} holds {brackets} brackets; no model has more than {MOST_BRACKETS}")
    return json.loads(text.decode("utf-8"))


def bytes_at_most(shapes: Iterable[tuple[type, tuple[int, ...]]], n_series: int) -> int:
    """How large the file of a model's arrays can be: its header, those of known shape, and observations if any.

    Parameters
    ----------
    shapes : iterable of (dtype, shape)
        Of the arrays whose size the config tells.
    n_series : int
        Series that the config names; without one there are no rows.
    """
    known = sum(np.dtype(kind).itemsize * math.prod(shape) for kind, shape in shapes)
    return LARGEST_HEADER + known + (8 * MOST_CELLS if n_series else 0)


def sound_sizes(stored: dict[str, Any], n_channels: int) -> LatentODEConfig:
    """Sizes and choices of a model, none of which asks for more than a model may.

    Parameters
    ----------
    stored : dict
        As :meth:`LatentODEConfig.to_dict` wrote it.
    n_channels : int
        Channels that the columns name.

    Raises
    ------
    ValueError
        When a part is of another kind or out of its range.
    """
    sizes = LatentODEConfig(**stored)
    if sizes.n_channels != n_channels:
        raise ValueError("the names of the channels do not fit the model")
    for field in fields(sizes):
        name, value = field.name, getattr(sizes, field.name)
        if field.type is int:
            _require(_is_whole(value, 0, MOST_UNITS), name, value)
        elif field.type is float:
            _require(_is_number(value), name, value)
        elif field.type is bool:
            _require(isinstance(value, bool), name, value)
        elif field.type is str:
            _require(isinstance(value, str) and value in _CHOICES[name], name, value)
        else:
            fits = isinstance(value, list | tuple) and all(map(_is_number, value))
            _require(fits and len(value) in (0, n_channels), name, value)
    for name in ("n_steps", "latent_dim", "hidden_dim"):
        _require(1 <= getattr(sizes, name) <= LARGEST_SIZE, name, getattr(sizes, name))
    _require(1 <= sizes.n_models <= MOST_MODELS, "n_models", sizes.n_models)
    _require(sizes.log_beyond == 0 or sizes.log_beyond >= LEAST, "log_beyond", sizes.log_beyond)
    _require(sizes.usual_gap > 0, "usual_gap", sizes.usual_gap)
    _require(sizes.observation_std > 0, "observation_std", sizes.observation_std)
    _require(0 <= sizes.dropout < 1, "dropout", sizes.dropout)
    return sizes


def sound_config(config: Any) -> dict[str, Any]:
    """A config whose parts are of the kinds they should be; what they say is not yet compared.

    Raises
    ------
    ValueError
        When a part is of another kind.
    KeyError
        When one is not there.
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
    schema, axis = config["schema"], config["time_axis"]
    for name in _LISTED:
        columns = schema[name]
        _require(isinstance(columns, list) and all(map(_is_name, columns)), name, columns)
        _require(len(set(columns)) == len(columns), name, columns)
    _require(len(schema["target_cols"]) > 0, "target_cols", schema["target_cols"])
    for name in ("id_col", "time_col"):
        _require(schema[name] is None or _is_name(schema[name]), name, schema[name])
    _sound_coding(config["coding"], schema)
    _require(schema["layout"] in ("columns", "index", "multiindex"), "layout", schema["layout"])
    _require(_is_whole(axis["origin"], -(10**12), 10**12), "origin", axis["origin"])
    zone, freq = axis["tz"], axis["freq"]
    _require(zone is None or (isinstance(zone, str) and is_zone_name(zone)), "tz", zone)
    _require(freq is None or isinstance(freq, str), "freq", freq)
    if "n_samples" in config["params"]:
        draws = config["params"]["n_samples"]
        _require(_is_whole(draws, 1, MOST_DRAWS), "n_samples", draws)
    return dict(config)


def _sound_coding(coding: dict[str, Any] | None, schema: dict[str, Any]) -> None:
    """How covariates become features: a column for each that the schema names, in its order."""
    for role in ("static", "known"):
        columns = [] if coding is None else coding[role]
        _require(isinstance(columns, list) and all(map(_is_dict, columns)), "coding", columns)
        # Compared as text: to Python 1 is True, and NaN, which may name a column too, is not NaN.
        same = [repr(one["name"]) for one in columns] == [repr(name) for name in schema[f"{role}_cols"]]
        _require(same, f"coding of the {role} columns", columns)
        for one in columns:
            _sound_column(one)


def _sound_column(one: dict[str, Any]) -> None:
    _require(_is_number(one["center"]), "center", one["center"])
    _require(_is_number(one["scale"]) and one["scale"] > 0, "scale", one["scale"])
    categories = one["categories"]
    if categories is not None:
        texts = isinstance(categories, list) and all(isinstance(c, str) for c in categories)
        _require(texts and len(set(categories)) == len(categories) <= MOST_CATEGORIES, "categories", categories)


def require_finite(arrays: dict[str, NDArray[Any]]) -> None:
    """Refuse arrays that would carry NaN or infinity into answers.

    Raises
    ------
    ValueError
        Naming the array.
    """
    for name, array in arrays.items():
        may_lack = name in ("panel.values", "covariates.static", "scaler.log_floor", "calibration.factor")
        bad = np.isinf(array) if may_lack else ~np.isfinite(array)
        if bad.any() or (name in ("scaler.scale", "scaler.spread") and (array <= 0).any()):
            raise ValueError(f"{name} holds values that are not finite, or not positive")


def require_rows(name: str, offsets: NDArray[np.int64], times: NDArray[np.float64]) -> None:
    """Refuse rows that are not divided among the series, or do not rise in time within them.

    Raises
    ------
    ValueError
        Naming the part.
    """
    if offsets[0] != 0 or (np.diff(offsets) < 0).any() or offsets[-1] != len(times):
        raise ValueError(f"{name}.offsets do not divide the rows among the series")
    rising = np.ones(len(times), dtype=bool)
    rising[1:] = np.diff(times) > 0
    rising[offsets[:-1][offsets[:-1] < len(times)]] = True
    if not rising.all():
        raise ValueError(f"{name}.times do not rise within the series")


def _require(fits: bool, name: str, value: Any) -> None:
    if not fits:
        raise ValueError(f"{name}={str(value)[:80]} is of the wrong kind or out of range")


def _is_dict(value: Any) -> bool:
    return isinstance(value, dict)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _is_whole(value: Any, least: int, most: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and least <= value <= most


def _is_name(value: Any) -> bool:
    return isinstance(value, str | int | float | bool)
