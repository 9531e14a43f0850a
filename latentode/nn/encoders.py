"""Histories to a distribution over the latent state where the trajectory starts."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from latentode.nn.batch import Batch
from latentode.nn.chance import Dropout
from latentode.nn.features import Usual, summary_features
from latentode.nn.readers import READERS

__all__ = ["Encoder", "Encoding"]


@dataclass(frozen=True)
class Encoding:
    """What the encoder knows of each series.

    Parameters
    ----------
    mean, log_std : Tensor
        (series, latent), the Gaussian q(z0 | history).
    context : Tensor
        (series, context), what stays the same along the trajectory.
    level : Tensor
        (series, channel), the history's mean, drawn towards the population's.
    """

    mean: Tensor
    log_std: Tensor
    context: Tensor
    level: Tensor

    def tile(self, n: int) -> "Encoding":
        """The whole encoding n times over, one copy after the other."""
        return Encoding(*(x.repeat(n, 1) for x in (self.mean, self.log_std, self.context, self.level)))


class Encoder(nn.Module):
    """A reader of the history's rows, with a summary of the history beside its state.

    Parameters
    ----------
    n_channels : int
        Channels of a history.
    latent_dim, context_dim, hidden_dim : int
        Sizes of the latent state, of the context, and of the reader.
    usual_gap : float
        The usual gap between rows, in spans; gaps are read on a logarithmic scale around it.
    usual_change : sequence of float
        (channel,), how far a channel usually moves in such a gap; rates of change are read in units of it.
    given_dim : int
        Features given of any time, 0 where there are none.
    static_dim : int
        Features given of a series, 0 where there are none.
    dropout : float
        Of what leaves the reader and the summary, in training.
    reader : {"gru", "odernn"}
        What reads the rows, see :mod:`latentode.nn.readers`.
    backward : bool
        Whether rows are read from the last to the first.
    summary : bool
        Whether the summary is read.

    References
    ----------
    Rubanova, Chen & Duvenaud (2019), Latent ODEs for irregularly-sampled time series.
    """

    usual_gap: Tensor
    usual_change: Tensor

    def __init__(
        self,
        n_channels: int,
        latent_dim: int,
        context_dim: int,
        hidden_dim: int,
        usual_gap: float,
        usual_change: Sequence[float],
        given_dim: int = 0,
        static_dim: int = 0,
        dropout: float = 0.0,
        reader: str = "gru",
        backward: bool = False,
        summary: bool = True,
    ) -> None:
        super().__init__()
        self.latent_dim = latent_dim
        self.register_buffer("usual_gap", torch.tensor(usual_gap))
        self.register_buffer("usual_change", torch.tensor(usual_change))
        self.summary = summary
        self.reader = READERS[reader](n_channels, hidden_dim, given_dim, backward)
        features = hidden_dim + (5 * n_channels + 1 + given_dim) * summary + static_dim
        self.trunk = nn.Sequential(Dropout(dropout), nn.Linear(features, hidden_dim), nn.SiLU())
        self.to_latent = nn.Linear(hidden_dim, 2 * latent_dim)
        self.to_context = nn.Sequential(nn.Linear(hidden_dim, context_dim), nn.Tanh()) if context_dim else None
        with torch.no_grad():  # a narrow posterior to begin with: noise is learned, not unlearned
            self.to_latent.bias[latent_dim:].fill_(-3.0)

    def forward(self, batch: Batch) -> Encoding:
        """Encode the histories of a batch."""
        usual = Usual(self.usual_gap, self.usual_change)
        state = self.reader(batch, usual)
        summary, level = summary_features(batch, usual)
        seen = [state, *((summary,) if self.summary else ()), *(() if batch.static is None else (batch.static,))]
        hidden = self.trunk(torch.cat(seen, dim=-1))
        mean, log_std = self.to_latent(hidden).split(self.latent_dim, dim=-1)
        context = hidden.new_empty(len(hidden), 0) if self.to_context is None else self.to_context(hidden)
        return Encoding(mean, log_std.clamp(-8.0, 2.0), context, level)
