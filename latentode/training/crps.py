"""The score by which training stops and stacking chooses its weights."""

import math

import torch
from torch import Tensor

__all__ = ["gaussian_crps"]


def gaussian_crps(mean: Tensor, scale: Tensor, target: Tensor) -> Tensor:
    """Continuous ranked probability score of a Gaussian (Gneiting et al. 2005, equation 5)."""
    z = (target - mean) / scale
    density = torch.exp(-0.5 * z.square()) / math.sqrt(2 * math.pi)
    return scale * (z * torch.erf(z / math.sqrt(2)) + 2 * density - 1 / math.sqrt(math.pi))
