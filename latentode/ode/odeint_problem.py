"""What ``odeint`` is given, as a solver of series sees it: one series, whose state is all of y0, flat."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from latentode.ode.odeint_options import Settings
from latentode.ode.shapes import Flattened, State

__all__ = ["Posed", "pose"]

CALLBACKS = ("callback_step", "callback_accept_step", "callback_reject_step")


class Posed:
    """A problem made ready.

    Parameters
    ----------
    func, y0, t
        As the caller gave them; the times may be in another dtype.
    extra : sequence of Tensor
        What ``func`` reads besides its own parameters.
    """

    def __init__(self, func: Callable[..., Any], extra: Sequence[Tensor], y0: State, t: Tensor) -> None:
        self.func, self.y0, self.t = func, y0, t
        parts = y0 if isinstance(y0, tuple) else (y0,)
        self.field = Flattened(_Single(func, extra), [part.shape for part in parts], is_tuple=isinstance(y0, tuple))
        self.flat = _flat(y0)

    def unpack(self, flat: Tensor) -> Any:
        """Return states (time, latent) in the caller's shape, the times first."""
        return self.field.unpack(flat)


def pose(func: Callable[..., Any], extra: Sequence[Tensor], y0: State, t: Tensor, settings: Settings) -> Posed:
    """Check what the caller gave, and make it ready.

    Raises
    ------
    ValueError
        If the times are not one strictly monotonic row, or ``func`` has callbacks.
    TypeError
        If the state or the times are of a type that cannot be.
    """
    _check_state(y0)
    _check_times(t)
    for name in (*CALLBACKS, *(f"{name}_adjoint" for name in CALLBACKS)):
        if hasattr(func, name):
            raise ValueError(
                f"func.{name} would never be called: there are no callbacks. latentode.ode.solve has stats"
            )
    like = _flat(y0)
    dtype = settings.time_dtype(t, like)
    t = t.to(like.device, dtype)
    if settings.options.get("perturb"):
        func = _Inside(func, t)
    return Posed(func, extra, y0, t)


class _Single(nn.Module):
    """A function of a time and a state, as a field of one series; its parameters and extra tensors stay visible."""

    def __init__(self, func: Callable[..., Any], extra: Sequence[Tensor]) -> None:
        super().__init__()
        self.func, self.extra = func, extra

    def parameters(self, recurse: bool = True) -> Iterator[nn.Parameter]:
        """Yield the function's parameters, then the tensors it was said to read."""
        known = {id(p) for p in super().parameters(recurse)}
        yield from super().parameters(recurse)
        yield from (p for p in self.extra if id(p) not in known)  # type: ignore[misc]

    def forward(self, t: Tensor, y: Any) -> Any:
        if isinstance(y, tuple):
            slopes = self.func(t[0, 0], tuple(part[0] for part in y))
            return tuple(_like(slope, part[0]).unsqueeze(0) for slope, part in zip(slopes, y, strict=True))
        return _like(self.func(t.view(()), y[0]), y[0]).unsqueeze(0)


def _like(slope: Tensor, y: Tensor) -> Tensor:
    """Let a slope be broadcast to the state, as it would be in ``y + h * slope``."""
    if slope.shape == y.shape or slope.dim() > y.dim():
        return slope
    try:
        return slope.expand(y.shape)
    except RuntimeError:
        return slope  # which the solver refuses in words


class _Inside(nn.Module):
    """A function that is asked just within the span where it would be asked at one of its ends: it may jump there."""

    def __init__(self, func: Callable[..., Any], t: Tensor) -> None:
        super().__init__()
        self.func, self.ends = func, (t[0].detach(), t[-1].detach())

    def forward(self, t: Tensor, y: Any) -> Any:
        begin, end = (x.to(t) for x in self.ends)
        at, rounding = t.detach(), 4 * torch.finfo(t.dtype).eps * torch.maximum(begin.abs(), end.abs())
        at_begin, at_end = ((at - x).abs() <= rounding for x in (begin, end))  # as the solver comes to them
        within = torch.where(
            at_begin, torch.nextafter(begin, end), torch.where(at_end, torch.nextafter(end, begin), at)
        )
        return self.func(t + (within - at), y)


def _flat(y0: State) -> Tensor:
    """The whole state in one row, (1, latent)."""
    flat = torch.cat([part.reshape(-1) for part in (y0 if isinstance(y0, tuple) else (y0,))]).unsqueeze(0)
    return flat if flat.is_floating_point() else flat.to(torch.get_default_dtype())


def _check_state(y0: Any) -> None:
    parts = y0 if isinstance(y0, tuple) else (y0,)
    if not parts or not all(isinstance(part, Tensor) for part in parts):
        raise TypeError(f"y0 must be a tensor or a tuple of tensors, not {type(y0).__name__}")
    if any(part.is_complex() for part in parts):
        raise TypeError("complex states are not supported: use torch.view_as_real and a real state")


def _check_times(t: Any) -> None:
    if not isinstance(t, Tensor):
        raise TypeError(f"t must be a tensor, not {type(t).__name__}")
    if t.dim() != 1 or len(t) == 0:
        raise ValueError(f"t must be (time,) with at least one time, not {tuple(t.shape)}")
    gaps = t.detach().diff()
    if not bool((gaps > 0).all() | (gaps < 0).all()):
        raise ValueError("t must rise or fall strictly")
