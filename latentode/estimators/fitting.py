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
from latentode.estimators.calibration import Calibration, calibrate
from latentode.estimators.randomness import as_generator
from latentode.estimators.resuming import resumable
from latentode.estimators.settings import FitSettings, check
from latentode.estimators.sizes import config_for, options_for, rows_asked_for, usual_duration
from latentode.nn import LIKELIHOODS, Batch, InitialisedFrom, LatentODE
from latentode.training import (
    Checkpoint,
    RaggedSeries,
    TaskMaker,
    find_rhythm,
    fork_safe,
    one_thread,
    train,
    validation_batches,
)
from latentode.training.tasks import NEARLY

__all__ = ["FittedModel", "Watcher", "fit_model", "is_of_counts", "outside"]

Bools = NDArray[np.bool_]
Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

FEW_SERIES = 20
"""With fewer series than this, the last part of each is held out instead of whole series."""

MOST_HELD_OUT = 500
"""Series held out at most: more would make the looks at them slow, and no surer."""

ENOUGH_ASKED = 400
"""Questions after which a look at the held-out part is sure enough: where it has fewer series, each is asked several
times (from 2 to 8)."""

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
    before: LatentODE | None,
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
    whole = TaskMaker(series.take(order), span, GAPS, early, rows_asked_for(panel, scaled, settings))
    maker, held_out, seen = _hold_out(whole, settings.validation_fraction, rng)
    learned_from = np.empty(len(panel.times), dtype=bool)
    learned_from[slices(panel.offsets[order], panel.lengths[order])[1]] = seen
    rhythm = find_rhythm(maker, rng) if before is None and settings.rhythm else None
    config = config_for(panel, scaler, scaled, seasons, span, settings) if before is None else before.config
    if rhythm is not None:
        config = replace(
            config,
            frequencies=tuple(rhythm.frequencies.tolist()),
            frequency_width=rhythm.width,
            shared_rhythm=rhythm.shared,
        )
    n_held_out = len(np.unique(panel.series_of_row[~learned_from]))
    options = options_for(panel, scaled, n_held_out, settings)
    if watcher is not None:
        watcher.begin(-(-options.n_steps // options.steps_per_round))
        options = replace(options, on_look=_looking(watcher, span, held_out, n_held_out, learned_from))
    small = config.hidden_dim * options.batch_size <= SMALL
    with one_thread() if small else nullcontext():
        with InitialisedFrom(torch.Generator().manual_seed(int(rng.integers(2**62)))):
            model = LatentODE(config).float()
        if rhythm is not None:
            model.rhythm = rhythm
        if before is not None:
            model.load_state_dict(before.state_dict())
        history, interrupted = train(model, maker, held_out, options, rng, checkpoint)
    return FittedModel(model, span, calibrate(model, held_out, n_held_out), history, interrupted)


def _by_content(series: RaggedSeries) -> Ints:
    """An order of the series that says nothing of their names: which are held out must not depend on those."""
    sums = np.add.reduceat(np.append(np.nan_to_num(series.values).sum(1, dtype=np.float64), 0.0), series.offsets[:-1])
    return np.lexsort((np.where(series.lengths > 0, sums, 0.0), series.lengths))


def _looking(
    watcher: Watcher, span: float, held_out: list[Batch], n_held_out: int, learned_from: Bools
) -> Callable[[LatentODE, list[dict[str, float]]], bool]:
    """What training calls at every look."""

    def look(average: LatentODE, history: list[dict[str, float]]) -> bool:
        def fitted() -> FittedModel:
            model = copy.deepcopy(average).eval()
            calibration = calibrate(model, held_out, n_held_out)
            return FittedModel(model, span, calibration, list(history), learned_from=learned_from)

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


def _hold_out(whole: TaskMaker, fraction: float, rng: np.random.Generator) -> tuple[TaskMaker, list[Batch], Bools]:
    """Training tasks; fixed questions on what they never see: whole series, or the last part of each; rows they see."""
    series, lengths = whole.series, whole.series.lengths
    asking = replace(whole, gaps=0.0)
    usable = np.flatnonzero(lengths >= 2)
    if len(usable) >= FEW_SERIES:
        n_held = min(max(round(fraction * len(usable)), 5), MOST_HELD_OUT, len(usable) - 1)
        held = np.sort(rng.permutation(usable)[:n_held])
        kept = np.setdiff1d(np.arange(len(lengths)), held)
        draws = 1 if n_held >= ENOUGH_ASKED else int(np.clip(ENOUGH_ASKED // n_held, 2, 8))
        seen = np.repeat(~np.isin(np.arange(len(lengths)), held), lengths)
        return replace(whole, series=series.take(kept)), validation_batches(asking, held, draws, rng), seen
    cut = np.maximum((lengths * (1 - fraction)).astype(np.int64), 1)
    # Where nothing but single rows would be left, training sees all: the held-out part then stops it late.
    maker = replace(whole, series=series.head(cut)) if cut.max() > 1 else whole
    asked = usable[cut[usable] < lengths[usable]]
    place = np.arange(lengths.sum()) - np.repeat(series.offsets[:-1], lengths)
    return maker, validation_batches(asking, asked, 4, rng, after=cut[asked]), place < np.repeat(cut, lengths)
