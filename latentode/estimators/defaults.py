"""Defaults that depend on the data: sizes of the model and length of training."""

import sys

import numpy as np
from numpy.typing import NDArray

from latentode.data import ChannelScaler, Panel, Seasons
from latentode.estimators.holdout import FEWEST_SERIES, N_MODELS
from latentode.estimators.settings import Settings
from latentode.nn import LatentODEConfig
from latentode.training import TrainingConfig, usable_series
from latentode.training.progress import in_notebook
from latentode.training.tasks import MAX_QUERIES

__all__ = ["config_for", "n_models_for", "options_for", "rows_queried_for"]

Floats = NDArray[np.float64]

FEWEST_STEPS, MOST_STEPS, MOST_OF_MUCH, PER_SERIES = 600, 3_000, 1_500, 6
"""Steps of training at most: 6 per series within these ends. On data sets of about 60 series more than 600 steps gained
nothing on average; with hundreds of series the held-out ones show reliably when to stop."""

PER_SERIES_OF_MUCH, MOST_OF_ALL = 0.75, 6_000
"""Where there is much data, at least this many steps per series, about a hundred visits of each, up to a bound. On
2,000 series more than 1,500 gained nothing; on 8,000 of simulated motion 4,600 bettered validation by 13 %."""

STEPS_OF_SEVERAL = 400
"""Steps at most for each of several models, which compensate for shorter training."""

FEW_SERIES, FEW_VALUES = 25, 10_000
"""With fewer series than this, the result depends strongly on which are held out. Then several models with different
held-out series are trained, if there are fewer values than this, so that it is cheap."""

MUCH = 300_000
"""From this many values on the model is large, and each training step uses more data."""

CELLS_QUERIED, FEWEST_QUERIED = 115_000, 24
"""Cells (series times rows times channels) queried per training step where there is much data, and rows per series at
least: more rows of the same series add little, and with many channels they take most of the time."""

MANY_CHANNELS = 16
"""From this many channels on, each has weights of its own in the decoder. On sets of 37 to 100 channels squared errors
are 3 to 13 % lower for it; on sets of up to 7 they are not, and a step takes a tenth longer."""

SOLVER_STEPS = 2
"""Steps of the solver per span at the start of training; more follow where their error is not small. The vector fields
that are learned are smooth. On the league three steps are no more accurate, and a step of training takes 5 to 8 %
longer; with one step errors are 2 % larger in the mean, and a tenth on three sets."""

LOG_BEYOND = 4.0
"""Size of the latent state beyond which the decoder reads its logarithm; at the forecast origin it is of order 1."""


