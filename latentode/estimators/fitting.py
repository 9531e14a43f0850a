"""From a panel to a fitted, calibrated model: sizes, held-out part, training."""

import copy
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray

from latentode.data import ChannelScaler, Panel, Seasons, slices
from latentode.estimators.calibration import Calibration, Trained, calibrate
from latentode.estimators.folds import Fold, hold_out
from latentode.estimators.randomness import as_generator
from latentode.estimators.resuming import resumable
from latentode.estimators.settings import FitSettings, check
from latentode.estimators.sizes import config_for, n_models_for, options_for, rows_asked_for, usual_duration
from latentode.nn import LIKELIHOODS, Ensemble, InitialisedFrom, LatentODE, LatentODEConfig, Model, members_of
from latentode.training import (
    Checkpoint,
    RaggedSeries,
    TaskSampler,
    TrainingConfig,
    TrainingResult,
    fork_safe,
    one_thread,
    train,
)
from latentode.training.tasks import NEARLY

__all__ = ["FittedModel", "Watcher", "fit_model", "is_of_counts", "outside"]

Bools = NDArray[np.bool_]
Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Look = Callable[[LatentODE, list[dict[str, float]]], bool]

EARLY = 1 / 3
"""Where the horizon takes up most of the usual series, so many origins are drawn early in their series."""

GAPS = 0.3
"""Part of the series with hidden points that lose some channels for a while, instead of points here and there."""

SMALL = 128 * 128
"""Hidden units times series in a batch up to which training runs on one thread."""


