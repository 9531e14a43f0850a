"""A fitted forecaster as a directory with ``config.json`` and a file of weights; loading executes nothing."""

import contextlib
import hashlib
import json
import re
from collections.abc import Callable, Mapping
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any, BinaryIO, TypeVar, cast

import numpy as np
import pandas as pd
import torch
from safetensors.numpy import load as load_arrays
from safetensors.numpy import save as save_arrays
from torch import nn

from latentode.data import ChannelScaler, Coding, GrowingPanel, Panel, Schema, Seasons, TimeAxis
from latentode.io.atomic import directory_for, leftovers, write_whole
from latentode.io.locks import alone
from latentode.nn import InitialisedFrom, LatentODEConfig, Model, Stacking, StackingConfig, model_from
from latentode.persistence.calibration import LEADS, LENGTHS, LEVELS, REACHED, Calibration
from latentode.persistence.covariates import arrays_of_covariates, covariates_from_arrays, shapes_of_covariates
from latentode.persistence.coverage import LEAD_ENDS, NOMINAL, HeldOutCoverage
from latentode.persistence.earlier_formats import EARLIER, completed, current_name, from_earlier, missing_arrays
from latentode.persistence.leaderboard import CANDIDATES, SCORES
from latentode.persistence.limits import Limit
from latentode.persistence.plain import (
    coding_from_plain,
    ids_from_plain,
    params_from_plain,
    plain,
    plain_coding,
    plain_ids,
)
from latentode.persistence.reading import (
    LARGEST_CONFIG,
    NoModelError,
    bytes_at_most,
    file_inside,
    read_json,
    read_whole,
)
from latentode.persistence.state import FittedState
from latentode.persistence.validation import (
    check_config,
    check_model,
    check_stacking,
    require_arrays,
    require_correlations,
    require_finite,
    require_rows,
)

__all__ = ["FORMAT_VERSION", "load", "save"]

FORMAT_VERSION = 8
CONFIG, LOCK = "config.json", ".lock"
WEIGHTS = "weights.safetensors"
"""The weights of formats 3 to 5. Since then their name holds their digest, and the config names them."""

WEIGHTS_NAME = re.compile(r"weights(-[0-9a-f]{16})?\.safetensors")
NAME = "weights"
"""Key of the config that holds the name of the file of weights."""

DIGEST = "weights_sha256"
"""Key of the config that holds the digest of the weights it was written with. Early models have none."""

CALIBRATION = tuple(f.name for f in fields(Calibration))
COVERAGE = tuple(f.name for f in fields(HeldOutCoverage))
SCALER = tuple(f.name for f in fields(ChannelScaler))
OPTIONAL = ("reached", "solver_error", "bounds", "leaderboard")
"""Arrays of the fitted state that models saved by earlier versions lack."""

LISTED = ("target_cols", "static_cols", "known_cols", "past_cols", "impulse_cols")

T = TypeVar("T")
Shapes = dict[str, tuple[type, tuple[int, ...]]]


def save(state: FittedState, params: Mapping[str, Any], path: Path) -> None:
    """Write a fitted state and the parameters it was fitted with.

    Parameters
    ----------
    state : FittedState
        What a fit left.
    params : mapping
        The estimator's parameters by name.
    path : Path
        The directory; created if it does not exist.

    Raises
    ------
    ValueError
        When ids, column names or parameters are of a kind that cannot be read back, or there are too many series.
    OSError
        When a file cannot be written. An existing model is unchanged.
    """
    config = _config_of(state, params)
    arrays = {k: np.ascontiguousarray(v).reshape(v.shape) for k, v in _arrays_of(state).items()}
    weights = save_arrays(arrays)
    digest = hashlib.sha256(weights).hexdigest()
    name = f"weights-{digest[:16]}.safetensors"
    text = json.dumps({**config, NAME: name, DIGEST: digest}, indent=1)
    if len(text) > LARGEST_CONFIG:
        raise ValueError(
            f"the config of this model, with the names of {state.panel.n_series} series, takes {len(text)} bytes; at "
            f"most {LARGEST_CONFIG} can be loaded: save with include_history=False"
        )
    with directory_for(path), alone(path / LOCK):
        _write(path, name, weights, text.encode())


