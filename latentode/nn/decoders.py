"""Decoders: from latent states to channels."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn

from latentode.nn.batch import Batch
from latentode.nn.features import INPUT_BOUND, Neighbours, log_gap, neighbours

__all__ = ["DECODERS", "Decoder", "DecoderInputs", "LinearDecoder", "MLPDecoder", "SkipDecoder"]

LOG_SCALES = (-5.0, 5.0)

BETWEEN = 2.0
"""Initial widening of the gate between two neighbours, before the sigmoid."""


@dataclass(frozen=True)
class DecoderInputs:
    """Inputs of a decoder at each query besides the latent state.

    Parameters
    ----------
    context : Tensor
        (series, context), constant along the trajectory.
    level : Tensor
        (series, channel), the history's mean.
    summary : Tensor
        (series, channel, feature), of the history of each channel, see :class:`~latentode.nn.features.Summary`.
    near : Neighbours
        The observations nearest to each query.
    given : Tensor, optional
        (series, query, feature), features of the query time: seasons, known covariates.
    """

    context: Tensor
    level: Tensor
    summary: Tensor
    near: Neighbours
    given: Tensor | None = None

    @property
    def level_and_base(self) -> tuple[Tensor, Tensor]:
        """The level at every query, and the neighbours' value there (the level where there is no neighbour)."""
        level = self.level[:, None].expand_as(self.near.base)
        return level, torch.where(self.near.known > 0, self.near.base, level)

    def beside(self, z: Tensor, *more: Tensor) -> Tensor:
        """Latent state, context, features of the query time and more, concatenated, (series, query, feature)."""
        context = self.context[:, None].expand(*z.shape[:2], -1)
        return torch.cat([z, context, *(() if self.given is None else (self.given,)), *more], dim=-1)


class Decoder(nn.Module):
    """Interface: ``decoder(z, known)`` returns a mean and a relative log scale per query.

    Parameters
    ----------
    n_channels, latent_dim, context_dim, hidden_dim : int
        Sizes.
    usual_gap : float
        The median gap between rows, in spans.
    given_dim : int
        Features known at every time, 0 for none.
    log_beyond : float
        Magnitude of the latent state above which a skip decoder reads its logarithm, 0 for never. States that decay
        forward grow backward: far behind the origin a state of e^4 would otherwise dominate.
    """

    def __init__(
        self,
        n_channels: int,
        latent_dim: int,
        context_dim: int,
        hidden_dim: int,
        usual_gap: float,
        given_dim: int = 0,
        log_beyond: float = 0.0,
    ) -> None:
        super().__init__()
        self.log_beyond = log_beyond
        self.register_buffer("usual_gap", torch.tensor(usual_gap))
        self._build(n_channels, latent_dim, context_dim, hidden_dim, given_dim)

    usual_gap: Tensor

    def _build(self, n_channels: int, latent_dim: int, context_dim: int, hidden_dim: int, given_dim: int) -> None:
        raise NotImplementedError

    def neighbours(self, batch: Batch, usual_gap: Tensor) -> Neighbours:
        """What the decoder reads of the observations nearest to each query."""
        return neighbours(batch, usual_gap)

    def tempered(self, z: Tensor) -> Tensor:
        """The latent state as a skip decoder reads it: unchanged where small, its logarithm where large."""
        if not self.log_beyond:
            return z
        # In single precision, predictions far behind the origin moved by 1e-5 with the other queries; now by 1e-7.
        return (self.log_beyond * torch.asinh(z.double() / self.log_beyond)).to(z.dtype)

    def forward(self, z: Tensor, known: DecoderInputs) -> tuple[Tensor, Tensor]:
        """Decode latent states.

        Parameters
        ----------
        z : Tensor
            (series, query, latent).
        known : DecoderInputs
            The other inputs at the queries.

        Returns
        -------
        mean, log_scale : Tensor
            (series, query, channel); the scale is relative to the channel's own. Its gradient does not
            reach the mean.
        """
        raise NotImplementedError


class LinearDecoder(Decoder):
    """One linear layer on z(t) and nothing else; the scale is the channel's own.

    References
    ----------
    Rubanova et al. (2019), Latent ODEs for irregularly-sampled time series.
    """

    def _build(self, n_channels: int, latent_dim: int, *_: float) -> None:
        self.to_mean = nn.Linear(latent_dim, n_channels)

    def forward(self, z: Tensor, known: DecoderInputs) -> tuple[Tensor, Tensor]:
        """Decode latent states; the other inputs are ignored."""
        mean = self.to_mean(z)
        return mean, torch.zeros_like(mean)


