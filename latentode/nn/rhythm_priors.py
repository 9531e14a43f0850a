"""What is ordinary among the rhythms of many series: the priors of :class:`~latentode.nn.Rhythm`."""

import torch
from torch import Tensor

from latentode.nn.batch import Batch
from latentode.nn.rhythm import Rhythm, SinusoidFit

__all__ = ["learn_priors"]

QUIETEST = 0.02
"""Smallest standard deviation of noise, in scaled units: single precision cannot tell less."""

SMALLEST, LARGEST = 1e-3, 1e2
"""Bounds of the variances of level and amplitude."""

UNSEEN = 0.1
"""What every frequency counts, in series, before any was seen."""


@torch.no_grad()
def learn_priors(rhythm: Rhythm, batch: Batch, rounds: int = 12) -> float:
    """Find the priors of a rhythm by expectation maximisation (empirical Bayes), in place.

    Parameters
    ----------
    rhythm : Rhythm
        Whose priors are found: of the frequency, and the variances of noise, level and amplitude of each channel.
    batch : Batch
        Histories of many series; queries are not read.
    rounds : int
        Of expectation and maximisation.

    Returns
    -------
    float
        The log evidence of the histories, before the last round, up to a constant of the histories.
    """
    sums = rhythm.sums(batch)
    squares = (batch.values * batch.mask).square().sum(1)
    n = sums[:, :, 0, 0]
    seen = (n > 0).to(n.dtype)
    evidence = 0.0
    for _ in range(rounds):
        fit = rhythm.fit(sums)
        odds = rhythm.posterior(fit.evidence) * seen[..., None]
        evidence = _log_evidence(rhythm, fit, squares, n)
        count = (odds.amax(1) if rhythm.shared else odds.sum(1)).sum(0) + UNSEEN
        rhythm.log_prior.copy_((count / count.sum()).log())
        missed, level, amplitude = _expected_squares(fit, sums, squares)
        waves = odds[..., 1:].sum((0, 2)) + UNSEEN
        rhythm.noise.copy_(((odds * missed).sum((0, 2)) / n.sum(0).clamp_min(1)).clamp_min(QUIETEST**2))
        rhythm.level.copy_(((odds * level).sum((0, 2)) / seen.sum(0).clamp_min(1)).clamp(SMALLEST, LARGEST))
        rhythm.amplitude.copy_((((odds[..., 1:] * amplitude).sum((0, 2)) / 2) / waves).clamp(SMALLEST, LARGEST))
    return evidence


def _log_evidence(rhythm: Rhythm, fit: SinusoidFit, squares: Tensor, n: Tensor) -> float:
    evidence = fit.evidence.sum(1) if rhythm.shared else fit.evidence
    noise = 0.5 * (squares / rhythm.noise + n * rhythm.noise.log()).sum()
    return float((evidence + rhythm.log_prior).logsumexp(-1).sum() - noise)


def _expected_squares(fit: SinusoidFit, sums: Tensor, squares: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Squares under the posterior: of what is missed, of the level, and of both amplitudes."""
    n, c, s, c2, s2, y, yc, ys = sums.unbind(2)
    d0, d1, d2, l10, l20, l21 = fit.factor
    flat, level = fit.level[..., :1], fit.level[..., 1:]
    # The second moments of (level, cos, sin): the covariance from the factor, and the means.
    v22 = 1 / d2
    v12 = -l21 * v22
    v11 = 1 / d1 - l21 * v12
    v02 = -l10 * v12 - l20 * v22
    v01 = -l10 * v11 - l20 * v12
    m00 = level.square() + 1 / d0 - l10 * v01 - l20 * v02
    m11, m22 = fit.cos.square() + v11, fit.sin.square() + v22
    m01, m02, m12 = level * fit.cos + v01, level * fit.sin + v02, fit.cos * fit.sin + v12
    told = squares[..., None] - 2 * (level * y + fit.cos * yc + fit.sin * ys)
    missed = told + n * m00 + (n + c2) / 2 * m11 + (n - c2) / 2 * m22 + 2 * (c * m01 + s * m02) + s2 * m12
    flat_square = flat.square() + 1 / d0[..., :1]
    flat_missed = squares[..., None] - 2 * flat * y[..., :1] + n[..., :1] * flat_square
    return (
        torch.cat([flat_missed, missed], -1).clamp_min(0),
        torch.cat([flat_square, m00], -1),
        m11 + m22,
    )