def _write(path: Path, name: str, weights: bytes, config: bytes) -> None:
    """Write weights under a new name, then the config that names them: at every moment one whole model is there."""
    former = _weights_files(path)
    before = path / name in former
    write_whole(path / name, weights, like=former[0] if former else None)
    try:
        write_whole(path / CONFIG, config)
    except BaseException:
        if not before:
            (path / name).unlink(missing_ok=True)
        raise
    for file in former + leftovers(path / CONFIG) + sorted(path.glob(".weights*.safetensors-*")):
        if file.name != name:
            with contextlib.suppress(OSError):  # a system may refuse while another process reads it
                file.unlink()


def _weights_files(path: Path) -> list[Path]:
    """Files of weights in a directory, the one in use first."""
    files = sorted(file for file in path.glob("weights*.safetensors") if WEIGHTS_NAME.fullmatch(file.name))
    with contextlib.suppress(OSError):
        config = (path / CONFIG).read_bytes()
        files.sort(key=lambda file: f'"{file.name}"'.encode() not in config)
    return files


def _config_of(state: FittedState, params: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "format_version": FORMAT_VERSION,
        "params": {k: plain(v, k) for k, v in params.items()},
        "schema": {k: plain(v, k) for k, v in asdict(state.schema).items()},
        "time_axis": asdict(state.time_axis),
        "model": state.model.config.to_dict(),
        "stacking": None if state.stacking is None else state.stacking.config.to_dict(),
        "horizon": state.horizon,
        "seasons": list(state.seasons.periods),
        "coding": None if state.coding is None else plain_coding(state.coding),
        "ids": plain_ids(state.panel.ids),
        "feature_names_in": [str(c) for c in state.feature_names],
        "history": state.history.to_dict("list"),
    }


def _arrays_of(state: FittedState) -> dict[str, Any]:
    panel = state.panel
    arrays = {f"model.{k}": v.detach().cpu().numpy() for k, v in state.model.state_dict().items()}
    if state.stacking is not None:
        arrays |= {f"stacking.{k}": v.detach().cpu().numpy() for k, v in state.stacking.state_dict().items()}
    arrays |= {
        **{f"scaler.{k}": getattr(state.scaler, k) for k in SCALER},
        **{f"calibration.{k}": getattr(state.calibration, k) for k in CALIBRATION},
        "panel.offsets": panel.offsets,
        "panel.times": panel.times,
        "panel.values": panel.values,
    }
    arrays |= {k: x for k in OPTIONAL if (x := getattr(state, k)) is not None}
    if state.coverage is not None:
        arrays |= {f"coverage.{k}": getattr(state.coverage, k) for k in COVERAGE}
    if panel.covariates is not None:
        arrays |= arrays_of_covariates(panel.covariates)
    return arrays


def load(path: Path, limits: Mapping[str, Limit], make: Callable[..., T]) -> tuple[T, FittedState]:
    """Read a directory written by :func:`save`; nothing in it is executed.

    Parameters
    ----------
    path : Path
        The directory.
    limits : mapping of Limit
        What each hyper-parameter may be, by name; the sizes and choices of the model must be within them.
    make : callable
        Makes an estimator of the saved parameters.

    Returns
    -------
    estimator : object
        What `make` made.
    state : FittedState
        The fitted state.

    Raises
    ------
    ValueError
        When the directory does not hold a model this version can read; the message says what is wrong.
    """
    with contextlib.ExitStack() as files:
        try:
            config, weights = _opened(path, files)
            earlier = config["format_version"] in EARLIER
            if earlier:
                config = from_earlier(config, FORMAT_VERSION)
            config = completed(config)
            check_config(config)
            state = _state_of(config, weights, limits, earlier)
            params = params_from_plain(config["params"])
            return make(**{**params, "checkpoint_dir": None}), state  # a file names no place to write to
        except NoModelError:
            raise
        except Exception as cause:  # a file made by others may cause any error in any library
            what = f"{cause} is missing" if isinstance(cause, KeyError) else str(cause) or type(cause).__name__
            raise ValueError(f"{path} is not a readable forecaster: {what[:500]}") from cause


