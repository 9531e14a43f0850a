"""The stages of one recorded step: one after the other, or, if they depend on each other, by Newton's method."""

from collections.abc import Callable, Sequence
from itertools import repeat

import torch
from torch import Tensor

from latentode.ode.loop import combine
from latentode.ode.methods.runge_kutta import Tableau, constant
from latentode.ode.step_size import error_norm
from latentode.ode.torchdiffeq.collocation import Coefficients
from latentode.ode.torchdiffeq.stepping import SteppedState

__all__ = ["explicit_stages", "implicit_stages", "sides_of", "step_end"]

LARGEST = 4096  # rows of the matrix of Newton's method
SLOW = 0.05  # a change that does not shrink below this part of the last one calls for new Jacobians
ROUNDINGS = 100.0  # a change of fewer roundings than this may be rounding alone


def sides_of(c: Sequence[float], *, perturb: bool) -> list[int]:
    """Return on which side of its time each stage is evaluated: the ends of a perturbed step lie inside it."""
    return [{0.0: 1, 1.0: -1}.get(place, 0) if perturb else 0 for place in c]


def step_end(y: Tensor, slopes: Sequence[Tensor], b: Sequence[float], step: Tensor) -> Tensor:
    """Return the end of the step."""
    return combine(y, slopes, b, step, None)


def explicit_stages(
    state: SteppedState, tableau: Tableau, begin: Tensor, end: Tensor, y: Tensor, first: Tensor, sides: Sequence[int]
) -> list[Tensor]:
    """Return the slopes of all stages, of which the first is known."""
    slopes, step = [first], (end - begin).to(y.dtype)
    for row, c, side in list(zip(tableau.a, tableau.c, sides, strict=True))[1:]:
        t = end if c == 1.0 else begin + c * (end - begin)
        slopes.append(state.slope(t, combine(y, slopes, row, step, None), side))
    return slopes


def implicit_stages(
    state: SteppedState, tableau: Coefficients, begin: Tensor, end: Tensor, y: Tensor, first: Tensor,
    sides: Sequence[int], max_iterations: int,
) -> list[Tensor]:  # fmt: skip
    """Return the slopes of stages that depend on each other, from a first guess; NaN if they are not found.

    Once they are found, two more iterations with the exact Jacobian, which is held fixed, have their first and second
    derivatives.

    Raises
    ------
    ValueError
        If the matrix, one row for every stage and number of the state, is too large.
    """
    if tableau.stages * len(y) > LARGEST:
        raise ValueError(
            f"a state of {len(y)} numbers is too large for an implicit method, which solves for all of them at once: "
            "use an explicit method (for a backward solve, adjoint_method)"
        )
    step, a = (end - begin).to(y.dtype), constant(tableau.a, y)
    times = [end if c == 1.0 else begin + c * (end - begin) for c in tableau.c]

    def residual(slopes: Tensor) -> Tensor:
        states = y + step * (a @ slopes)
        each = [state.slope(t, z, side) for t, z, side in zip(times, states, sides, strict=True)]
        return (slopes - torch.stack(each)).flatten()

    def factored(slopes: Tensor) -> tuple[Tensor, Tensor]:
        states = y + step * (a @ slopes)
        each = [_jacobian(state, t, z, side) for t, z, side in zip(times, states, sides, strict=True)]
        blocks = -step.detach() * torch.einsum("ij,iab->iajb", a, torch.stack(each))
        matrix = blocks.reshape(slopes.numel(), -1)
        matrix.diagonal().add_(1.0)
        lu: tuple[Tensor, Tensor] = torch.linalg.lu_factor_ex(matrix)[:2]
        return lu

    with torch.no_grad():
        slopes = first.repeat(tableau.stages, 1)
        slopes, solved = _iterated(residual, factored, slopes, y.detach(), step, max_iterations)
        if not solved:
            return list((slopes * float("nan")).unbind(0))
        lu = factored(slopes)
    if torch.is_grad_enabled():
        for _ in repeat(None, 2):
            slopes = slopes - torch.linalg.lu_solve(*lu, residual(slopes).unsqueeze(1)).view_as(slopes)
    return list(slopes.unbind(0))


def _iterated(
    residual: Callable[[Tensor], Tensor], factored: Callable[[Tensor], tuple[Tensor, Tensor]], slopes: Tensor,
    y: Tensor, step: Tensor, max_iterations: int,
) -> tuple[Tensor, bool]:  # fmt: skip
    """Iterate until the states change by rounding alone; return the slopes, and whether they were found."""
    lu, before = factored(slopes), float("inf")
    scale = (1.0 + y.abs()).mul_(10 * torch.finfo(y.dtype).eps)
    for _ in range(max_iterations):
        change = torch.linalg.lu_solve(*lu, residual(slopes).unsqueeze(1)).view_as(slopes)
        slopes = slopes - change
        size = float(error_norm(step * change, scale).amax())
        if size <= 1.0 or 0.5 * before < size < ROUNDINGS:
            return slopes, True
        if not size < float("inf"):
            break
        if size > SLOW * before:
            lu = factored(slopes)
        before = size
    return slopes, False


def _jacobian(state: SteppedState, t: Tensor, y: Tensor, side: int) -> Tensor:
    """Return df/dy, (latent, latent), row by row: nothing is required of the function but its derivative."""
    with torch.enable_grad():
        leaf = y.detach().requires_grad_()
        slope = state.slope(t.detach(), leaf, side)
        parts = slope.unbind(0)
    if not slope.requires_grad:
        return y.new_zeros(len(y), len(y))
    rows = [torch.autograd.grad(part, leaf, retain_graph=True, allow_unused=True)[0] for part in parts]
    return torch.stack([torch.zeros_like(y) if row is None else row for row in rows])
