"""What held-out questions say of the spread of the answers: how wide it should be, and of what shape."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.integrate import trapezoid
from scipy.special import ndtr, ndtri
from torch import Tensor

from latentode.nn import Batch, LatentODE

__all__ = ["Calibration", "calibrate", "spread_of"]

Floats = NDArray[np.float64]

LEADS = np.array([0.0, 0.05, 0.25, 0.7])
"""Leads, in spans, at which widths are learned: inside the history, and in the middle of (0, 0.1, 0.4, 1]."""

_LAST_OF_BIN = np.array([0.0, 0.1, 0.4])

LEVELS = np.array([0.005, 0.01, 0.025, *np.arange(1, 20) / 20, 0.975, 0.99, 0.995])
COVERAGE = 0.9
SHRINKAGE = 50.0
"""Observations a channel's own width counts against the pooled one, and one lead's against all leads'."""

SHAPE_SHRINKAGE = 200.0
"""The same for the shape, of which the tails need more."""

FARTHEST = 4.0
"""Standard deviations from its mean up to which a mixture is asked for its quantiles."""

DRAWS = 8
SEED = 0


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


def calibrate(model: LatentODE, held_out: list[Batch]) -> Calibration:
    """Widths by channel and lead, and shapes by channel, from questions that training has not seen.

    A width is the quantile of the standardised residuals over the Gaussian's own (split conformal prediction with a
    normalised score); where a channel or a lead has few, it leans on all.

    Parameters
    ----------
    model : LatentODE
        Trained.
    held_out : list of Batch
        Questions with targets.
    """
    residuals, leads = _residuals(model, held_out)
    n_channels = residuals.shape[1]
    known = ~np.isnan(residuals)
    if not known.any() or model.likelihood.counts:
        return Calibration.none(n_channels)
    pooled = _width(residuals[known])
    bins = np.searchsorted(_LAST_OF_BIN, leads, side="left")
    # How all channels fare at each lead, then how each one does there.
    at = [bins == b for b in range(len(LEADS))]
    of_lead = [_lean(residuals[known & here[:, None]], pooled) / pooled for here in at]
    factor = np.ones((len(LEADS), n_channels))
    for k in range(n_channels):
        mine = known[:, k]
        of_channel = _lean(residuals[mine, k], pooled)
        for b, here in enumerate(at):
            factor[b, k] = _lean(residuals[mine & here, k], of_lead[b] * of_channel)
    factor = factor.clip(0.3, 5.0)
    return Calibration(factor, _shapes(residuals / factor[bins], known))


def spread_of(mean: Tensor, scale: Tensor, center: Tensor) -> Tensor:
    """The root mean square deviation of an equal mixture of Gaussians over the first axis from a centre."""
    return (scale.square().mean(0) + (mean - center).square().mean(0)).sqrt()


def _residuals(model: LatentODE, held_out: list[Batch]) -> tuple[Floats, Floats]:
    """Residuals over the predicted standard deviation, (question, channel), NaN where not asked; and their leads."""
    found, leads = [], []
    rng = torch.Generator().manual_seed(SEED)
    for batch in held_out:
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
    return np.concatenate(found), np.concatenate(leads)


def _lean(residuals: Floats, other: float) -> float:
    """The width of some residuals, drawn towards another where they are few."""
    n = len(residuals)
    weight = n / (n + SHRINKAGE)
    return float(np.exp(weight * np.log(_width(residuals)) + (1 - weight) * np.log(other))) if n else other


def _width(residuals: NDArray[Any]) -> float:
    """The (n + 1)-corrected quantile of split conformal prediction, over the Gaussian's own."""
    rank = min(COVERAGE * (1 + 1 / len(residuals)), 1.0)
    return max(float(np.quantile(np.abs(residuals), rank)), 1e-3) / float(ndtri(0.5 + COVERAGE / 2))


def _shapes(residuals: Floats, known: NDArray[np.bool_]) -> Floats:
    normal = ndtri(LEVELS)
    pooled = _leaning(residuals[known], normal)
    return np.stack([_leaning(r[k], pooled) for r, k in zip(residuals.T, known.T, strict=True)], axis=1)


def _leaning(residuals: Floats, other: Floats) -> Floats:
    n = len(residuals)
    if n == 0:
        return other
    outward = np.where(LEVELS > 0.5, LEVELS * (1 + 1 / n), 1 - (1 - LEVELS) * (1 + 1 / n)).clip(0, 1)
    weight = n / (n + SHAPE_SHRINKAGE)
    shape = weight * np.quantile(residuals, outward) + (1 - weight) * other
    centred: Floats = shape - trapezoid(shape, LEVELS) / (LEVELS[-1] - LEVELS[0])  # the mean stays the model's
    return centred
