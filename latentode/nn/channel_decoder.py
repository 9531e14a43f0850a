"""The decoder of many channels, with weights of each channel's own."""

import math

import torch
from torch import Tensor, nn

from latentode.nn.channel_mixer import ChannelMixer
from latentode.nn.decoders import DecoderInputs, SkipDecoder

__all__ = ["ChannelDecoder"]

VECTOR = 32
"""Size of the vector of a channel."""


class ChannelDecoder(SkipDecoder):
    """A skip decoder in which each channel of a series reads z(t) with weights of its own.

    A skip decoder reads the gates and the correction of all channels off one hidden layer, which also sees the base of
    every channel: what is particular to one of many channels has to pass through it. Here the weights with which a
    channel reads that layer are those of all series, and, added to them, weights that follow from a vector of the
    channel, which a :class:`~latentode.nn.channel_mixer.ChannelMixer` forms from the histories of all channels. A
    channel's own base is added with weights of its own; the hidden layer does not see it.

    References
    ----------
    Ha, Dai & Le (2017), HyperNetworks (weights that follow from another network).
    """

    def _build(self, n_channels: int, latent_dim: int, context_dim: int, hidden_dim: int, given_dim: int) -> None:
        self._build_layers(n_channels, latent_dim + context_dim + given_dim, hidden_dim)
        self.mixer = ChannelMixer(n_channels, VECTOR)
        self.to_vectors = nn.Linear(hidden_dim, self.n_gates * VECTOR)
        self.from_base = nn.Parameter(torch.zeros(self.n_gates, n_channels))
        with torch.no_grad():  # start near the skip alone
            self.to_vectors.weight.mul_(0.3)
            self.to_vectors.bias.zero_()

    def _read(self, z: Tensor, base: Tensor, known: DecoderInputs) -> tuple[Tensor, Tensor]:
        hidden = self.trunk(known.beside(z))
        # (W v)ᵀ h as (Wᵀ h)ᵀ v: weights of every series would take much more memory than answers to a few queries.
        read = self.to_vectors(hidden).unflatten(-1, (self.n_gates, VECTOR)).flatten(1, 2)
        own = read @ self.mixer(known.summary).mT / math.sqrt(VECTOR)
        gates: Tensor = self.to_mean(hidden).unflatten(-1, (self.n_gates, -1)) + self.from_base * base[:, :, None]
        return hidden, gates + own.view(gates.shape)
