"""What a Runge-Kutta method is: a Butcher tableau, which checks itself when built, and an interpolant."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache, cached_property, lru_cache
from math import isclose, prod
from operator import mul
from typing import NamedTuple

import torch
from torch import Tensor

__all__ = ["Method", "Row", "Tableau", "constant", "hermite", "linear"]

Row = tuple[float, ...]


@dataclass(frozen=True)
class Method:
    """A Runge-Kutta method.

    Parameters
    ----------
    name : str
        The name the caller gives.
    tableau : Tableau
        One step and an estimate of its error.
    dense : tuple of rows
        The solution inside a step, ``z(t + theta h) = z + h sum_j sum_p dense[j][p] theta**(p+1) k_j``:
        one row per stage, and one more for the slope at the end of the step if the interpolant uses it.
    adaptive : bool
        Whether the error estimate is meant to choose the steps.

    Examples
    --------
    >>> from latentode.ode.methods import METHODS
    >>> rk4 = METHODS["rk4"]
    >>> rk4.order, rk4.tableau.stages, rk4.adaptive, rk4.implicit
    (4, 4, False, False)
    """

    name: str
    tableau: "Tableau"
    dense: tuple[Row, ...]
    adaptive: bool = False

    @property
    def order(self) -> int:
        """Order of the steps."""
        return self.tableau.order

    @cached_property
    def implicit(self) -> bool:
        """Whether the stages are equations to be solved."""
        return self.tableau.diagonal != 0

    @cached_property
    def uses_end_slope(self) -> bool:
        """Whether the interpolant needs the slope at the end of the last step."""
        return len(self.dense) > self.tableau.stages

    def dense_weights(self, like: Tensor) -> Tensor:
        """Return ``dense`` as a tensor, (stage, power)."""
        return constant(self.dense, like)

    def error_weights(self, like: Tensor) -> Tensor:
        """Return the error weights as a tensor, (stage + 1,)."""
        return constant(self.tableau.error, like)

    def columns(self, like: Tensor) -> list[Tensor]:
        """Return, for every stage j, column j of ``a`` below the diagonal, followed by b_j."""
        (a, b), m = (self.tableau.a, self.tableau.b), self.tableau.stages
        return [constant((*(a[i][j] for i in range(j + 1, m)), b[j]), like) for j in range(m)]


@dataclass(frozen=True)
class Tableau:
    """The coefficients of a Runge-Kutta step from ``z`` over ``h``.

    Stage ``j`` is ``k_j = f(t + c_j h, z + h sum_l a_jl k_l)``, and the step ends at ``z + h sum_j b_j k_j``.
    The slope at the end of a step is also the first slope of the next step, so using it is free: ``error`` has
    weights for the ``m`` stages and for that end slope.

    With a ``diagonal`` every stage but the first also depends on its own slope and must be solved for (an ESDIRK
    method).

    Parameters
    ----------
    a : tuple of rows
        Row ``j`` holds the ``j`` weights of the earlier stages; the first row is empty.
    b : tuple of float
        Weights of the stages in the step.
    c : tuple of float
        Where each stage lies in the step, as a fraction of it.
    error : tuple of float
        Weights, one more than there are stages, whose sum ``h sum_j e_j k_j`` estimates the local error.
    order : int
        The order the weights must have. It is checked against every rooted tree of that many nodes or fewer (200 trees
        for order 8, about 3 ms).
    diagonal : float
        The weight ``a_jj`` of a stage's own slope, the same for every stage but the first; 0 if explicit.

    Raises
    ------
    ValueError
        If the weights contradict each other or miss the order.

    Examples
    --------
    >>> heun = Tableau(a=((), (1.0,)), b=(0.5, 0.5), c=(0.0, 1.0), error=(-0.5, 0.5, 0.0), order=2)
    >>> heun.stages, heun.error_order
    (2, 2)

    The trapezoidal rule is Heun's with its last stage implicit:

    >>> trapezoid = Tableau(
    ...     a=((), (0.5,)), b=(0.5, 0.5), c=(0.0, 1.0), error=(-0.5, 0.5, 0.0), order=2, diagonal=0.5
    ... )
    >>> trapezoid.stiffly_accurate
    True

    References
    ----------
    Hairer, Nørsett & Wanner (1993), Solving Ordinary Differential Equations I, sections II.1 and II.2.
    Kennedy & Carpenter (2016), Diagonally implicit Runge-Kutta methods for ordinary differential equations, NASA
    TM-2016-219173, section 2 (ESDIRK methods and stiff accuracy).
    """

    a: tuple[Row, ...]
    b: Row
    c: Row
    error: Row
    order: int
    diagonal: float = 0.0

    def __post_init__(self) -> None:
        """Raise if the weights contradict each other."""
        m = self.stages
        if len(self.a) != m or len(self.c) != m or len(self.error) != m + 1:
            raise ValueError(f"a tableau of {m} stages needs {m} rows, {m} places and {m + 1} error weights")
        if any(len(row) != j for j, row in enumerate(self.a)):
            raise ValueError("row j of a tableau holds the j weights of the stages before it")
        if not all(_same(sum(row), c) for row, c in zip(self._rows, self.c, strict=False)):
            raise ValueError("every row of a must sum, with its diagonal, to its c")
        if not _same(sum(self.error), 0.0):
            raise ValueError("the error weights must sum to 0")
        if (reached := self.order_of((*self.b, 0.0), highest=self.order)) < self.order:
            raise ValueError(f"the weights b have order {reached}, not {self.order}")

    @cached_property
    def stages(self) -> int:
        """Stages of a step; for an explicit method also its evaluations of the field."""
        return len(self.b)

    @property
    def stiffly_accurate(self) -> bool:
        """Whether the last stage is the end of the step."""
        return self._rows[-2] == self.b

    @cached_property
    def error_order(self) -> int:
        """The power of ``h`` with which the error estimate of one step vanishes."""
        embedded = tuple(b - e for b, e in zip((*self.b, 0.0), self.error, strict=True))
        return self.order_of(embedded, highest=self.order) + 1

    def order_of(self, weights: Row, theta: float = 1.0, highest: int = 5) -> int:
        """Order of the combination ``z + h sum_j weights_j k_j`` at ``t + theta h``, end slope included."""
        for tree, values in self._elementary_weights(highest):
            if not _same(sum(map(mul, weights, values)), theta**tree.size / tree.density):
                return tree.size - 1
        return highest

    def _elementary_weights(self, highest: int) -> Iterator[tuple["_Tree", list[float]]]:
        """Yield every tree with its elementary weights at all stages and at the end slope (HNW, definition II.2.9)."""
        rows = self._rows
        inner: list[list[float]] = []
        for tree in _trees(highest):
            branches = [inner[i] for i in tree.branches]
            values = [prod(each) for each in zip(*branches, strict=True)] if branches else [1.0] * len(rows)
            if tree.size < highest:
                inner.append([sum(map(mul, row, values)) for row in rows])
            yield tree, values

    @cached_property
    def _rows(self) -> tuple[Row, ...]:
        """The rows of all stages with their diagonal, then the row of the end slope."""
        first, *others = self.a
        return (first, *((*row, self.diagonal) if self.diagonal else row for row in others), self.b)


def linear(tableau: Tableau) -> tuple[Row, ...]:
    """Return the dense rows of the line between both ends."""
    return tuple((weight,) for weight in tableau.b)


def hermite(tableau: Tableau, bump: Row | None = None) -> tuple[Row, ...]:
    """Return the dense rows of the cubic through both ends with both slopes.

    With d = sum_j b_j k_j the cubic is z + h (theta k_0 + theta^2 (3d - 2k_0 - k_end) + theta^3 (k_0 + k_end - 2d)).
    If the last stage is the end of the step, k_end is its slope; otherwise k_end has a row of its own.

    Parameters
    ----------
    tableau : Tableau
        The step between the ends.
    bump : tuple of float
        Weights of the slopes in a multiple of theta^2 (1 - theta)^2, a term that changes neither the two ends nor the
        slopes there.
    """
    step = tableau.b if tableau.stiffly_accurate else (*tableau.b, 0.0)
    rows = [[0.0, 3.0 * weight, -2.0 * weight, 0.0] for weight in step]
    for stage, slope in ((0, (1.0, -2.0, 1.0)), (-1, (0.0, -1.0, 1.0))):
        for power, value in enumerate(slope):
            rows[stage][power] += value
    for coefficients, weight in zip(rows, bump or (), strict=False):
        for power, value in ((1, 1.0), (2, -2.0), (3, 1.0)):
            coefficients[power] += weight * value
    return tuple(tuple(row[: 4 if bump else 3]) for row in rows)


def constant(values: Row | tuple[Row, ...], like: Tensor) -> Tensor:
    """Return numbers as a tensor with the dtype and device of ``like``; it must not be written to.

    Each tensor is made once: copying numbers to a device in the middle of a solve would make the host wait.
    """
    return _constant(values, like.dtype, like.device)


@lru_cache(maxsize=256)
def _constant(values: Row | tuple[Row, ...], dtype: torch.dtype, device: torch.device) -> Tensor:
    # A tensor made in inference mode could not take part in a gradient later, and this one is kept.
    with torch.inference_mode(False):
        return torch.tensor(values, dtype=dtype, device=device)


class _Tree(NamedTuple):
    """A rooted tree; its branches are indices into the list of all trees, the smallest first."""

    size: int
    density: int
    branches: tuple[int, ...]


def _same(x: float, y: float) -> bool:
    return isclose(x, y, rel_tol=1e-11, abs_tol=1e-11)


@cache
def _trees(highest: int) -> tuple[_Tree, ...]:
    """Return all rooted trees with at most that many nodes, the smallest first."""
    if highest == 0:
        return ()
    smaller = _trees(highest - 1)
    return (
        *smaller,
        *(
            _Tree(highest, highest * prod(smaller[i].density for i in branches), branches)
            for branches in _forests(smaller, highest - 1, len(smaller) - 1)
        ),
    )


def _forests(trees: tuple[_Tree, ...], size: int, last: int) -> Iterator[tuple[int, ...]]:
    """Yield all multisets of trees with ``size`` nodes in total, none of them after ``last`` in the list."""
    if size == 0:
        yield ()
        return
    for i in range(last, -1, -1):
        if trees[i].size <= size:
            for rest in _forests(trees, size - trees[i].size, i):
                yield (i, *rest)
