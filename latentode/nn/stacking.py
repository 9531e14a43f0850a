"""Stacking: the network's forecast and that of the Gaussian process, combined by weights that were learned."""

import math
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor, nn

from latentode.nn.batch import Batch, Prediction
from latentode.nn.devices import DeviceCopy
from latentode.nn.ensemble import Model
from latentode.nn.gaussian_process import GaussianProcess
from latentode.nn.latent_ode import LatentODEConfig
from latentode.nn.mixed_likelihood import Likelihood
from latentode.nn.mixture import mixture_spread
from latentode.nn.process_draws import ProcessDraws

__all__ = ["Stacked", "Stacking", "StackingConfig", "StackingWeights", "combined"]

ONE_THIRD = math.log(0.5)
"""The logit of the weight without data. One half was better on some sets, and worse where the network is right."""

TINY = 1e-12
"""Least spread of the network's draws, which they are divided by."""


@dataclass(frozen=True)
class StackingConfig:
    """Sizes of a :class:`Stacking`: all that is needed to rebuild it.

    Parameters
    ----------
    n_channels, n_given : int
        Channels, and features known beforehand.
    usual_gap : float
        The median gap between rows, in spans.
    duration : float
        The usual duration of a series, in spans.
    n_impulses : int
        Kinds of impulses that the process knows; none in models saved before it did.
    impulse_gap : float
        The typical time between two impulses of a series, in spans.
    n_frequencies : int
        Frequencies of sinusoids of which each series has its own; none in models saved before there were any.
    n_draws : int
        Draws of the parameters of the process; one in models saved before there were several.
    """

    n_channels: int
    n_given: int
    usual_gap: float
    duration: float
    n_impulses: int = 0
    impulse_gap: float = 1.0
    n_frequencies: int = 0
    n_draws: int = 1

    def to_dict(self) -> dict[str, Any]:
        """The fields as plain values, for a file."""
        return asdict(self)


class StackingWeights(nn.Module):
    """The weight of the Gaussian process beside the network, by channel, lead time and length of the history.

    Its logit is linear: a common intercept, a deviation of each channel, and slopes for the logarithm of the lead time,
    for queries inside the history, and for the logarithm of the number of observations of the channel. Inside it the
    common weight is another, as free as the one after it. Without data both are one third.

    Parameters
    ----------
    n_channels : int
        Channels.
    usual_gap : float
        The median gap between rows, in spans: the unit of the lead time.

    References
    ----------
    Wolpert (1992), Stacked generalization. Sill et al. (2009), Feature-weighted linear stacking.
    """

    def __init__(self, n_channels: int, usual_gap: float) -> None:
        super().__init__()
        self.usual_gap = usual_gap
        self.intercept = nn.Parameter(torch.zeros(()))
        self.of_channel = nn.Parameter(torch.zeros(n_channels))
        self.slopes = nn.Parameter(torch.zeros(3))

    def forward(self, batch: Batch) -> Tensor:
        """(series, query, channel), between 0 and 1."""
        ahead = torch.log1p(batch.query_times.clamp(min=0.0) / self.usual_gap)[..., None]
        inside = (batch.query_times <= 0).to(ahead.dtype)[..., None]
        return self.at(ahead, inside, torch.log1p(batch.mask.sum(1))[:, None])

    def at(self, log_lead: Tensor, inside: Tensor, log_count: Tensor) -> Tensor:
        """Weights at some lead times and numbers of observations.

        Parameters
        ----------
        log_lead : Tensor
            (..., 1), ``log(1 + lead / usual gap)``.
        inside : Tensor
            (..., 1), 1 for a query inside the history, 0 after it.
        log_count : Tensor
            (..., channel) or (..., 1), ``log(1 + observations of the channel)``.
        """
        # Centred at a lead of 1.7 gaps and 3.5 observations, where the intercept speaks for all.
        slopes = self.slopes[0] * (log_lead - 1.0) + self.slopes[1] * inside + self.slopes[2] * (log_count - 1.5)
        return (ONE_THIRD + self.intercept + self.of_channel + slopes).sigmoid()

    def penalty(self, intercept: float = 0.0, stiffness: float = 0.01) -> Tensor:
        """(), the squared distance from the weights without data; the common ones are free the most.

        Parameters
        ----------
        intercept : float
            Of the weights without data, beside one third.
        stiffness : float
            How much a common deviation from them costs beside that of a channel.
        """
        of_lead, more_inside, of_count = self.slopes
        after = self.intercept - intercept
        inside = after - of_lead + more_inside  # where the logarithm of the lead time is 0
        common = after.square() + inside.square()
        of_common_and_channels = stiffness * common + self.of_channel.square().mean()
        penalty: Tensor = of_common_and_channels + 0.1 * (of_lead.square() + of_count.square())
        return penalty


