"""Means, quantiles and samples at the queries of one frame."""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from latentode.data import ChannelScaler, Panel, Seasons
from latentode.estimators.calibration import Calibration, spread_of
from latentode.estimators.questions import Questions
from latentode.nn import Batch, Model
from latentode.training import fork_safe

__all__ = ["Answers"]

Floats = NDArray[np.float64]

QUANTILE_SEED = 0
"""Quantiles come from the same draws every time: asking twice gives one answer."""


@dataclass(frozen=True)
class Answers:
    """What a fitted model says at the rows of a frame.

    Parameters
    ----------
    model : LatentODE or Ensemble
        The fitted module.
    scaler : ChannelScaler
        Scaling of the channels.
    calibration : Calibration
        Of the model's uncertainty.
    span : float
        The unit of the model's time.
    seasons : Seasons
        Periods of the times.
    n_draws : int
        Draws of the latent state behind quantiles.
    panel : Panel
        What is known; a series of which nothing is known is one without observations.
    series : array of int
        (row,), position in the panel.
    times : array of float
        (row,), NaN where there is none: the answer is NaN.
    """

    model: Model
    scaler: ChannelScaler
    calibration: Calibration
    span: float
    seasons: Seasons
    n_draws: int
    panel: Panel
    series: NDArray[np.int64]
    times: Floats

    @fork_safe()
    def means(self) -> Floats:
        """Expected values on the scale on which each channel is read, in its own unit, (row, channel).

        Of a channel in logarithms it is the geometric mean: exp(m + s^2 / 2), the mean of a lognormal, is at the mercy
        of s, which few data tell badly; on small real sets it mostly had the larger squared error, too.
        """
        out = self._blank()
        questions, rows = self._questions()
        for batch, _, numbers, slots in questions.batches(self._scaled(questions.panel)):
            with torch.no_grad():
                prediction = self.model.predict(batch)
            out[rows[numbers]] = prediction.mean.flatten(0, 1)[slots].numpy()
        return self._unscaled(out)

    @fork_safe()
    def quantiles(self, quantiles: Floats) -> Floats:
        """Quantiles, (quantile, row, channel)."""
        out = self._blank(len(quantiles))
        questions, rows = self._questions()
        # Of every model as many, and at least one.
        n_models = self.model.config.n_models
        draws = -(-self.n_draws // n_models) * n_models if self.model.config.variational else n_models
        rng = torch.Generator().manual_seed(QUANTILE_SEED)
        noise = torch.randn(draws, 1, self.model.config.latent_dim, generator=rng, dtype=torch.float32)
        counts = self.model.likelihood.counts
        levels, beyond = (quantiles, 0.0) if counts else self.calibration.levels(quantiles)
        for batch, _, numbers, slots in questions.batches(self._scaled(questions.panel), draws):
            with torch.no_grad():
                drawn = self.model.sample(batch, noise.expand(-1, len(batch.lengths), -1))
                center = self.model.predict(batch).mean.flatten(0, 1)[slots]
                mean, scale = drawn.mean.flatten(1, 2)[:, slots], drawn.scale.flatten(1, 2)[:, slots]
                found = self.model.likelihood.quantiles(mean, scale, levels) - center
                further = beyond * spread_of(mean, scale, center).numpy()
            out[:, rows[numbers]] = center.numpy() + self._factors(batch, slots) * (found.numpy() + further)
        return self._unscaled(out)

    @fork_safe()
    def samples(self, n_samples: int, rng: np.random.Generator) -> Floats:
        """Joint samples, (sample, row, channel): one draw of the latent state per sample and series."""
        out = self._blank(n_samples)
        questions, rows = self._questions()
        n_series = questions.panel.n_series
        latent = self.model.config.latent_dim
        n_models = self.model.config.n_models
        # The models take the samples in turn: whose turn is first is drawn, by draws that are not used.
        turn = int(rng.integers(n_models)) if n_models > 1 else 0
        draws = torch.from_numpy(rng.standard_normal((turn + n_samples, n_series, latent), dtype=np.float32))
        moments, n_moments = _moments(questions)
        errors = rng.standard_normal((n_samples, n_moments, out.shape[2]))
        if not self.model.likelihood.counts:
            errors = self.calibration.deviations(errors)
        for batch, series, numbers, slots in questions.batches(self._scaled(questions.panel), len(draws)):
            with torch.no_grad():
                drawn = self.model.sample(batch, draws[:, series])
                center = self.model.predict(batch).mean.flatten(0, 1)[slots].numpy()
            mean, scale = (x[turn:].flatten(1, 2)[:, slots].numpy() for x in (drawn.mean, drawn.scale))
            value = self.model.likelihood.drawn(mean, scale, errors[:, moments[numbers]])
            out[:, rows[numbers]] = center + self._factors(batch, slots) * (value - center)
        return self._unscaled(out)

    def _questions(self) -> tuple[Questions, NDArray[np.int64]]:
        """The rows that have a time."""
        rows = np.flatnonzero(~np.isnan(self.times))
        return Questions(self.panel, self.series[rows], self.times[rows], self.span, self.seasons), rows

    def _scaled(self, panel: Panel) -> NDArray[np.float32]:
        return self.scaler.transform(panel.values).astype(np.float32)

    def _unscaled(self, values: Floats) -> Floats:
        unscaled = self.scaler.inverse(values)
        unscaled[..., self._never_seen] = np.nan
        return unscaled

    def _factors(self, batch: Batch, slots: NDArray[np.int64]) -> Floats:
        return self.calibration.factors(batch.query_times.flatten()[slots].double().numpy())

    @property
    def _never_seen(self) -> NDArray[np.bool_]:
        return np.asarray(np.isnan(self.calibration.factor[0]))

    def _blank(self, *lead: int) -> Floats:
        return np.full((*lead, len(self.times), self.calibration.factor.shape[1]), np.nan)


def _moments(questions: Questions) -> tuple[NDArray[np.int64], int]:
    """A number for every (series, time) asked, in that order, and how many: draws by it know nothing of rows."""
    order = np.lexsort((questions.times, questions.series))
    series, times = questions.series[order], questions.times[order]
    first = np.ones(len(order), dtype=bool)
    first[1:] = (series[1:] != series[:-1]) | (times[1:] != times[:-1])
    moments = np.empty(len(order), dtype=np.int64)
    moments[order] = np.cumsum(first) - 1
    return moments, int(first.sum())
