"""Means, quantiles and samples of a fitted model at the rows of a query."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from latentode.data import Panel
from latentode.estimators.query import ResolvedQuery
from latentode.estimators.query_batches import QueryBatcher
from latentode.nn import Batch, DeviceCopy, Model, Stacked, mixture_spread
from latentode.persistence.calibration import log_of_mean_over_median
from latentode.persistence.state import FittedState
from latentode.training import fork_safe
from latentode.training.tasks import MAX_REACH

__all__ = ["Predictor"]

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

CPU = torch.device("cpu")

WELL_BEYOND = 0.25
"""Usual durations after the usual end of a series over which held-out series narrow intervals less and less."""

SLACK = 1e-6
"""Added to the diagonal of correlations, so that two queries of one time have a Cholesky factor."""

DRAWS, QUANTILE_SEED = 32, 0
"""Draws of a latent state that is a distribution, behind quantiles; the same every time, so that equal queries have
equal quantiles."""


@dataclass(frozen=True)
class Predictor:
    """The predictive distribution of a fitted model at the rows of a query.

    Parameters
    ----------
    state : FittedState
        The fitted forecaster.
    query : ResolvedQuery
        The rows. A row without a time is predicted as NaN, and so is a channel without observations in fit.
    device : device
        Where the network computes.
    """

    state: FittedState
    query: ResolvedQuery
    device: torch.device = CPU

    @cached_property
    def model(self) -> Model | Stacked | DeviceCopy:
        """What predicts."""
        return self.state.predictive_on(self.device)

    @fork_safe()
    def means(self) -> Floats:
        """Expected values, (row, target).

        For a channel modelled in logarithms it is ``exp(m + share * s^2 / 2)``, with the share that was chosen on
        held-out series.
        """
        model = self.model
        share, unit = self.state.calibration.variance_share, self.state.scaler.scale
        out = self._blank()
        queries, rows = self._queries()
        for batch, _, numbers, slots in queries.batches(self._scaled(queries.panel), self._copies(1)):
            with torch.no_grad():
                prediction = model.predict(batch)
            mean, scale = (x.flatten(0, 1)[slots].double().numpy() for x in (prediction.mean, prediction.scale))
            deviation = self._factors(batch, slots) * scale * unit  # that of the held-out series, as for the share
            out[rows[numbers]] = mean + log_of_mean_over_median(deviation, share) / unit
        return self._unscaled(out, whole=False)

    @fork_safe()
    def quantiles(self, quantiles: Floats) -> Floats:
        """Quantiles, (quantile, row, target)."""
        model, calibration = self.model, self.state.calibration
        out = self._blank(len(quantiles))
        queries, rows = self._queries()
        n_draws = -(-DRAWS // model.config.n_models) * model.config.n_models  # the same number for every model
        rng = torch.Generator().manual_seed(QUANTILE_SEED)
        noise = torch.randn(n_draws, 1, model.config.latent_dim, generator=rng, dtype=torch.float32)
        levels, beyond = calibration.levels(quantiles)
        counts = model.likelihood.of_counts
        levels, beyond = np.where(counts, quantiles[:, None, None], levels), np.where(counts, 0.0, beyond)
        for batch, _, numbers, slots in queries.batches(self._scaled(queries.panel), self._copies(n_draws)):
            with torch.no_grad():
                center, mean, scale = self._distribution(batch, noise.expand(-1, len(batch.lengths), -1), slots)
                found = model.likelihood.quantiles(mean, scale, levels) - center
                further = beyond * mixture_spread(mean, scale, center).numpy()
            factors = self._factors(batch, slots, self._beyond(queries, numbers))
            out[:, rows[numbers]] = center.numpy() + factors * (found.numpy() + further)
        return self._unscaled(out, whole=True)

    @fork_safe()
    def samples(self, n_samples: int, rng: np.random.Generator) -> Floats:
        """Joint samples, (sample, row, target).

        The errors of a sample are correlated over channels like the held-out residuals, and over time like the Gaussian
        process. A latent state that is a distribution is drawn once per sample and series.
        """
        model = self.model
        out = self._blank(n_samples)
        queries, rows = self._queries()
        n_models = model.config.n_models
        # The models take turns. Which one is first is drawn, by leading draws that are not used.
        turn = int(rng.integers(n_models)) if n_models > 1 else 0
        shape = turn + n_samples, queries.panel.n_series, model.config.latent_dim
        draws = torch.from_numpy(rng.standard_normal(shape, dtype=np.float32))
        points, n_points = _points(queries)
        standard = rng.standard_normal((n_samples, n_points, out.shape[2]))
        standard = self.state.calibration.across_channels(standard)
        counts = model.likelihood.of_counts
        for batch, series, numbers, slots in queries.batches(self._scaled(queries.panel), self._copies(len(draws))):
            with torch.no_grad():
                center, mean, scale = (x.numpy() for x in self._distribution(batch, draws[:, series], slots))
            errors = self._over_time(batch, standard[:, points[numbers]], slots)
            errors = np.where(counts, errors, self.state.calibration.deviations(errors))
            of_draw = slice(turn if len(mean) > 1 else 0, None)
            mean, scale = (np.broadcast_to(x[of_draw], errors.shape) for x in (mean, scale))
            value = model.likelihood.drawn(mean, scale, errors)
            factors = self._factors(batch, slots, self._beyond(queries, numbers))
            out[:, rows[numbers]] = center + factors * (value - center)
        return self._unscaled(out, whole=True)

    def _distribution(self, batch: Batch, noise: Tensor, slots: Ints) -> tuple[Tensor, Tensor, Tensor]:
        """The centre, (query, channel), and means and scales of what is mixed around it, (component, query, channel).

        A latent state that is a point has one component; otherwise there is one for each draw of noise.
        """
        model = self.model
        center = model.predict(batch)
        drawn = center if not model.config.variational else model.sample(batch, noise)
        n_components = len(noise) if model.config.variational else 1
        mean, scale = (x.reshape(n_components, -1, x.shape[-1])[:, slots] for x in (drawn.mean, drawn.scale))
        return center.mean.flatten(0, 1)[slots], mean, scale

    def _copies(self, n_draws: int) -> int:
        """How many copies of a batch are in memory at once."""
        of_process = 1 if self.state.stacking is None else self.state.stacking.process.n_draws
        return max(n_draws if self.state.model.config.variational else 1, of_process)

    def _over_time(self, batch: Batch, standard: Floats, slots: Ints) -> Floats:
        """Standard normal numbers, (sample, query, target), correlated over time like the Gaussian process.

        Each stays standard normal, so that single values keep their calibrated distribution: a Gaussian copula.
        """
        if self.state.stacking is None:
            return standard
        correlations = self.state.stacking.process.correlations(batch)
        unit = torch.eye(correlations.shape[-1], dtype=correlations.dtype)
        lower = torch.linalg.cholesky((correlations + SLACK * unit) / (1 + SLACK))
        n_series, n_channels, n_queries = lower.shape[:3]
        padded = torch.zeros(len(standard), n_series * n_queries, n_channels, dtype=lower.dtype)
        padded[:, slots] = torch.from_numpy(standard)
        drawn = torch.einsum("scqr,nsrc->nsqc", lower, padded.reshape(len(standard), n_series, n_queries, n_channels))
        drawn = drawn[:, torch.arange(n_series)[:, None], _first_of_time(batch.query_times)]
        found: Floats = drawn.flatten(1, 2)[:, slots].numpy()
        return found

    def _queries(self) -> tuple[QueryBatcher, Ints]:
        """The rows that have a time."""
        query = self.query
        rows = np.flatnonzero(~np.isnan(query.times))
        queries = QueryBatcher(
            query.panel, query.series[rows], query.times[rows], self.state.horizon, self.state.seasons
        )
        return queries, rows

    def _scaled(self, panel: Panel) -> NDArray[np.float32]:
        return self.state.scaler.transform(panel.values).astype(np.float32)

    def _unscaled(self, values: Floats, whole: bool) -> Floats:
        """The targets, in their own units and without the past columns after them; counts are whole."""
        unscaled = self.state.model.likelihood.possible(self.state.scaler.inverse(values), whole)
        unscaled = self.state.within_bounds(unscaled)
        unscaled[..., np.isnan(self.state.calibration.factor[0])] = np.nan
        return unscaled[..., : self.state.n_targets]

    def _factors(self, batch: Batch, slots: Ints, beyond: Floats | float = 0.0) -> Floats:
        n_rows = batch.lengths.numpy().repeat(batch.query_times.shape[1])
        leads = batch.query_times.flatten().double().numpy()
        return self.state.calibration.factors(leads[slots], n_rows[slots], beyond)

    def _beyond(self, queries: QueryBatcher, numbers: Ints) -> Floats:
        """How far queries lie beyond the time in a series up to which nearly all went in fit, (query,), 0 to 1.

        Only a process knows that time.
        """
        stacking = self.state.stacking
        if stacking is None or stacking.process.duration >= MAX_REACH:  # it counts no longer durations
            return np.zeros(len(numbers))
        since = queries.times[numbers] - queries.panel.first_times[queries.series[numbers]]
        share = since / (stacking.process.duration * self.state.horizon) - 1
        return np.nan_to_num(share / WELL_BEYOND).clip(0.0, 1.0)

    def _blank(self, *lead: int) -> Floats:
        return np.full((*lead, len(self.query.times), self.state.calibration.factor.shape[1]), np.nan)


def _first_of_time(times: Tensor) -> Tensor:
    """The first query at the time of each, (series, query); queries of one time stand side by side."""
    number = torch.arange(times.shape[1]).expand_as(times)
    again = torch.nn.functional.pad(times[:, 1:] == times[:, :-1], (1, 0))
    return torch.where(again, 0, number).cummax(1).values


def _points(queries: QueryBatcher) -> tuple[Ints, int]:
    """A number for every distinct (series, time) in sorted order, and how many there are.

    Errors drawn by this number do not depend on the order of the rows, and rows of one point share them.
    """
    order = np.lexsort((queries.times, queries.series))
    series, times = queries.series[order], queries.times[order]
    first = np.ones(len(order), dtype=bool)
    first[1:] = (series[1:] != series[:-1]) | (times[1:] != times[:-1])
    points = np.empty(len(order), dtype=np.int64)
    points[order] = np.cumsum(first) - 1
    return points, int(first.sum())
