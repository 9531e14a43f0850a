"""The hyper-parameters: name, type, default and allowed values of each, in one place."""

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import KW_ONLY, dataclass, fields
from numbers import Integral
from pathlib import Path
from typing import Annotated, Any, get_type_hints

from latentode.estimators.bounds import BoundsChoice
from latentode.estimators.likelihoods import LikelihoodChoice
from latentode.nn import ACCELERATORS, DECODERS, DYNAMICS, ENCODERS, device_of
from latentode.ode import METHODS
from latentode.ode.problem import ADJOINTS
from latentode.persistence.limits import Directory, Duration, Flag, Limit, OneOf, Range, Seed

__all__ = ["LIMITS", "Settings", "check", "settings_of"]

Columns = Sequence[Hashable] | Hashable | None

ANCHORS = ("end", "start")

LARGEST_SIZE = 10_000
"""Of a layer, of a latent state, and steps per horizon. Larger values are mistakes."""

MOST_MODELS = 100

POSITIVE = Range(least=1, whole=True)
SIZE = Range(least=1, most=LARGEST_SIZE, whole=True)


@dataclass(eq=False, repr=False)
class Settings:
    """The parameters of :class:`~latentode.LatentODEForecaster`, which documents them.

    The constructor of the forecaster is the one generated here, and only stores its arguments. A limit stands beside
    its field; :data:`LIMITS` collects them for :func:`check` and for loading. None is allowed where it is the default.
    """

    id_col: Hashable | None = None
    time_col: Hashable | None = None
    target_cols: Columns = None
    _: KW_ONLY
    static_cols: Columns = None
    known_cols: Columns = None
    impulse_cols: Columns = None
    past_cols: Columns = None
    horizon: Any = None
    seasonality: Any = "auto"
    encoder: Annotated[str, OneOf(ENCODERS)] = "gru"
    dynamics: Annotated[str, OneOf(DYNAMICS)] = "mixed"
    decoder: Annotated[str, OneOf(DECODERS)] = "skip"
    likelihood: Annotated[str | Mapping[Any, str], LikelihoodChoice()] = "auto"
    bounds: Annotated[str | Mapping[Any, Any] | None, BoundsChoice()] = "auto"
    latent_dim: Annotated[int | None, SIZE] = None
    hidden_dim: Annotated[int | None, SIZE] = None
    anchor: Annotated[str, OneOf(ANCHORS)] = "end"
    n_steps: Annotated[int | None, SIZE] = None
    method: Annotated[str, OneOf(METHODS)] = "rk4"
    adjoint: Annotated[str, OneOf(ADJOINTS)] = "discrete"
    kl_weight: Annotated[float | None, Range(least=0)] = None
    stacking: Annotated[bool, Flag()] = True
    n_models: Annotated[int | None, Range(least=1, most=MOST_MODELS, whole=True)] = None
    max_steps: Annotated[int | None, POSITIVE] = None
    time_limit: Annotated[Any, Duration()] = None
    batch_size: Annotated[int | None, POSITIVE] = None
    learning_rate: Annotated[float, Range(above=0)] = 3e-3
    patience: Annotated[int, POSITIVE] = 6
    validation_fraction: Annotated[float, Range(above=0, below=1)] = 0.15
    warm_start: Annotated[bool, Flag()] = False
    accelerator: Annotated[str, OneOf(ACCELERATORS)] = "cpu"
    devices: Annotated[int, Range(least=1, whole=True, of="processes")] = 1
    num_nodes: Annotated[int, POSITIVE] = 1
    checkpoint_dir: Annotated[str | Path | None, Directory()] = None
    verbose: Annotated[bool | int | None, Flag(or_count=True)] = None
    random_state: Annotated[Any, Seed()] = None


def _limits() -> dict[str, Limit]:
    hints = get_type_hints(Settings, include_extras=True)
    return {name: hint.__metadata__[0] for name, hint in hints.items() if hasattr(hint, "__metadata__")}


LIMITS = _limits()
"""The limit of every hyper-parameter that has one, by name."""


def settings_of(estimator: Settings) -> Settings:
    """A copy of an estimator's parameters, which later changes to the estimator do not reach."""
    return Settings(**{field.name: getattr(estimator, field.name) for field in fields(Settings)})


def check(settings: Settings) -> None:
    """Refuse hyper-parameters outside their limits.

    Raises
    ------
    ValueError
        Naming the parameter, its value and what is allowed.
    """
    for field in fields(Settings):
        name, value = field.name, getattr(settings, field.name)
        if name not in LIMITS or (value is None and field.default is None):
            continue
        if not LIMITS[name].allows(value):
            raise ValueError(f"{name}={value!r} must {LIMITS[name]}")
    if device_of(settings.accelerator) is None:
        raise ValueError(
            f"accelerator={settings.accelerator!r}: PyTorch finds none on this machine; install a build of PyTorch for "
            "yours (https://pytorch.org), or leave accelerator='cpu'"
        )
    if settings.devices * settings.num_nodes > 1:
        _check_distributed(settings)


def _check_distributed(settings: Settings) -> None:
    """Refuse what several processes cannot do together."""
    together = f"devices={settings.devices!r}, num_nodes={settings.num_nodes!r}: processes that train one model"
    if not isinstance(settings.random_state, Integral):
        raise ValueError(f"{together} must draw the same numbers: give random_state an integer")
    if settings.checkpoint_dir is not None:
        raise ValueError(f"{together} keep no checkpoints: leave checkpoint_dir=None, or train with one process")
    if settings.time_limit is not None:
        raise ValueError(
            f"{together} must take the same steps, whatever their clocks say: give max_steps= instead of "
            "time_limit=, or train with one process"
        )
