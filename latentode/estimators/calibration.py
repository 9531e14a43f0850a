"""Learning the calibration of a model's uncertainty from its residuals on held-out data."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.integrate import trapezoid
from scipy.special import ndtri

from latentode.nn import Batch, GaussianProcess, LatentODE, Prediction, Stacked, mixture_spread
from latentode.persistence.calibration import LEADS, LEVELS, REACHED, Calibration
from latentode.persistence.coverage import LEAD_ENDS

__all__ = ["Residuals", "Trained", "calibrate", "held_out_residuals", "reached_by"]

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

_BIN_ENDS = LEAD_ENDS[:-1]
"""Ends of the bins of lead times in whose middle the factors of ``LEADS`` stand, but for the last."""

COVERAGE = 0.9
"""Coverage at which widths are measured."""

POOLED_SHRINKAGE = 200.0
"""Weight, in independent residuals, of the model's own width, to which the pooled width is shrunk."""

WIDTH_SHRINKAGE = 100.0
"""The same for the width of a channel or a lead time, which is shrunk to the pooled width. It is smaller because
channels differ from each other more often than all of them from what the model says."""

SHAPE_SHRINKAGE = 50.0
"""The same for a shape: the pooled shape is shrunk to the Gaussian's, that of a channel to the pooled shape."""

CORRELATION_SHRINKAGE = 5.0
"""The same for the correlation of two channels, which is shrunk to 0."""

OUTLIER = 4.0
"""Standard deviations to which residuals are clipped where they are multiplied with one another."""

ROWS_PER_RESIDUAL = 5.0
"""Where the last parts of a few series are held out, so many of their rows count as one independent residual: the ends
of one to seven series do not show how much they differ from each other and from what follows them."""

CONTRADICTED = 2.0
"""Standard errors from the model's own width beyond which the pooled width is shrunk less."""

MARGIN = 1.0
"""Standard errors by which the pooled width is widened: with few held-out series too wide is better than too narrow."""

DRAWS = 8
"""Draws of the latent state behind the spread of a prediction."""

SEED = 0

_DEVIATION = float(ndtri(0.5 + COVERAGE / 2))
_LOG_WIDTH = COVERAGE * (1 - COVERAGE) / (2 * np.exp(-(_DEVIATION**2) / 2) / np.sqrt(2 * np.pi) * _DEVIATION) ** 2
"""The variance of the logarithm of a Gaussian sample's width, times the size of the sample."""


@dataclass(frozen=True)
class Trained:
    """A trained model and its held-out data.

    Parameters
    ----------
    model : LatentODE or Stacked
        Trained without the held-out data.
    held_out : list of Batch
        Queries with targets, in rounds: each round queries every held-out series once, in the same order.
    series : array of int
        (series,), numbers of those series, the same for every model of the fit.
    process : GaussianProcess, optional
        A Gaussian process that does not know the held-out data.
    n_rows : int, optional
        Rows of the series if the last part of each is held out; None where whole series are.
    """

    model: LatentODE | Stacked
    held_out: list[Batch]
    series: Ints
    process: GaussianProcess | None = None
    n_rows: int | None = None

    @property
    def network(self) -> LatentODE:
        """The model without a Gaussian process beside it."""
        network = self.model.network if isinstance(self.model, Stacked) else self.model
        assert isinstance(network, LatentODE)  # members of an ensemble are trained one by one
        return network

    @cached_property
    def of_network(self) -> list[Prediction]:
        """What the network forecasts of each batch."""
        network = self.model.network if isinstance(self.model, Stacked) else self.model
        with torch.no_grad():
            return [network.predict(batch) for batch in self.held_out]

    @cached_property
    def of_process(self) -> list[Prediction]:
        """What the process forecasts of each batch: once for all, as it takes as long as many steps of training."""
        assert self.process is not None
        with torch.no_grad():
            return [self.process(batch) for batch in self.held_out]

    @cached_property
    def of_model(self) -> list[Prediction]:
        """What the model forecasts of each batch."""
        if not isinstance(self.model, Stacked):
            return self.of_network
        parts = zip(self.of_network, self.of_process, self.held_out, strict=True)
        with torch.no_grad():
            return [self.model.moved(network, process, batch) for network, process, batch in parts]

    def with_model(self, model: LatentODE | Stacked) -> "Trained":
        """Another model of the same held-out data; what its network and process have forecast already is kept."""
        other = replace(self, model=model)
        kept = ("of_process", "of_network") if other.network is self.network else ("of_process",)
        vars(other).update({name: vars(self)[name] for name in kept if name in vars(self)})
        return other

    @property
    def series_of_batches(self) -> list[Ints]:
        """For each batch the number of the series of every row, (series,)."""
        ends = np.cumsum([len(batch.lengths) for batch in self.held_out])
        return [
            self.series[np.arange(end - len(batch.lengths), end) % len(self.series)]
            for batch, end in zip(self.held_out, ends, strict=True)
        ]


