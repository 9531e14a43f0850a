"""How far an observation may lie from what the model says."""

import math

import torch
from torch import Tensor, nn

__all__ = ["GaussianLikelihood"]


class GaussianLikelihood(nn.Module):
    """A Gaussian with a learned scale per channel, and a second one that varies with the query.

    The mean is taught by the first alone (a squared error, weighted per channel): a scale that varies from
    point to point lets a model give up on what is hard. The second learns from the residuals of the first and
    is what predictions carry.

    Parameters
    ----------
    n_channels : int
        Number of channels.

    References
    ----------
    Seitzer et al. (2022), On the pitfalls of heteroscedastic uncertainty estimation.
    """

    def __init__(self, n_channels: int) -> None:
        super().__init__()
        self.log_scale = nn.Parameter(torch.full((n_channels,), math.log(0.5)))

    def scale(self, log_scale: Tensor) -> Tensor:
        """Scale of a prediction, from the decoder's relative one, (series, query, channel)."""
        return torch.exp(self.log_scale.detach() + log_scale).clamp_min(1e-4)

    def forward(self, mean: Tensor, log_scale: Tensor, targets: Tensor) -> Tensor:
        """Negative log density of the targets, without its constant, (series, query, channel)."""
        own = self.log_scale.clamp(-6.0, 6.0)
        for_mean = 0.5 * ((targets - mean) * torch.exp(-own)).square() + own
        scale = self.scale(log_scale)
        for_scale = 0.5 * ((targets - mean.detach()) / scale).square() + torch.log(scale)
        return for_mean + for_scale
