"""Fitting: trains and calibrates the models of a forecaster, each with its own held-out data."""

import copy
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from dataclasses import dataclass, field, replace
from typing import Protocol

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray

from latentode.data import ChannelScaler, GrowingPanel, slices
from latentode.estimators.calibration import calibrate
from latentode.estimators.defaults import config_for, n_models_for, options_for, rows_queried_for
from latentode.estimators.frames import keys_of
from latentode.estimators.held_out_coverage import held_out_coverage
from latentode.estimators.holdout import Fold, by_content, hold_out
from latentode.estimators.horizon import horizon_for
from latentode.estimators.leaderboard import leaderboard_of, report_idle_network
from latentode.estimators.lognormal import variance_shares
from latentode.estimators.preparation import TrainingData
from latentode.estimators.random import as_generator
from latentode.estimators.residuals import held_out_residuals, reached_by
from latentode.estimators.resuming import resumable
from latentode.estimators.settings import Settings
from latentode.estimators.solver_errors import agree_on_steps, solver_errors
from latentode.estimators.stacking import stack
from latentode.estimators.time_limit import OF_GAUSSIAN_PROCESS, report_shortened, seconds_to_finish
from latentode.estimators.trained import Trained
from latentode.nn import (
    Ensemble,
    GaussianProcess,
    InitialisedFrom,
    LatentODE,
    LatentODEConfig,
    Model,
    Stacking,
    members_of,
)
from latentode.persistence.calibration import Calibration
from latentode.persistence.coverage import HeldOutCoverage
from latentode.persistence.state import FittedState
from latentode.training import (
    Checkpoint,
    RaggedSeries,
    TaskSampler,
    TimeLimit,
    TrainingConfig,
    TrainingResult,
    fork_safe,
    one_thread,
    train,
)
from latentode.training.gaussian_process import fit_gaussian_process, with_effects_of
from latentode.training.progress import write_line
from latentode.training.solver_error import with_solver_steps

__all__ = ["FittedModel", "Monitor", "fit_model", "fitted_state"]

Bools = NDArray[np.bool_]
Ints = NDArray[np.int64]
OnCheck = Callable[[LatentODE, list[dict[str, float]]], bool]

HISTORY = ["model", "step", "loss", "validation_crps", "learning_rate", "seconds", "solver_steps", "solver_error"]
"""Columns of a history."""

GAPS = 0.3
"""Fraction of the series with hidden points that lose some channels for a while, instead of single points."""

SMALL = 128 * 128
"""Hidden units times series in a batch up to which training runs on one thread."""


@dataclass(frozen=True)
class FittedModel:
    """A trained model and its calibration.

    Parameters
    ----------
    model : LatentODE or Ensemble
        With the best weights found.
    span : float
        The unit of the model's time: the horizon.
    calibration : Calibration
        The calibration of its uncertainty.
    history : list of dict
        A row per model and validation check.
    stacking : Stacking, optional
        As in :class:`FittedState`.
    reached : array of float, optional
        How far ahead the held-out forecasts went, as in :class:`FittedState`.
    solver_error : array of float, optional
        (channel,), as in :class:`FittedState`.
    coverage : HeldOutCoverage, optional
        As in :class:`FittedState`.
    doubts : list of str
        What to warn of: held-out series that say too little of the intervals.
    leaderboard : array of float, optional
        (candidate, channel, score), as in :class:`FittedState`.
    interrupted : str
        Where the user interrupted training, and what is kept; empty otherwise.
    trained_rows : array of bool, optional
        (row of the panel,), False where held out; None once training has ended, as the forecaster then knows all rows.
    """

    model: Model
    span: float
    calibration: Calibration
    history: list[dict[str, float]]
    stacking: Stacking | None = None
    reached: NDArray[np.float64] | None = None
    solver_error: NDArray[np.float64] | None = None
    coverage: HeldOutCoverage | None = None
    doubts: list[str] = field(default_factory=list)
    leaderboard: NDArray[np.float64] | None = None
    interrupted: str = ""
    trained_rows: Bools | None = None


class Monitor(Protocol):
    """Is called during training, and may stop it."""

    def begin(self, n_checks: int) -> None:
        """Training begins; there will be at most this many validation checks."""

    def check(self, fitted: Callable[[], FittedModel]) -> bool:
        """A validation check. `fitted` makes the model that training would leave now; True stops training."""


def fitted_state(data: TrainingData, fitted: FittedModel) -> FittedState:
    """What a fit leaves behind.

    Parameters
    ----------
    data : TrainingData
        What it learned from.
    fitted : FittedModel
        The trained model.
    """
    factor = np.where(data.unobserved, np.nan, fitted.calibration.factor)
    panel = data.panel if fitted.trained_rows is None else data.panel.where(fitted.trained_rows)
    return FittedState(
        schema=data.schema,
        time_axis=data.time_axis,
        coding=data.coding,
        scaler=data.scaler,
        seasons=data.seasons,
        horizon=fitted.span,
        model=fitted.model,
        calibration=replace(fitted.calibration, factor=factor),
        observed=GrowingPanel(panel),
        history=pd.DataFrame(fitted.history, columns=HISTORY),
        feature_names=data.feature_names,
        stacking=fitted.stacking,
        reached=fitted.reached,
        solver_error=fitted.solver_error,
        coverage=fitted.coverage,
        bounds=data.bounds,
        leaderboard=fitted.leaderboard,
        keys=keys_of(data.df.iloc[:0], data.schema),
        given=data.given,
    )


