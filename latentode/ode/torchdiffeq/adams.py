"""Adams methods on a fixed grid: the slopes of the last steps, in a polynomial that is integrated over the next one.

On a grid of equal steps the weights are the classical ones. On any other grid they are computed from the nodes.
"""

import warnings

import torch
from torch import Tensor

from latentode.ode.failures import SolveError
from latentode.ode.loop import combine
from latentode.ode.torchdiffeq.grid import RK4_38
from latentode.ode.torchdiffeq.quadrature import lagrange_integrals
from latentode.ode.torchdiffeq.stages import explicit_stages, sides_of, step_end
from latentode.ode.torchdiffeq.stepping import SteppedState

__all__ = ["AdamsAdvance"]

FEWEST = 3  # slopes; until there are so many, the steps are those of the 3/8 rule
MAX_ORDER, MAX_ITERATIONS = 12, 4


class AdamsAdvance:
    """Takes the steps of one solve by an Adams method.

    Parameters
    ----------
    state : SteppedState
        What is stepped.
    implicit : bool
        Whether the step of Bashforth is only the first guess of Moulton's, which uses the slope at its own end.
    rtol, atol : float or Tensor
        The iteration for that slope ends when the step changes by less.
    max_order, max_iters : int
        The highest order, at most 12 (one more for the implicit method's step), and the most iterations of a step.
    perturb : bool
        Whether slopes at nodes are evaluated just inside the step.

    Raises
    ------
    ValueError
        If the order is too high.

    References
    ----------
    Hairer, Nørsett & Wanner (1993), Solving Ordinary Differential Equations I, section III.1 and III.5.
    """

    def __init__(
        self, state: SteppedState, *, implicit: bool, rtol: float | Tensor, atol: float | Tensor,
        max_order: int = MAX_ORDER, max_iters: int = MAX_ITERATIONS, perturb: bool = False,
    ) -> None:  # fmt: skip
        if not 1 <= max_order <= MAX_ORDER:
            raise ValueError(f"the option max_order must be from 1 to {MAX_ORDER}, not {max_order}")
        if max_order - 1 < FEWEST:
            warnings.warn(f"max_order={max_order} is below {FEWEST + 1}: every step is one of rk4", stacklevel=2)
        self.state, self.implicit, self.perturb = state, implicit, perturb
        self.rtol, self.atol, self.max_iterations = rtol, atol, max_iters
        self.kept = max_order - 1
        self.times: list[Tensor] = []
        self.slopes: list[Tensor] = []
        self.unconverged: list[float] = []

    def __call__(self, begin: Tensor, end: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        """Return the state at the end of a step, and the slope at its beginning."""
        first = self.state.slope(begin, y, 1 if self.perturb else 0)
        self.times, self.slopes = [begin, *self.times][: self.kept], [first, *self.slopes][: self.kept]
        if len(self.slopes) < FEWEST:
            sides = sides_of(RK4_38.tableau.c, perturb=self.perturb)
            slopes = explicit_stages(self.state, RK4_38.tableau, begin, end, y, first, sides)
            return step_end(y, slopes, RK4_38.tableau.b, (end - begin).to(y.dtype)), first
        change = self._integral(self.times, self.slopes, begin, end)
        return y + (self._corrected(begin, end, y, change) if self.implicit else change), first

    def _integral(self, times: list[Tensor], slopes: list[Tensor], begin: Tensor, end: Tensor) -> Tensor:
        """Integrate the polynomial through the slopes over the step."""
        return (self._weights(times, begin, end).to(slopes[0].dtype) @ torch.stack(slopes)).to(slopes[0].dtype)

    def _weights(self, times: list[Tensor], begin: Tensor, end: Tensor) -> Tensor:
        return lagrange_integrals(torch.stack(times).double(), begin.double(), end.double())

    def _corrected(self, begin: Tensor, end: Tensor, y: Tensor, change: Tensor) -> Tensor:
        """Iterate the implicit step from a first guess."""
        weights = self._weights([end, *self.times], begin, end).to(y.dtype)
        known = weights[1:] @ torch.stack(self.slopes)
        for _ in range(self.max_iterations):
            before = change
            slope = self.state.slope(end, y + change, -1 if self.perturb else 0)
            change = combine(known, [slope], (1.0,), weights[0], None)
            tolerated = self.atol + self.rtol * torch.maximum(before.abs(), change.abs())
            if bool(((change - before).detach().abs() < tolerated).all()):
                return change
        if not bool(torch.isfinite(change).all()):
            raise SolveError("the state is not finite", [0], [end.item()], "Take smaller steps.")
        self.unconverged.append(begin.item())
        self.times.pop()
        self.slopes.pop()
        return change

    def warn_if_unconverged(self) -> None:
        """Warn once of all steps whose iteration did not converge."""
        if self.unconverged:
            warnings.warn(
                f"{len(self.unconverged)} steps of implicit_adams did not converge in {self.max_iterations} iterations,"
                f" the first at t = {self.unconverged[0]:.6g}: the solution may be inaccurate. Take smaller steps, or "
                "raise options['max_iters'], rtol or atol",
                stacklevel=2,
            )
