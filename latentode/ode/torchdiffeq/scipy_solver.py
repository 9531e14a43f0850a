"""SciPy's solvers, behind torchdiffeq's name for them. They compute no gradient."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from latentode.ode.failures import SolveError
from latentode.ode.torchdiffeq.stepping import SteppedState

__all__ = ["scipy_answers"]


@torch.no_grad()
def scipy_answers(
    state: SteppedState, t: Tensor, rtol: float | Tensor, atol: float | Tensor, options: Mapping[str, Any]
) -> Tensor:
    """Return the states at all times, (time, latent), by :func:`scipy.integrate.solve_ivp`.

    Parameters
    ----------
    state, t
        What is solved, and the times.
    rtol, atol : float or Tensor
        SciPy's.
    options : mapping
        ``solver`` ("LSODA" when absent), ``max_step`` and, for LSODA, ``min_step``.

    Raises
    ------
    SolveError
        With SciPy's message.

    References
    ----------
    Virtanen et al. (2020), SciPy 1.0, Nature Methods 17.
    """
    from scipy.integrate import solve_ivp  # only here: importing it takes longer than most solves

    like, solver = state.y0, options.get("solver", "LSODA")

    def slope(time: float, y: Any) -> Any:
        return state.slope(t.new_tensor(time), torch.as_tensor(y).to(like)).detach().cpu().double().numpy()

    limits = {"max_step": float(options.get("max_step", float("inf")))}
    if solver == "LSODA" and options.get("min_step"):
        limits["min_step"] = float(options["min_step"])
    times = t.detach().cpu().double().tolist()
    found = solve_ivp(
        slope, (times[0], times[-1]), like.detach().cpu().double().numpy(), method=solver, t_eval=times,
        rtol=_plain(rtol), atol=_plain(atol), **limits,
    )  # fmt: skip
    y = torch.as_tensor(found.y).t().to(like)
    if not found.success or not bool(torch.isfinite(y).all()):
        reached = float(found.t[-1]) if len(found.t) else times[0]
        raise SolveError(f"SciPy's {solver} failed", [0], [reached], str(found.message))
    return y


def _plain(tolerance: float | Tensor) -> Any:
    return tolerance.detach().cpu().double().numpy() if isinstance(tolerance, Tensor) else tolerance
