"""How large a model and how long its training: what the data say where the user does not."""

import sys

import numpy as np
from numpy.typing import NDArray

from latentode.data import ChannelScaler, Panel, Seasons
from latentode.estimators.folds import FEWEST_SERIES, N_MODELS
from latentode.estimators.settings import FitSettings
from latentode.nn import LatentODEConfig
from latentode.training import TrainingConfig
from latentode.training.tasks import MAX_QUERIES

__all__ = ["config_for", "n_models_for", "options_for", "rows_asked_for", "usual_duration"]

Floats = NDArray[np.float64]

FEWEST_STEPS, MOST_STEPS, MOST_OF_MUCH, PER_SERIES = 600, 3_000, 1_500, 6
"""Steps at most: so many per series. On sets of some 60 series nothing was gained in the mean by more than 600; where
there are hundreds, those held out say reliably when to stop."""

STEPS_OF_SEVERAL = 400
"""The same where several models make up for what one has not learned."""

FEW_SERIES, FEW_VALUES = 25, 10_000
"""With fewer series than this, which of them are held out decides much: several models have others held out each, where
fewer values than this make them cheap."""

MUCH = 300_000
"""Values from which on there is much data: the model is large, and each step tells more."""

CELLS_ASKED, FEWEST_ASKED = 115_000, 24
"""Cells (series times rows times channels) asked in a step where there is much data, and rows of a series at least:
more of the same series tell hardly more, and where channels are many they are most of the time."""

LOG_BEYOND = 4.0
"""Size of the latent state beyond which the decoder reads its logarithm: at the origin it is of order 1."""


def config_for(
    panel: Panel, scaler: ChannelScaler, scaled: Floats, seasons: Seasons, span: float, settings: FitSettings
) -> LatentODEConfig:
    """Sizes that adapt to the data: few observations make a small, regular model."""
    n_values = _n_values(scaled)
    hidden = int(settings.hidden_dim or 0) or (32 if n_values < 3_000 else 64 if n_values < MUCH else 128)
    usual_gap = _usual_gap(panel)
    n_known = 0 if panel.covariates is None else panel.covariates.known.shape[1]
    published = settings.encoder == "odernn"  # nothing passes by z there
    latent = int(settings.latent_dim or min(max(8, hidden // 2), 32))
    return LatentODEConfig(
        n_channels=scaled.shape[1],
        usual_gap=max(usual_gap / span, 1e-6),  # single precision divides by it
        usual_change=_usual_changes(panel, scaled, usual_gap),
        latent_dim=latent,
        context_dim=0 if published else max(hidden // 4, 1),
        hidden_dim=hidden,
        given_dim=seasons.n_features + n_known,
        bow=True,
        bridge=True,
        log_beyond=LOG_BEYOND,
        static_dim=0 if panel.covariates is None else panel.covariates.static.shape[1],
        control_dim=n_known,
        encoder=settings.encoder,
        dynamics=settings.dynamics,
        decoder=settings.decoder,
        likelihood=settings.likelihood,
        anchor=settings.anchor,
        summary=not published,
        activation="tanh" if published else "silu",
        observation_std=float(settings.observation_std),
        center=tuple(map(float, scaler.center)),
        unit=tuple(map(float, scaler.scale)),
        n_steps=int(settings.n_steps),
        method=settings.method,
        adjoint=settings.adjoint,
        variational=settings.variational,
        dropout=float(settings.dropout),
    )


def n_models_for(panel: Panel, scaled: Floats, settings: FitSettings) -> int:
    """How many models are trained: several where it is whole series that are held out, and few of them."""
    if settings.n_models is not None:
        return int(settings.n_models)
    n_series = int((panel.lengths >= 2).sum())
    few = FEWEST_SERIES <= n_series < FEW_SERIES and _n_values(scaled) < FEW_VALUES
    return N_MODELS if few else 1


def _n_values(scaled: Floats) -> int:
    return int((~np.isnan(scaled)).sum())


def _steps_for(panel: Panel, n_values: int, n_models: int) -> int:
    """Steps at most: many series are learned from for longer, few are soon known by heart."""
    if n_models > 1:
        return STEPS_OF_SEVERAL
    return int(np.clip(PER_SERIES * panel.n_series, FEWEST_STEPS, MOST_STEPS if n_values < MUCH else MOST_OF_MUCH))


def options_for(panel: Panel, scaled: Floats, n_models: int, settings: FitSettings) -> TrainingConfig:
    """How to train: what the user does not say, the size of the data does."""
    return TrainingConfig(
        n_steps=int(settings.max_steps or 0) or _steps_for(panel, _n_values(scaled), n_models),
        batch_size=_batch_size(panel, settings),
        learning_rate=settings.learning_rate,
        kl_weight=settings.kl_weight,
        patience=int(settings.patience),
        devices=int(settings.devices),
        num_nodes=int(settings.num_nodes),
        strategy=settings.strategy,
        verbose=int(_is_watched() if settings.verbose is None else settings.verbose),
    )


def rows_asked_for(panel: Panel, scaled: Floats, settings: FitSettings) -> int:
    """Rows of a series asked in a step of training or a look at the held-out ones, at most."""
    if _n_values(scaled) < MUCH:
        return MAX_QUERIES
    return int(np.clip(CELLS_ASKED // (_batch_size(panel, settings) * scaled.shape[1]), FEWEST_ASKED, MAX_QUERIES))


def _batch_size(panel: Panel, settings: FitSettings) -> int:
    return int(settings.batch_size or 0) or int(np.clip(panel.n_series // 4, 16, 128))


def usual_duration(panel: Panel) -> float:
    """How long nearly every series lasts at most: the 95 % quantile, in the panel's unit of time."""
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


def _is_watched() -> bool:
    """Whether a person looks on, at a terminal or a notebook; a program without a screen may have no stdout at all."""
    out = sys.stdout
    return out is not None and (out.isatty() or type(out).__module__.startswith("ipykernel."))
