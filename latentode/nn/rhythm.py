"""The rhythm of each series: a sinusoid fitted to its history in closed form, its frequency averaged over."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, fields

import torch
from torch import Tensor, nn

from latentode.nn.batch import Batch
from latentode.nn.features import INPUT_BOUND

__all__ = ["PRIORS", "Channels", "Rhythm", "SinusoidFit", "Wave", "wave_sums"]

CELLS_KEPT = 8
"""Likeliest frequencies of the grid that are looked at more closely."""

PER_CELL = 6
"""Frequencies looked at in place of each of them."""

PRIORS = {"noise": 0.1, "level": 1.0, "amplitude": 0.5, "power": -0.6, "power_spread": 1.3}
"""What is ordinary for a channel, until it is learned: see :class:`Channels`."""


@dataclass(frozen=True)
class Wave:
    """What a series' rhythm says of its queries.

    Parameters
    ----------
    value : Tensor
        (series, query, channel), the expected value.
    doubt : Tensor
        (series, query, channel), the logarithm of its standard deviation over frequencies, noise added.
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
    doubt: Tensor
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
        explained = self.explained[:, None].expand_as(self.value)
        return self.value.clamp(-INPUT_BOUND, INPUT_BOUND), explained, self.doubt

    def tile(self, n: int) -> "Wave":
        """The whole wave n times over, one copy after the other."""
        parts = (getattr(self, f.name) for f in fields(self))
        return Wave(*(x.repeat(n, *[1] * (x.ndim - 1)) for x in parts))


@dataclass(frozen=True)
class Channels:
    """Observations of series whose channels share a frequency, and the variances ordinary for each channel.

    Parameters
    ----------
    times : Tensor
        (series, time).
    values, mask : Tensor
        (series, time, channel), 0 where not observed.
    noise, level, amplitude : Tensor
        (channel, 1) or (series, channel, 1): variances.
    power, power_spread : Tensor
        Of the same shapes: mean and standard deviation of the logarithm of the squared amplitude.
    """

    times: Tensor
    values: Tensor
    mask: Tensor
    noise: Tensor
    level: Tensor
    amplitude: Tensor
    power: Tensor
    power_spread: Tensor

    def apart(self) -> "Channels":
        """Every channel as a series of its own."""
        n_series, _, n_channels = self.values.shape
        values, mask = (x.mT.flatten(0, 1)[..., None] for x in (self.values, self.mask))
        priors = (getattr(self, name).repeat(n_series, 1)[:, None] for name in PRIORS)
        return Channels(self.times.repeat_interleave(n_channels, 0), values, mask, *priors)

    def fit(self, sums: Tensor) -> "SinusoidFit":
        """Fit a sinusoid of every frequency.

        Parameters
        ----------
        sums : Tensor
            Of these observations, as :func:`wave_sums` gives them.
        """
        n, c, s, c2, s2, y, yc, ys = sums.unbind(2)
        noise, level, amplitude = self.noise, self.level, self.amplitude
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
        gauss_to_known = _log_normal_over_rayleigh(_log_power(cos, sin), amplitude, self.power, self.power_spread)
        return SinusoidFit(
            torch.cat([of_level[..., :1], of_level + of_wave + gauss_to_known], -1),
            torch.cat([flat[..., :1], flat - l10 * cos - l20 * sin], -1),
            cos,
            sin,
            (d0, d1, d2, l10, l20, l21),
        )


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

    def odds(self, log_prior: Tensor) -> Tensor:
        """Probabilities of "no sinusoid" and of every frequency, the same for all channels of a series.

        Parameters
        ----------
        log_prior : Tensor
            Of as many places, alike for all series or (series, 1, 1 + frequency).

        Returns
        -------
        Tensor
            (series, 1, 1 + frequency)
        """
        return torch.softmax(self.evidence.sum(1, keepdim=True) + log_prior, -1)

    @property
    def log_power(self) -> Tensor:
        """Logarithm of the squared amplitude, (series, channel, frequency)."""
        return _log_power(self.cos, self.sin)


