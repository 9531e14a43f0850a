"""Learning the calibration of a model's uncertainty from its residuals on held-out data."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.integrate import trapezoid
from scipy.special import ndtri, stdtrit

from latentode.estimators.residuals import COVERAGE, Residuals
from latentode.persistence.calibration import LEADS, LENGTHS, LEVELS, Calibration
from latentode.persistence.coverage import LEAD_ENDS

__all__ = ["calibrate"]

Floats = NDArray[np.float64]

_BIN_ENDS = LEAD_ENDS[:-1]
"""Ends of the bins of lead times in whose middle the factors of ``LEADS`` stand, but for the last."""

POOLED_SHRINKAGE = 200.0
"""Weight, in independent residuals, of the model's own width, to which the pooled width is shrunk."""

WIDTH_SHRINKAGE = 100.0
"""The same for the width of a channel or a lead time, which is shrunk to the pooled width. It is smaller because
channels differ from each other more often than all of them from what the model says."""

STEEPEST = 0.1
"""Standard deviation of the prior of the slope of a log width over the logarithm of the length of the history."""

MOST_BY_LENGTH = 2.0
"""Factor by which the length of the history widens or narrows an interval at most."""

SHAPE_SHRINKAGE = 50.0
"""The same for a shape: the pooled shape is shrunk to the Gaussian's, that of a channel to the pooled shape."""

CORRELATION_SHRINKAGE = 5.0
"""The same for the correlation of two channels, which is shrunk to 0."""

OUTLIER = 4.0
"""Standard deviations to which residuals are clipped where they are multiplied with one another."""

CONTRADICTED = 2.0
"""Standard errors from the model's own width beyond which the pooled width is shrunk less."""

MARGIN = 1.0
"""Standard errors by which the pooled width is widened: with few held-out series too wide is better than too narrow."""

NARROWED = 4.0
"""Standard errors by which the ends of a few series must contradict the model's own width before they narrow it."""

LEAST_FREEDOM = 1.0
"""Degrees of freedom of the widths of few series, at least: with fewer, an interval says nothing."""

_DEVIATION = float(ndtri(0.5 + COVERAGE / 2))
_LOG_WIDTH = COVERAGE * (1 - COVERAGE) / (2 * np.exp(-(_DEVIATION**2) / 2) / np.sqrt(2 * np.pi) * _DEVIATION) ** 2
"""The variance of the logarithm of a Gaussian sample's width, times the size of the sample."""


