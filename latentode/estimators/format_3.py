"""Models saved in format 3: what they say in the words of format 4, or why they cannot be read any more."""

from typing import Any

__all__ = ["from_format_3"]

GONE_SIZES: dict[str, Any] = {
    "frequencies": [],
    "frequency_width": 0.0,
    "shared_rhythm": False,
    "augment_dim": 0,
    "time_aware": False,
}
"""Parts of a model that are gone, and the value that switched each off."""

OF_RHYTHM = ("frequencies", "frequency_width", "shared_rhythm")
"""Those of them that ``rhythm=True`` brought in."""

GONE_CHOICES = {
    "encoder": ("bigru", "attention"),
    "dynamics": ("gated", "second_order"),
    "decoder": ("heads",),
    "likelihood": ("student_t",),
}

GONE_PARAMS = (
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
        As JSON holds it; parts that are of another kind than they should be are left as they are.

    Raises
    ------
    ValueError
        When the model uses a part that has been removed.
    """
    model, params = config.get("model"), config.get("params")
    if not isinstance(model, dict) or not isinstance(params, dict):
        return config
    for name, gone in GONE_CHOICES.items():
        if model.get(name) in gone:
            raise ValueError(_gone(f"{name}={model[name]!r}"))
    for name, off in GONE_SIZES.items():
        if model.get(name, off) != off:
            raise ValueError(_gone("rhythm=True" if name in OF_RHYTHM else f"{name}={str(model[name])[:40]}"))
    kept = {name: value for name, value in params.items() if name not in GONE_PARAMS}
    if kept.get("patience", 0) is None:  # a number was found by the data then
        del kept["patience"]
    sizes = {name: value for name, value in model.items() if name not in GONE_SIZES}
    return {**config, "format_version": 4, "model": sizes, "params": kept}


def _gone(what: str) -> str:
    return f"the model was trained with {what}, which this version of latentode no longer has; fit it again"
