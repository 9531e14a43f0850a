"""The callbacks that torchdiffeq finds on the function, by name."""

import warnings
from collections.abc import Callable, Mapping
from typing import Any

from torch import Tensor

__all__ = ["CALLBACKS", "Callback", "adjoint_callbacks", "has_callbacks", "supported_callbacks"]

CALLBACKS = ("callback_step", "callback_accept_step", "callback_reject_step")

Callback = Callable[[Tensor, Any, Tensor], Any]


def has_callbacks(func: Any) -> bool:
    """Return whether a solve has to call back."""
    return any(hasattr(func, name) for name in CALLBACKS)


def adjoint_callbacks(func: Any) -> dict[str, Callback]:
    """Return the callbacks of the backward solve, by the names they have in a solve."""
    return {name: getattr(func, f"{name}_adjoint") for name in CALLBACKS if hasattr(func, f"{name}_adjoint")}


def supported_callbacks(func: Any, method: str, *, adaptive: bool) -> Mapping[str, Callback]:
    """Return the callbacks that a method calls, by name.

    Warns
    -----
    UserWarning
        Naming those it never calls: a fixed grid accepts every step, and SciPy's methods call none.
    """
    found = {name: getattr(func, name) for name in CALLBACKS if hasattr(func, name)}
    called = CALLBACKS if adaptive else CALLBACKS[:1]
    never = [name for name in found if method == "scipy_solver" or name not in called]
    if never:
        why = "SciPy takes the steps" if method == "scipy_solver" else "every step of a fixed grid is accepted"
        warnings.warn(f"{', '.join(never)} will never be called: {why}", UserWarning, stacklevel=2)
    return {name: callback for name, callback in found.items() if name not in never}
