"""From a panel to a fitted, calibrated model: sizes, held-out part, training."""

import copy
import sys
from collections.abc import Callable, Iterable
from contextlib import nullcontext
from dataclasses import dataclass, replace
from numbers import Integral
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray

from latentode.data import ChannelScaler, Panel, Seasons
from latentode.estimators.calibration import Calibration, calibrate
from latentode.estimators.randomness import as_generator
from latentode.estimators.resuming import resumable
from latentode.nn import (
    ACTIVATIONS,
    DECODERS,
    DYNAMICS,
    LIKELIHOODS,
    READERS,
    Batch,
    InitialisedFrom,
    LatentODE,
    LatentODEConfig,
)
from latentode.training import (
    Checkpoint,
    RaggedSeries,
    TaskMaker,
    TrainingOptions,
    find_rhythm,
    fork_safe,
    one_thread,
    train,
    validation_batches,
)
from latentode.training.tasks import MAX_HISTORY, NEARLY

__all__ = ["CHOICES", "LARGEST_SIZE", "FitSettings", "FittedModel", "Watcher", "fit_model", "is_of_counts"]

Bools = NDArray[np.bool_]
Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

FEW_SERIES = 20
"""With fewer series than this, the last part of each is held out instead of whole series."""

MOST_HELD_OUT = 500
"""Series held out at most: more would make the looks at them slow, and no surer."""

EARLY = 1 / 3
"""Where the horizon takes up most of the usual series, so many origins are drawn early in their series."""

GAPS = 0.3
"""Part of the series with hidden points that lose some channels for a while, instead of points here and there."""

CELLS_READ = 3.3e6
"""Cells (rows times channels) of an average series times steps of training, at most, where there is much data."""

LARGEST_SIZE = 10_000
"""Of a layer, of a latent state, and of steps per horizon: what is larger is a slip of the pen."""

SMALL = 128 * 128
"""Hidden units times series in a batch up to which training runs on one thread."""

