"""Quantiles and widths of equal mixtures of Gaussians."""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

__all__ = ["mixture_quantiles", "mixture_spread"]

BISECTIONS = 26
"""Halvings of the bracket: a quantile to 1e-7 of the mixture's width."""


def mixture_quantiles(mean: Tensor, scale: Tensor, quantiles: NDArray[np.float64]) -> Tensor:
    """Quantiles of ``1/K sum_k N(mean_k, scale_k^2)``, by bisection of its distribution function.

    Parameters
    ----------
    mean, scale : Tensor
        (component, ...).
    quantiles : array of float
        (quantile,), between 0 and 1; or (quantile, ...), each of what broadcasts against a component.

    Returns
    -------
    Tensor
        (quantile, ...). They cannot cross, being roots of one increasing function.

    Examples
    --------
    >>> mixture_quantiles(torch.zeros(1, 1), torch.ones(1, 1), np.array([0.5, 0.975])).round(decimals=2)
    tensor([[0.0000],
            [1.9600]])
    """
    levels = torch.as_tensor(quantiles, dtype=torch.float64)
    levels = levels.reshape(*levels.shape, *[1] * (mean.ndim - levels.ndim))
    standard = torch.special.ndtri(levels).to(mean.dtype)
    each = mean[None] + scale[None] * standard[:, None]
    if len(mean) == 1:
        alone: Tensor = each[:, 0]
        return alone
    # A quantile of a mixture lies between the least and the greatest of its components' quantiles.
    low, high = each.amin(1), each.amax(1)
    wanted = levels.to(mean.dtype)
    for _ in range(BISECTIONS):
        middle = 0.5 * (low + high)
        below = torch.special.ndtr((middle[:, None] - mean[None]) / scale[None]).mean(1)
        low = torch.where(below < wanted, middle, low)
        high = torch.where(below < wanted, high, middle)
    found: Tensor = 0.5 * (low + high)
    return found


def mixture_spread(mean: Tensor, scale: Tensor, center: Tensor) -> Tensor:
    """The root mean square deviation from a centre of an equal mixture of Gaussians over the first axis."""
    return (scale.square().mean(0) + (mean - center).square().mean(0)).sqrt()
