"""What ``odeint`` refuses: states, times and slopes that are no initial value problem."""

from typing import Any

import torch
from torch import Tensor

__all__ = ["check_state", "check_times", "slope_like"]


def check_state(y0: Any) -> None:
    """Raise unless y0 is a dense tensor with elements, or a tuple of such tensors; complex ones are pairs by now.

    Raises
    ------
    TypeError
        If it is something else, or sparse.
    ValueError
        If it has no elements.
    """
    parts = y0 if isinstance(y0, tuple) else (y0,)
    if not parts or not all(isinstance(part, Tensor) for part in parts):
        raise TypeError(f"y0 must be a tensor or a tuple of tensors, not {type(y0).__name__}")
    if any(part.layout != torch.strided for part in parts):
        raise TypeError("sparse states are not supported: use y0.to_dense()")
    if not sum(part.numel() for part in parts):
        raise ValueError("y0 has no elements, so that there is nothing to solve")


def check_times(t: Any) -> None:
    """Raise unless t is one row of finite times that rise or fall strictly.

    Raises
    ------
    TypeError
        If it is no tensor, or complex.
    ValueError
        If it has another shape, is not finite, or not strictly monotonic.
    """
    if not isinstance(t, Tensor):
        raise TypeError(f"t must be a tensor, not {type(t).__name__}")
    if t.is_complex():
        raise TypeError(f"t must be real, not {t.dtype}")
    if t.dim() != 1 or len(t) == 0:
        raise ValueError(f"t must be (time,) with at least one time, not {tuple(t.shape)}")
    gaps = t.detach().diff()
    if not bool((gaps > 0).all() | (gaps < 0).all()) or not bool(torch.isfinite(t).all()):
        wrong = (~torch.isfinite(t)).nonzero().flatten().tolist()
        if wrong:
            raise ValueError(f"t must be finite, but t[{wrong[0]}] is {float(t[wrong[0]])}")
        raise ValueError("t must rise or fall strictly")


def slope_like(slope: Any, y: Tensor | tuple[Tensor, ...], t: Tensor) -> Any:
    """Return what ``func(t, y)`` gave; raise unless it is shaped like the state.

    Raises
    ------
    ValueError
        If it is not, even if it could be broadcast.
    """
    if isinstance(y, tuple):
        if not isinstance(slope, tuple | list) or len(slope) != len(y):
            got = f"{type(slope).__name__} of {len(slope)}" if isinstance(slope, tuple | list) else type(slope).__name__
            raise ValueError(f"func(t, y) must return a tuple of {len(y)} tensors, as y is one, but returned a {got}")
        return tuple(slope_like(part, own, t) for part, own in zip(slope, y, strict=True))
    if isinstance(slope, Tensor) and slope.shape == y.shape:
        return slope
    got = f"shape {tuple(slope.shape)}" if isinstance(slope, Tensor) else type(slope).__name__
    hint = " If it is a constant, expand it: torch.full_like(y, 2.0)"
    if isinstance(slope, Tensor) and slope.shape == t.shape:
        hint = f", the shape of t. The arguments of func are t, then y; scipy has them the other way round.{hint}"
    elif not isinstance(slope, Tensor):
        hint = "."
    raise ValueError(f"func(t, y) must return a tensor shaped like y, {tuple(y.shape)}, but returned {got}{hint}")
