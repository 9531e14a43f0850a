"""The rhythm of each series: a sinusoid fitted to its history in closed form, its frequency averaged over."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, fields

import torch
from torch import Tensor, nn

from latentode.nn.batch import Batch
from latentode.nn.features import INPUT_BOUND
from latentode.nn.sinusoids import PRIORS, Channels, turns, wave_sums

__all__ = ["N_READ", "Rhythm", "Wave"]

CELLS_KEPT = 8
"""Likeliest cells of the grid that are divided, and likeliest parts of those that are divided again."""

PER_CELL = 6
"""Parts into which each is divided."""

MOST_LOOKED_AT = (2 * PER_CELL - 1) * CELLS_KEPT
"""Frequencies that are left in the end, at most."""

NUMBERS_AT_ONCE = 1e6
"""Sines and cosines in memory at once: a batch of many channels is read a few series at a time."""


N_READ = 7
"""Numbers per channel that a decoder reads of a wave at a query."""


@dataclass(frozen=True)
class Wave:
    """What a series' rhythm says of its queries.

    Parameters
    ----------
    value : Tensor
        (series, query, channel), the expected value.
    doubt : Tensor
        (series, query, channel), the logarithm of its standard deviation over frequencies, noise added.
    phase : Tensor
        (series, query, channel, 2), cosine and sine of the angle since the wave's crest, less than one long where
        frequencies disagree.
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
    phase: Tensor
    now: Tensor
    explained: Tensor
    certain: Tensor
    pitch: Tensor

    @property
    def of_series(self) -> Tensor:
        """What an encoder reads, (series, 6 * channel)."""
        return torch.cat([self.now, self.explained, self.certain, self.pitch], -1)

    @property
    def at_queries(self) -> tuple[Tensor, ...]:
        """What a decoder reads, ``N_READ`` times (series, query, channel).

        Phase and twice the phase let it learn the shape of a turn where that is no sinusoid.
        """
        explained = self.explained[:, None].expand_as(self.value)
        cos, sin = self.phase.unbind(-1)
        told = self.value.clamp(-INPUT_BOUND, INPUT_BOUND), explained, self.doubt
        return *told, cos, sin, cos.square() - sin.square(), 2 * cos * sin

    @classmethod
    def joined(cls, waves: "Sequence[Wave]") -> "Wave":
        """Those of several series as one."""
        return cls(*(torch.cat([getattr(wave, f.name) for wave in waves]) for f in fields(cls)))

    def tile(self, n: int) -> "Wave":
        """The whole wave n times over, one copy after the other."""
        parts = (getattr(self, f.name) for f in fields(self))
        return Wave(*(x.repeat(n, *[1] * (x.ndim - 1)) for x in parts))


