"""Sinusoids of which every series has its own period: found by Bayes' rule on a grid of frequencies."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from latentode.nn.channel_series import ChannelSeries, Points

__all__ = ["CYCLES_APART", "RANK", "OwnPeriods", "WhiteHistory"]

CYCLES_APART = 0.1
"""Distance of two frequencies of the grid, in cycles per usual duration."""

N_WAVES = 4
"""Cosine and sine of two frequencies, a little lower and higher: true frequencies lie between those of the grid."""

N_KEPT = 12
"""Frequencies of a series that its forecasts follow: the most likely ones."""

RANK = N_KEPT * (N_WAVES + 1) + 1
"""Of the covariance that sinusoids add: the waves of each frequency, the means of all, and of none."""

LEAST = 1e-300
"""Least divisor of shares."""

CELLS, FEW_CELLS = 4_000_000, 400_000
"""Values of waves that are held at a time; and up to which what a gradient takes is kept, not computed again."""


@dataclass(frozen=True)
class WhiteHistory:
    """Observations whitened by the process without sinusoids.

    Parameters
    ----------
    series : ChannelSeries
        The observations.
    lower : Tensor
        (pair, point, point), the Cholesky factor of their covariance.
    rest : Tensor
        (pair, point), what the fixed effects leave of the values, whitened.
    variance : Tensor
        (pair,), of the coefficients of sinusoids.
    """

    series: ChannelSeries
    lower: Tensor
    rest: Tensor
    variance: Tensor

    def take(self, which: Tensor) -> "WhiteHistory":
        """Some of the pairs."""
        return WhiteHistory(self.series.take(which), self.lower[which], self.rest[which], self.variance[which])

    def centre(self) -> Tensor:
        """(pair, 1), the mean time of the observations."""
        seen = self.series.observed.double()
        return ((self.series.times * seen).sum(1) / seen.sum(1).clamp(min=1))[:, None]


@dataclass(frozen=True)
class _Regression:
    """A linear regression on the waves of each frequency, with a normal prior of the coefficients.

    Parameters
    ----------
    waves : Tensor
        (pair, point, wave, frequency), at the observations, whitened.
    rows : list of list of Tensor
        (pair, frequency) each, the Cholesky factor of the precision of the coefficients: its entries, row by row.
    halves : list of Tensor
        (pair, frequency) each, their posterior mean, multiplied by the transpose of that factor.
    log_ratio : Tensor
        (pair, frequency), the log-likelihood over that without waves.
    """

    waves: Tensor
    rows: list[list[Tensor]]
    halves: list[Tensor]
    log_ratio: Tensor

    @property
    def lower(self) -> Tensor:
        """The Cholesky factor, (pair, frequency, wave, wave)."""
        zero = torch.zeros_like(self.log_ratio)
        return torch.stack([torch.stack([*row, *[zero] * (N_WAVES - len(row))], -1) for row in self.rows], -2)

    @property
    def half(self) -> Tensor:
        """The halves together, (pair, frequency, wave, 1)."""
        return torch.stack(self.halves, -1)[..., None]


class OwnPeriods(nn.Module):
    """How likely every frequency is in the series of a channel, and what a history says of its own.

    A channel of a series has a sinusoid of one frequency, or none. Given the frequency, amplitude and phase have a
    normal prior, so all is in closed form; the frequencies are weighted by Bayes' rule. The prior over them is that of
    the population: with a few observations a series is forecast as the mixture over the frequencies that others have.

    Parameters
    ----------
    n_channels, n_frequencies : int
        Channels, and frequencies that are considered in each.
    duration : float
        The usual duration of a series, in spans.

    References
    ----------
    Bretthorst (1988), Bayesian spectrum analysis and parameter estimation. Rasmussen & Williams (2006), Gaussian
    processes for machine learning, section 2.7.
    """

    frequencies: Tensor  # (channel, frequency), in cycles per span
    prior: Tensor  # (channel, 1 + frequency), probabilities of no sinusoid and of each frequency

    def __init__(self, n_channels: int, n_frequencies: int, duration: float) -> None:
        super().__init__()
        self.duration = duration
        self.width = CYCLES_APART / math.sqrt(12) / duration  # of a uniform distribution between two frequencies
        self.register_buffer("frequencies", torch.ones(n_channels, n_frequencies))
        self.register_buffer("prior", torch.cat([torch.ones(n_channels, 1), torch.zeros(n_channels, n_frequencies)], 1))

    def forward(self, history: WhiteHistory, queries: Points, weights: Tensor) -> tuple[Tensor, Tensor]:
        """What sinusoids add at the queries: means, (pair, query), and a root of the covariance, (pair, query, any).

        Parameters
        ----------
        history : WhiteHistory
            What is known.
        queries : Points
            Of (pair, query).
        weights : Tensor
            (pair, point, query), the whitened covariance of observations and queries, without sinusoids.
        """
        which = torch.nonzero(self.prior[history.series.channel, 0] < 1)[:, 0]
        n_pairs, n_queries = queries.times.shape
        if not len(which):
            return weights.new_zeros(n_pairs, n_queries), weights.new_zeros(n_pairs, n_queries, 0)
        mean, root = self._forecast(history.take(which), queries.take(which), weights[which])
        everywhere = mean.new_zeros(n_pairs, n_queries), root.new_zeros(n_pairs, *root.shape[1:])
        return everywhere[0].index_copy(0, which, mean), everywhere[1].index_copy(0, which, root)

    def evidence(self, history: WhiteHistory) -> tuple[Tensor, Tensor]:
        """What sinusoids add to the log-likelihood, (pair,), and the posterior, (pair, 1 + frequency).

        Parameters
        ----------
        history : WhiteHistory
            What is known.
        """
        prior, n_points = self.prior[history.series.channel].double(), history.series.times.shape[1]
        per_pair = N_WAVES * self.frequencies.shape[1] * n_points
        possible = torch.nonzero(prior[:, 0] < 1)[:, 0]
        few = len(possible) * per_pair <= FEW_CELLS
        ratios = torch.zeros_like(prior[:, 1:])
        for which in torch.split(possible, max(CELLS // per_pair, 1)):
            part = history.take(which)
            if few:
                found = self._log_ratio(part)
            else:  # computed again in the backward pass
                found = checkpoint(self._log_ratio, part, use_reentrant=False, preserve_rng_state=False)
            ratios = ratios.index_copy(0, which, found)
        # The logarithm of 0: what is impossible stays so, however well it fits.
        logits = prior.log() + torch.cat([torch.zeros_like(ratios[:, :1]), ratios], 1)
        return torch.logsumexp(logits, 1), torch.softmax(logits, 1)

    def explained(self, history: WhiteHistory, posterior: Tensor, design: Tensor) -> tuple[Tensor, Tensor]:
        """What sinusoids take of the information on fixed effects, in the mean over the frequencies.

        Precision, (pair, effect, effect), and precision times mean, (pair, effect).

        Parameters
        ----------
        history : WhiteHistory
            What is known.
        posterior : Tensor
            (pair, 1 + frequency), of :meth:`evidence`.
        design : Tensor
            (pair, point, effect), the features of the effects, whitened.
        """
        share, frequencies = self._kept(history, posterior)
        fitted = self._regression(history, frequencies)
        along = _times(design, fitted.waves)
        root = share.sqrt()[..., None, None]
        solved = torch.linalg.solve_triangular(fitted.lower, along, upper=False) * root
        return (solved.mT @ solved).sum(1), (solved.mT @ (fitted.half * root)).sum(1)[..., 0]

    def _forecast(self, history: WhiteHistory, queries: Points, weights: Tensor) -> tuple[Tensor, Tensor]:
        """As :meth:`forward`, of channels that have sinusoids."""
        _, posterior = self.evidence(history)
        none = posterior[:, :1]
        share, frequencies = self._kept(history, posterior)
        fitted = self._regression(history, frequencies)
        waves = _waves(queries.times - history.centre(), frequencies, self.width).permute(0, 3, 2, 1)
        waves = waves - _times(weights, fitted.waves)  # (pair, frequency, wave, query)
        within = torch.linalg.solve_triangular(fitted.lower, waves, upper=False)
        means = (within.mT @ fitted.half)[..., 0].mT  # (pair, query, frequency)
        mean = (means * share[:, None]).sum(-1, keepdim=True)
        # The covariance of a mixture: that of each frequency, and that of their means.
        within = (within * share.sqrt()[..., None, None]).permute(0, 3, 1, 2).flatten(2)
        between = torch.cat([(means - mean) * share.sqrt()[:, None], mean * none.sqrt()[:, None]], dim=-1)
        return mean[..., 0], torch.cat([within, between], dim=-1)

    def _kept(self, history: WhiteHistory, posterior: Tensor) -> tuple[Tensor, Tensor]:
        """Shares of the most likely frequencies, (pair, kept), and which they are.

        The shares of the others are divided among them.
        """
        share, kept = posterior[:, 1:].topk(min(N_KEPT, posterior.shape[1] - 1), dim=1)
        share = share * (1 - posterior[:, :1]) / share.sum(1, keepdim=True).clamp(min=LEAST)
        return share, self.frequencies[history.series.channel].double().gather(1, kept)

    def _log_ratio(self, history: WhiteHistory) -> Tensor:
        return self._regression(history, self.frequencies[history.series.channel].double()).log_ratio

    def _regression(self, history: WhiteHistory, frequencies: Tensor) -> _Regression:
        series = history.series
        waves = _waves(series.times - history.centre(), frequencies, self.width) * series.observed[..., None, None]
        shape = waves.shape
        waves = torch.linalg.solve_triangular(history.lower, waves.flatten(2), upper=False).reshape(shape)
        columns = waves.unbind(2)
        # Sums of products one by one: there are many frequencies, and only four waves of each.
        products = [[(a * b).sum(1) for b in columns[: i + 1]] for i, a in enumerate(columns)]
        prior = 1 / history.variance[:, None]
        products = [[x + prior if i == j else x for j, x in enumerate(row)] for i, row in enumerate(products)]
        rows = _cholesky(products)
        halves: list[Tensor] = []
        for column, row in zip(columns, rows, strict=True):
            along = (column * history.rest[..., None]).sum(1)
            halves.append(_less(along, row, halves) / row[-1])
        log_ratio = -0.5 * N_WAVES * history.variance.log()[:, None]
        for half, row in zip(halves, rows, strict=True):
            log_ratio = log_ratio + 0.5 * half.square() - row[-1].log()
        return _Regression(waves, rows, halves, log_ratio)


def _waves(times: Tensor, frequencies: Tensor, width: float) -> Tensor:
    """Waves, (pair, point, 4, frequency), of frequencies lower and higher than each by a standard deviation of it.

    They are those of the frequency itself and, almost, their derivatives by it. As both turn with the difference, they
    are as large far ahead as near by; the derivatives would grow with the time.
    """
    angle = 2 * math.pi * frequencies[:, None] * times[..., None]
    cos, sin = angle.cos(), angle.sin()
    turned = 2 * math.pi * width * times[..., None]
    near, aside = turned.cos(), turned.sin()
    return torch.stack([near * cos, near * sin, -aside * sin, aside * cos], dim=2)


def _cholesky(products: list[list[Tensor]]) -> list[list[Tensor]]:
    """Cholesky factors of many small matrices, entry by entry: a call of LAPACK for each takes several times as long.

    References
    ----------
    Golub & Van Loan (2013), Matrix computations, section 4.2.
    """
    lower: list[list[Tensor]] = []
    for row in products:
        found: list[Tensor] = []
        for above in lower:
            found.append(_less(row[len(found)], above, found) / above[-1])
        lower.append([*found, _less(row[-1], found, found).sqrt()])
    return lower


def _less(total: Tensor, a: list[Tensor], b: list[Tensor]) -> Tensor:
    """A total less the products of what stands at the same places."""
    for x, y in zip(a, b, strict=False):
        total = torch.addcmul(total, x, y, value=-1)
    return total


def _times(columns: Tensor, waves: Tensor) -> Tensor:
    """Products of columns at the observations, (pair, point, column), and waves: (pair, frequency, wave, column)."""
    n_pairs, _, n_waves, n_frequencies = waves.shape
    return (waves.flatten(2).mT @ columns).reshape(n_pairs, n_waves, n_frequencies, -1).transpose(1, 2)
