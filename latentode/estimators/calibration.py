"""What held-out questions say of the spread of the answers: how wide it should be, and of what shape."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.integrate import trapezoid
from scipy.special import ndtr, ndtri
from torch import Tensor

from latentode.nn import Batch, LatentODE

__all__ = ["Calibration", "Trained", "calibrate", "spread_of"]

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

LEADS = np.array([0.0, 0.05, 0.25, 0.7])
"""Leads, in spans, at which widths are learned: inside the history, and in the middle of (0, 0.1, 0.4, 1]."""

_LAST_OF_BIN = np.array([0.0, 0.1, 0.4])

LEVELS = np.array([0.005, 0.01, 0.025, *np.arange(1, 20) / 20, 0.975, 0.99, 0.995])
COVERAGE = 0.9
WIDTH_SHRINKAGE = 200.0
"""Independent residuals that what a width is drawn to counts: for that of all, what the model itself says; for a
channel's own or a lead's, that of all."""

SHAPE_SHRINKAGE = 50.0
"""The same of a shape: for that of all, the Gaussian's; for a channel's own, that of all. Residuals are less often
Gaussian than as wide as the model says."""

CONTRADICTED = 2.0
"""Standard errors from the model's own width beyond which the residuals are believed more."""

FARTHEST = 4.0
"""Standard deviations from its mean up to which a mixture is asked for its quantiles."""

DRAWS = 8
SEED = 0

_DEVIATION = float(ndtri(0.5 + COVERAGE / 2))
_LOG_WIDTH = COVERAGE * (1 - COVERAGE) / (2 * np.exp(-(_DEVIATION**2) / 2) / np.sqrt(2 * np.pi) * _DEVIATION) ** 2
"""The variance of the logarithm of a Gaussian sample's width, times the size of the sample."""


@dataclass(frozen=True)
class Calibration:
    """Split-conformal corrections of what a model says of its uncertainty.

    An answer's deviations from its centre are widened by a factor, and its Gaussian levels are replaced by those at
    which the held-out values of the channel lay: a skewed or heavy-tailed channel gets a fan of that shape.

    Parameters
    ----------
    factor : array of float
        (lead, channel), at :data:`LEADS`; NaN for a channel never seen.
    shape : array of float
        (level, channel), the standardised deviation at each of :data:`LEVELS`.

    References
    ----------
    Vovk et al. (2005), Algorithmic learning in a random world; Kuleshov et al. (2018), Accurate uncertainties for
    deep learning using calibrated regression.
    """

    factor: Floats
    shape: Floats

    @classmethod
    def none(cls, n_channels: int) -> "Calibration":
        """One that changes nothing."""
        return cls(np.ones((len(LEADS), n_channels)), np.repeat(ndtri(LEVELS)[:, None], n_channels, 1))

    def factors(self, leads: Floats) -> Floats:
        """How much wider deviations are at some leads, (lead, channel); 1 for a channel never seen."""
        known = np.nan_to_num(self.factor, nan=1.0)
        ahead = np.stack([np.interp(leads, LEADS[1:], column[1:]) for column in known.T], axis=1)
        return np.where((leads <= 0)[:, None], known[0], ahead)

    def deviations(self, standard: Floats) -> Floats:
        """Standard normal deviates to those of each channel's shape.

        Parameters
        ----------
        standard : array of float
            (..., channel), or (..., 1).

        Returns
        -------
        array of float
            (..., channel); beyond the outermost levels a Gaussian's tail is put on.
        """
        at = ndtri(LEVELS)
        wide = np.broadcast_to(standard, (*standard.shape[:-1], self.shape.shape[1]))
        inner = np.clip(wide, at[0], at[-1])
        found = np.stack([np.interp(inner[..., k], at, shape) for k, shape in enumerate(self.shape.T)], axis=-1)
        return found + (wide - inner)

    def levels(self, quantiles: Floats) -> tuple[Floats, Floats]:
        """What to ask a Gaussian mixture for, so that it says these quantiles.

        Parameters
        ----------
        quantiles : array of float
            (quantile,), between 0 and 1.

        Returns
        -------
        levels : array of float
            (quantile, 1, channel).
        beyond : array of float
            (quantile, 1, channel), the standard deviations to add to the answer: levels further out than
            :data:`FARTHEST` of them differ from 0 and 1 by less than single precision tells.
        """
        deviations = self.deviations(ndtri(quantiles)[:, None, None])
        inner = deviations.clip(-FARTHEST, FARTHEST)
        levels: Floats = ndtr(inner)
        return levels, deviations - inner


@dataclass(frozen=True)
class Trained:
    """A model and what it has not seen.

    Parameters
    ----------
    model : LatentODE
        Trained.
    held_out : list of Batch
        Questions with targets: a number of rounds, each asking every series once, in the same order.
    asked : array of int
        (series,), which series those are: one that several models are asked is one.
    """

    model: LatentODE
    held_out: list[Batch]
    asked: Ints


