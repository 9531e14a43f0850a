"""A fitted forecaster as a directory: ``config.json`` and ``weights.safetensors``; reading executes nothing."""

import datetime as dt
import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import torch
from safetensors.numpy import load as load_arrays
from safetensors.numpy import save as save_arrays

from latentode.data import ChannelScaler, Coding, ColumnCoding, Covariates, Panel, Schema, Seasons, TimeAxis
from latentode.estimators.calibration import LEADS, LEVELS, Calibration
from latentode.estimators.format_3 import from_format_3
from latentode.estimators.trust import (
    LARGEST_CONFIG,
    bytes_at_most,
    file_inside,
    read_json,
    read_whole,
    require_finite,
    require_rows,
    sound_config,
    sound_sizes,
)
from latentode.nn import InitialisedFrom, LatentODEConfig, model_from
from latentode.training import write_together

if TYPE_CHECKING:
    from latentode.estimators.forecaster import LatentODEForecaster

__all__ = ["FORMAT_VERSION", "restore", "save"]

FORMAT_VERSION = 4
CONFIG, WEIGHTS = "config.json", "weights.safetensors"
DIGEST = "weights_sha256"
"""Where a config names the weights it was written with; models written before there was one have none."""

COVARIATES = tuple(f.name for f in fields(Covariates))
SCALER = tuple(f.name for f in fields(ChannelScaler))


def save(forecaster: "LatentODEForecaster", path: Path, include_history: bool) -> None:
    """Write a fitted forecaster.

    Parameters
    ----------
    forecaster : LatentODEForecaster
        Fitted.
    path : Path
        The directory, made if it is not there.
    include_history : bool
        Whether the observations go with it.
    """
    panel = forecaster.panel_
    if not include_history:
        panel = panel.where(np.zeros(len(panel.times), dtype=bool)).take(np.empty(0, dtype=np.int64))
    config = {
        "format_version": FORMAT_VERSION,
        "params": {k: _plain(v, k) for k, v in forecaster.get_params(deep=False).items()},
        "schema": {k: _plain(v, k) for k, v in asdict(forecaster.schema_).items()},
        "time_axis": asdict(forecaster.time_axis_),
        "model": forecaster.model_.config.to_dict(),
        "horizon": forecaster.horizon_,
        "seasons": list(forecaster.seasons_.periods),
        "coding": None if forecaster.coding_ is None else _coding_out(forecaster.coding_),
        "ids": _ids_out(panel.ids),
        "feature_names_in": [str(c) for c in forecaster.feature_names_in_],
        "history": forecaster.history_.to_dict("list"),
    }
    arrays = {f"model.{k}": v.detach().cpu().numpy() for k, v in forecaster.model_.state_dict().items()}
    arrays |= {
        **{f"scaler.{k}": getattr(forecaster.scaler_, k) for k in SCALER},
        "calibration.factor": forecaster.calibration_.factor,
        "calibration.shape": forecaster.calibration_.shape,
        "panel.offsets": panel.offsets,
        "panel.times": panel.times,
        "panel.values": panel.values,
    }
    if panel.covariates is not None:
        arrays |= {f"covariates.{k}": getattr(panel.covariates, k) for k in COVARIATES}
    weights = save_arrays({k: np.ascontiguousarray(v).reshape(v.shape) for k, v in arrays.items()})
    text = json.dumps({**config, DIGEST: hashlib.sha256(weights).hexdigest()}, indent=1)
    if len(text) > LARGEST_CONFIG:
        raise ValueError(
            f"the config of this model, with the names of {len(panel.ids)} series, takes {len(text)} bytes; at most "
            f"{LARGEST_CONFIG} are read again: save with include_history=False"
        )
    path.mkdir(parents=True, exist_ok=True)
    # The config is moved first: beside weights of before, its digest tells a save that was cut short in between.
    write_together({path / CONFIG: text.encode(), path / WEIGHTS: weights})


