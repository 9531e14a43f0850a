"""The stages of implicit methods: Newton's method for each series, with each series' own Jacobian.

A stage is ``y = base + gamma h f(t, y)``. Its Jacobian 1 - gamma h df/dz is a small matrix per series, factored once
per step; there is never one matrix over the batch.
"""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from latentode.ode.control import error_norm
from latentode.ode.drive import Drive
from latentode.ode.ledger import Ledger
from latentode.ode.route import Moment

__all__ = ["Jacobian", "StageJacobian", "StageSolver", "accuracy_of", "jacobian_of", "transposed_solve"]

Jacobian = Callable[[Tensor, Tensor | None, Tensor, Sequence[Tensor]], Tensor]
StageJacobian = Callable[[int], Tensor]

MAX_ITERATIONS = 20
SLOW = 0.05  # a change that shrinks by less than this calls for a new Jacobian
ROUNDINGS = 100.0  # changes of so many roundings may be all there is left
LEFT_OVER = 1e-3  # of the tolerated error of a step, in the solution of a stage


def jacobian_of(function: Callable[[Tensor], Tensor], z: Tensor) -> Tensor:
    """Return the Jacobian of every row of a function whose rows are independent, (row, latent, latent).

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
    pull = torch.func.vjp(function, z)[1]
    basis = torch.eye(z.shape[-1], dtype=z.dtype, device=z.device).unsqueeze(1).expand(-1, len(z), -1)
    rows: Tensor = torch.func.vmap(lambda v: pull(v)[0])(basis)
    return rows.transpose(0, 1)


def transposed_solve(jacobian: Tensor, scale: Tensor, g: Tensor) -> Tensor:
    """Solve ``x (1 - scale * jacobian) = g`` for x, (row, latent); ``scale`` is (row, 1)."""
    return _solved(_matrix(jacobian, scale).transpose(1, 2), g)


class StageSolver:
    """Solve the stages of one solve.

    Parameters
    ----------
    evaluate : callable
        ``evaluate(slot, moment, z)`` returns the slope and enters it.
    ledger : callable
        Returns the ledger the solution of a stage is entered in.
    drive : Drive
        Tells the time and the control.
    jacobian : callable
        df/dz from (t, u, z), (row, latent, latent).
    gamma : float
        The method's diagonal.
    accuracy : tuple of float
        To which relative and absolute accuracy a stage is solved, where the dtype allows it.
    differentiable : bool
        Whether autograd is to see the solution: two last iterations of Newton's method, with the exact Jacobian, have
        its first and second derivatives whatever was done before them.

    References
    ----------
    Hairer & Wanner (1996), Solving Ordinary Differential Equations II, section IV.8.
    """

    def __init__(
        self,
        evaluate: Callable[[int, Moment, Tensor], Tensor],
        ledger: Callable[[], Ledger],
        drive: Drive,
        jacobian: Callable[[Tensor, Tensor | None, Tensor], Tensor],
        gamma: float,
        accuracy: tuple[float, float],
        *,
        differentiable: bool,
    ) -> None:
        self.evaluate, self.ledger, self.drive, self.jacobian, self.gamma = evaluate, ledger, drive, jacobian, gamma
        self.accuracy, self.differentiable = accuracy, differentiable
        self.evaluations = 0

    def begin(self, moment: Moment, z: Tensor, step: Tensor) -> None:
        """Factor the Jacobian at the beginning of a step."""
        self.step = self.gamma * step
        self._factor(moment, z.detach())

    def solve(self, slot: int, moment: Moment, base: Tensor, guess: Tensor) -> tuple[Tensor, Tensor]:
        """Return the state and the slope of a stage; a row that cannot be solved is NaN."""
        with torch.no_grad():
            y = self._iterated(slot, moment, base.detach(), guess.detach())
        if not self.differentiable:
            return self._kept(slot, y, self._algebraic(y, base, self._slope(slot, moment, y)))
        for _ in range(2):
            residual = y - base - self.step * self._slope(slot, moment, y)
            y = y - _solved(_matrix(self.jacobian(*self.drive(moment), y), self.step), residual)
        return self._kept(slot, y, self._algebraic(y, base, self._slope(slot, moment, y)))

    def keep_slope(self, slot: int, slope: Tensor) -> Tensor:
        """Enter the last stage's slope as that of the end, which it is: evaluated anew it would carry y's error."""
        return self.ledger().write_slope(slot, slope)

    def _iterated(self, slot: int, moment: Moment, base: Tensor, y: Tensor) -> Tensor:
        """Newton's method, with a new Jacobian where the last one no longer helps; NaN for rows it cannot solve.

        A row is solved when it changes by less than the accuracy, or by rounding alone.
        """
        eps = 10 * torch.finfo(y.dtype).eps
        rtol, atol = (max(x, eps) for x in self.accuracy)
        before = torch.full_like(y[:, 0], float("inf"))
        for _ in range(MAX_ITERATIONS):
            residual = y - base - self.step * self._slope(slot, moment, y)
            change = torch.linalg.lu_solve(*self.factors, residual.unsqueeze(-1)).squeeze(-1)
            y = y - change
            size = error_norm(change, y.abs().mul(rtol).add_(atol))
            rounding = error_norm(change, y.abs().add(1.0).mul_(eps)) < ROUNDINGS
            solved = (size <= 1.0) | (rounding & (size > 0.5 * before))
            waiting = ~solved & torch.isfinite(size)
            slow = waiting & ~rounding & (size > SLOW * before)
            any_waiting, any_slow = torch.stack([waiting.any(), slow.any()]).tolist()
            if not any_waiting:
                break
            if any_slow:
                self._factor(moment, y)
            before = size
        return torch.where(solved.unsqueeze(1), y, float("nan"))

    def _factor(self, moment: Moment, z: Tensor) -> None:
        with torch.no_grad():
            matrix = _matrix(self.jacobian(*self.drive(moment), z), self.step.detach())
            self.factors = torch.linalg.lu_factor_ex(matrix)[:2]

    def _kept(self, slot: int, y: Tensor, k: Tensor) -> tuple[Tensor, Tensor]:
        return self.ledger().enter(slot, y), self.ledger().write_slope(slot, k)

    def _slope(self, slot: int, moment: Moment, y: Tensor) -> Tensor:
        self.evaluations += 1
        return self.evaluate(slot, moment, y)

    def _algebraic(self, y: Tensor, base: Tensor, slope: Tensor) -> Tensor:
        """The slope by the stage's own equation: a stiff field would magnify what is left over in y."""
        still = self.step.abs() < torch.finfo(y.dtype).tiny ** 0.25
        return torch.where(still, slope, (y - base) / torch.where(still, 1.0, self.step))


def _matrix(jacobian: Tensor, scale: Tensor) -> Tensor:
    return torch.eye(jacobian.shape[-1], dtype=jacobian.dtype, device=jacobian.device) - scale.unsqueeze(-1) * jacobian


def _solved(matrix: Tensor, g: Tensor) -> Tensor:
    solution: Tensor = torch.linalg.solve_ex(matrix, g.unsqueeze(-1))[0]
    return solution.squeeze(-1)


def accuracy_of(rtol: float, atol: float, *, adaptive: bool) -> tuple[float, float]:
    """How well stages are solved: to a part of the tolerance, or, on a grid, as well as the dtype allows."""
    return (LEFT_OVER * rtol, LEFT_OVER * atol) if adaptive else (0.0, 0.0)