def _log_power(cos: Tensor, sin: Tensor) -> Tensor:
    return (cos.square() + sin.square()).clamp_min(1e-12).log()


def _log_normal_over_rayleigh(log_power: Tensor, amplitude: Tensor, mean: Tensor, spread: Tensor) -> Tensor:
    """How much likelier a fitted power is among those of all series than two Gaussian amplitudes have it.

    A Gaussian prior makes the fit linear, but it holds no amplitude for usual. Where all series swing alike, one that
    fits a wrong frequency with thrice the usual amplitude gives itself away.
    """
    known = -0.5 * ((log_power - mean) / spread).square() - spread.log() - 0.5 * math.log(2 * math.pi)
    gaussian = log_power - log_power.exp() / (2 * amplitude) - torch.log(2 * amplitude)
    return known - gaussian


def wave_sums(channels: Channels, frequencies: Tensor) -> Tensor:
    """Sums over each history from which the fits at all frequencies follow.

    Parameters
    ----------
    channels : Channels
        Histories.
    frequencies : Tensor
        (frequency,), or (series, frequency).

    Returns
    -------
    Tensor
        (series, channel, 8, frequency): of 1, cos, sin, cos 2, sin 2 at the rows where the channel was observed,
        and of its values times 1, cos, sin.
    """
    cos, sin = _turns(channels.times, frequencies)
    mask, told = channels.mask.mT.contiguous(), channels.values.mT
    both = torch.cat([mask, told], 1)
    of_cos, told_cos = (both @ cos).chunk(2, 1)
    of_sin, told_sin = (both @ sin).chunk(2, 1)
    n, total = (x.sum(-1, keepdim=True).expand_as(of_cos) for x in (mask, told))
    of_sin2 = 2 * (mask @ sin.mul_(cos))
    of_cos2 = 2 * (mask @ cos.square_()) - n
    return torch.stack([n, of_cos, of_sin, of_cos2, of_sin2, total, told_cos, told_sin], 2)


def _turns(times: Tensor, frequencies: Tensor) -> tuple[Tensor, Tensor]:
    """Cosine and sine at every time and frequency, (series, time, frequency)."""
    per_series = frequencies if frequencies.ndim == 1 else frequencies[:, None]
    angle = 2 * math.pi * times[..., None] * per_series
    return torch.cos(angle), torch.sin(angle)


