"""The stages of implicit methods: Newton's method for every series, each with its own Jacobian.

A stage is ``y = base + gamma h f(t, y)``. Its Jacobian 1 - gamma h df/dz is a small matrix per series, which is
factored once per step. There is never one matrix over the batch.
"""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from latentode.ode.field import trainable_behind
from latentode.ode.step_size import error_norm
from latentode.ode.steps import StageBuffer, StageTime

__all__ = ["Jacobian", "StageJacobian", "StageSolver", "jacobian_of", "transposed_solve"]

Jacobian = Callable[[Tensor, Tensor | None, Tensor, Sequence[Tensor]], Tensor]
StageJacobian = Callable[[int], Tensor]
Inputs = Callable[[StageTime], tuple[Tensor, Tensor | None]]

MAX_ITERATIONS = 20
SLOW = 0.05  # a change that does not shrink below this part of the last one calls for a new Jacobian
ROUNDINGS = 100.0  # a change of fewer roundings than this may be rounding alone
STAGE_ACCURACY = 1e-3  # of the tolerated error of a step: the error left in a stage


def jacobian_of(function: Callable[[Tensor], Tensor], z: Tensor) -> Tensor:
    """Return the Jacobian of every row, (row, latent, latent), of a function whose rows are independent.

    Parameters
    ----------
    function : callable
        From (row, latent) to (row, latent).
    z : Tensor
        (row, latent)

    Examples
    --------
    >>> jacobian_of(lambda z: z**2, torch.tensor([[1.0, 2.0]]))
    tensor([[[2., 0.],
             [0., 4.]]])
    """
    record = torch.is_grad_enabled()
    with torch.enable_grad():
        at = z.view_as(z) if record and z.requires_grad else z.detach().requires_grad_()
        slope = function(at)
        if not slope.requires_grad:
            return z.new_zeros(*z.shape, z.shape[-1])
        record = record and (z.requires_grad or bool(trainable_behind(slope, {id(at)})))
        basis = torch.eye(z.shape[-1], dtype=slope.dtype, device=z.device).unsqueeze(1).expand(-1, len(z), -1)
        (rows,) = torch.autograd.grad(
            slope, at, basis, create_graph=record, retain_graph=True, is_grads_batched=True, allow_unused=True,
            materialize_grads=True,
        )  # fmt: skip
    return rows.transpose(0, 1)


def transposed_solve(jacobian: Tensor, scale: Tensor, g: Tensor) -> Tensor:
    """Solve ``x (1 - scale * jacobian) = g`` for x, (row, latent); ``scale`` is (row, 1)."""
    return _solved(_matrix(jacobian, scale).transpose(1, 2), g)


class StageSolver:
    """Solves the stages of one solve.

    Parameters
    ----------
    evaluate : callable
        ``evaluate(buffer, slot, when, z)`` returns the slope, and keeps it.
    inputs : callable
        From a :class:`StageTime` to the time and the control there.
    jacobian : callable
        df/dz from (t, u, z), (row, latent, latent).
    gamma : float
        The diagonal of the method.
    tolerance : tuple of float, optional
        Relative and absolute tolerance of a step; without it (on a fixed grid) stages are solved as accurately as the
        dtype allows.
    differentiable : bool
        Whether autograd records the solution. Two last iterations of Newton's method, with the exact Jacobian, then
        have its first and second derivatives, whatever was done before them.

    References
    ----------
    Hairer & Wanner (1996), Solving Ordinary Differential Equations II, section IV.8.
    """

    def __init__(
        self,
        evaluate: Callable[[StageBuffer, int, StageTime, Tensor], Tensor],
        inputs: Inputs,
        jacobian: Callable[[Tensor, Tensor | None, Tensor], Tensor],
        gamma: float,
        tolerance: tuple[float, float] | None,
        *,
        differentiable: bool,
    ) -> None:
        self.evaluate, self.inputs, self.jacobian, self.gamma = evaluate, inputs, jacobian, gamma
        rtol, atol = tolerance or (0.0, 0.0)
        self.accuracy, self.differentiable = (STAGE_ACCURACY * rtol, STAGE_ACCURACY * atol), differentiable
        self.evaluations = 0

    def begin(self, when: StageTime, z: Tensor, step: Tensor) -> None:
        """Factor the Jacobian at the beginning of a step."""
        self.step = self.gamma * step
        self._factor(when, z.detach())

    def solve(
        self, buffer: StageBuffer, slot: int, when: StageTime, base: Tensor, guess: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Return the state and the slope of a stage, as they are kept; a row that cannot be solved is NaN."""

        def slope_at(y: Tensor) -> Tensor:
            self.evaluations += 1
            return self.evaluate(buffer, slot, when, y)

        with torch.no_grad():
            y = self._iterated(slope_at, when, base.detach(), guess.detach())
        for _ in range(2 if self.differentiable else 0):
            residual = y - base - self.step * slope_at(y)
            y = y - _solved(_matrix(self.jacobian(*self.inputs(when), y), self.step), residual)
        slope = self._slope_by_equation(y, base, slope_at(y))
        return buffer.keep_state(slot, y), buffer.keep_slope(slot, slope)

    def _iterated(self, slope_at: Callable[[Tensor], Tensor], when: StageTime, base: Tensor, y: Tensor) -> Tensor:
        """Iterate Newton's method, with a new Jacobian once the last one converges slowly.

        A row is solved when it changes by less than the accuracy, or by rounding alone.
        """
        eps = 10 * torch.finfo(y.dtype).eps
        rtol, atol = (max(x, eps) for x in self.accuracy)
        before = torch.full_like(y[:, 0], float("inf"))
        for _ in range(MAX_ITERATIONS):
            residual = y - base - self.step * slope_at(y)
            change = torch.linalg.lu_solve(*self.factors, residual.unsqueeze(-1)).squeeze(-1)
            y = y - change
            size = error_norm(change, y.abs().mul(rtol).add_(atol))
            rounding = error_norm(change, y.abs().add(1.0).mul_(eps)) < ROUNDINGS
            solved = (size <= 1.0) | (rounding & (size > 0.5 * before))
            unsolved = ~solved & torch.isfinite(size)
            slow = unsolved & ~rounding & (size > SLOW * before)
            # One transfer from the device for both.
            any_unsolved, any_slow = torch.stack([unsolved.any(), slow.any()]).tolist()
            if not any_unsolved:
                break
            if any_slow:
                self._factor(when, y)
            before = size
        return torch.where(solved.unsqueeze(1), y, float("nan"))

    def _factor(self, when: StageTime, z: Tensor) -> None:
        with torch.no_grad():
            matrix = _matrix(self.jacobian(*self.inputs(when), z), self.step.detach())
            self.factors = torch.linalg.lu_factor_ex(matrix)[:2]

    def _slope_by_equation(self, y: Tensor, base: Tensor, slope: Tensor) -> Tensor:
        """Return the slope by the stage's own equation: a stiff field would magnify the error left in y."""
        no_step = self.step.abs() < torch.finfo(y.dtype).tiny ** 0.25
        return torch.where(no_step, slope, (y - base) / torch.where(no_step, 1.0, self.step))


def _matrix(jacobian: Tensor, scale: Tensor) -> Tensor:
    return torch.eye(jacobian.shape[-1], dtype=jacobian.dtype, device=jacobian.device) - scale.unsqueeze(-1) * jacobian


def _solved(matrix: Tensor, g: Tensor) -> Tensor:
    solution: Tensor = torch.linalg.solve_ex(matrix, g.unsqueeze(-1))[0]
    return solution.squeeze(-1)