@dataclass(frozen=True)
class Residuals:
    """Standardised residuals on held-out data.

    Parameters
    ----------
    values : array of float
        (query, channel), errors of the mean over the predicted standard deviation; NaN without a target, and for
        channels of counts, which are not calibrated.
    leads : array of float
        (query,), lead times in spans.
    series : array of int
        (query,), numbers of the series.
    counts : array of bool
        (channel,), which channels hold counts.
    most : float
        They hold at most as much information as so many independent ones.
    """

    values: Floats
    leads: Floats
    series: Ints
    counts: NDArray[np.bool_]
    most: float = np.inf

    def where(self, keep: NDArray[np.bool_]) -> "Residuals":
        """Those of some queries."""
        most = self.most * float(keep.mean())
        return Residuals(self.values[keep], self.leads[keep], self.series[keep], self.counts, most)


def held_out_residuals(trained: Sequence[Trained]) -> Residuals:
    """The residuals of all models of a fit, each on its own held-out data (cross-conformal prediction).

    Parameters
    ----------
    trained : sequence of Trained
        The models of the ensemble.
    """
    found = zip(*(_residuals(one) for one in trained), strict=True)
    values, leads, series = (np.concatenate(of_models) for of_models in found)
    counts = trained[0].model.likelihood.of_counts
    values[:, counts] = np.nan
    n_rows = trained[0].n_rows
    return Residuals(values, leads, series, counts, np.inf if n_rows is None else n_rows / ROWS_PER_RESIDUAL)


def calibrate(held_out: Residuals) -> Calibration:
    """Learn widths by channel and lead time, shapes by channel, and correlations, from residuals on held-out data.

    A width is the quantile of the standardised residuals over the Gaussian's (split conformal prediction with a
    normalised score). With few residuals the width of a channel or a lead time is shrunk to the pooled width, and the
    pooled width to the model's own; a margin of one standard error is added. Residuals of one series are alike, so
    their number is divided by a design effect: a thousand residuals of nine series may hold no more information than
    sixty independent ones. Where the last parts of few series are held out, see ``ROWS_PER_RESIDUAL``.

    Parameters
    ----------
    held_out : Residuals
        Of all models of the fit.

    Returns
    -------
    Calibration
        The identity for channels of counts, and without any residual. The shares of the variance are 0; see
        :func:`~latentode.estimators.lognormal.variance_shares`.

    References
    ----------
    Vovk (2015), Cross-conformal predictors. Kish (1965), Survey sampling (the design effect of clusters).
    """
    residuals, leads, series, counts = held_out.values, held_out.leads, held_out.series, held_out.counts
    n_channels = residuals.shape[1]
    known = ~np.isnan(residuals)
    none = Calibration.none(n_channels)
    if not known.any():
        return none
    design_effect = max(_design_effect(residuals, series), known.sum() / held_out.most)
    pooled = _pooled_width(residuals[known], design_effect)
    bins = np.searchsorted(_BIN_ENDS, leads, side="left")
    # The width of all channels at each lead time first, then that of each channel.
    at = [bins == b for b in range(len(LEADS))]
    by_lead = [_shrunk_width(residuals[known & here[:, None]], pooled, design_effect) / pooled for here in at]
    factor = np.ones((len(LEADS), n_channels))
    for k in range(n_channels):
        mine = known[:, k]
        by_channel = _shrunk_width(residuals[mine, k], pooled, design_effect)
        for b, here in enumerate(at):
            factor[b, k] = _shrunk_width(residuals[mine & here, k], by_lead[b] * by_channel, design_effect)
    factor = np.where(counts, 1.0, factor.clip(0.3, 5.0))
    shape = np.where(counts, none.shape, _shapes(residuals / factor[bins], known, design_effect))
    correlation = _correlations(residuals[leads > 0], design_effect)
    return replace(none, factor=factor, shape=shape, correlation=correlation)


def reached_by(trained: Sequence[Trained]) -> Floats | None:
    """How far ahead the held-out forecasts go, each to its last target: quantiles at ``REACHED``, in spans.

    Parameters
    ----------
    trained : sequence of Trained
        The models of the ensemble, each with its own held-out data.

    Returns
    -------
    array of float or None
        (level,), 0 for a forecast without a target after its origin; None without any held-out data.
    """
    batches = [batch for one in trained for batch in one.held_out if batch.target_mask is not None]
    if not batches:
        return None
    farthest = []
    for batch in batches:
        assert batch.target_mask is not None
        targets = (batch.target_mask > 0).any(-1)
        farthest.append(torch.where(targets, batch.query_times, 0.0).amax(1).clamp(min=0.0).double().numpy())
    found: Floats = np.quantile(np.concatenate(farthest), REACHED, method="inverted_cdf")
    return found


