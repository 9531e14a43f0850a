"""A Gaussian process whose parameters few series leave open: the mean over draws of them."""

from dataclasses import replace
from typing import Self

import torch
from torch import Tensor

from latentode.nn.batch import Batch, Prediction
from latentode.nn.channel_series import ChannelSeries
from latentode.nn.gaussian_process import Evidence, GaussianProcess

__all__ = ["ProcessDraws"]

N_CORRELATED = 8
"""Draws that correlations are averaged over: a matrix of all queries for each takes most of the time of samples."""


class ProcessDraws(GaussianProcess):
    """A Gaussian process with several draws of its variances and time scales.

    Twenty values do not show whether they walk at random or fluctuate about a level. A process with the most likely
    parameters promises too much of them: on single random walks its 90 % intervals covered 46 % at the farthest lead
    time. With draws from the posterior of the parameters they cover 65 %, and the CRPS is 10 % lower. The forecast has
    the mean and the variance of the mixture over the draws.

    Each draw is a channel of its own: draw 2 of channel 1 is channel ``1 * n_draws + 2`` of the process.

    Parameters
    ----------
    n_channels, n_given, usual_gap, duration, n_impulses, impulse_gap
        As of :class:`GaussianProcess`.
    n_draws : int
        Draws of the parameters of each channel.

    References
    ----------
    Rasmussen & Williams (2006), Gaussian processes for machine learning, section 5.2 (integrating over the
    hyperparameters).

    Examples
    --------
    >>> ProcessDraws(n_channels=2, n_given=0, usual_gap=0.1, duration=1.0, n_draws=8).n_channels
    2
    """

    def __init__(
        self,
        n_channels: int,
        n_given: int,
        usual_gap: float,
        duration: float,
        n_impulses: int = 0,
        impulse_gap: float = 1.0,
        n_draws: int = 1,
    ) -> None:
        super().__init__(n_channels * n_draws, n_given, usual_gap, duration, n_impulses, impulse_gap)
        self.n_channels, self.n_draws = n_channels, n_draws

    @classmethod
    def made_of(cls, process: GaussianProcess, n_draws: int, channels: Tensor) -> Self:
        """Draws that are channels of another process.

        Parameters
        ----------
        process : GaussianProcess
            With the parameters.
        n_draws : int
            Draws of each channel.
        channels : Tensor
            (channel * draw,), which channel of the other process each draw is.
        """
        drawn = cls(
            process.n_channels,
            process.n_given,
            process.usual_gap,
            process.duration,
            process.n_impulses,
            process.impulse_gap,
            n_draws,
        )
        shared = "impulses."  # rates at which what is given fades, the same for all channels
        state = process.state_dict()
        drawn.load_state_dict({k: x if k.startswith(shared) else x[channels] for k, x in state.items()})
        return drawn

    def forward(self, batch: Batch) -> Prediction:
        """Mean and standard deviation of a value at every query, noise included.

        Parameters
        ----------
        batch : Batch
            Histories and queries.
        """
        mean, scale = self._each(batch)
        between, dtype = mean.var(-1, unbiased=False), batch.values.dtype
        return Prediction(mean.mean(-1).to(dtype), (scale.square().mean(-1) + between).sqrt().to(dtype))

    def correlations(self, batch: Batch) -> Tensor:
        """How values at the queries go together given the history, (series, channel, query, query), noise included.

        Parameters
        ----------
        batch : Batch
            Histories and queries.
        """
        if self.n_draws >= 2 * N_CORRELATED:
            every = self.n_draws // N_CORRELATED
            kept = torch.arange(self.n_channels * self.n_draws).view(self.n_channels, -1)[:, ::every]
            return self.made_of(self, kept.shape[1], kept.flatten()).correlations(batch)
        mean, scale = (x.permute(0, 2, 3, 1) for x in self._each(batch))  # (series, channel, draw, query)
        within = super().correlations(self._repeated(batch)).reshape(*mean.shape, -1)
        off = mean - mean.mean(2, keepdim=True)
        covariance: Tensor = (within * scale[..., None] * scale[..., None, :]).mean(2) + off.mT @ off / self.n_draws
        deviation = covariance.diagonal(dim1=2, dim2=3).sqrt()
        return covariance / (deviation[..., None] * deviation[..., None, :])

    def evidence(self, population: list[ChannelSeries]) -> Evidence:
        """What series say of the parameters of each draw.

        Parameters
        ----------
        population : list of ChannelSeries
            In chunks.
        """
        return super().evidence([series.repeated(self.n_draws) for series in population])

    def _each(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """Mean and standard deviation of each draw, (series, query, channel, draw)."""
        found = super().forward(self._repeated(batch))
        mean, scale = (x.double().reshape(*x.shape[:2], -1, self.n_draws) for x in (found.mean, found.scale))
        return mean, scale

    def _repeated(self, batch: Batch) -> Batch:
        """A batch with every channel as often as there are draws."""
        values, mask = (x.repeat_interleave(self.n_draws, dim=2) for x in (batch.values, batch.mask))
        return replace(batch, values=values, mask=mask)
