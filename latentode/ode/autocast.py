"""Solving under ``torch.autocast``: the field in the lower precision, the solver itself in that of the state.

The sums over stages and the reading of the answers are matrix products, which autocast would round to 8 or 11 bits.
"""

from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from torch import Tensor, nn

from latentode.ode.field import Field, State, is_analytic

__all__ = ["for_autocast", "without_autocast"]


def without_autocast(device: torch.device) -> AbstractContextManager[Any]:
    """Return a context in which autocast is off; one that does nothing if it is off already."""
    is_on = torch.amp.is_autocast_available(device.type) and torch.is_autocast_enabled(device.type)
    return torch.autocast(device.type, enabled=False) if is_on else nullcontext()


def for_autocast(
    field: Field, z0: State, args: Sequence[Tensor], *, compiled: bool
) -> tuple[Field, State, Sequence[Tensor]]:
    """Return a field that is evaluated under the autocast that is on, with state and args in float32 or more.

    Parameters
    ----------
    field : callable
        A field; one that brings its own derivatives is returned as it is, and evaluated in the state's precision.
    z0 : Tensor or tuple of Tensor
        The state, which is of half precision if a layer under autocast has computed it.
    args : sequence of Tensor
        What else the field is given.
    compiled : bool
        Whether the field will be compiled, and is therefore returned as it is.

    Examples
    --------
    >>> with torch.autocast("cpu", torch.bfloat16):
    ...     field, z0, _ = for_autocast(lambda t, z: z @ z.T, torch.ones(2, 2).bfloat16(), (), compiled=False)
    >>> field(0.0, z0).dtype, z0.dtype
    (torch.bfloat16, torch.float32)
    """
    device_type = (z0[0] if isinstance(z0, tuple) else z0).device.type
    z0 = tuple(_at_least_float32(part) for part in z0) if isinstance(z0, tuple) else _at_least_float32(z0)
    as_it_is = compiled or is_analytic(field)
    field = field if as_it_is else _Autocast(field, device_type)
    return field, z0, [_at_least_float32(arg) for arg in args]


def _at_least_float32(part: Tensor) -> Tensor:
    return part.float() if part.dtype in (torch.float16, torch.bfloat16) else part


class _Autocast(nn.Module):
    """A field under the autocast of the moment it was made, also where the backward pass evaluates it again."""

    def __init__(self, field: Field, device_type: str) -> None:
        super().__init__()
        self.field, self.device_type = field, device_type
        self.dtype = torch.get_autocast_dtype(device_type)

    def forward(self, *given: Any) -> Any:
        with torch.autocast(self.device_type, self.dtype):
            return self.field(*given)
