"""What a user may set of a fit, and what is refused."""

from collections.abc import Iterable
from dataclasses import dataclass
from numbers import Integral
from pathlib import Path
from typing import Any

from latentode.nn import DECODERS, DYNAMICS, ENCODERS, LIKELIHOODS

__all__ = ["CHOICES", "LARGEST_SIZE", "MOST_MODELS", "FitSettings", "check"]

LARGEST_SIZE = 10_000
"""Of a layer, of a latent state, and of steps per horizon: what is larger is a slip of the pen."""

MOST_MODELS = 100
"""Models that answer together, at most."""

CHOICES: dict[str, Iterable[str]] = {
    "encoder": ENCODERS,
    "dynamics": DYNAMICS,
    "decoder": DECODERS,
    "likelihood": LIKELIHOODS,
    "anchor": ("end", "start"),
    "strategy": ("auto", "ddp"),
}


@dataclass(frozen=True)
class FitSettings:
    """The estimator's parameters, as :class:`~latentode.LatentODEForecaster` documents them."""

    horizon: float | None
    encoder: str
    dynamics: str
    decoder: str
    likelihood: str
    latent_dim: int | None
    hidden_dim: int | None
    anchor: str
    observation_std: float
    n_steps: int
    method: str
    adjoint: str
    variational: bool
    kl_weight: float
    dropout: float
    n_models: int | None
    max_steps: int | None
    batch_size: int | None
    learning_rate: float
    patience: int
    validation_fraction: float
    devices: int
    num_nodes: int
    strategy: str
    checkpoint_dir: str | Path | None
    verbose: bool | int | None
    random_state: Any


def check(settings: FitSettings) -> None:
    """Refuse parameters out of range, naming them."""
    for name, known in CHOICES.items():
        if getattr(settings, name) not in known:
            raise ValueError(f"{name}={getattr(settings, name)!r} must be one of {', '.join(map(repr, known))}")
    for name in (
        "latent_dim",
        "hidden_dim",
        "max_steps",
        "batch_size",
        "n_steps",
        "patience",
        "n_models",
        "devices",
        "num_nodes",
    ):
        value = getattr(settings, name)
        if value is not None and value < 1:
            raise ValueError(f"{name}={value!r} must be at least 1")
    for name in ("latent_dim", "hidden_dim", "n_steps"):
        if (getattr(settings, name) or 0) > LARGEST_SIZE:
            raise ValueError(f"{name}={getattr(settings, name)!r} must be at most {LARGEST_SIZE:,}")
    if (settings.n_models or 0) > MOST_MODELS:
        raise ValueError(f"n_models={settings.n_models!r} must be at most {MOST_MODELS}")
    for name in ("learning_rate", "validation_fraction", "observation_std"):
        if not getattr(settings, name) > 0:
            raise ValueError(f"{name}={getattr(settings, name)!r} must be greater than 0")
    for name in ("dropout", "validation_fraction"):
        if not 0 <= getattr(settings, name) < 1:
            raise ValueError(f"{name}={getattr(settings, name)!r} must be at least 0 and less than 1")
    if not settings.kl_weight >= 0:
        raise ValueError(f"kl_weight={settings.kl_weight!r} must not be negative")
    if settings.devices * settings.num_nodes > 1:
        _check_shared(settings)


def _check_shared(settings: FitSettings) -> None:
    """Refuse what several processes cannot do together."""
    together = f"devices={settings.devices!r}, num_nodes={settings.num_nodes!r}: processes that train one model"
    if not isinstance(settings.random_state, Integral):
        raise ValueError(f"{together} must draw the same numbers: give random_state an integer")
    if settings.checkpoint_dir is not None:
        raise ValueError(f"{together} keep no checkpoints: leave checkpoint_dir=None, or train with one process")
