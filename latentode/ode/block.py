"""A layer that replaces a stack of residual blocks by an ordinary differential equation."""

from typing import Any

import torch
from torch import Tensor, nn

from latentode.ode.solve import Steps, solve

__all__ = ["ODEBlock"]


class ODEBlock(nn.Module):
    """The layer z(0) -> z(t1), where dz/dt = field(t, z).

    A residual block is ``z + f(z)``: one step of Euler's method with h = 1. A stack of n of them is this layer with
    ``method="euler", n_steps=n, t1=n``, number for number.

    Parameters
    ----------
    field : nn.Module
        ``field(t, z)`` returns dz/dt, shaped like z; t is (batch, 1, ...), with as many dimensions as z.
    t1 : float
        Where to stop.
    method, n_steps, rtol, atol, adjoint, coarse
        As in :func:`latentode.ode.solve`.

    Raises
    ------
    SolveError
        From ``forward``, if a row cannot be solved.

    Examples
    --------
    >>> from latentode.nn.dynamics import MLPDynamics
    >>> layer = ODEBlock(MLPDynamics(latent_dim=3, hidden_dims=(8,)), n_steps=4)
    >>> layer(torch.ones(2, 3)).shape
    torch.Size([2, 3])

    References
    ----------
    Chen, Rubanova, Bettencourt & Duvenaud (2018), Neural ordinary differential equations, equations 1-3.
    """

    def __init__(
        self,
        field: nn.Module,
        t1: float = 1.0,
        *,
        method: str = "rk4",
        n_steps: Steps = None,
        rtol: float = 1e-3,
        atol: float = 1e-4,
        adjoint: str = "discrete",
        coarse: float | None = None,
    ) -> None:
        super().__init__()
        self.field = field
        self.t1 = t1
        self.options: dict[str, Any] = {
            "method": method,
            "n_steps": n_steps,
            "rtol": rtol,
            "atol": atol,
            "adjoint": adjoint,
            "coarse": coarse,
        }

    def extra_repr(self) -> str:
        """Name the options."""
        return ", ".join(f"{name}={value!r}" for name, value in {"t1": self.t1, **self.options}.items())

    def forward(self, z0: Tensor) -> Tensor:
        """Return z(t1), shaped like ``z0``: (batch, ...)."""
        end = torch.full((1,), self.t1, dtype=z0.dtype, device=z0.device)
        return solve(self.field, z0, end, 0.0, self.t1, t_back=0.0, **self.options).z[:, 0]
