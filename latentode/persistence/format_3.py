"""Models saved in format 3: their config converted to format 4, or the reason why they cannot be read."""

from typing import Any

__all__ = ["from_format_3"]

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
    "n_draws",
    "rhythm",
    "summary",
    "time_aware",
    "weight_decay",
)


def from_format_3(config: dict[str, Any]) -> dict[str, Any]:
    """A config of format 3 as one of format 4.

    Parameters
    ----------
    config : dict
        As JSON holds it; parts of the wrong kind are left unchanged.

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
    sizes = {name: value for name, value in model.items() if name not in REMOVED_SIZES}
    return {**config, "format_version": 4, "model": sizes, "params": kept}


def _removed(what: str) -> str:
    return f"the model was trained with {what}, which this version of latentode no longer has; fit it again"
