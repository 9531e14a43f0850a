"""Dense output: every query of every series answered at once, by one gather and one polynomial."""

from functools import lru_cache

import torch
from torch import Tensor

from latentode.ode.methods import Method
from latentode.ode.stepping import Path

__all__ = ["interpolate"]


def interpolate(
    nodes: Tensor, slopes: Tensor, path: Path, span: Tensor, method: Method, clock: Tensor, rows: Tensor
) -> Tensor:
    """Read the solution off the steps.

    Inside step n the solution is ``z_n + step_n sum_j sum_p P_jp theta^(p+1) k_nj``, with theta the fraction of the
    step passed. The polynomials of all steps are formed first, then each query picks one.

    Parameters
    ----------
    nodes : Tensor
        (step + 1, row, latent)
    slopes : Tensor
        (slot, row, latent), as many per step as the method has stages, and one for the end where it is used.
    path : Path
        Where the steps ended.
    span : Tensor
        (row, 1): how far each row went.
    method : Method
        Whose polynomials.
    clock : Tensor
        (series, time) in [0, 1].
    rows : Tensor
        (series, time) integers: which row each query reads.

    Returns
    -------
    Tensor
        (series, time, latent)

    References
    ----------
    Hairer, Nørsett & Wanner (1993), Solving Ordinary Differential Equations I, section II.6.
    """
    n_steps = path.n_steps
    step, theta = _locate(path, clock)
    table = _polynomials(nodes, slopes, path, span.to(nodes.dtype), method)
    degree = table.shape[2]
    flat = table.view(n_steps * nodes.shape[1], degree * nodes.shape[2])
    picked = flat.index_select(0, (step * nodes.shape[1] + rows).view(-1)).view(*clock.shape, degree, nodes.shape[2])
    theta = theta.to(nodes.dtype).unsqueeze(-1)
    z = picked[..., -1, :]
    for power in range(degree - 2, -1, -1):
        z = torch.addcmul(picked[..., power, :], z, theta)
    return z


def _locate(path: Path, clock: Tensor) -> tuple[Tensor, Tensor]:
    """Each query's step, and how far into it the query is."""
    n = path.n_steps
    if path.uniform:
        place = clock * n
        step = place.detach().floor().clamp_(0, n - 1)
        return step.long(), place - step
    knots = torch.tensor(path.knots, dtype=clock.dtype, device=clock.device)
    step = torch.searchsorted(knots, clock.detach(), right=True).sub_(1).clamp_(0, n - 1)
    return step, (clock - knots[step]) / (knots[1:] - knots[:-1])[step]


def _polynomials(nodes: Tensor, slopes: Tensor, path: Path, span: Tensor, method: Method) -> Tensor:
    """The coefficients of every step, (step, row, power, latent), the constant first."""
    n, (rows, latent), m = path.n_steps, nodes.shape[1:], method.tableau.stages
    weights = _weights(method, nodes.dtype, nodes.device)
    inner = slopes[: n * m].view(n, m, rows * latent)
    powers = torch.matmul(weights[:m].t(), inner)
    if method.uses_end_slope:
        ends = slopes[m::m].reshape(n, 1, rows * latent)
        powers = torch.addcmul(powers, ends, weights[m].view(1, -1, 1))
    scale = (span / n).unsqueeze(0) if path.uniform else span * path.lengths(nodes).view(-1, 1, 1)
    powers = powers.view(n, weights.shape[1], rows, latent).transpose(1, 2) * scale.unsqueeze(2)
    return torch.cat([nodes[:n].unsqueeze(2), powers], 2)


@lru_cache(maxsize=64)
def _weights(method: Method, dtype: torch.dtype, device: torch.device) -> Tensor:
    return torch.tensor(method.dense, dtype=dtype, device=device)