def restore(forecaster: "LatentODEForecaster", path: Path) -> None:
    """Fill an estimator from a directory.

    Raises
    ------
    ValueError
        When it does not hold a model this version can read.
    """
    said, weights = file_inside(path, CONFIG), file_inside(path, WEIGHTS)
    try:
        config = read_json(said)
        version = config["format_version"]
        if version == 3:
            config = from_format_3(config)
        elif version != FORMAT_VERSION:
            raise ValueError(
                f"format version {str(version)[:80]}; this latentode reads versions 3 and {FORMAT_VERSION}"
            )
        _fill(forecaster, sound_config(config), weights)
    except Exception as cause:  # whatever a file made by others brings about in any library, it is the file's fault
        what = f"{cause} is not there" if isinstance(cause, KeyError) else str(cause) or type(cause).__name__
        raise ValueError(f"{path} is no forecaster that can be read: {what[:500]}") from cause


def _fill(forecaster: "LatentODEForecaster", config: dict[str, Any], file: Path) -> None:
    listed = ("target_cols", "static_cols", "known_cols", "past_cols")
    schema = Schema(**{**config["schema"], **{k: tuple(config["schema"][k]) for k in listed}})
    sizes = sound_sizes(config["model"], len(schema.channels))
    ids = _ids_in(config["ids"])
    coding = None if config["coding"] is None else _coding_in(config["coding"])
    with torch.device("meta"):  # compare before anything is allocated: sizes in a file may be absurd
        expected = {
            f"model.{k}": (np.float32, tuple(v.shape)) for k, v in model_from(sizes).float().state_dict().items()
        }
    n_static = 0 if coding is None else coding.n_static
    told = {**expected, **_shapes(sizes.n_channels, len(ids), 0), **_shapes_of_covariates(n_static, 0, len(ids), 0)}
    content = read_whole(file, bytes_at_most(told.values(), len(ids)))
    if DIGEST in config and config[DIGEST] != hashlib.sha256(content).hexdigest():
        raise ValueError(
            f"{WEIGHTS} is not the file that {CONFIG} was written with: one of them is of another save, or was "
            "changed; save the model again, or copy both files anew"
        )
    arrays = load_arrays(content)
    weights = {k.removeprefix("model."): torch.from_numpy(v) for k, v in arrays.items() if k.startswith("model.")}
    _require_arrays(arrays, expected)
    with InitialisedFrom(torch.Generator()):
        model = model_from(sizes).float()
    model.load_state_dict(weights)
    _require_arrays(arrays, _shapes(sizes.n_channels, len(ids), arrays["panel.times"].size))
    covariates = None if coding is None else _covariates_in(arrays, coding, sizes, len(ids))
    require_finite(arrays)
    require_rows("panel", arrays["panel.offsets"], arrays["panel.times"])
    panel = Panel(ids, arrays["panel.offsets"], arrays["panel.times"], arrays["panel.values"], covariates)
    if not ids.is_unique:
        raise ValueError("an id names two series")
    horizon = float(config["horizon"])
    seasons = Seasons(tuple(float(period) for period in config["seasons"]))
    n_known = 0 if coding is None else coding.n_known
    fits = (seasons.n_features + n_known, n_known) == (sizes.given_dim, sizes.control_dim)
    if not fits:
        raise ValueError(f"seasons={config['seasons']!r} do not fit the model")
    axis = TimeAxis(**config["time_axis"])
    axis.from_float(np.zeros(1))  # refuses a zone or a frequency that does not exist
    forecaster.set_params(**{**config["params"], "checkpoint_dir": None})  # a file names no place to write to
    forecaster.model_ = model.eval()
    forecaster.schema_ = schema
    forecaster.coding_ = coding
    forecaster.time_axis_ = axis
    forecaster.scaler_ = ChannelScaler(**{k: arrays[f"scaler.{k}"] for k in SCALER})
    forecaster.calibration_ = Calibration(arrays["calibration.factor"], arrays["calibration.shape"])
    forecaster.horizon_ = horizon
    forecaster.seasons_ = seasons
    forecaster.panel_ = panel
    # Files written before there were ensembles say nothing of models: theirs has one.
    history = pd.DataFrame(config["history"])
    if "model" not in history:
        history.insert(0, "model", 0.0)
    forecaster.history_ = history
    forecaster.feature_names_in_ = np.array(config["feature_names_in"], dtype=object)
    forecaster.n_features_in_ = len(forecaster.feature_names_in_)