def calibrate(held_out: Residuals) -> Calibration:
    """Learn widths by channel and lead time, shapes by channel, and correlations, from residuals on held-out data.

    A width is the quantile of the standardised residuals over the Gaussian's (split conformal prediction with a
    normalised score). With few residuals the width of a channel or a lead time is shrunk to the pooled width, and the
    pooled width to the model's own; a margin of one standard error is added. Residuals of one series are alike, so
    their number is divided by a design effect: a thousand residuals of nine series may hold no more information than
    sixty independent ones. Where the last parts of few series are held out, they hardly narrow a width, and the margin
    is that of Student's t; see ``ROWS_PER_RESIDUAL``.

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
    n_channels, leads, counts = held_out.values.shape[1], held_out.leads, held_out.counts
    none, few = Calibration.none(n_channels), held_out.extent is not None
    margin = np.where(counts, 1.0, _margin_of_few(held_out)[:, None])
    if not held_out.known.any():
        return replace(none, factor=margin * none.factor)
    bins = np.searchsorted(_BIN_ENDS, leads, side="left")
    at = [bins == b for b in range(len(LEADS))]
    # What short histories make wider at the same lead time is taken out before the widths by lead time are learned.
    forecasts = held_out.over(_widths(held_out, at)[bins]).where(leads > 0)
    by_length = _by_length(forecasts).clip(min=1.0 if few else 0.0)
    none = replace(none, by_length=np.where(counts, 1.0, by_length[:, None]))
    held_out = held_out.over(np.where(leads[:, None] > 0, none.widening(held_out.n_rows), 1.0))
    residuals, known, design_effect = held_out.values, held_out.known, held_out.design_effect
    factor = _widths(held_out, at)
    for k in range(n_channels):
        for b, here in enumerate(at):
            factor[b, k] = _shrunk_width(residuals[known[:, k] & here, k], factor[b, k], design_effect)
    if few:  # what all residuals together do not show to be narrower, a part of them does not either
        factor = factor.clip(min=min(_pooled_width(residuals[known], design_effect, few), 1.0))
    factor = np.where(counts, 1.0, (factor * margin).clip(0.3, 5.0))
    shape = np.where(counts, none.shape, _shapes(residuals / factor[bins], known, design_effect))
    correlation = _correlations(residuals[leads > 0], design_effect)
    return replace(none, factor=factor, shape=shape, correlation=correlation)


def _widths(held_out: Residuals, at: Sequence[NDArray[np.bool_]]) -> Floats:
    """Widths by lead time times widths by channel, (lead, channel)."""
    values, known, design_effect = held_out.values, held_out.known, held_out.design_effect
    pooled = _pooled_width(values[known], design_effect, of_few=held_out.extent is not None)
    by_lead = [_shrunk_width(values[known & here[:, None]], pooled, design_effect) for here in at]
    columns = zip(values.T, known.T, strict=True)
    by_channel = [_shrunk_width(column[k], pooled, design_effect) for column, k in columns]
    return np.outer(np.array(by_lead) / pooled, by_channel)


def _by_length(forecasts: Residuals) -> Floats:
    """Widths by the length of the history, (length,): a power of it, shrunk to none where residuals are few.

    The third of the residuals with the shortest histories is compared with the third with the longest. Histories that
    are shorter or longer than nearly all held-out ones have the width of the shortest or longest of those.
    """
    same = np.ones(len(LENGTHS))
    if not forecasts.known.any():
        return same
    length = np.log1p(forecasts.n_rows)
    of_values = np.repeat(length, forecasts.known.sum(1))
    shortest, short, long, longest = np.quantile(of_values, (0.05, 1 / 3, 2 / 3, 0.95))
    parts = [forecasts.where(length <= short), forecasts.where(length >= long)]
    middles = [np.average(np.log1p(part.n_rows), weights=part.known.sum(1)) for part in parts]
    apart = middles[1] - middles[0]
    if not apart > 0:
        return same
    logs = [np.log(_width(part.values[part.known])) for part in parts]
    variance = sum(_LOG_WIDTH * part.design_effect / part.known.sum() for part in parts) / apart**2
    slope = (logs[1] - logs[0]) / apart * STEEPEST**2 / (STEEPEST**2 + variance)
    found: Floats = np.exp(slope * (np.log1p(LENGTHS).clip(shortest, longest) - of_values.mean()))
    return found.clip(1 / MOST_BY_LENGTH, MOST_BY_LENGTH)


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


def _pooled_width(residuals: Floats, design_effect: float, of_few: bool) -> float:
    """The width of all residuals, shrunk to the model's own, 1, unless they contradict it, with a margin.

    The ends of a few series narrow it only by what chance does not explain, and their margin depends on the lead time:
    see :func:`_margin_of_few`.
    """
    n = len(residuals) / design_effect
    found = np.log(_width(residuals))
    variance = _LOG_WIDTH / n
    # Empirical Bayes: `signal` is the prior variance of a log width. It is larger where the residuals contradict the
    # model.
    signal = max(_LOG_WIDTH / POOLED_SHRINKAGE, found**2 - CONTRADICTED**2 * variance)
    shrunk = found * signal / (signal + variance)
    error = np.sqrt(variance)
    if of_few:
        return float(np.exp(max(shrunk, min(shrunk + NARROWED * error, 0.0))))
    return float(np.exp(shrunk + MARGIN * error))


def _margin_of_few(held_out: Residuals) -> Floats:
    """A factor by lead time, (lead,): Student's t over a Gaussian, with as many degrees of freedom as residuals.

    Within a series there are few stretches of a long lead time. Where whole series are held out it is 1.
    """
    if held_out.extent is None:
        return np.ones(len(LEADS))
    freedom = np.maximum(held_out.most_at(LEADS), LEAST_FREEDOM)
    found: Floats = stdtrit(freedom, 0.5 + COVERAGE / 2) / _DEVIATION
    return found


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
