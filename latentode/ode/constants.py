"""Constant tensors, each made once: copying numbers to a device in the middle of a solve would make it wait."""

from functools import lru_cache

import torch
from torch import Tensor

__all__ = ["constant"]


def constant(values: tuple[float, ...] | tuple[tuple[float, ...], ...], like: Tensor) -> Tensor:
    """Return these numbers in the dtype and on the device of ``like``; not to be written to."""
    return _constant(values, like.dtype, like.device)


@lru_cache(maxsize=256)
def _constant(
    values: tuple[float, ...] | tuple[tuple[float, ...], ...], dtype: torch.dtype, device: torch.device
) -> Tensor:
    with torch.inference_mode(False):
        return torch.tensor(values, dtype=dtype, device=device)
