"""How far an observation may lie from what the model says."""

import math

import torch
from torch import Tensor, nn

__all__ = ["GaussianLikelihood"]


class GaussianLikelihood(nn.Module):
    """A Gaussian with a learned scale per channel, and a second one that varies with the query.

    The mean is taught by a squared error, in units of the first scale and weighted by the first over the
    second: what is far ahead counts less than what is near, but never so little that the model may give it
    up, as it may under the second alone. The second learns from the residuals and is what predictions carry.

    Parameters
    ----------
    n_channels : int
        Number of channels.

    References
    ----------
    Seitzer et al. (2022), On the pitfalls of heteroscedastic uncertainty estimation (beta = 1/2).
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
        weight = torch.exp(-log_scale.detach()).clamp(0.1, 10.0)
        for_mean = 0.5 * weight * ((targets - mean) * torch.exp(-own)).square() + own
        scale = self.scale(log_scale)
        for_scale = 0.5 * ((targets - mean.detach()) / scale).square() + torch.log(scale)
        return for_mean + for_scale