def _opened(path: Path, files: contextlib.ExitStack) -> tuple[Any, BinaryIO]:
    """The config, and its weights as an open file: a save removes the weights of the model it replaces."""
    former = None
    while True:
        config = read_json(file_inside(path, CONFIG))
        version = config["format_version"]
        if version not in (*EARLIER, FORMAT_VERSION):
            known = f"this latentode reads versions {EARLIER[0]} to {FORMAT_VERSION}"
            raise ValueError(f"format version {str(version)[:80]}; {known}")
        name = config.get(NAME, WEIGHTS)
        if not isinstance(name, str) or WEIGHTS_NAME.fullmatch(name) is None:
            raise ValueError(f"{NAME}={str(name)[:80]} is not the name of a file of weights")
        try:
            return config, files.enter_context(file_inside(path, name).open("rb"))
        except (NoModelError, FileNotFoundError):
            if name == former:  # otherwise a save came between the two files: read both again
                raise
            former = name


def _state_of(config: dict[str, Any], file: BinaryIO, limits: Mapping[str, Limit], earlier: bool) -> FittedState:
    schema = Schema(**{**config["schema"], **{k: tuple(config["schema"][k]) for k in LISTED}})
    sizes = check_model(config["model"], len(schema.channels), limits)
    ids = ids_from_plain(config["ids"])
    coding = None if config["coding"] is None else coding_from_plain(config["coding"])
    stacked = check_stacking(config["stacking"], sizes.n_channels, sizes.impulse_dim)
    expected = _shapes_of_weights(sizes, stacked)
    arrays = _arrays_in(file, expected, sizes, ids, coding, config)
    if earlier:
        arrays = missing_arrays(sizes.n_channels, len(LENGTHS)) | arrays
    model, stacking = _modules_of(sizes, stacked, arrays, expected)
    require_arrays(arrays, _shapes(sizes.n_channels, len(ids), arrays["panel.times"].size))
    optional = _shapes_of_optional(sizes.n_channels)
    require_arrays(arrays, {name: shape for name, shape in optional.items() if name in arrays})
    if (np.diff(arrays.get("reached", ())) < 0).any():
        raise ValueError("reached holds quantiles that fall")
    if "bounds" in arrays and (arrays["bounds"][0] > arrays["bounds"][1]).any():
        raise ValueError("bounds holds a lower bound above the upper")
    covariates = None if coding is None else covariates_from_arrays(arrays, coding, len(ids))
    require_finite(arrays)
    require_correlations("calibration.correlation", arrays["calibration.correlation"])
    require_rows("panel", arrays["panel.offsets"], arrays["panel.times"])
    if not ids.is_unique:
        raise ValueError("an id names two series")
    panel = Panel(ids, arrays["panel.offsets"], arrays["panel.times"], arrays["panel.values"], covariates)
    seasons = Seasons(tuple(float(period) for period in config["seasons"]))
    _require_sizes_of_inputs(sizes, Coding() if coding is None else coding, seasons)
    axis = TimeAxis(**config["time_axis"])
    axis.from_float(np.zeros(1))  # refuses a zone or a frequency that does not exist
    return FittedState(
        schema=schema,
        time_axis=axis,
        coding=coding,
        scaler=ChannelScaler(**{k: arrays[f"scaler.{k}"] for k in SCALER}),
        seasons=seasons,
        horizon=float(config["horizon"]),
        model=model,
        stacking=stacking,
        calibration=Calibration(*(arrays[f"calibration.{k}"] for k in CALIBRATION)),
        observed=GrowingPanel(panel),
        history=_history_of(config["history"]),
        feature_names=np.array(config["feature_names_in"], dtype=object),
        coverage=_coverage_of(arrays),
        **{name: arrays.get(name) for name in OPTIONAL},
    )


def _require_sizes_of_inputs(sizes: LatentODEConfig, coding: Coding, seasons: Seasons) -> None:
    """Refuse a model whose inputs are not those of the columns and the seasons."""
    if sizes.static_dim != coding.n_static:
        raise ValueError("the static columns do not fit the model")
    if sizes.impulse_dim != coding.n_impulses:
        raise ValueError("the impulse columns do not fit the model")
    if (seasons.n_features + coding.n_known, coding.n_known) != (sizes.given_dim, sizes.control_dim):
        raise ValueError(f"seasons={list(seasons.periods)!r} do not fit the model")