CHOICES: dict[str, Iterable[str]] = {
    "encoder": READERS,
    "dynamics": DYNAMICS,
    "decoder": DECODERS,
    "likelihood": LIKELIHOODS,
    "anchor": ("end", "start"),
    "activation": ACTIVATIONS,
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
    context_dim: int | None
    augment_dim: int
    anchor: str
    summary: bool
    rhythm: bool
    activation: str
    time_aware: bool
    observation_std: float
    n_steps: int
    method: str
    adjoint: str
    variational: bool
    n_draws: int
    kl_weight: float
    dropout: float
    averaging: float
    max_steps: int | None
    batch_size: int | None
    learning_rate: float
    weight_decay: float
    patience: int
    validation_fraction: float
    devices: int
    num_nodes: int
    strategy: str
    checkpoint_dir: str | Path | None
    verbose: bool | int | None
    random_state: Any


@dataclass(frozen=True)
class FittedModel:
    """A trained model and what goes with it.

    Parameters
    ----------
    model : LatentODE
        With the best weights seen.
    span : float
        The unit of its time: the horizon.
    calibration : Calibration
        Of its uncertainty.
    history : list of dict
        Losses by step.
    interrupted : bool
        Whether the user broke training off.
    learned_from : array of bool, optional
        (rows of the panel,), False where they were held out; None once training is over.
    """

    model: LatentODE
    span: float
    calibration: Calibration
    history: list[dict[str, float]]
    interrupted: bool = False
    learned_from: Bools | None = None

    @property
    def n_steps(self) -> int:
        """Steps of training at the last look."""
        return int(self.history[-1]["step"]) if self.history else 0


class Watcher(Protocol):
    """Who is told how training goes."""

    def begin(self, n_looks: int) -> None:
        """Training begins; there will be so many looks at most."""

    def look(self, fitted: Callable[[], FittedModel]) -> bool:
        """A look: what there would be if training stopped here, made when asked for; True to stop."""


@fork_safe()
def fit_model(
    panel: Panel,
    scaler: ChannelScaler,
    seasons: Seasons,
    settings: FitSettings,
    before: LatentODE | None = None,
    weights: Floats | None = None,
    watcher: Watcher | None = None,
) -> FittedModel:
    """Train a latent ODE on a panel.

    Parameters
    ----------
    panel : Panel
        The observations, a value at least in every row.
    scaler : ChannelScaler
        Of its values.
    seasons : Seasons
        Periods in which they repeat.
    settings : FitSettings
        The estimator's parameters.
    before : LatentODE, optional
        A model of the same columns whose sizes and weights training goes on from.
    weights : array of float, optional
        (rows of the panel,), what each row counts in the loss.
    watcher : Watcher, optional
        Who is told of every look at the held-out part, and may stop training there.

    Raises
    ------
    ValueError
        When a parameter is out of its range.
    """
    _check(settings)
    rng = as_generator(settings.random_state)
    with (
        torch.inference_mode(False),
        torch.enable_grad(),
        resumable(panel, scaler, seasons, settings, before, weights, rng) as checkpoint,
    ):
        fitted = _fit(panel, scaler, seasons, settings, before, weights, watcher, rng, checkpoint)
        if checkpoint is not None and not fitted.interrupted:
            checkpoint.remove()
        return fitted


def _fit(
    panel: Panel,
    scaler: ChannelScaler,
    seasons: Seasons,
    settings: FitSettings,
    before: LatentODE | None,
    weights: Floats | None,
    watcher: Watcher | None,
    rng: np.random.Generator,
    checkpoint: Checkpoint | None,
) -> FittedModel:
    scaled = scaler.transform(panel.values)
    span = settings.horizon or _usual_duration(panel)
    counts = None if weights is None else (weights / weights.mean()).astype(np.float32)
    series = RaggedSeries(panel.offsets, panel.times, scaled.astype(np.float32), seasons, panel.covariates, counts)
    # Where the horizon is nearly all of a series' course, what is asked comes after its first few rows.
    early = EARLY if span >= NEARLY * _usual_duration(panel) else 0.0
    maker, held_out, learned_from = _hold_out(series, span, settings.validation_fraction, rng, early)
    rhythm = find_rhythm(maker, rng) if before is None and settings.rhythm else None
    config = _config(panel, scaler, scaled, seasons, span, settings) if before is None else before.config
    if rhythm is not None:
        config = replace(
            config,
            frequencies=tuple(rhythm.frequencies.tolist()),
            frequency_width=rhythm.width,
            shared_rhythm=rhythm.shared,
        )
    options = _options(panel, scaled, settings)
    if watcher is not None:
        watcher.begin(-(-options.n_steps // options.steps_per_round))
        options = replace(options, on_look=_looking(watcher, span, held_out, learned_from))
    small = config.hidden_dim * options.batch_size <= SMALL
    with one_thread() if small else nullcontext():
        with InitialisedFrom(torch.Generator().manual_seed(int(rng.integers(2**62)))):
            model = LatentODE(config).float()
        if rhythm is not None:
            model.rhythm = rhythm
        if before is not None:
            model.load_state_dict(before.state_dict())
        history, interrupted = train(model, maker, held_out, options, rng, checkpoint)
    return FittedModel(model, span, calibrate(model, held_out), history, interrupted)


def _looking(
    watcher: Watcher, span: float, held_out: list[Batch], learned_from: Bools
) -> Callable[[LatentODE, list[dict[str, float]]], bool]:
    """What training calls at every look."""

    def look(average: LatentODE, history: list[dict[str, float]]) -> bool:
        def fitted() -> FittedModel:
            model = copy.deepcopy(average).eval()
            return FittedModel(model, span, calibrate(model, held_out), list(history), learned_from=learned_from)

        with torch.inference_mode(False), torch.no_grad():
            return watcher.look(fitted)

    return look


def is_of_counts(likelihood: str) -> bool:
    """Whether a likelihood is one of counts, or of 0 and 1; False for a name that is none."""
    return likelihood in LIKELIHOODS and LIKELIHOODS[likelihood].counts


def _check(settings: FitSettings) -> None:
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
        "n_draws",
        "devices",
        "num_nodes",
    ):
        value = getattr(settings, name)
        if value is not None and value < 1:
            raise ValueError(f"{name}={value!r} must be at least 1")
    for name in ("latent_dim", "hidden_dim", "n_steps"):
        if (getattr(settings, name) or 0) > LARGEST_SIZE:
            raise ValueError(f"{name}={getattr(settings, name)!r} must be at most {LARGEST_SIZE:,}")
    for name in ("learning_rate", "validation_fraction", "observation_std"):
        if not getattr(settings, name) > 0:
            raise ValueError(f"{name}={getattr(settings, name)!r} must be greater than 0")
    for name in ("dropout", "validation_fraction", "averaging"):
        if not 0 <= getattr(settings, name) < 1:
            raise ValueError(f"{name}={getattr(settings, name)!r} must be at least 0 and less than 1")
    for name in ("kl_weight", "weight_decay", "context_dim", "augment_dim"):
        if getattr(settings, name) is not None and not getattr(settings, name) >= 0:
            raise ValueError(f"{name}={getattr(settings, name)!r} must not be negative")

    if settings.devices * settings.num_nodes > 1:
        _check_shared(settings)


def _check_shared(settings: FitSettings) -> None:
    """Refuse what several processes cannot do together."""
    together = f"devices={settings.devices!r}, num_nodes={settings.num_nodes!r}: processes that train one model"
    if not isinstance(settings.random_state, Integral):
        raise ValueError(f"{together} must draw the same numbers: give random_state an integer")
    if settings.checkpoint_dir is not None:
        raise ValueError(f"{together} keep no checkpoints: leave checkpoint_dir=None, or train with one process")


def _is_watched() -> bool:
    """Whether a person is looking on; a program without a screen may have no stdout at all."""
    return sys.stdout is not None and sys.stdout.isatty()


def _usual_duration(panel: Panel) -> float:
    durations = panel.last_times - panel.first_times
    durations = durations[durations > 0]
    return float(np.quantile(durations, 0.95))


def _usual_gap(panel: Panel) -> float:
    gaps = np.diff(panel.times)[np.diff(panel.series_of_row) == 0]
    return float(np.median(gaps))


def _usual_changes(panel: Panel, scaled: Floats, usual_gap: float) -> tuple[float, ...]:
    """How far each channel moves in a usual gap: the median over its successive observations."""
    changes = []
    for values in scaled.T:
        rows = np.flatnonzero(~np.isnan(values))
        same = np.diff(panel.series_of_row[rows]) == 0
        gaps = np.diff(panel.times[rows])[same] / usual_gap
        moved = np.abs(np.diff(values[rows])[same]) / np.maximum(gaps, 0.1)
        moved = moved[moved > 0]
        changes.append(float(np.clip(1.5 * np.median(moved), 1e-3, 10.0)) if len(moved) else 1.0)
    return tuple(changes)


def _config(
    panel: Panel, scaler: ChannelScaler, scaled: Floats, seasons: Seasons, span: float, settings: FitSettings
) -> LatentODEConfig:
    """Sizes that adapt to the data: few observations make a small, regular model."""
    n_values = int((~np.isnan(scaled)).sum())
    hidden = int(settings.hidden_dim or 0) or (32 if n_values < 3_000 else 64 if n_values < 300_000 else 128)
    usual_gap = _usual_gap(panel)
    n_known = 0 if panel.covariates is None else panel.covariates.known.shape[1]
    latent = int(settings.latent_dim or min(max(8, hidden // 2), 32))
    return LatentODEConfig(
        n_channels=scaled.shape[1],
        usual_gap=max(usual_gap / span, 1e-6),  # single precision divides by it
        usual_change=_usual_changes(panel, scaled, usual_gap),
        latent_dim=latent,
        context_dim=max(hidden // 4, 1) if settings.context_dim is None else int(settings.context_dim),
        hidden_dim=hidden,
        given_dim=seasons.n_features + n_known,
        bow=True,
        static_dim=0 if panel.covariates is None else panel.covariates.static.shape[1],
        control_dim=n_known,
        encoder=settings.encoder,
        dynamics=settings.dynamics,
        decoder=settings.decoder,
        likelihood=settings.likelihood,
        anchor=settings.anchor,
        summary=settings.summary,
        augment_dim=int(settings.augment_dim),
        time_aware=settings.time_aware,
        activation=settings.activation,
        observation_std=float(settings.observation_std),
        center=tuple(map(float, scaler.center)),
        unit=tuple(map(float, scaler.scale)),
        n_steps=int(settings.n_steps),
        method=settings.method,
        adjoint=settings.adjoint,
        variational=settings.variational,
        dropout=float(settings.dropout),
    )


def _steps_for(panel: Panel, n_values: int) -> int:
    """Steps at most: where there is much data each tells more, and where series are large each takes longer."""
    if n_values < 300_000:
        return 4_000
    cells = float(np.minimum(panel.lengths, MAX_HISTORY).mean()) * panel.values.shape[1]
    return int(np.clip(CELLS_READ / cells, 1_200, 10_000))


def _options(panel: Panel, scaled: Floats, settings: FitSettings) -> TrainingOptions:
    """As many steps as the data may need: where there is much of it, each tells more."""
    n_values = int((~np.isnan(scaled)).sum())
    return TrainingOptions(
        n_steps=int(settings.max_steps or 0) or _steps_for(panel, n_values),
        batch_size=int(settings.batch_size or 0) or int(np.clip(panel.n_series // 4, 16, 128)),
        learning_rate=settings.learning_rate,
        weight_decay=settings.weight_decay,
        kl_weight=settings.kl_weight,
        n_draws=int(settings.n_draws),
        averaging=float(settings.averaging),
        patience=int(settings.patience),
        devices=int(settings.devices),
        num_nodes=int(settings.num_nodes),
        strategy=settings.strategy,
        verbose=int(_is_watched() if settings.verbose is None else settings.verbose),
    )


def _hold_out(
    series: RaggedSeries, span: float, fraction: float, rng: np.random.Generator, early: float = 0.0
) -> tuple[TaskMaker, list[Batch], Bools]:
    """Training tasks; fixed questions on what they never see: whole series, or the last part of each; rows they see."""
    lengths = series.lengths
    usable = np.flatnonzero(lengths >= 2)
    if len(usable) >= FEW_SERIES:
        n_held = min(max(round(fraction * len(usable)), 5), MOST_HELD_OUT)
        held = np.sort(rng.permutation(usable)[:n_held])
        kept = np.setdiff1d(np.arange(len(lengths)), held)
        maker = TaskMaker(series.take(kept), span, GAPS, early)
        draws = int(np.clip(400 // n_held, 2, 8))
        seen = np.repeat(~np.isin(np.arange(len(lengths)), held), lengths)
        return maker, validation_batches(TaskMaker(series, span), held, draws, rng), seen
    cut = np.maximum((lengths * (1 - fraction)).astype(np.int64), 1)
    # Where nothing but single rows would be left, training sees all: the held-out part then stops it late.
    maker = TaskMaker(series.head(cut) if cut.max() > 1 else series, span, GAPS, early)
    asked = usable[cut[usable] < lengths[usable]]
    place = np.arange(lengths.sum()) - np.repeat(series.offsets[:-1], lengths)
    questions = validation_batches(TaskMaker(series, span), asked, 4, rng, after=cut[asked])
    return maker, questions, place < np.repeat(cut, lengths)
