"""What is ordinary among the rhythms of many series: the priors of :class:`~latentode.nn.Rhythm`."""

import torch
from torch import Tensor

from latentode.nn.batch import Batch
from latentode.nn.rhythm import Rhythm
from latentode.nn.sinusoids import Channels, SinusoidFit, wave_sums

__all__ = ["learn_priors"]

QUIETEST = 0.005
"""Smallest standard deviation of noise, in scaled units: with less, peaks are narrower than the parts looked at."""

SMALLEST, LARGEST = 1e-3, 1e2
"""Bounds of the variances of level and amplitude."""

NARROWEST = 0.1
"""Smallest spread of the logarithm of the power."""

UNSEEN = 0.1
"""What every frequency counts, in series, before any was seen."""


@torch.no_grad()
def learn_priors(rhythm: Rhythm, batch: Batch, rounds: int = 12) -> float:
    """Find the priors of a rhythm by expectation maximisation (empirical Bayes), in place.

    First all of them on the grid, then all but the frequency's closer by: between two places of the grid a
    sinusoid misses its values, which would be taken for noise. The usual power weighs frequencies but not the fits at
    them, so that this is expectation maximisation but nearly.

    Parameters
    ----------
    rhythm : Rhythm
        Whose priors are found: of the frequency, and of noise, level and amplitude of each channel.
    batch : Batch
        Histories of many series; queries are not read.
    rounds : int
        Of expectation and maximisation, on the grid and then closer.

    Returns
    -------
    float
        The log evidence of the histories at the closer frequencies before the last round, up to a constant of the
        histories.
    """
    evidence, channels = 0.0, rhythm.channels(batch)
    sums = wave_sums(channels, rhythm.frequencies)
    for _ in range(rounds):
        channels = rhythm.channels(batch)
        fit = channels.fit(sums)
        odds = fit.odds(rhythm.log_prior) if rhythm.shared else torch.softmax(fit.evidence + rhythm.log_prior, -1)
        seen = (channels.mask.sum(1) > 0).to(odds.dtype)[..., None]
        count = (odds if rhythm.shared else odds * seen).sum((0, 1)) + UNSEEN
        rhythm.log_prior.copy_((count / count.sum()).log())
        _set_priors(rhythm, channels, fit, odds, sums)
    frequencies, log_prior = rhythm.closer(rhythm.channels(batch))
    closer = rhythm.channels(batch) if rhythm.shared else rhythm.channels(batch).apart()
    sums = wave_sums(closer, frequencies)
    for _ in range(rounds):
        channels = rhythm.channels(batch) if rhythm.shared else rhythm.channels(batch).apart()
        fit = channels.fit(sums)
        evidence = _log_evidence(channels, fit, log_prior)
        _set_priors(rhythm, channels, fit, fit.odds(log_prior), sums)
    return evidence


def _log_evidence(channels: Channels, fit: SinusoidFit, log_prior: Tensor) -> float:
    n, squares = channels.mask.sum(1)[..., None], channels.values.square().sum(1)[..., None]
    noise = 0.5 * (squares / channels.noise + n * channels.noise.log()).sum()
    return float((fit.evidence.sum(1, keepdim=True) + log_prior).logsumexp(-1).sum() - noise)


def _set_priors(rhythm: Rhythm, channels: Channels, fit: SinusoidFit, odds: Tensor, sums: Tensor) -> None:
    """Each variance becomes the expected square of what it is the variance of; powers get their mean and spread."""
    n = channels.mask.sum(1)
    seen = (n > 0).to(n.dtype)
    odds = odds * seen[..., None]
    missed, level, amplitude = _expected_squares(fit, sums, channels.values.square().sum(1))
    waves = odds[..., 1:]

    def total(of_each: Tensor) -> Tensor:
        return of_each.reshape(-1, len(rhythm.noise)).sum(0)

    n_waves = total(waves.sum(-1))
    rhythm.noise.copy_((total((odds * missed).sum(-1)) / total(n).clamp_min(1)).clamp_min(QUIETEST**2))
    rhythm.level.copy_((total((odds * level).sum(-1)) / total(seen).clamp_min(1)).clamp(SMALLEST, LARGEST))
    half = total((waves * amplitude).sum(-1)) / 2
    rhythm.amplitude.copy_((half / (n_waves + UNSEEN)).clamp(SMALLEST, LARGEST))
    # As if one more series had been seen, of the power known before.
    first, second = (total((waves * fit.log_power**k).sum(-1)) for k in (1, 2))
    mean = (first + rhythm.power) / (n_waves + 1)
    square = (second + rhythm.power.square() + rhythm.power_spread.square()) / (n_waves + 1)
    rhythm.power.copy_(mean)
    rhythm.power_spread.copy_((square - mean.square()).clamp_min(NARROWEST**2).sqrt())


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