class Stacking(nn.Module):
    """The Gaussian process and its weight.

    Parameters
    ----------
    config : StackingConfig
        Sizes.
    """

    def __init__(self, config: StackingConfig) -> None:
        super().__init__()
        self.config = config
        sizes = config.to_dict()
        n_draws = sizes.pop("n_draws")
        if n_draws > 1:  # such a process has no sinusoids with a period of their own
            del sizes["n_frequencies"]
            self.process: GaussianProcess = ProcessDraws(**sizes, n_draws=n_draws)
        else:
            self.process = GaussianProcess(**sizes)
        self.weights = StackingWeights(config.n_channels, config.usual_gap)


class Stacked(nn.Module):
    """A network whose predictions are moved towards those of a Gaussian process.

    Mean and scale are weighted means of both. Draws of the network keep their course around the mean: they are moved
    with it and stretched to the new scale. Channels of counts are the network's alone: they are no Gaussians.

    Parameters
    ----------
    network : LatentODE or Ensemble or DeviceCopy
        The network.
    stacking : Stacking
        The process and its weight.
    """

    def __init__(self, network: Model | DeviceCopy, stacking: Stacking) -> None:
        super().__init__()
        self.network, self.stacking = network, stacking

    @property
    def config(self) -> LatentODEConfig:
        """That of the network."""
        return self.network.config

    @property
    def likelihood(self) -> Likelihood:
        """That of the network."""
        return self.network.likelihood

    def predict(self, batch: Batch) -> Prediction:
        """Mean and scale, (series, query, channel)."""
        return self.moved(self.network.predict(batch), self.stacking.process(batch), batch)

    def sample(self, batch: Batch, noise: Tensor) -> Prediction:
        """Predict along trajectories from several draws of z0, (sample, series, query, channel).

        Parameters
        ----------
        batch : Batch
            Histories and queries.
        noise : Tensor
            (sample, series, latent), standard normal.
        """
        center, drawn = self.network.predict(batch), self.network.sample(batch, noise)
        spread = mixture_spread(drawn.mean, drawn.scale, center.mean).clamp(min=TINY)
        process, weight = self.stacking.process(batch), self._weight(batch)
        moved = combined(center, process, weight)
        stretch = 1 + weight * (process.scale / spread - 1)
        return Prediction(moved.mean + stretch * (drawn.mean - center.mean), stretch * drawn.scale)

    def moved(self, network: Prediction, process: Prediction, batch: Batch) -> Prediction:
        """The predictions of both, combined.

        Parameters
        ----------
        network, process : Prediction
            Of the batch, (series, query, channel).
        batch : Batch
            Histories and queries.
        """
        return combined(network, process, self._weight(batch))

    def _weight(self, batch: Batch) -> Tensor:
        weight: Tensor = self.stacking.weights(batch)
        return weight * torch.from_numpy(~self.likelihood.of_counts)


def combined(network: Prediction, process: Prediction, weight: Tensor) -> Prediction:
    """The weighted mean of two predictions."""
    mean = network.mean + weight * (process.mean - network.mean)
    return Prediction(mean, network.scale + weight * (process.scale - network.scale))
