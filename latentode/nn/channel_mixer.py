"""A vector for each channel of a history, mixed over the channels."""

import torch
from torch import Tensor, nn

from latentode.nn.features import N_SUMMARIES

__all__ = ["ChannelMixer"]

MOST_MIXED, FEWEST_MIXED = 24, 4
"""Combinations of channels at most, and at least."""

EMBEDDING_STD = 0.3


class ChannelMixer(nn.Module):
    """Vectors of the channels: what the history of each says, and what those of the others say about it.

    The summary of each channel becomes a vector, by layers that all channels share and an embedding of its own. Then
    all channels are mixed through a few combinations of them, in every component of the vectors alike. So a model of
    many channels need not squeeze them through one small state.

    Parameters
    ----------
    n_channels : int
        Channels.
    dim : int
        Size of a vector.

    References
    ----------
    Tolstikhin et al. (2021), MLP-Mixer: an all-MLP architecture for vision. Yalavarthi et al. (2025), IMTS-Mixer:
    Mixer networks for irregular multivariate time series forecasting (channels that keep vectors of their own).

    Examples
    --------
    >>> import torch
    >>> ChannelMixer(n_channels=3, dim=8)(torch.zeros(2, 3, N_SUMMARIES)).shape
    torch.Size([2, 3, 8])
    """

    def __init__(self, n_channels: int, dim: int) -> None:
        super().__init__()
        n_mixed = min(max(n_channels, FEWEST_MIXED), MOST_MIXED)
        self.embedding = nn.Parameter(EMBEDDING_STD * torch.randn(n_channels, dim))
        self.from_summary = nn.Linear(N_SUMMARIES, dim)
        self.to_vector = nn.Linear(dim, dim)
        last = nn.Linear(n_mixed, n_channels)
        self.over_channels = nn.Sequential(nn.Linear(n_channels, n_mixed), nn.SiLU(), last)
        self.before, self.after = nn.LayerNorm(dim), nn.LayerNorm(dim)
        with torch.no_grad():  # each channel by itself at first
            last.weight.mul_(0.1)

    def forward(self, summary: Tensor) -> Tensor:
        """The vectors, (series, channel, dim), of summaries (series, channel, summary)."""
        x = self.to_vector(torch.nn.functional.silu(self.from_summary(summary) + self.embedding))
        vectors: Tensor = self.after(x + self.over_channels(self.before(x).mT).mT)
        return vectors