def _arrays_in(
    file: BinaryIO,
    expected: Shapes,
    sizes: LatentODEConfig,
    ids: pd.Index,
    coding: Coding | None,
    config: dict[str, Any],
) -> dict[str, Any]:
    """The arrays of a file that is no larger than such a model can be, and is the one the config was written with."""
    known = {
        **expected,
        **_shapes_of_optional(sizes.n_channels),
        **_shapes(sizes.n_channels, len(ids), 0),
        **shapes_of_covariates(coding, len(ids)),
    }
    content = read_whole(file, bytes_at_most(known.values(), len(ids)))
    if DIGEST in config and config[DIGEST] != hashlib.sha256(content).hexdigest():
        raise ValueError(
            f"{Path(file.name).name} is not the file that {CONFIG} was written with: one of them is from another save, "
            "or was changed; save the model again, or copy both files again"
        )
    return {current_name(name): array for name, array in load_arrays(content).items()}


def _modules_of(
    sizes: LatentODEConfig, stacked: StackingConfig | None, arrays: dict[str, Any], expected: Shapes
) -> tuple[Model, Stacking | None]:
    require_arrays(arrays, expected)

    def filled(module: nn.Module, name: str) -> nn.Module:
        weights = {k.removeprefix(name): torch.from_numpy(v) for k, v in arrays.items() if k.startswith(name)}
        module.load_state_dict(weights)
        return module.eval()

    with InitialisedFrom(torch.Generator()):
        model = cast(Model, filled(model_from(sizes).float(), "model."))
    return model, None if stacked is None else cast(Stacking, filled(Stacking(stacked), "stacking."))


def _history_of(stored: dict[str, Any]) -> pd.DataFrame:
    history = pd.DataFrame(stored)
    if "model" not in history:  # written before there were ensembles
        history.insert(0, "model", 0.0)
    return history


def _shapes_of_weights(sizes: LatentODEConfig, stacked: StackingConfig | None) -> Shapes:
    with torch.device("meta"):  # nothing is allocated before the file is compared: its sizes may be absurd
        weights = {f"model.{k}": v for k, v in model_from(sizes).float().state_dict().items()}
        if stacked is not None:
            weights |= {f"stacking.{k}": v for k, v in Stacking(stacked).state_dict().items()}
    return {k: (np.float32, tuple(v.shape)) for k, v in weights.items()}


def _shapes(n_channels: int, n_series: int, n_rows: int) -> Shapes:
    """Dtype and shape of every array but weights and covariates."""
    by_channel = {f"scaler.{k}": (np.float64, (n_channels,)) for k in SCALER}
    return {
        **by_channel,
        "calibration.factor": (np.float64, (len(LEADS), n_channels)),
        "calibration.shape": (np.float64, (len(LEVELS), n_channels)),
        "calibration.variance_share": (np.float64, (n_channels,)),
        "calibration.correlation": (np.float64, (n_channels, n_channels)),
        "calibration.by_length": (np.float64, (len(LENGTHS), n_channels)),
        "panel.offsets": (np.int64, (n_series + 1,)),
        "panel.times": (np.float64, (n_rows,)),
        "panel.values": (np.float64, (n_rows, n_channels)),
    }


def _coverage_of(arrays: dict[str, Any]) -> HeldOutCoverage | None:
    """What intervals held on held-out series, if the model has it."""
    names = [f"coverage.{k}" for k in COVERAGE]
    return HeldOutCoverage(*(arrays[name] for name in names)) if any(name in arrays for name in names) else None


def _shapes_of_optional(n_channels: int) -> Shapes:
    """Dtype and shape of arrays of which models saved by earlier versions have none, or only some."""
    by_lead = len(LEAD_ENDS), n_channels
    return {
        "reached": (np.float64, (len(REACHED),)),
        "solver_error": (np.float64, (n_channels,)),
        "bounds": (np.float64, (2, n_channels)),
        "coverage.achieved": (np.float64, (len(NOMINAL), *by_lead)),
        "coverage.standard_error": (np.float64, (len(NOMINAL), *by_lead)),
        "coverage.n_values": (np.int64, by_lead),
        "coverage.n_series": (np.int64, by_lead),
        "leaderboard": (np.float64, (len(CANDIDATES), n_channels, len(SCORES))),
    }