def config_for(
    panel: Panel,
    likelihoods: tuple[str, ...],
    scaler: ChannelScaler,
    scaled: Floats,
    seasons: Seasons,
    span: float,
    settings: Settings,
) -> LatentODEConfig:
    """Sizes and choices of the model: few observations give a small, regularised one."""
    n_values = _n_values(scaled)
    hidden = int(settings.hidden_dim or 0) or (32 if n_values < 3_000 else 64 if n_values < MUCH else 128)
    typical_gap = _typical_gap(panel)
    n_known = 0 if panel.covariates is None else panel.covariates.known.n_features
    published = settings.encoder == "odernn"  # it has no context beside z
    latent = int(settings.latent_dim or min(max(8, hidden // 2), 32))
    return LatentODEConfig(
        n_channels=scaled.shape[1],
        usual_gap=max(typical_gap / span, 1e-6),  # a divisor in single precision
        usual_change=_typical_changes(panel, scaled, typical_gap),
        latent_dim=latent,
        context_dim=0 if published else max(hidden // 4, 1),
        hidden_dim=hidden,
        given_dim=seasons.n_features + n_known,
        log_beyond=LOG_BEYOND,
        static_dim=0 if panel.covariates is None else panel.covariates.static.shape[1],
        control_dim=n_known,
        impulse_dim=0 if panel.covariates is None else panel.covariates.impulses.n_features,
        impulse_gap=_impulse_gap(panel, span),
        filters=not published,
        regression=not published,
        encoder=settings.encoder,
        dynamics=settings.dynamics,
        decoder="channels" if settings.decoder == "skip" and scaled.shape[1] >= MANY_CHANNELS else settings.decoder,
        likelihood=likelihoods[0] if len(set(likelihoods)) == 1 else likelihoods,
        anchor=settings.anchor,
        summary=not published,
        activation="tanh" if published else "silu",
        center=tuple(map(float, scaler.center)),
        unit=tuple(map(float, scaler.scale)),
        n_steps=int(settings.n_steps or SOLVER_STEPS),
        method=settings.method,
        adjoint=settings.adjoint,
        variational=settings.kl_weight is not None,
    )


def n_models_for(panel: Panel, scaled: Floats, settings: Settings) -> int:
    """How many models are trained: several where whole series are held out and there are few of them."""
    if settings.n_models is not None:
        return int(settings.n_models)
    n_series = len(usable_series(panel.lengths))
    few = FEWEST_SERIES <= n_series < FEW_SERIES and _n_values(scaled) < FEW_VALUES
    return N_MODELS if few else 1


def _n_values(scaled: Floats) -> int:
    return int((~np.isnan(scaled)).sum())


def _steps_for(panel: Panel, n_values: int, n_models: int) -> int:
    """Steps of training at most: more with more series; few series are overfitted soon."""
    if n_models > 1:
        return STEPS_OF_SEVERAL
    n_steps = np.clip(PER_SERIES * panel.n_series, FEWEST_STEPS, MOST_STEPS if n_values < MUCH else MOST_OF_MUCH)
    if n_values >= MUCH:
        n_steps = max(n_steps, min(PER_SERIES_OF_MUCH * panel.n_series, MOST_OF_ALL))
    return int(n_steps)


def options_for(panel: Panel, scaled: Floats, n_models: int, settings: Settings) -> TrainingConfig:
    """Options of training, from the settings and the size of the data."""
    return TrainingConfig(
        n_steps=int(settings.max_steps or 0) or _steps_for(panel, _n_values(scaled), n_models),
        batch_size=_batch_size(panel, settings),
        learning_rate=settings.learning_rate,
        kl_weight=settings.kl_weight or 0.0,
        more_solver_steps=settings.n_steps is None,
        patience=int(settings.patience),
        accelerator=settings.accelerator,
        devices=int(settings.devices),
        num_nodes=int(settings.num_nodes),
        verbose=int(_is_interactive() if settings.verbose is None else settings.verbose),
    )


def rows_queried_for(panel: Panel, scaled: Floats, settings: Settings) -> int:
    """Rows of a series queried in a training step or a validation check, at most."""
    if _n_values(scaled) < MUCH:
        return MAX_QUERIES
    return int(np.clip(CELLS_QUERIED // (_batch_size(panel, settings) * scaled.shape[1]), FEWEST_QUERIED, MAX_QUERIES))


def _batch_size(panel: Panel, settings: Settings) -> int:
    return int(settings.batch_size or 0) or int(np.clip(panel.n_series // 4, 16, 128))


def _typical_gap(panel: Panel) -> float:
    gaps = np.diff(panel.times)[np.diff(panel.series_of_row) == 0]
    return float(np.median(gaps)) if len(gaps) else 1.0  # any, where every series has one row


def _impulse_gap(panel: Panel, span: float) -> float:
    """The median time between two impulses of a series, in spans; one span where no series has two."""
    if panel.covariates is None:
        return 1.0
    impulses = panel.covariates.given_impulses
    gaps = np.diff(impulses.times)[np.diff(impulses.series_of_row) == 0]
    return float(np.clip(np.median(gaps) / span, 1e-6, 1.0)) if len(gaps) else 1.0


def _typical_changes(panel: Panel, scaled: Floats, typical_gap: float) -> tuple[float, ...]:
    """How far each channel changes in a typical gap: the median over successive observations."""
    changes = []
    for values in scaled.T:
        rows = np.flatnonzero(~np.isnan(values))
        same = np.diff(panel.series_of_row[rows]) == 0
        gaps = np.diff(panel.times[rows])[same] / typical_gap
        moved = np.abs(np.diff(values[rows])[same]) / np.maximum(gaps, 0.1)
        moved = moved[moved > 0]
        # A Gaussian has a standard deviation of 1.48 times its median absolute value.
        changes.append(float(np.clip(1.5 * np.median(moved), 1e-3, 10.0)) if len(moved) else 1.0)
    return tuple(changes)


def _is_interactive() -> bool:
    """Whether output goes to a terminal or a notebook; a program without a console may have no stdout at all."""
    out = sys.stdout
    return out is not None and (out.isatty() or in_notebook(out))
