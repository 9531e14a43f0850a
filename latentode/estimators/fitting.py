"""From a panel to a fitted, calibrated model: sizes, held-out part, training."""

import sys
from contextlib import nullcontext
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from latentode.data import Panel, Seasons
from latentode.estimators.randomness import as_generator
from latentode.nn import Batch, LatentODE, LatentODEConfig
from latentode.training import (
    RaggedSeries,
    TaskMaker,
    TrainingOptions,
    isolated_rng,
    one_thread,
    train,
    validation_batches,
)

__all__ = ["FitSettings", "FittedModel", "fit_model"]

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

FEW_SERIES = 20
"""With fewer series than this, the last part of each is held out instead of whole series."""

MOST_HELD_OUT = 500
"""Series held out at most: more would make the looks at them slow, and no surer."""

SMALL = 128 * 128
"""Hidden units times series in a batch up to which training runs on one thread."""

CALIBRATED_COVERAGE = 0.9
SHRINKAGE = 50.0
"""Observations a channel's own calibration counts against the pooled one."""


@dataclass(frozen=True)
class FitSettings:
    """The estimator's parameters, as :class:`~latentode.LatentODEForecaster` documents them."""

    horizon: float | None
    latent_dim: int | None
    hidden_dim: int | None
    n_steps: int
    method: str
    adjoint: str
    variational: bool
    kl_weight: float
    dropout: float
    max_steps: int | None
    batch_size: int | None
    learning_rate: float
    weight_decay: float
    patience: int
    validation_fraction: float
    verbose: bool | None
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
    calibration : array of float
        (channel,), factor on deviations from the mean.
    history : list of dict
        Losses by step.
    """

    model: LatentODE
    span: float
    calibration: Floats
    history: list[dict[str, float]]


def fit_model(panel: Panel, scaled: Floats, seasons: Seasons, settings: FitSettings) -> FittedModel:
    """Train a latent ODE on a panel.

    Parameters
    ----------
    panel : Panel
        The observations, a value at least in every row.
    scaled : array of float
        (rows, channel), their scaled values.
    seasons : Seasons
        Periods in which they repeat.
    settings : FitSettings
        The estimator's parameters.

    Raises
    ------
    ValueError
        When a parameter is out of its range.
    """
    _check(settings)
    with torch.inference_mode(False), torch.enable_grad():
        return _fit(panel, scaled, seasons, settings)


def _fit(panel: Panel, scaled: Floats, seasons: Seasons, settings: FitSettings) -> FittedModel:
    rng = as_generator(settings.random_state)
    span = settings.horizon or _usual_duration(panel)
    series = RaggedSeries(panel.offsets, panel.times, scaled.astype(np.float32), seasons)
    maker, held_out = _hold_out(series, span, settings.validation_fraction, rng)
    config, options = _sizes(panel, scaled, span, settings)
    config = replace(config, season_dim=seasons.n_features)
    small = config.hidden_dim * options.batch_size <= SMALL
    with isolated_rng(int(rng.integers(2**62))), one_thread() if small else nullcontext():
        model = LatentODE(config).float()
        history = train(model, maker, held_out, options, rng)
    return FittedModel(model, span, calibrate(model, held_out), history)


def _check(settings: FitSettings) -> None:
    """Refuse parameters out of range, naming them."""
    for name in ("latent_dim", "hidden_dim", "max_steps", "batch_size", "n_steps", "patience"):
        value = getattr(settings, name)
        if value is not None and value < 1:
            raise ValueError(f"{name}={value!r} must be at least 1")
    for name in ("learning_rate", "validation_fraction"):
        if not getattr(settings, name) > 0:
            raise ValueError(f"{name}={getattr(settings, name)!r} must be greater than 0")
    for name in ("dropout", "validation_fraction"):
        if not 0 <= getattr(settings, name) < 1:
            raise ValueError(f"{name}={getattr(settings, name)!r} must be at least 0 and less than 1")
    for name in ("kl_weight", "weight_decay"):
        if not getattr(settings, name) >= 0:
            raise ValueError(f"{name}={getattr(settings, name)!r} must not be negative")


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


def _sizes(panel: Panel, scaled: Floats, span: float, settings: FitSettings) -> tuple[LatentODEConfig, TrainingOptions]:
    """Sizes that adapt to the data: few observations make a small, regular model."""
    n_values = int((~np.isnan(scaled)).sum())
    hidden = int(settings.hidden_dim or 0) or (32 if n_values < 3_000 else 64 if n_values < 300_000 else 128)
    usual_gap = _usual_gap(panel)
    latent = int(settings.latent_dim or max(8, hidden // 4))
    config = LatentODEConfig(
        n_channels=scaled.shape[1],
        usual_gap=usual_gap / span,
        usual_change=_usual_changes(panel, scaled, usual_gap),
        latent_dim=latent,
        context_dim=max(hidden // 4, 1),
        hidden_dim=hidden,
        n_steps=int(settings.n_steps),
        method=settings.method,
        adjoint=settings.adjoint,
        variational=settings.variational,
        dropout=float(settings.dropout),
    )
    options = TrainingOptions(
        n_steps=int(settings.max_steps or 0) or (4_000 if n_values < 300_000 else 2_000),
        batch_size=int(settings.batch_size or 0) or int(np.clip(panel.n_series // 4, 16, 128)),
        learning_rate=settings.learning_rate,
        weight_decay=settings.weight_decay,
        kl_weight=settings.kl_weight,
        patience=int(settings.patience),
        progress=_is_watched() if settings.verbose is None else settings.verbose,
    )
    return config, options


def _hold_out(
    series: RaggedSeries, span: float, fraction: float, rng: np.random.Generator
) -> tuple[TaskMaker, list[Batch]]:
    """Training tasks, and fixed questions on what they never see: whole series, or the last part of each."""
    lengths = series.lengths
    usable = np.flatnonzero(lengths >= 2)
    if len(usable) >= FEW_SERIES:
        n_held = min(max(round(fraction * len(usable)), 5), MOST_HELD_OUT)
        held = np.sort(rng.permutation(usable)[:n_held])
        kept = np.setdiff1d(np.arange(len(lengths)), held)
        maker = TaskMaker(series.take(kept), span)
        draws = int(np.clip(400 // n_held, 2, 8))
        return maker, validation_batches(TaskMaker(series, span), held, draws, rng)
    cut = np.maximum((lengths * (1 - fraction)).astype(np.int64), 1)
    # Where nothing but single rows would be left, training sees all: the held-out part then stops it late.
    maker = TaskMaker(series.head(cut) if cut.max() > 1 else series, span)
    asked = usable[cut[usable] < lengths[usable]]
    return maker, validation_batches(TaskMaker(series, span), asked, 4, rng, after=cut[asked])


def calibrate(model: LatentODE, held_out: list[Batch]) -> Floats:
    """Factor per channel by which deviations are widened so that intervals hold what they promise.

    The factor is the quantile of the standardised residuals on held-out questions over the Gaussian's own, drawn
    towards the one of all channels where a channel has few (split conformal prediction, Vovk et al. 2005,
    with a normalised score).
    """
    residuals, asked = [], []
    with torch.no_grad():
        for batch in held_out:
            prediction = model.predict(batch)
            assert batch.targets is not None  # tasks always carry targets
            assert batch.target_mask is not None
            standardised = ((batch.targets - prediction.mean) / prediction.scale).abs()
            residuals.append(standardised.flatten(0, 1).numpy())
            asked.append(batch.target_mask.flatten(0, 1).numpy() > 0)
    z, mask = np.concatenate(residuals), np.concatenate(asked)
    n_channels = z.shape[1]
    if not mask.any():
        return np.ones(n_channels)
    gaussian = float(torch.special.ndtri(torch.tensor(0.5 + CALIBRATED_COVERAGE / 2)))
    pooled = _conformal(z[mask]) / gaussian
    factors = np.ones(n_channels)
    for k in range(n_channels):
        n = int(mask[:, k].sum())
        own = _conformal(z[mask[:, k], k]) / gaussian if n else pooled
        weight = n / (n + SHRINKAGE)
        factors[k] = np.exp(weight * np.log(own) + (1 - weight) * np.log(pooled))
    return np.clip(factors, 0.3, 5.0)


def _conformal(scores: NDArray[Any]) -> float:
    """The (n + 1)-corrected quantile of split conformal prediction."""
    rank = min(CALIBRATED_COVERAGE * (1 + 1 / len(scores)), 1.0)
    return max(float(np.quantile(scores, rank)), 1e-3)
