"""The rhythm of each series: a sinusoid fitted to its history in closed form, its frequency averaged over."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, fields

import torch
from torch import Tensor, nn

from latentode.nn.batch import Batch
from latentode.nn.features import INPUT_BOUND

__all__ = ["Rhythm", "SinusoidFit", "Wave"]


@dataclass(frozen=True)
class Wave:
    """What a series' rhythm says of its queries.

    Parameters
    ----------
    value : Tensor
        (series, query, channel), the expected value.
    now : Tensor
        (series, 3 * channel), level, cosine and sine of the expected wave at the origin.
    explained : Tensor
        (series, channel), the probability that there is a rhythm at all.
    certain : Tensor
        (series, channel), how sure its frequency is: 1 where one is certain, 0 where all are as likely.
    pitch : Tensor
        (series, channel), the expected logarithm of the frequency over the fastest of the grid.
    """

    value: Tensor
    now: Tensor
    explained: Tensor
    certain: Tensor
    pitch: Tensor

    @property
    def of_series(self) -> Tensor:
        """What an encoder reads, (series, 6 * channel)."""
        return torch.cat([self.now, self.explained, self.certain, self.pitch], -1)

    @property
    def at_queries(self) -> tuple[Tensor, Tensor, Tensor]:
        """What a decoder reads, three times (series, query, channel)."""
        explained, certain = (x[:, None].expand_as(self.value) for x in (self.explained, self.certain))
        return self.value.clamp(-INPUT_BOUND, INPUT_BOUND), explained, certain

    def tile(self, n: int) -> "Wave":
        """The whole wave n times over, one copy after the other."""
        parts = (getattr(self, f.name) for f in fields(self))
        return Wave(*(x.repeat(n, *[1] * (x.ndim - 1)) for x in parts))


@dataclass(frozen=True)
class SinusoidFit:
    """The posterior of level and amplitudes at every frequency; where one is added, the first is "no sinusoid".

    Parameters
    ----------
    evidence : Tensor
        (series, channel, 1 + frequency), logarithms, up to what all frequencies have in common.
    level : Tensor
        (series, channel, 1 + frequency).
    cos, sin : Tensor
        (series, channel, frequency), amplitudes.
    factor : tuple of Tensor
        The pivots and multipliers (d0, d1, d2, l10, l20, l21) of the LDL' factor of the precision of (level, cos, sin),
        each (series, channel, frequency).
    """

    evidence: Tensor
    level: Tensor
    cos: Tensor
    sin: Tensor
    factor: tuple[Tensor, ...]


class Rhythm(nn.Module):
    r"""Bayesian regression on one sinusoid of unknown frequency, for every series and channel.

    A channel is :math:`l + a \cos 2\pi f t + b \sin 2\pi f t` and noise. Level and amplitudes have Gaussian priors, the
    frequency has one over a grid with one more place for "no sinusoid". All priors are the data's own, found before
    training by :func:`~latentode.nn.learn_priors`; nothing here is learned by gradient. The answer is averaged over
    frequencies by their posterior: a periodogram with a floating mean, turned into a forecast.

    Parameters
    ----------
    n_channels : int
        Number of channels.
    frequencies : sequence of float
        The grid, in cycles per span.
    shared : bool
        Whether all channels of a series have one frequency.

    References
    ----------
    Bretthorst (1988), Bayesian spectrum analysis and parameter estimation, chapter 2. Zechmeister & Kuerster (2009),
    The generalised Lomb-Scargle periodogram.

    Examples
    --------
    >>> Rhythm(n_channels=2, frequencies=[0.5, 1.0, 1.5]).log_prior.exp()
    tensor([0.2500, 0.2500, 0.2500, 0.2500])
    """

    frequencies: Tensor
    log_prior: Tensor
    noise: Tensor
    level: Tensor
    amplitude: Tensor

    def __init__(self, n_channels: int, frequencies: Sequence[float], shared: bool = False) -> None:
        super().__init__()
        self.shared = shared
        n_answers = len(frequencies) + 1
        self.register_buffer("frequencies", torch.tensor([float(f) for f in frequencies]))
        self.register_buffer("log_prior", torch.full((n_answers,), -math.log(n_answers)))
        # Variances, of scaled values.
        for name, variance in (("noise", 0.1), ("level", 1.0), ("amplitude", 0.5)):
            self.register_buffer(name, torch.full((n_channels,), variance))

    @torch.no_grad()
    def forward(self, batch: Batch) -> Wave:
        """Read the rhythm of each history and carry it to the queries."""
        fit = self.fit(self.sums(batch))
        odds = self.posterior(fit.evidence)
        level, there = (odds * fit.level).sum(-1), odds[..., 1:]
        cos, sin = there * fit.cos, there * fit.sin
        angle = 2 * math.pi * batch.query_times[..., None] * self.frequencies
        value = torch.cos(angle) @ cos.mT + torch.sin(angle) @ sin.mT + level[:, None]
        explained = there.sum(-1)
        entropy = torch.special.entr(odds).sum(-1)
        pitch = (there * (self.frequencies / self.frequencies[-1]).log()).sum(-1) / explained.clamp_min(1e-6)
        now = torch.cat([level, cos.sum(-1), sin.sum(-1)], -1)
        return Wave(value, now, explained, 1 - entropy / math.log(odds.shape[-1]), pitch)

    def sums(self, batch: Batch) -> Tensor:
        """Sums over each history from which the fits at all frequencies follow.

        Parameters
        ----------
        batch : Batch
            Histories.

        Returns
        -------
        Tensor
            (series, channel, 8, frequency): of 1, cos, sin, cos 2, sin 2 at the rows where the channel was observed,
            and of its values times 1, cos, sin.
        """
        angle = 2 * math.pi * batch.times[..., None] * self.frequencies
        cos, sin = torch.cos(angle), torch.sin(angle)
        mask, told = batch.mask.mT.contiguous(), (batch.values * batch.mask).mT
        both = torch.cat([mask, told], 1)
        of_cos, told_cos = (both @ cos).chunk(2, 1)
        of_sin, told_sin = (both @ sin).chunk(2, 1)
        n, total = (x.sum(-1, keepdim=True).expand_as(of_cos) for x in (mask, told))
        of_sin2 = 2 * (mask @ sin.mul_(cos))
        of_cos2 = 2 * (mask @ cos.square_()) - n
        return torch.stack([n, of_cos, of_sin, of_cos2, of_sin2, total, told_cos, told_sin], 2)

    def fit(self, sums: Tensor) -> SinusoidFit:
        """Fit a sinusoid of every frequency.

        Parameters
        ----------
        sums : Tensor
            As :meth:`sums` gives them.
        """
        n, c, s, c2, s2, y, yc, ys = sums.unbind(2)
        noise, level, amplitude = (v[:, None] for v in (self.noise, self.level, self.amplitude))
        # The precision of (level, cos, sin) given the values, as L D L'.
        d0 = n / noise + 1 / level
        l10, l20 = c / noise / d0, s / noise / d0
        d1 = (n + c2) / (2 * noise) + 1 / amplitude - l10 * c / noise
        e = s2 / (2 * noise) - l20 * c / noise
        l21 = e / d1
        d2 = ((n - c2) / (2 * noise) + 1 / amplitude - l20 * s / noise - l21 * e).clamp_min(1e-12)
        u0 = y / noise
        u1 = yc / noise - l10 * u0
        u2 = ys / noise - l20 * u0 - l21 * u1
        sin = u2 / d2
        cos = u1 / d1 - l21 * sin
        flat = u0 / d0
        of_level = 0.5 * (u0 * flat - torch.log(d0 * level))
        of_wave = 0.5 * (u1.square() / d1 + u2.square() / d2 - torch.log(d1 * d2 * amplitude.square()))
        return SinusoidFit(
            torch.cat([of_level[..., :1], of_level + of_wave], -1),
            torch.cat([flat[..., :1], flat - l10 * cos - l20 * sin], -1),
            cos,
            sin,
            (d0, d1, d2, l10, l20, l21),
        )

    def posterior(self, evidence: Tensor) -> Tensor:
        """Probabilities of "no sinusoid" and of every frequency, (series, channel, 1 + frequency)."""
        if self.shared:
            evidence = evidence.sum(1, keepdim=True).expand_as(evidence)
        return torch.softmax(evidence + self.log_prior, -1)