def calibrate(trained: Sequence[Trained]) -> Calibration:
    """Widths by channel and lead, and shapes by channel, from questions that training has not seen.

    A width is the quantile of the standardised residuals over the Gaussian's own (split conformal prediction with a
    normalised score); where a channel or a lead has few, it leans on all, and where all are few, on what the model says
    of itself. How few they are is told by how much the series differ: those of one series err alike, and a thousand
    residuals of nine series may say no more than sixty independent ones.

    Parameters
    ----------
    trained : sequence of Trained
        The models that answer together, each asked what it has not seen itself (cross-conformal prediction).

    References
    ----------
    Vovk (2015), Cross-conformal predictors. Kish (1965), Survey sampling (the design effect of clusters).
    """
    found = zip(*(_residuals(one) for one in trained), strict=True)
    residuals, leads, series = (np.concatenate(of_models) for of_models in found)
    n_channels = residuals.shape[1]
    known = ~np.isnan(residuals)
    if not known.any() or trained[0].model.likelihood.counts:
        return Calibration.none(n_channels)
    alike = _design_effect(residuals, series)
    pooled = _pooled_width(residuals[known], alike)
    bins = np.searchsorted(_LAST_OF_BIN, leads, side="left")
    # How all channels fare at each lead, then how each one does there.
    at = [bins == b for b in range(len(LEADS))]
    of_lead = [_lean(residuals[known & here[:, None]], pooled, alike) / pooled for here in at]
    factor = np.ones((len(LEADS), n_channels))
    for k in range(n_channels):
        mine = known[:, k]
        of_channel = _lean(residuals[mine, k], pooled, alike)
        for b, here in enumerate(at):
            factor[b, k] = _lean(residuals[mine & here, k], of_lead[b] * of_channel, alike)
    factor = factor.clip(0.3, 5.0)
    return Calibration(factor, _shapes(residuals / factor[bins], known, alike))


def spread_of(mean: Tensor, scale: Tensor, center: Tensor) -> Tensor:
    """The root mean square deviation of an equal mixture of Gaussians over the first axis from a centre."""
    return (scale.square().mean(0) + (mean - center).square().mean(0)).sqrt()


def _residuals(one: Trained) -> tuple[Floats, Floats, Ints]:
    """Residuals over the predicted standard deviation, (question, channel), NaN where not asked; leads; series."""
    model = one.model
    found, leads, series = [], [], []
    rng = torch.Generator().manual_seed(SEED)
    n_asked = 0
    for batch in one.held_out:
        assert batch.targets is not None  # tasks always carry targets
        assert batch.target_mask is not None
        with torch.no_grad():
            center = model.predict(batch)
            noise = torch.randn(
                DRAWS, len(batch.lengths), model.config.latent_dim, generator=rng, dtype=batch.values.dtype
            )
            drawn = model.sample(batch, noise) if model.config.variational else None
        spread = center.scale if drawn is None else spread_of(drawn.mean, drawn.scale, center.mean)
        residual = torch.where(batch.target_mask > 0, (batch.targets - center.mean) / spread, torch.nan)
        found.append(residual.flatten(0, 1).double().numpy())
        leads.append(batch.query_times.flatten().double().numpy())
        these = one.asked[(n_asked + np.arange(len(residual))) % len(one.asked)]
        series.append(np.repeat(these, residual.shape[1]))
        n_asked += len(residual)
    return np.concatenate(found), np.concatenate(leads), np.concatenate(series)


def _design_effect(residuals: Floats, series: Ints) -> float:
    """How many residuals tell as much of their width as one would if all were independent, at least 1.

    The variance of the part of them beyond their width, estimated from the sums of whole series, over what it would be
    for independent ones.
    """
    known = ~np.isnan(residuals)
    sizes = np.abs(residuals[known])
    beyond = sizes > np.quantile(sizes, COVERAGE)
    part = beyond.mean()
    of_series = np.broadcast_to(series[:, None], residuals.shape)[known]
    asked = np.unique(of_series)
    if len(asked) < 2 or not 0 < part < 1:
        return 1.0
    excess = np.bincount(of_series, beyond - part)
    variance = np.square(excess).sum() * len(asked) / (len(asked) - 1)
    return max(float(variance / (len(sizes) * part * (1 - part))), 1.0)


def _pooled_width(residuals: Floats, alike: float) -> float:
    """The width of all residuals, drawn towards the model's own, 1, unless they contradict it."""
    n = len(residuals) / alike
    found = np.log(_width(residuals))
    variance = _LOG_WIDTH / n
    believed = max(_LOG_WIDTH / WIDTH_SHRINKAGE, found**2 - CONTRADICTED**2 * variance)
    return float(np.exp(found * believed / (believed + variance)))


def _lean(residuals: Floats, other: float, alike: float) -> float:
    """The width of some residuals, drawn towards another where they are few."""
    n = len(residuals) / alike
    weight = n / (n + WIDTH_SHRINKAGE)
    return float(np.exp(weight * np.log(_width(residuals)) + (1 - weight) * np.log(other))) if n else other


def _width(residuals: NDArray[Any]) -> float:
    """The (n + 1)-corrected quantile of split conformal prediction, over the Gaussian's own."""
    rank = min(COVERAGE * (1 + 1 / len(residuals)), 1.0)
    return max(float(np.quantile(np.abs(residuals), rank)), 1e-3) / _DEVIATION


def _shapes(residuals: Floats, known: NDArray[np.bool_], alike: float) -> Floats:
    normal = ndtri(LEVELS)
    pooled = _leaning(residuals[known], normal, alike)
    return np.stack([_leaning(r[k], pooled, alike) for r, k in zip(residuals.T, known.T, strict=True)], axis=1)


def _leaning(residuals: Floats, other: Floats, alike: float) -> Floats:
    n = len(residuals)
    if n == 0:
        return other
    outward = np.where(LEVELS > 0.5, LEVELS * (1 + 1 / n), 1 - (1 - LEVELS) * (1 + 1 / n)).clip(0, 1)
    weight = n / (n + SHAPE_SHRINKAGE * alike)
    shape = weight * np.quantile(residuals, outward) + (1 - weight) * other
    centred: Floats = shape - trapezoid(shape, LEVELS) / (LEVELS[-1] - LEVELS[0])  # the mean stays the model's
    return centred
