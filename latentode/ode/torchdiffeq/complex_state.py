"""Complex states: solved as pairs of real numbers, and given to every function of the caller's as complex ones."""

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from latentode.ode.torchdiffeq.callbacks import CALLBACKS, adjoint_callbacks
from latentode.ode.torchdiffeq.checks import slope_like

__all__ = ["ComplexState", "is_complex", "real_pairs"]

Solve = Callable[..., Any]


def is_complex(y0: Any) -> bool:
    """Return whether a state, or a part of it, is complex."""
    return any(isinstance(part, Tensor) and part.is_complex() for part in (y0 if isinstance(y0, tuple) else (y0,)))


class ComplexState:
    """Translates between a state with complex parts and the same with real pairs, (*shape, 2), in their place.

    Parameters
    ----------
    y0 : Tensor or tuple of Tensor
        The state.

    Examples
    --------
    >>> state = ComplexState(torch.tensor([1 + 2j]))
    >>> state.real(torch.tensor([1 + 2j])), state.complex(torch.tensor([[1.0, 2.0]]))
    (tensor([[1., 2.]]), tensor([1.+2.j]))
    """

    def __init__(self, y0: Any) -> None:
        self.y0, self.is_tuple = y0, isinstance(y0, tuple)
        self.dtypes = [part.dtype for part in (y0 if self.is_tuple else (y0,))]

    def real(self, state: Any) -> Any:
        """Return the state with pairs."""
        return self._each(state, lambda part, dtype: real_pairs(part.to(dtype)))

    def complex(self, state: Any) -> Any:
        """Return the state with complex numbers."""
        return self._each(state, lambda part, _: torch.complex(*part.unbind(-1)))

    def view(self, state: Any) -> Any:
        """Return the same as views where possible: a callback may change a state in place."""
        return self._each(state, lambda part, _: _viewed(part))

    def solve(self, solve: Solve, func: Any, t: Tensor, options: Mapping[str, Any], **given: Any) -> Any:
        """Call :func:`odeint` or :func:`odeint_adjoint`, whose keyword arguments are ``given``, for real numbers."""
        norm, event_fn, own = options.get("norm"), given.pop("event_fn", None), given.get("adjoint_options") or {}
        if callable(norm):
            options = {**options, "norm": lambda state: norm(self.complex(state))}
        if callable(own.get("norm")):
            given["adjoint_options"] = {**own, "norm": lambda parts: own["norm"](self._augmented(parts))}
        event = None if event_fn is None else lambda t, y: event_fn(t, self.complex(y))
        answer = solve(_Pairs(func, self), self.real(self.y0), t, options=options, event_fn=event, **given)
        return self.complex(answer) if event_fn is None else (answer[0], self.complex(answer[1]))

    def _each(self, state: Any, translate: Callable[[Tensor, torch.dtype], Tensor]) -> Any:
        parts = zip(state if self.is_tuple else (state,), self.dtypes, strict=True)
        each = tuple(translate(part, dtype) if dtype.is_complex else part for part, dtype in parts)
        return each if self.is_tuple else each[0]

    def _augmented(self, parts: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        """Translate the parts of an augmented state that are states, (a_t, *y, *a, *a_theta)."""
        n = len(self.dtypes)
        y, a = (parts[i + 1 : i + n + 1] for i in (0, n))
        both = (self.view(x if self.is_tuple else x[0]) for x in (y, a))
        return (parts[0], *(p for x in both for p in (x if self.is_tuple else (x,))), *parts[2 * n + 1 :])


def real_pairs(x: Tensor) -> Tensor:
    """Return complex numbers as pairs, (*shape, 2).

    They are copied: the gradient of a view would have to lie in memory as complex numbers do.
    """
    return torch.stack((x.real, x.imag), -1)


def _viewed(part: Tensor) -> Tensor:
    """Return pairs as complex numbers; a copy if they do not lie in memory as complex numbers do."""
    *outer, inner = part.stride()
    lies = inner == 1 and not any(n % 2 for n in (*outer, part.storage_offset()))
    return torch.view_as_complex(part if lies else part.clone(memory_format=torch.contiguous_format))


class _Pairs(nn.Module):
    """A function of complex states as one of pairs, with its parameters and callbacks."""

    def __init__(self, func: Any, state: ComplexState) -> None:
        super().__init__()
        self.func, self.state = func, state
        for name in CALLBACKS:
            if hasattr(func, name):
                setattr(self, name, self._translated(getattr(func, name), state.view))
        for name, callback in adjoint_callbacks(func).items():
            whole = state._augmented if not state.is_tuple else lambda parts: parts
            setattr(self, f"{name}_adjoint", self._translated(callback, whole))

    def forward(self, t: Tensor, y: Any) -> Any:
        given = self.state.complex(y)
        return self.state.real(slope_like(self.func(t, given), given, t))

    @staticmethod
    def _translated(callback: Callable[..., Any], translate: Callable[[Any], Any]) -> Callable[..., Any]:
        return lambda t, y, step: callback(t, translate(y), step)