@dataclass(frozen=True)
class FittedModel:
    """A trained model and what goes with it.

    Parameters
    ----------
    model : LatentODE or Ensemble
        With the best weights seen.
    span : float
        The unit of its time: the horizon.
    calibration : Calibration
        Of its uncertainty.
    history : list of dict
        Losses by model and step.
    interrupted : str
        Where the user broke training off, and what is left, in words; empty if nobody did.
    learned_from : array of bool, optional
        (rows of the panel,), False where they were held out; None once training is over.
    """

    model: Model
    span: float
    calibration: Calibration
    history: list[dict[str, float]]
    interrupted: str = ""
    learned_from: Bools | None = None


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
    before: Model | None = None,
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
    before : LatentODE or Ensemble, optional
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
    check(settings)
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
    before: Model | None,
    weights: Floats | None,
    watcher: Watcher | None,
    rng: np.random.Generator,
    checkpoint: Checkpoint | None,
) -> FittedModel:
    scaled = scaler.transform(panel.values)
    span = settings.horizon or usual_duration(panel)
    counts = None if weights is None else (weights / weights.mean()).astype(np.float32)
    series = RaggedSeries(panel.offsets, panel.times, scaled.astype(np.float32), seasons, panel.covariates, counts)
    order = _by_content(series)
    # Where the horizon is nearly all of a series' course, what is asked comes after its first few rows.
    early = EARLY if span >= NEARLY * usual_duration(panel) else 0.0
    whole = TaskSampler(series.take(order), span, GAPS, early, rows_asked_for(panel, scaled, settings))
    n_models = n_models_for(panel, scaled, settings) if before is None else before.config.n_models
    folds = hold_out(whole, settings.validation_fraction, n_models, rng)
    config = config_for(panel, scaler, scaled, seasons, span, settings) if before is None else before.config
    options = options_for(panel, scaled, n_models, settings)
    if watcher is not None:
        watcher.begin(n_models * -(-options.n_steps // options.steps_per_check))
    rows = slices(panel.offsets[order], panel.lengths[order])[1]
    course = _Course(config, options, before, checkpoint)
    trained: list[Trained] = []
    history: list[dict[str, float]] = []
    interrupted = ""
    for number, fold in enumerate(folds):
        # Every model has random numbers of its own: it can be trained without those before it.
        own = np.random.default_rng(int(rng.integers(2**62)))
        look = None if watcher is None else _looking(watcher, span, fold, _in_place(fold.seen, rows))
        try:
            model, ended = course.train(number, fold, look, own)
        except KeyboardInterrupt:  # before training began, or after it ended
            if not trained:
                raise
            interrupted = _where(number, n_models, [])
            break
        if ended.interrupted:
            interrupted = _where(number, n_models, ended.history)
        broken_off = ended.interrupted or ended.stopped
        if not (broken_off and trained):  # models that were trained to their end are better without one that was not
            trained.append(Trained(model, fold.held_out, fold.asked))
            history += [{**row, "model": float(number)} for row in ended.history]
        if broken_off:
            break
    models = [one.model for one in trained]
    together = models[0] if len(models) == 1 else Ensemble(models).eval()
    return FittedModel(together, span, calibrate(trained), history, interrupted)


@dataclass(frozen=True)
class _Course:
    """How the models of a fit are trained."""

    config: LatentODEConfig
    options: TrainingConfig
    before: Model | None
    checkpoint: Checkpoint | None

    def train(
        self, number: int, fold: Fold, look: Look | None, rng: np.random.Generator
    ) -> tuple[LatentODE, TrainingResult]:
        """Train one of them, or take it from the checkpoint if it was trained to its end."""
        checkpoint = self.checkpoint
        small = self.config.hidden_dim * self.options.batch_size <= SMALL
        with one_thread() if small else nullcontext():
            with InitialisedFrom(torch.Generator().manual_seed(int(rng.integers(2**62)))):
                model = LatentODE(replace(self.config, n_models=1)).float()
            if self.before is not None:
                model.load_state_dict(members_of(self.before)[number].state_dict())
            if checkpoint is not None and checkpoint.has_finished(number):
                return model, TrainingResult(checkpoint.finished_into(number, model), interrupted=False, stopped=False)
            options = replace(self.options, on_check=look)
            ended = train(model, fold.tasks, fold.held_out, options, rng, checkpoint)
        if checkpoint is not None and not (ended.interrupted or ended.stopped):
            checkpoint.finish(model, ended.history)
        return model, ended


def _where(number: int, n_models: int, history: list[dict[str, float]]) -> str:
    """Where training was broken off, and what is left of it."""
    if number == 0:
        steps = int(history[-1]["step"]) if history else 0
        return f"after {steps} steps; the forecaster keeps the best weights so far"
    return f"in model {number + 1} of {n_models}; the forecaster keeps the {number} trained before it"


def _in_place(of_row: Bools, rows: Ints) -> Bools:
    """What is said of some rows, in their order, as an array in the order of the panel."""
    placed = np.empty_like(of_row)
    placed[rows] = of_row
    return placed


def _by_content(series: RaggedSeries) -> Ints:
    """An order of the series that says nothing of their names: which are held out must not depend on those."""
    sums = np.add.reduceat(np.append(np.nan_to_num(series.values).sum(1, dtype=np.float64), 0.0), series.offsets[:-1])
    return np.lexsort((np.where(series.lengths > 0, sums, 0.0), series.lengths))


def _looking(watcher: Watcher, span: float, fold: Fold, learned_from: Bools) -> Look:
    """What training calls at every look: it tells of the one model in training, and what that learned from."""

    def look(average: LatentODE, history: list[dict[str, float]]) -> bool:
        def fitted() -> FittedModel:
            model = copy.deepcopy(average).eval()
            calibration = calibrate([Trained(model, fold.held_out, fold.asked)])
            rows = [{**row, "model": 0.0} for row in history]
            return FittedModel(model, span, calibration, rows, learned_from=learned_from)

        with torch.inference_mode(False), torch.no_grad():
            return watcher.look(fitted)

    return look


def is_of_counts(likelihood: str) -> bool:
    """Whether a likelihood is one of counts, or of 0 and 1; False for a name that is none."""
    return likelihood in LIKELIHOODS and LIKELIHOODS[likelihood].counts


def outside(likelihood: str, values: Floats) -> tuple[Bools, str]:
    """Which values a likelihood says cannot be, and what it says they can be; none for a name that is none.

    Parameters
    ----------
    likelihood : str
        Its name.
    values : array of float
        Of any shape, in their own unit; what is not finite is missing.
    """
    if likelihood not in LIKELIHOODS:
        return np.zeros(values.shape, dtype=bool), ""
    kind = LIKELIHOODS[likelihood]
    return np.isfinite(values) & ~kind.supports(values), kind.support
