"""Latent states to channels."""

import torch
from torch import Tensor, nn

from latentode.nn.features import Neighbours, log_gap

__all__ = ["SkipDecoder"]


class SkipDecoder(nn.Module):
    """A multilayer perceptron on z(t) that corrects what the history already says.

    The mean of a channel is ``level + gate * (base - level) + correction``: base is the last value, or the line
    between the neighbours of a query inside the history; level the history's mean; gate and correction are read
    off z(t). The mean does not see the query time but through what the history says there, base and drift: z(t)
    carries it, which is what makes the ODE earn its place. The scale does see how far the neighbours are.

    Parameters
    ----------
    n_channels, latent_dim, context_dim, hidden_dim : int
        Sizes.
    usual_gap : float
        The usual gap between rows, in spans.
    season_dim : int
        Features of the seasons, 0 where there are none.
    dropout : float
        Of the hidden layer, in training.
    """

    usual_gap: Tensor
    to_mean: nn.Linear

    def __init__(
        self,
        n_channels: int,
        latent_dim: int,
        context_dim: int,
        hidden_dim: int,
        usual_gap: float,
        season_dim: int = 0,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        self.register_buffer("usual_gap", torch.tensor(usual_gap))
        seen = latent_dim + context_dim + 2 * n_channels + season_dim
        self.trunk = nn.Sequential(nn.Linear(seen, hidden_dim), nn.SiLU(), nn.Dropout(dropout))
        self.to_mean = nn.Linear(hidden_dim, 4 * n_channels)
        self.to_scale = nn.Sequential(
            nn.Linear(hidden_dim + 4 * n_channels, hidden_dim), nn.SiLU(), nn.Linear(hidden_dim, n_channels)
        )
        with torch.no_grad():  # begin as the skip alone, with the channel's own scale
            self.to_mean.weight.mul_(0.1)
            self.to_mean.bias.zero_()
            self.to_mean.bias[:n_channels].fill_(2.0)
            self.to_mean.bias[2 * n_channels :].fill_(-2.0)
            for parameter in self.to_scale[-1].parameters():
                parameter.zero_()

    def forward(
        self, z: Tensor, context: Tensor, level: Tensor, near: Neighbours, seasons: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """Decode latent states.

        Parameters
        ----------
        z : Tensor
            (series, query, latent).
        context : Tensor
            (series, context).
        level : Tensor
            (series, channel).
        near : Neighbours
            The observations nearest to each query.
        seasons : Tensor, optional
            (series, query, season), where in the seasons each query lies.

        Returns
        -------
        mean, log_scale : Tensor
            (series, query, channel); the scale is relative to the channel's own. Nothing flows back from it
            into the mean.
        """
        level = level[:, None].expand_as(near.base)
        base = torch.where(near.known > 0, near.base, level)
        wide = context[:, None].expand(*z.shape[:2], -1)
        when = () if seasons is None else (seasons,)
        hidden = self.trunk(torch.cat([z, wide, base.clamp(-8, 8), near.known, *when], dim=-1))
        gate, correction, *along = self.to_mean(hidden).chunk(4, dim=-1)
        mean = level + torch.sigmoid(gate) * (base - level) + correction
        for drift, gate in zip(near.drift.unbind(-1), along, strict=True):
            mean = mean + torch.sigmoid(gate) * drift
        distance = [
            log_gap(near.since, self.usual_gap),
            log_gap(near.until, self.usual_gap),
            near.has_left,
            near.has_right,
        ]
        log_scale = self.to_scale(torch.cat([hidden.detach(), *distance], dim=-1))
        return mean, log_scale.clamp(-5.0, 5.0)