class Rhythm(nn.Module):
    r"""Bayesian regression on one sinusoid of unknown frequency, for every series and channel.

    A channel is :math:`l + a \cos 2\pi f t + b \sin 2\pi f t` and noise. Level and amplitudes have Gaussian priors, the
    frequency has one over a grid with one more place for "no sinusoid". All priors are the data's own, found before
    training by :func:`~latentode.nn.learn_priors`; nothing here is learned by gradient. The likeliest cells of the grid
    are divided, the likeliest parts of those once more, and the answer is averaged over all parts by their posterior: a
    periodogram with a floating mean, turned into a forecast.

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
        longest = max(batch.times.shape[1], batch.query_times.shape[1])
        places = max(len(self.frequencies), MOST_LOOKED_AT * (1 if self.shared else len(self.noise)))
        n_at_once = max(int(NUMBERS_AT_ONCE / (longest * places)), 1)
        parts = zip(self.channels(batch).split(n_at_once), torch.split(batch.query_times, n_at_once), strict=True)
        waves = [self._wave(*part) for part in parts]
        return waves[0] if len(waves) == 1 else Wave.joined(waves)

    def _wave(self, channels: Channels, queries: Tensor) -> Wave:
        n_series, _, n_channels = channels.mask.shape
        dtype = channels.values.dtype
        frequencies, log_prior = self.closer(channels)
        # In double precision: odds are exponentials of large sums, and doubt a small difference of squares; the order
        # in which they are formed, which follows a batch's size, may not show in an answer.
        channels = channels.doubled()
        if not self.shared:
            channels = channels.apart()
            queries = queries.repeat_interleave(len(self.noise), 0)
        fit = channels.fit(wave_sums(channels, frequencies))
        odds = fit.odds(log_prior)
        value, variance, phase = fit.told(odds, *(x.double() for x in turns(queries, frequencies)))
        doubt = 0.5 * (variance + channels.noise.mT.expand_as(value)).log()
        there = odds[..., 1:]
        explained = there.sum(-1)
        certain = 1 - torch.special.entr(odds).sum(-1) / math.log(odds.shape[-1])
        pitch = (there * (frequencies / self.frequencies[-1]).log()[:, None]).sum(-1) / explained.clamp_min(1e-6)

        def of_channels(x: Tensor) -> Tensor:
            return x.expand(n_series, n_channels) if self.shared else x.reshape(n_series, n_channels)

        if not self.shared:
            value, doubt = (x.reshape(n_series, n_channels, -1).mT for x in (value, doubt))
            phase = phase.reshape(n_series, n_channels, -1, 2).transpose(1, 2)
        wave = ((odds * fit.level).sum(-1), (there * fit.cos).sum(-1), (there * fit.sin).sum(-1))
        now = torch.cat([of_channels(x) for x in wave], -1)
        parts = (value, doubt, phase, now, *(of_channels(x) for x in (explained, certain, pitch)))
        return Wave(*(x.to(dtype) for x in parts))

    def channels(self, batch: Batch) -> Channels:
        """Observations and variances as the fits take them."""
        priors = (getattr(self, name)[:, None] for name in PRIORS)
        return Channels(batch.times, batch.values * batch.mask, batch.mask, *priors)

    def grid_odds(self, channels: Channels) -> Tensor:
        """Probabilities over the grid, (series, 1, 1 + frequency); (series, channel, 1 + frequency) if not shared."""
        fit = channels.blurred(self.width).fit(wave_sums(channels, self.frequencies))
        return fit.odds(self.log_prior) if self.shared else torch.softmax(fit.evidence + self.log_prior, -1)

    def closer(self, channels: Channels) -> tuple[Tensor, Tensor]:
        """Frequencies around the likeliest of the grid, closer still around the likeliest of those, and their prior.

        Parameters
        ----------
        channels : Channels
            As :meth:`channels` gives them.

        Returns
        -------
        frequencies : Tensor
            (series, frequency); every channel counts as a series if they do not share one.
        log_prior : Tensor
            (series, 1, 1 + frequency), the first of "no sinusoid".
        """
        cells = _likeliest(self.grid_odds(channels)[..., 1:].flatten(0, 1))[0]
        frequencies, log_prior = self._divided(self.frequencies[cells], self.log_prior[1:][cells], self.width)
        none = self.log_prior[:1].expand(len(cells), 1)
        mine, width = channels if self.shared else channels.apart(), self.width / PER_CELL
        fit = mine.blurred(width).fit(wave_sums(mine, frequencies))
        odds = fit.odds(torch.cat([none, log_prior], 1)[:, None])[:, 0, 1:]
        likely, others = _likeliest(odds)
        finer, finer_prior = self._divided(frequencies.gather(1, likely), log_prior.gather(1, likely), width)
        frequencies = torch.cat([frequencies.gather(1, others), finer], 1)
        return frequencies, torch.cat([none, log_prior.gather(1, others), finer_prior], 1)[:, None]

    def _divided(self, frequencies: Tensor, log_prior: Tensor, width: float) -> tuple[Tensor, Tensor]:
        """The middles of equal parts of each cell of the grid, (series, cell * part), and their prior."""
        middles = (torch.arange(PER_CELL, dtype=log_prior.dtype, device=log_prior.device) + 0.5) / PER_CELL - 0.5
        parts = (log_prior - math.log(PER_CELL)).repeat_interleave(PER_CELL, 1)
        return (frequencies[..., None] + middles * width).flatten(1), parts


def _likeliest(odds: Tensor) -> tuple[Tensor, Tensor]:
    """Indices of the cells to be looked at more closely, and of all others."""
    order = odds.argsort(stable=True, dim=-1, descending=True)
    return order[:, :CELLS_KEPT], order[:, CELLS_KEPT:]
