"""Models saved in formats 3 to 7: converted to the present format, or refused with the reason."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["EARLIER", "completed", "current_name", "from_earlier", "missing_arrays"]

EARLIER = (3, 4, 5, 6, 7)
"""Earlier formats that are read."""

REMOVED_SIZES: dict[str, Any] = {
    "frequencies": [],
    "frequency_width": 0.0,
    "shared_rhythm": False,
    "augment_dim": 0,
    "time_aware": False,
}
"""Removed parts of a model, with the value that switched each off."""

RHYTHM_SIZES = ("frequencies", "frequency_width", "shared_rhythm")
"""Those that ``rhythm=True`` switched on."""

REMOVED_CHOICES = {
    "encoder": ("bigru", "attention"),
    "dynamics": ("gated", "second_order"),
    "decoder": ("heads",),
    "likelihood": ("student_t",),
}

REMOVED_PARAMS = (
    "activation",
    "augment_dim",
    "averaging",
    "context_dim",
    "dropout",
    "n_draws",
    "n_samples",
    "observation_std",
    "rhythm",
    "strategy",
    "summary",
    "time_aware",
    "variational",
    "weight_decay",
)


FARTHEST = 8.0
"""Standard deviations at which numbers of covariates were clipped."""

IRRELEVANT_SIZES = ("dropout", "bow", "bridge")
"""Removed parts that mattered in training only, and those that the name of the decoder now says."""

RENAMED = {
    "encoder.reader.": "encoder.history_encoder.",
    "encoder.trunk.1.": "encoder.trunk.0.",
    "decoder.bridging.trust": "decoder.neighbour_bridge.reliability",
    "decoder.bridging.": "decoder.neighbour_bridge.",
    "dynamics.free.": "dynamics.neural.",
    "dynamics.turning.": "dynamics.rotations.",
}
"""Former names of weights, or beginnings of names, and the present ones."""


def current_name(array: str) -> str:
    """The present name of an array of an earlier format.

    Examples
    --------
    >>> current_name("model.members.0.dynamics.free.layers.0.weight")
    'model.members.0.dynamics.neural.layers.0.weight'
    """
    for former, present in RENAMED.items():
        if former in array:
            return array.replace(former, present)
    return array


def from_earlier(config: dict[str, Any], version: int) -> dict[str, Any]:
    """A config of an earlier format in the present one.

    Parameters
    ----------
    config : dict
        As JSON holds it; parts of the wrong kind are left unchanged.
    version : int
        The format to convert to.

    Raises
    ------
    ValueError
        When the model uses a part that has been removed.
    """
    model, params = config.get("model"), config.get("params")
    if not isinstance(model, dict) or not isinstance(params, dict):
        return config
    for name, removed in REMOVED_CHOICES.items():
        if model.get(name) in removed:
            raise ValueError(_removed(f"{name}={model[name]!r}"))
    for name, off in REMOVED_SIZES.items():
        if model.get(name, off) != off:
            raise ValueError(_removed("rhythm=True" if name in RHYTHM_SIZES else f"{name}={str(model[name])[:40]}"))
    kept = {name: value for name, value in params.items() if name not in REMOVED_PARAMS}
    if kept.get("patience", 0) is None:  # then the data chose a number
        del kept["patience"]
    if params.get("variational") is False:
        kept["kl_weight"] = None
    sizes = {name: value for name, value in model.items() if name not in (*REMOVED_SIZES, *IRRELEVANT_SIZES)}
    if model.get("decoder") == "skip" and (model.get("bow"), model.get("bridge")) == (True, True):
        sizes["decoder"] = "bridged"
    return {
        **config,
        "format_version": version,
        "model": sizes,
        "params": kept,
        "coding": _clipped(config.get("coding")),
    }


def _clipped(coding: Any) -> Any:
    """The coding with the bound of scaled numbers that models of earlier formats were fitted with."""
    roles = coding.values() if isinstance(coding, dict) else [None]
    if not all(isinstance(columns, list) and all(isinstance(one, dict) for one in columns) for columns in roles):
        return coding
    return {role: [{"farthest": FARTHEST, **one} for one in columns] for role, columns in coding.items()}


def completed(config: Any) -> Any:
    """A config with what models saved before there were impulses or stacking lack; unchanged where its kinds are wrong.

    Examples
    --------
    >>> completed({"schema": {"target_cols": ["x"]}, "coding": None})["schema"]
    {'impulse_cols': [], 'target_cols': ['x']}
    """
    added: dict[str, Any] = {"schema": {"impulse_cols": []}, "coding": {"impulse": []}}
    if not isinstance(config, dict):
        return config
    filled = {k: {**more, **config[k]} for k, more in added.items() if isinstance(config.get(k), dict)}
    return {"stacking": None, **config, **filled}


def missing_arrays(n_channels: int, n_lengths: int) -> dict[str, NDArray[np.float64]]:
    """Arrays that earlier formats lack.

    Means of channels in logarithms were medians, channels independent, and widths the same for all histories.
    """
    return {
        "calibration.variance_share": np.zeros(n_channels),
        "calibration.correlation": np.eye(n_channels),
        "calibration.by_length": np.ones((n_lengths, n_channels)),
    }


def _removed(what: str) -> str:
    return f"the model was trained with {what}, which this version of latentode no longer has; fit it again"
