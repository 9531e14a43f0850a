"""Sinusoids of given frequencies fitted to histories in closed form."""

import math
from dataclasses import dataclass, fields, replace

import torch
from torch import Tensor

__all__ = ["PRIORS", "Channels", "SinusoidFit", "turns", "wave_sums"]

PRIORS = {"noise": 0.1, "level": 1.0, "amplitude": 0.5, "power": -0.6, "power_spread": 1.3}
"""What is ordinary for a channel, until it is learned: see :class:`Channels`."""


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

    def split(self, n_series: int) -> list["Channels"]:
        """The same, so many series at a time."""
        parts = zip(*(torch.split(x, n_series) for x in (self.times, self.values, self.mask)), strict=True)
        return [replace(self, times=times, values=values, mask=mask) for times, values, mask in parts]

    def blurred(self, width: float) -> "Channels":
        """The same, with what a frequency anywhere in a cell so wide makes the sinusoid of its middle miss as noise.

        At a distance t from the middle of a history an error d of the frequency turns the wave by 2 pi d t.
        """
        n, times = self.mask.sum(1).clamp_min(1), self.times[..., None]
        center = (self.mask * times).sum(1, keepdim=True) / n[:, None]
        spread = (self.mask * (times - center).square()).sum(1) / n
        missed = self.amplitude * ((2 * math.pi * width) ** 2 / 12 * spread)[..., None]
        return replace(self, noise=self.noise + missed)

    def doubled(self) -> "Channels":
        """The same in double precision, but for the times."""
        return Channels(self.times, *(getattr(self, f.name).double() for f in fields(self)[1:]))

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

    def told(self, odds: Tensor, cos: Tensor, sin: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """What is expected at some times, its variance over frequencies, and where in its turn the wave is.

        Parameters
        ----------
        odds : Tensor
            As :meth:`odds` gives them.
        cos, sin : Tensor
            (series, time, frequency), of every frequency there.

        Returns
        -------
        value, variance : Tensor
            (series, time, channel)
        phase : Tensor
            (series, time, channel, 2), cosine and sine of the angle since the wave's crest, less than one long where
            frequencies disagree.
        """
        there, level = odds[..., 1:], self.level[..., 1:]
        a, b = there * self.cos, there * self.sin
        swing = cos @ a.mT + sin @ b.mT
        value = swing + (odds * self.level).sum(-1)[:, None]
        size = (a * self.cos + b * self.sin).sum(-1).clamp_min(1e-12).sqrt()[:, None]
        phase = torch.stack([swing / size, (sin @ a.mT - cos @ b.mT) / size], -1)
        # The expected square of level + a cos + b sin, term by term: never an array of times, channels and frequencies.
        squares = cos.square() @ (a * self.cos).mT + sin.square() @ (b * self.sin).mT
        products = (cos * sin) @ (a * self.sin).mT + cos @ (a * level).mT + sin @ (b * level).mT
        square = squares + 2 * products + (odds * self.level.square()).sum(-1)[:, None]
        return value, (square - value.square()).clamp_min(0), phase

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
    cos, sin = (x.to(channels.values.dtype) for x in turns(channels.times, frequencies))
    mask, told = channels.mask.mT.contiguous(), channels.values.mT
    both = torch.cat([mask, told], 1)
    of_cos, told_cos = (both @ cos).chunk(2, 1)
    of_sin, told_sin = (both @ sin).chunk(2, 1)
    n, total = (x.sum(-1, keepdim=True).expand_as(of_cos) for x in (mask, told))
    of_sin2 = 2 * (mask @ sin.mul_(cos))
    of_cos2 = 2 * (mask @ cos.square_()) - n
    return torch.stack([n, of_cos, of_sin, of_cos2, of_sin2, total, told_cos, told_sin], 2)


def turns(times: Tensor, frequencies: Tensor) -> tuple[Tensor, Tensor]:
    """Cosine and sine of every frequency at every time.

    Parameters
    ----------
    times : Tensor
        (series, time).
    frequencies : Tensor
        (frequency,), or (series, frequency).

    Returns
    -------
    cos, sin : Tensor
        (series, time, frequency)
    """
    per_series = frequencies if frequencies.ndim == 1 else frequencies[:, None]
    angle = 2 * math.pi * times[..., None] * per_series
    return torch.cos(angle), torch.sin(angle)