def _shapes(n_channels: int, n_series: int, n_rows: int) -> dict[str, tuple[type, tuple[int, ...]]]:
    """Kind and shape of every array that is no weight."""
    by_channel = {f"scaler.{k}": (np.float64, (n_channels,)) for k in SCALER}
    return {
        **by_channel,
        "calibration.factor": (np.float64, (len(LEADS), n_channels)),
        "calibration.shape": (np.float64, (len(LEVELS), n_channels)),
        "panel.offsets": (np.int64, (n_series + 1,)),
        "panel.times": (np.float64, (n_rows,)),
        "panel.values": (np.float64, (n_rows, n_channels)),
    }


def _shapes_of_covariates(
    n_static: int, n_known: int, n_series: int, n_rows: int
) -> dict[str, tuple[type, tuple[int, ...]]]:
    return {
        "covariates.static": (np.float32, (n_series, n_static)),
        "covariates.offsets": (np.int64, (n_series + 1,)),
        "covariates.times": (np.float64, (n_rows,)),
        "covariates.known": (np.float32, (n_rows, n_known)),
    }


def _coding_out(coding: Coding) -> dict[str, Any]:
    return {
        k: [{**asdict(c), "name": _plain(c.name, "column")} for c in columns]
        for k, columns in (("static", coding.static), ("known", coding.known))
    }


def _coding_in(stored: dict[str, Any]) -> Coding:
    def column(one: dict[str, Any]) -> ColumnCoding:
        categories = one["categories"]
        return ColumnCoding(**{**one, "categories": None if categories is None else tuple(map(str, categories))})

    return Coding(*(tuple(column(c) for c in stored[k]) for k in ("static", "known")))


def _covariates_in(arrays: dict[str, Any], coding: Coding, sizes: LatentODEConfig, n_series: int) -> Covariates:
    n_rows = arrays["covariates.times"].size
    if sizes.static_dim != coding.n_static:
        raise ValueError("the static columns do not fit the model")
    _require_arrays(arrays, _shapes_of_covariates(coding.n_static, coding.n_known, n_series, n_rows))
    covariates = Covariates(**{k: arrays[f"covariates.{k}"] for k in COVARIATES})
    require_rows("covariates", covariates.offsets, covariates.times)
    return covariates


def _require_arrays(arrays: dict[str, Any], expected: Mapping[str, tuple[type, tuple[int, ...]]]) -> None:
    for name, (kind, shape) in expected.items():
        found = arrays[name]
        if found.dtype != kind or found.shape != shape:
            raise ValueError(
                f"{name} holds {found.dtype} of shape {found.shape}, expected {np.dtype(kind)} of shape {shape}"
            )


def _plain(value: Any, name: str) -> Any:
    """A value as JSON holds it.

    A random state that is no number cannot go along and need not; a directory belongs to the machine it was said on.
    """
    if name == "checkpoint_dir":
        return None
    if name in ("target_cols", "static_cols", "known_cols", "past_cols", "seasonality") and isinstance(
        value, tuple | list | pd.Index | pd.Series | np.ndarray
    ):
        return [_plain(v, "column") for v in value]
    if isinstance(value, np.generic):
        return value.item()
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, pd.Timedelta | dt.timedelta | np.timedelta64):
        return str(pd.Timedelta(value))
    if name == "random_state":
        return None
    raise ValueError(f"{name}={value!r} is neither text nor a number and cannot be saved; use a text instead")


def _ids_out(ids: pd.Index) -> dict[str, Any]:
    if pd.api.types.is_datetime64_any_dtype(ids.dtype):
        raise ValueError("series ids are dates, which cannot be saved; convert the id column to text")
    return {
        "dtype": "text" if ids.dtype == object else str(ids.dtype),
        "values": [_plain(i, "id") for i in ids],
    }


def _ids_in(stored: dict[str, Any]) -> pd.Index:
    dtype = stored["dtype"]
    ids: pd.Index = pd.Index(stored["values"], dtype=object if dtype == "text" else dtype)
    return ids