def _residuals(one: Trained) -> tuple[Floats, Floats, Ints]:
    """Residuals over the predicted standard deviation, (query, channel), NaN without a target; lead times; series."""
    model = one.model
    found, leads, series = [], [], []
    rng = torch.Generator().manual_seed(SEED)
    for batch, of_rows, center in zip(one.held_out, one.series_of_batches, one.of_model, strict=True):
        assert batch.targets is not None  # tasks always carry targets
        assert batch.target_mask is not None
        with torch.no_grad():
            noise = torch.randn(
                DRAWS, len(batch.lengths), model.config.latent_dim, generator=rng, dtype=batch.values.dtype
            )
            drawn = model.sample(batch, noise) if model.config.variational else None
        spread = center.scale if drawn is None else mixture_spread(drawn.mean, drawn.scale, center.mean)
        residual = torch.where(batch.target_mask > 0, (batch.targets - center.mean) / spread, torch.nan)
        found.append(residual.flatten(0, 1).double().numpy())
        leads.append(batch.query_times.flatten().double().numpy())
        series.append(np.repeat(of_rows, residual.shape[1]))
    return np.concatenate(found), np.concatenate(leads), np.concatenate(series)


def _correlations(residuals: Floats, design_effect: float) -> Floats:
    """Correlations of the channels' residuals at one time, (channel, channel), shrunk to 0 where pairs are few."""
    known = ~np.isnan(residuals)
    z, seen = np.where(known, residuals, 0.0).clip(-OUTLIER, OUTLIER), known.astype(float)
    squares = np.square(z).T @ seen  # of the first channel, over the rows with both
    n_pairs = seen.T @ seen / design_effect
    scale = np.sqrt(np.maximum(squares * squares.T, np.finfo(float).tiny))
    found = z.T @ z / scale * n_pairs / (n_pairs + CORRELATION_SHRINKAGE)
    symmetric: Floats = np.clip((found + found.T) / 2, -1.0, 1.0)
    np.fill_diagonal(symmetric, 1.0)
    return symmetric


def _design_effect(residuals: Floats, series: Ints) -> float:
    """How many residuals hold as much information as an independent one, at least 1.

    It is the variance of the share of residuals beyond their width, estimated from the sums of whole series, over that
    of independent residuals.
    """
    known = ~np.isnan(residuals)
    sizes = np.abs(residuals[known])
    beyond = sizes > np.quantile(sizes, COVERAGE)
    part = beyond.mean()
    of_series = np.broadcast_to(series[:, None], residuals.shape)[known]
    n_series = len(np.unique(of_series))
    if n_series < 2 or not 0 < part < 1:
        return 1.0
    excess = np.bincount(of_series, beyond - part)
    variance = np.square(excess).sum() * n_series / (n_series - 1)
    return max(float(variance / (len(sizes) * part * (1 - part))), 1.0)


def _pooled_width(residuals: Floats, design_effect: float) -> float:
    """The width of all residuals, shrunk to the model's own, 1, unless they contradict it, with a margin."""
    n = len(residuals) / design_effect
    found = np.log(_width(residuals))
    variance = _LOG_WIDTH / n
    # Empirical Bayes: `signal` is the prior variance of a log width. It is larger where the residuals contradict the
    # model.
    signal = max(_LOG_WIDTH / POOLED_SHRINKAGE, found**2 - CONTRADICTED**2 * variance)
    return float(np.exp(found * signal / (signal + variance) + MARGIN * np.sqrt(variance)))


def _shrunk_width(residuals: Floats, other: float, design_effect: float) -> float:
    """The width of some residuals, shrunk to another where they are few."""
    n = len(residuals) / design_effect
    weight = n / (n + WIDTH_SHRINKAGE)
    return float(np.exp(weight * np.log(_width(residuals)) + (1 - weight) * np.log(other))) if n else other


def _width(residuals: NDArray[Any]) -> float:
    """The (n + 1)-corrected quantile of split conformal prediction, over the Gaussian's own."""
    rank = min(COVERAGE * (1 + 1 / len(residuals)), 1.0)
    return max(float(np.quantile(np.abs(residuals), rank)), 1e-3) / _DEVIATION


def _shapes(residuals: Floats, known: NDArray[np.bool_], design_effect: float) -> Floats:
    normal = ndtri(LEVELS)
    pooled = _shrunk_shape(residuals[known], normal, design_effect)
    columns = zip(residuals.T, known.T, strict=True)
    return np.stack([_shrunk_shape(column[k], pooled, design_effect) for column, k in columns], axis=1)


def _shrunk_shape(residuals: Floats, other: Floats, design_effect: float) -> Floats:
    n = len(residuals)
    if n == 0:
        return other
    # Corrected for the size of the sample as in split conformal prediction: both tails move outwards.
    outward = np.where(LEVELS > 0.5, LEVELS * (1 + 1 / n), 1 - (1 - LEVELS) * (1 + 1 / n)).clip(0, 1)
    weight = n / (n + SHAPE_SHRINKAGE * design_effect)
    # Over the residuals' own width: the factor was shrunk and has a margin, which the shape must not undo.
    shape = weight * np.quantile(residuals, outward) / _width(residuals) + (1 - weight) * other
    centred: Floats = shape - trapezoid(shape, LEVELS) / (LEVELS[-1] - LEVELS[0])  # keeps the mean of the model
    return centred
