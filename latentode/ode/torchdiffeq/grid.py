"""Recorded steps on a fixed grid: Runge-Kutta and Adams methods."""

from collections.abc import Callable, Iterable, Iterator
from itertools import pairwise

from torch import Tensor

from latentode.ode.methods import METHODS
from latentode.ode.methods.runge_kutta import Method
from latentode.ode.torchdiffeq.collocation import Coefficients, full_matrix
from latentode.ode.torchdiffeq.stages import explicit_stages, implicit_stages, sides_of, step_end
from latentode.ode.torchdiffeq.stepping import Step, SteppedState

__all__ = ["Advance", "grid_steps", "runge_kutta_advance"]

Advance = Callable[[Tensor, Tensor, Tensor], tuple[Tensor, Tensor]]


def grid_steps(state: SteppedState, nodes: Iterable[Tensor], advance: Advance, interp: str) -> Iterator[Step]:
    """Step from each node to the next.

    Parameters
    ----------
    state, nodes
        What is stepped, and the times of the nodes, 0-dimensional each.
    advance : callable
        ``advance(begin, end, y)`` returns the state at the end, and the slope at the beginning.
    interp : {"linear", "cubic"}
        What lies between two nodes: a line, or the cubic that has the slopes of the field at both.
    """
    y = state.y0
    for begin, end in pairwise(nodes):
        y = state.before_step(begin, y, end - begin)
        y_end, slope = advance(begin, end, y)
        yield Step(begin, end, _between(state, interp, begin, end, y, y_end, slope))
        y = y_end


def runge_kutta_advance(
    state: SteppedState, method: Method | Coefficients, *, perturb: bool, max_iterations: int
) -> Advance:
    """Return what takes one step of a Runge-Kutta method."""
    start = 1 if perturb else 0
    if isinstance(method, Method) and not method.implicit:
        tableau, explicit_sides = method.tableau, sides_of(method.tableau.c, perturb=perturb)

        def explicit(begin: Tensor, end: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
            first = state.slope(begin, y, start)
            slopes = explicit_stages(state, tableau, begin, end, y, first, explicit_sides)
            return step_end(y, slopes, tableau.b, (end - begin).to(y.dtype)), first

        return explicit
    full = full_matrix(method.tableau) if isinstance(method, Method) else method
    sides = sides_of(full.c, perturb=perturb)

    def implicit(begin: Tensor, end: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        first = state.slope(begin, y, start)
        slopes = implicit_stages(state, full, begin, end, y, first, sides, max_iterations)
        return step_end(y, slopes, full.b, (end - begin).to(y.dtype)), first

    return implicit


RK4_38 = METHODS["rk4_38"]  # the first steps of Adams methods


def _between(
    state: SteppedState, interp: str, begin: Tensor, end: Tensor, y: Tensor, y_end: Tensor, slope: Tensor
) -> Callable[[Tensor], Tensor]:
    """Return the interpolant; written from the end of the step, whose state it returns without rounding."""

    def at(t: Tensor) -> Tensor:
        if t.item() == end.item() and not t.requires_grad:
            return y_end
        x, step = ((end - t) / (end - begin)).to(y.dtype), (end - begin).to(y.dtype)
        difference = y_end - y
        if interp == "linear":
            return y_end - x * difference
        rise, end_rise = step * slope, step * state.slope(end, y_end)
        square = rise + 2.0 * end_rise - 3.0 * difference
        return y_end - x * end_rise + x**2 * square + x**3 * (2.0 * difference - rise - end_rise)

    return at