@fork_safe()
def fit_model(
    data: TrainingData, settings: Settings, monitor: Monitor | None = None, limit: TimeLimit | None = None
) -> FittedModel:
    """Train and calibrate the models of a forecaster.

    Parameters
    ----------
    data : TrainingData
        What they learn from.
    settings : Settings
        The estimator's parameters, within their limits.
    monitor : Monitor, optional
        Called at every validation check.
    limit : TimeLimit, optional
        The time that is left. None means any time.

    Returns
    -------
    FittedModel
        One model, or several as an ensemble.

    Raises
    ------
    OSError
        When ``checkpoint_dir`` cannot be written to.
    KeyboardInterrupt
        When the user interrupts before any model has weights.
    """
    rng = as_generator(settings.random_state)
    limit = TimeLimit() if limit is None else limit
    with torch.inference_mode(False), torch.enable_grad(), resumable(data, settings, rng) as checkpoint:
        fitted = _fit(data, settings, monitor, rng, checkpoint, limit)
        report_shortened(limit, settings)
        if checkpoint is not None and not fitted.interrupted:
            checkpoint.remove()
        return fitted


def _fit(
    data: TrainingData,
    settings: Settings,
    monitor: Monitor | None,
    rng: np.random.Generator,
    checkpoint: Checkpoint | None,
    limit: TimeLimit,
) -> FittedModel:
    plan = _plan(data, settings, rng, checkpoint, limit)
    if monitor is not None:
        monitor.begin(plan.n_models * -(-plan.options.n_steps // plan.options.steps_per_check))
    trained: list[Trained] = []
    history: list[dict[str, float]] = []
    interrupted = ""
    for number, fold in enumerate(plan.folds):
        if trained and not limit.allows_another:
            limit.shortened.append(f"{number} of {plan.n_models} models were trained")
            break
        # Each model has a generator of its own, so that it can be trained without those before it.
        own = np.random.default_rng(int(rng.integers(2**62)))
        rows = plan.in_panel(fold.trained_rows)
        on_check = None if monitor is None else _on_check(monitor, plan, data.scaler, fold, rows)
        try:
            model, ended = _train_one(plan, number, fold, on_check, own)
        except KeyboardInterrupt:  # before training began, or after it ended
            if not trained:
                raise
            interrupted = _where(number, plan.n_models, [])
            break
        if ended.interrupted:
            interrupted = _where(number, plan.n_models, ended.history)
        unfinished = ended.interrupted or ended.stopped
        if not (unfinished and trained):  # finished models are better without an unfinished one
            trained.append(plan.trained(model, fold))
            history += [{**row, "model": float(number)} for row in ended.history]
        if unfinished:
            break
    fitted = _finished(trained, history, plan, data.scaler)
    scores = leaderboard_of(trained, fitted.model, fitted.calibration, data.scaler, data.panel.values)
    targets = slice(len(data.schema.target_cols))
    report_idle_network(None if scores is None else scores[:, targets], data.scaler.spread[targets])
    return replace(fitted, leaderboard=scores, interrupted=interrupted)


def _finished(
    trained: list[Trained], history: list[dict[str, float]], plan: "_Plan", scaler: ChannelScaler
) -> FittedModel:
    """Trained models as one, stacked and calibrated."""
    agree_on_steps(trained)
    models = [one.network for one in trained]
    together = models[0] if len(models) == 1 else Ensemble(models).eval()
    stacked, stacking = stack(trained, plan.process)
    residuals = held_out_residuals(stacked)
    calibration = calibrate(residuals)
    calibration = replace(calibration, variance_share=variance_shares(stacked, calibration, scaler))
    coverage, doubts = held_out_coverage(residuals)
    return FittedModel(
        model=together,
        span=plan.span,
        calibration=calibration,
        history=history,
        stacking=stacking,
        reached=reached_by(trained),
        solver_error=solver_errors(trained),
        coverage=coverage,
        doubts=doubts,
    )


@dataclass(frozen=True)
class _Plan:
    """How the models of a fit are trained."""

    config: LatentODEConfig
    options: TrainingConfig
    span: float
    n_models: int
    folds: Iterator[Fold]
    process: GaussianProcess | None
    rows: Ints
    previous: Model | None
    checkpoint: Checkpoint | None
    limit: TimeLimit

    def in_panel(self, of_row: Bools) -> Bools:
        """An array by row of the reordered series, in the row order of the panel."""
        placed = np.empty_like(of_row)
        placed[self.rows] = of_row
        return placed

    def trained(self, model: LatentODE, fold: Fold) -> Trained:
        """A model trained on a fold."""
        return Trained(model, fold.held_out, fold.held_series, self.process_of(fold), fold.extent)

    def process_of(self, fold: Fold) -> GaussianProcess | None:
        """The Gaussian process as it is without the data held out of a fold."""
        if self.process is None:
            return None
        rng = np.random.default_rng(len(fold.held_series))  # draws which series show the fixed effects
        return with_effects_of(self.process, fold.tasks.series, self.span, rng)


def _plan(
    data: TrainingData,
    settings: Settings,
    rng: np.random.Generator,
    checkpoint: Checkpoint | None,
    limit: TimeLimit,
) -> _Plan:
    panel, previous = data.panel, None if data.previous is None else data.previous.model
    scaled = data.scaler.transform(panel.values)
    span, early, reason = horizon_for(panel, data.time_axis, data.horizon)
    weights = None if data.weights is None else (data.weights / data.weights.mean()).astype(np.float32)
    series = RaggedSeries(panel.offsets, panel.times, scaled.astype("f4"), data.seasons, panel.covariates, weights)
    order = by_content(series)
    whole = TaskSampler(series.take(order), span, GAPS, early, rows_queried_for(panel, scaled, settings))
    n_models = n_models_for(panel, scaled, settings) if previous is None else previous.config.n_models
    folds = hold_out(whole, settings.validation_fraction, n_models, rng)
    known = None if previous is None else previous.config
    config = known or config_for(panel, data.likelihoods, data.scaler, scaled, data.seasons, span, settings)
    process = None
    if settings.stacking:
        limit.share(OF_GAUSSIAN_PROCESS)
        own = np.random.default_rng(int(rng.integers(2**62)))
        process = fit_gaussian_process(whole.series, span, config.usual_gap, own, limit, config.impulse_gap)
    options = options_for(panel, scaled, n_models, settings)
    if reason:
        write_line(reason, options.verbose)
    return _Plan(
        config=config,
        options=options,
        span=span,
        n_models=n_models,
        folds=folds,
        process=process,
        rows=slices(panel.offsets[order], panel.lengths[order])[1],
        previous=previous,
        checkpoint=checkpoint,
        limit=limit,
    )


def _train_one(
    plan: _Plan, number: int, fold: Fold, on_check: OnCheck | None, rng: np.random.Generator
) -> tuple[LatentODE, TrainingResult]:
    """Train one model, or take it from the checkpoint if it was finished."""
    checkpoint, limit = plan.checkpoint, plan.limit
    small = plan.config.hidden_dim * plan.options.batch_size <= SMALL
    with one_thread() if small else nullcontext():
        with InitialisedFrom(torch.Generator().manual_seed(int(rng.integers(2**62)))):
            model = LatentODE(replace(plan.config, n_models=1)).float()
        if plan.previous is not None:
            model.load_state_dict(members_of(plan.previous)[number].state_dict())
        if checkpoint is not None and checkpoint.has_finished(number):
            history = checkpoint.finished_into(number, model)
            with_solver_steps(model, int(history[-1]["solver_steps"]))
            return model, TrainingResult(history, interrupted=False, stopped=False)
        if limit.finite:
            limit.reserve(plan.n_models * seconds_to_finish(model, plan.process_of(fold), fold.held_out, limit))
            limit.share(1 / (plan.n_models - number))
        options = replace(plan.options, on_check=on_check, number=number + 1, n_models=plan.n_models, time_limit=limit)
        ended = train(model, fold.tasks, fold.held_out, options, rng, checkpoint)
    if ended.shortened:
        steps = int(ended.history[-1]["step"])
        limit.shortened.append(f"model {number + 1} of {plan.n_models} took {steps} of {options.n_steps} steps")
    if checkpoint is not None and not (ended.interrupted or ended.stopped):
        checkpoint.finish(model, ended.history)
    return model, ended


def _where(number: int, n_models: int, history: list[dict[str, float]]) -> str:
    """Where training was interrupted, and what is kept."""
    if number == 0:
        steps = int(history[-1]["step"]) if history else 0
        return f"after {steps} steps; the forecaster keeps the best weights so far"
    return f"in model {number + 1} of {n_models}; the forecaster keeps the {number} trained before it"


def _on_check(monitor: Monitor, plan: _Plan, scaler: ChannelScaler, fold: Fold, trained_rows: Bools) -> OnCheck:
    """What training calls at every validation check: it passes the one model in training to the monitor."""
    before: list[Trained] = []

    def on_check(average: LatentODE, history: list[dict[str, float]]) -> bool:
        def fitted() -> FittedModel:
            model = copy.deepcopy(average).cpu().eval()
            if not before:
                before.append(plan.trained(model, fold))
            before[0] = before[0].with_model(model)
            rows = [{**row, "model": 0.0} for row in history]
            return replace(_finished([*before], rows, plan, scaler), trained_rows=trained_rows)

        with torch.inference_mode(False):
            return monitor.check(fitted)

    return on_check