class Rhythm(nn.Module):
    r"""Bayesian regression on one sinusoid of unknown frequency, for every series and channel.

    A channel is :math:`l + a \cos 2\pi f t + b \sin 2\pi f t` and noise. Level and amplitudes have Gaussian priors, the
    frequency has one over a grid with one more place for "no sinusoid". All priors are the data's own, found before
    training by :func:`~latentode.nn.learn_priors`; nothing here is learned by gradient. Around the likeliest places of
    the grid the frequency is looked at more closely, and the answer is averaged over what is found there by its
    posterior: a periodogram with a floating mean, turned into a forecast.

    Parameters
    ----------
    n_channels : int
        Number of channels.
    frequencies : sequence of float
        The grid, in cycles per span.
    shared : bool
        Whether all channels of a series have one frequency.
    width : float
        How far apart the grid's frequencies are.

    References
    ----------
    Bretthorst (1988), Bayesian spectrum analysis and parameter estimation, chapter 2. Zechmeister & Kuerster (2009),
    The generalised Lomb-Scargle periodogram.

    Examples
    --------
    >>> Rhythm(n_channels=2, frequencies=[0.5, 1.0, 1.5], width=0.5).log_prior.exp()
    tensor([0.2500, 0.2500, 0.2500, 0.2500])
    """

    frequencies: Tensor
    log_prior: Tensor
    noise: Tensor
    level: Tensor
    amplitude: Tensor
    power: Tensor
    power_spread: Tensor

    def __init__(self, n_channels: int, frequencies: Sequence[float], width: float, shared: bool = False) -> None:
        super().__init__()
        self.shared, self.width = shared, width
        n_answers = len(frequencies) + 1
        self.register_buffer("frequencies", torch.tensor([float(f) for f in frequencies]))
        self.register_buffer("log_prior", torch.full((n_answers,), -math.log(n_answers)))
        for name, value in PRIORS.items():
            self.register_buffer(name, torch.full((n_channels,), value))

    @torch.no_grad()
    def forward(self, batch: Batch) -> Wave:
        """Read the rhythm of each history and carry it to the queries."""
        channels = self.channels(batch)
        frequencies, log_prior = self.closer(self.grid_odds(channels))
        queries = batch.query_times
        if not self.shared:
            channels = channels.apart()
            queries = queries.repeat_interleave(len(self.noise), 0)
        fit = channels.fit(wave_sums(channels, frequencies))
        odds = fit.odds(log_prior)
        level, there = (odds * fit.level).sum(-1), odds[..., 1:]
        a, b = there * fit.cos, there * fit.sin
        cos, sin = _turns(queries, frequencies)
        value = cos @ a.mT + sin @ b.mT + level[:, None]
        level_there = fit.level[..., 1:]
        square = cos.square() @ (a * fit.cos).mT + sin.square() @ (b * fit.sin).mT + 2 * (cos * sin) @ (a * fit.sin).mT
        square = (
            square
            + 2 * (cos @ (a * level_there).mT + sin @ (b * level_there).mT)
            + (odds * fit.level.square()).sum(-1)[:, None]
        )
        doubt = 0.5 * ((square - value.square()).clamp_min(0) + channels.noise.mT.expand_as(value)).log()
        explained = there.sum(-1)
        certain = 1 - torch.special.entr(odds).sum(-1) / math.log(odds.shape[-1])
        pitch = (there * (frequencies / self.frequencies[-1]).log()[:, None]).sum(-1) / explained.clamp_min(1e-6)
        n_series, n_channels = batch.mask.shape[0], batch.mask.shape[2]

        def of_channels(x: Tensor) -> Tensor:
            return x.expand(n_series, n_channels) if self.shared else x.reshape(n_series, n_channels)

        if not self.shared:
            value, doubt = (x.reshape(n_series, n_channels, -1).mT for x in (value, doubt))
        now = torch.cat([of_channels(x) for x in (level, a.sum(-1), b.sum(-1))], -1)
        return Wave(value, doubt, now, *(of_channels(x) for x in (explained, certain, pitch)))

    def channels(self, batch: Batch) -> Channels:
        """Observations and variances as the fits take them."""
        priors = (getattr(self, name)[:, None] for name in PRIORS)
        return Channels(batch.times, batch.values * batch.mask, batch.mask, *priors)

    def grid_odds(self, channels: Channels) -> Tensor:
        """Probabilities over the grid, (series, 1, 1 + frequency); (series, channel, 1 + frequency) if not shared."""
        fit = channels.fit(wave_sums(channels, self.frequencies))
        return fit.odds(self.log_prior) if self.shared else torch.softmax(fit.evidence + self.log_prior, -1)

    def closer(self, odds: Tensor) -> tuple[Tensor, Tensor]:
        """Frequencies around the likeliest of the grid, and their prior.

        Parameters
        ----------
        odds : Tensor
            As :meth:`grid_odds` gives them.

        Returns
        -------
        frequencies : Tensor
            (series, frequency); every channel counts as a series if they do not share one.
        log_prior : Tensor
            (series, 1, 1 + frequency), the first of "no sinusoid".
        """
        cells = odds[..., 1:].flatten(0, 1).topk(min(CELLS_KEPT, len(self.frequencies)), -1).indices
        within = ((torch.arange(PER_CELL, device=odds.device) + 0.5) / PER_CELL - 0.5) * self.width
        frequencies = (self.frequencies[cells][..., None] + within).flatten(1)
        of_cells = (self.log_prior[1:][cells] - math.log(PER_CELL)).repeat_interleave(PER_CELL, 1)
        log_prior = torch.cat([self.log_prior[:1].expand(len(cells), 1), of_cells], 1)
        return frequencies, log_prior[:, None]
