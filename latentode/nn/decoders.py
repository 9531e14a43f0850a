"""Latent states to channels."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from latentode.nn.chance import Dropout
from latentode.nn.features import INPUT_BOUND, Neighbours, log_gap

__all__ = ["DECODERS", "Decoder", "Known", "LinearDecoder", "MLPDecoder", "SkipDecoder"]

LOG_SCALES = (-5.0, 5.0)

BETWEEN = 2.0
"""How much wider the gate of the line between two neighbours is to begin with, before the sigmoid."""

TRUST, BEND = -1.0, -2.0
"""How far an observation is believed at its own time to begin with, and how much of the bow is, before the sigmoid."""

REACH = math.log(0.25)
"""The logarithm of how many usual gaps it takes until the neighbours are believed half as much, to begin with."""

LARGEST_REACH = 20.0
"""Logarithm of a reach beyond which it makes no difference: what is divided stays a number."""


@dataclass(frozen=True)
class Known:
    """What is known at each query beside the latent state.

    Parameters
    ----------
    context : Tensor
        (series, context), what the encoder says of a series for all of its trajectory.
    level : Tensor
        (series, channel), the history's mean.
    near : Neighbours
        The observations nearest to each query.
    given : Tensor, optional
        (series, query, feature), what is given of the time of each query: seasons, known covariates.
    """

    context: Tensor
    level: Tensor
    near: Neighbours
    given: Tensor | None = None

    @property
    def level_and_base(self) -> tuple[Tensor, Tensor]:
        """The level at every query, and what the neighbours say there: the level where there is no neighbour."""
        level = self.level[:, None].expand_as(self.near.base)
        return level, torch.where(self.near.known > 0, self.near.base, level)

    def beside(self, z: Tensor, *more: Tensor) -> Tensor:
        """The latent state with context, what is given and more, as one input, (series, query, feature)."""
        context = self.context[:, None].expand(*z.shape[:2], -1)
        return torch.cat([z, context, *(() if self.given is None else (self.given,)), *more], dim=-1)


class Decoder(nn.Module):
    """The contract: ``decoder(z, known)`` gives a mean and a relative log scale per query.

    Parameters
    ----------
    n_channels, latent_dim, context_dim, hidden_dim : int
        Sizes.
    usual_gap : float
        The usual gap between rows, in spans.
    given_dim : int
        Features given of any time, 0 where there are none.
    dropout : float
        Of the hidden layer, in training.
    bow, bridge : bool
        Whether it may bend the line between two neighbours, and whether it learns to meet them.
    log_beyond : float
        Size of the latent state beyond which a skip reads its logarithm, 0 for never: what decays forward grows
        backward, and far behind the origin a state of e^4 would have the last word.
    """

    def __init__(
        self,
        n_channels: int,
        latent_dim: int,
        context_dim: int,
        hidden_dim: int,
        usual_gap: float,
        given_dim: int = 0,
        dropout: float = 0.0,
        bow: bool = False,
        bridge: bool = False,
        log_beyond: float = 0.0,
    ) -> None:
        super().__init__()
        self.bow, self.bridge, self.log_beyond = bow, bridge, log_beyond
        self.register_buffer("usual_gap", torch.tensor(usual_gap))
        self._build(n_channels, latent_dim, context_dim, hidden_dim, given_dim, dropout)

    usual_gap: Tensor

    def _build(
        self, n_channels: int, latent_dim: int, context_dim: int, hidden_dim: int, given_dim: int, dropout: float
    ) -> None:
        raise NotImplementedError

    def tempered(self, z: Tensor) -> Tensor:
        """The latent state as a skip reads it: itself where it is small, its logarithm where it is large."""
        if not self.log_beyond:
            return z
        # In single precision answers far behind the origin moved by 1e-5 with what else was asked; so by 1e-7.
        return (self.log_beyond * torch.asinh(z.double() / self.log_beyond)).to(z.dtype)

    def forward(self, z: Tensor, known: Known) -> tuple[Tensor, Tensor]:
        """Decode latent states.

        Parameters
        ----------
        z : Tensor
            (series, query, latent).
        known : Known
            What is known at the queries beside it.

        Returns
        -------
        mean, log_scale : Tensor
            (series, query, channel); the scale is relative to the channel's own. Nothing flows back from it
            into the mean.
        """
        raise NotImplementedError


class Bridge(nn.Module):
    """Draws a mean to what the neighbours of a query say, the more the nearer they are.

    The observations of a channel are believed by a trust, and farther away by how far the channel wanders: the weight
    of the neighbours is that of a Brownian bridge between them beside a mean of another, constant variance. What they
    say is the line between them, and as much of the bow as suits the channel. All three are learned by channel.

    Parameters
    ----------
    n_channels : int
        Channels.
    """

    def __init__(self, n_channels: int) -> None:
        super().__init__()
        self.trust, self.reach, self.bend = (
            nn.Parameter(torch.full((n_channels,), begin)) for begin in (TRUST, REACH, BEND)
        )

    def forward(self, told: Tensor, base: Tensor, near: Neighbours) -> Tensor:
        """Draw what is told, (series, query, channel), to the base and the bow there."""
        reach = self.reach.clamp(-LARGEST_REACH, LARGEST_REACH).exp() * near.nearness
        weight = torch.sigmoid(self.trust) * reach / (reach + 1 - near.nearness)
        return torch.lerp(told, base + torch.sigmoid(self.bend) * near.bow, weight)


class LinearDecoder(Decoder):
    """One linear layer on z(t) and nothing else; the scale is the channel's own.

    References
    ----------
    Rubanova et al. (2019), Latent ODEs for irregularly-sampled time series.
    """

    def _build(self, n_channels: int, latent_dim: int, *_: float) -> None:
        self.to_mean = nn.Linear(latent_dim, n_channels)

    def forward(self, z: Tensor, known: Known) -> tuple[Tensor, Tensor]:
        """Decode latent states; context, neighbours and what is given are not read."""
        mean = self.to_mean(z)
        return mean, torch.zeros_like(mean)


class MLPDecoder(Decoder):
    """A multilayer perceptron on z(t), context and season, without a skip: what a history says must pass through z."""

    def _build(
        self, n_channels: int, latent_dim: int, context_dim: int, hidden_dim: int, given_dim: int, dropout: float
    ) -> None:
        seen = latent_dim + context_dim + given_dim
        self.trunk = nn.Sequential(nn.Linear(seen, hidden_dim), nn.SiLU(), Dropout(dropout))
        self.to_mean = nn.Linear(hidden_dim, n_channels)
        self.to_scale = nn.Linear(hidden_dim, n_channels)
        _start_at_zero(self.to_scale)

    def forward(self, z: Tensor, known: Known) -> tuple[Tensor, Tensor]:
        """Decode latent states; neighbours are not read."""
        hidden = self.trunk(known.beside(z))
        return self.to_mean(hidden), self.to_scale(hidden.detach()).clamp(*LOG_SCALES)


class SkipDecoder(Decoder):
    """A multilayer perceptron on z(t) that corrects what the history already says.

    The mean of a channel is ``level + gate * (base - level) + correction``: base is the last value, or the line
    between the neighbours of a query inside the history; level the history's mean; gate and correction are read
    off z(t), and a channel's gate may be wider between neighbours. Built with a bridge it is drawn back to the base
    the nearer an observation is, as far as the channel's can be believed. The mean does not see the query time but
    through what the history says there, base, drift and nearness, and where in a season it lies: z(t) carries it,
    which is what makes the ODE earn its place. The scale does see how far the neighbours are.
    """

    def _build(
        self, n_channels: int, latent_dim: int, context_dim: int, hidden_dim: int, given_dim: int, dropout: float
    ) -> None:
        seen = latent_dim + context_dim + 2 * n_channels + given_dim
        self.trunk = nn.Sequential(nn.Linear(seen, hidden_dim), nn.SiLU(), Dropout(dropout))
        self.n_read = 4 + self.bow
        self.to_mean = nn.Linear(hidden_dim, self.n_read * n_channels)
        self.between = nn.Parameter(torch.full((n_channels,), BETWEEN))
        self.bridging = Bridge(n_channels) if self.bridge else None
        last = nn.Linear(hidden_dim, n_channels)
        self.to_scale = nn.Sequential(nn.Linear(hidden_dim + 4 * n_channels, hidden_dim), nn.SiLU(), last)
        _start_at_zero(last)
        with torch.no_grad():  # begin as the skip alone, with the channel's own scale
            self.to_mean.weight.mul_(0.1)
            self.to_mean.bias.copy_(torch.tensor(_first_read(self.n_read)).repeat_interleave(n_channels))

    def forward(self, z: Tensor, known: Known) -> tuple[Tensor, Tensor]:
        """Decode latent states."""
        level, base = known.level_and_base
        near = known.near
        hidden = self.trunk(known.beside(self.tempered(z), base.clamp(-INPUT_BOUND, INPUT_BOUND), near.known))
        gates = self.to_mean(hidden).unflatten(-1, (self.n_read, -1)).unbind(-2)
        log_scale = self.to_scale(torch.cat([hidden.detach(), *_distance(near, self.usual_gap)], dim=-1))
        return _skip(level, base, near, gates, self.between, self.bridging), log_scale.clamp(*LOG_SCALES)


DECODERS: dict[str, type[Decoder]] = {
    "skip": SkipDecoder,
    "mlp": MLPDecoder,
    "linear": LinearDecoder,
}
"""Decoders by the name that ``LatentODEForecaster(decoder=...)`` takes."""


def _skip(
    level: Tensor,
    base: Tensor,
    near: Neighbours,
    read: Sequence[Tensor],
    between: Tensor,
    bridge: Bridge | None,
) -> Tensor:
    """The mean, from what was read off z(t): the gates of level, drifts and bow, and the correction."""
    gate, correction, *along = read
    gate = gate + between * (near.has_left * near.has_right)
    told = level + torch.sigmoid(gate) * (base - level)
    # A decoder built without a bow reads no gate for it, and the last path is left out.
    for path, part in zip((*near.drift.unbind(-1), near.bow), along, strict=False):
        told = told + torch.sigmoid(part) * path
    told = told + correction
    return told if bridge is None else bridge(told, base, near)


def _distance(near: Neighbours, usual_gap: Tensor) -> list[Tensor]:
    """How far the neighbours are, each (series, query, channel)."""
    return [log_gap(near.since, usual_gap), log_gap(near.until, usual_gap), near.has_left, near.has_right]


def _first_read(n_read: int) -> list[float]:
    """Where gates and correction begin: the base, hardly any drift or bow."""
    return [2.0, 0.0, *[-2.0] * (n_read - 2)]


def _start_at_zero(layer: nn.Linear) -> None:
    with torch.no_grad():
        for parameter in layer.parameters():
            parameter.zero_()