class MLPDecoder(Decoder):
    """A multilayer perceptron on z(t), context and season, without a skip: the history acts through z only."""

    def _build(self, n_channels: int, latent_dim: int, context_dim: int, hidden_dim: int, given_dim: int) -> None:
        seen = latent_dim + context_dim + given_dim
        self.trunk = nn.Sequential(nn.Linear(seen, hidden_dim), nn.SiLU())
        self.to_mean = nn.Linear(hidden_dim, n_channels)
        self.to_scale = nn.Linear(hidden_dim, n_channels)
        _start_at_zero(self.to_scale)

    def forward(self, z: Tensor, known: DecoderInputs) -> tuple[Tensor, Tensor]:
        """Decode latent states; neighbours are ignored."""
        hidden = self.trunk(known.beside(z))
        return self.to_mean(hidden), self.to_scale(hidden.detach()).clamp(*LOG_SCALES)


class SkipDecoder(Decoder):
    """A multilayer perceptron on z(t) that corrects a simple forecast from the history.

    The mean of a channel is ``level + gate * (base - level) + correction``: base is the last value, or the line
    between the neighbours of a query inside the history; level the history's mean; gate and correction are read
    off z(t), and a channel's gate may be wider between neighbours. The query time itself is not an input of the mean:
    it enters through z(t), through base and drift, and through the season. So the ODE must carry the dynamics. The
    scale also reads the distance of the neighbours.
    """

    n_gates: ClassVar[int] = 4
    """What is read off z(t) for each channel: the gate of the base, the correction, the gates of the two drifts."""

    def _build(self, n_channels: int, latent_dim: int, context_dim: int, hidden_dim: int, given_dim: int) -> None:
        self._build_layers(n_channels, latent_dim + context_dim + 2 * n_channels + given_dim, hidden_dim)

    def _build_layers(self, n_channels: int, n_inputs: int, hidden_dim: int) -> None:
        self.trunk = nn.Sequential(nn.Linear(n_inputs, hidden_dim), nn.SiLU())
        self.to_mean = nn.Linear(hidden_dim, self.n_gates * n_channels)
        self.between = nn.Parameter(torch.full((n_channels,), BETWEEN))
        last = nn.Linear(hidden_dim, n_channels)
        self.to_scale = nn.Sequential(nn.Linear(hidden_dim + 4 * n_channels, hidden_dim), nn.SiLU(), last)
        _start_at_zero(last)
        with torch.no_grad():  # start as the skip alone, with the scale of the channel and little drift
            self.to_mean.weight.mul_(0.1)
            begin = torch.tensor([2.0, 0.0, *[-2.0] * (self.n_gates - 2)])
            self.to_mean.bias.copy_(begin.repeat_interleave(n_channels))

    def forward(self, z: Tensor, known: DecoderInputs) -> tuple[Tensor, Tensor]:
        """Decode latent states."""
        level, base = known.level_and_base
        hidden, gates = self._read(self.tempered(z), base.clamp(-INPUT_BOUND, INPUT_BOUND), known)
        # Detached: the scale must not change what the mean is read from, or the model would widen instead of improving.
        log_scale = self.to_scale(torch.cat([hidden.detach(), *_distance(known.near, self.usual_gap)], dim=-1))
        return self._mean(level, base, known.near, gates.unbind(-2)), log_scale.clamp(*LOG_SCALES)

    def _read(self, z: Tensor, base: Tensor, known: DecoderInputs) -> tuple[Tensor, Tensor]:
        """What is read off z(t): features, (series, query, hidden), and gates, (series, query, gate, channel)."""
        hidden = self.trunk(known.beside(z, base, known.near.known))
        return hidden, self.to_mean(hidden).unflatten(-1, (self.n_gates, -1))

    def _mean(self, level: Tensor, base: Tensor, near: Neighbours, gates: Sequence[Tensor]) -> Tensor:
        """The mean, from what was read off z(t)."""
        gate, correction, last, recent = gates
        gate = gate + self.between * (near.has_left * near.has_right)
        mean = level + torch.sigmoid(gate) * (base - level)
        for drift, part in zip(near.drift.unbind(-1), (last, recent), strict=True):
            mean = mean + torch.sigmoid(part) * drift
        return mean + correction


DECODERS: dict[str, type[Decoder]] = {
    "skip": SkipDecoder,
    "mlp": MLPDecoder,
    "linear": LinearDecoder,
}
"""Decoders by the name that ``LatentODEForecaster(decoder=...)`` takes."""


def _distance(near: Neighbours, usual_gap: Tensor) -> list[Tensor]:
    """How far the neighbours are, each (series, query, channel)."""
    return [log_gap(near.since, usual_gap), log_gap(near.until, usual_gap), near.has_left, near.has_right]


def _start_at_zero(layer: nn.Linear) -> None:
    with torch.no_grad():
        for parameter in layer.parameters():
            parameter.zero_()
