"""Butcher tableaux as data: the coefficients of a Runge-Kutta step, which check themselves when built."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache, cached_property
from math import isclose, prod
from operator import mul
from typing import NamedTuple

__all__ = ["Row", "Tableau"]

Row = tuple[float, ...]


@dataclass(frozen=True)
class Tableau:
    """A Runge-Kutta step from ``z`` over ``h``, whose stages follow one another.

    Stage ``j`` is ``k_j = f(t + c_j h, z + h sum_l a_jl k_l)``, and the step ends at ``z + h sum_j b_j k_j``.
    The slope at the end of a step is the first slope of the next, whatever the method, so it costs nothing
    to use it too: ``error`` weighs the ``m`` stages and that end slope.

    With a ``diagonal`` every stage but the first weighs its own slope too, and must be solved for (an ESDIRK method).

    Parameters
    ----------
    a : tuple of rows
        Row ``j`` holds the ``j`` weights of the earlier stages (so the first row is empty).
    b : tuple of float
        Weights of the stages in the step.
    c : tuple of float
        The stages' places in the step, as fractions of it.
    error : tuple of float
        Weights, one more than there are stages, whose sum ``h sum_j e_j k_j`` estimates the local error.
    order : int
        The order the weights must have; checked against every rooted tree of that many nodes or fewer (for order 8,
        200 trees: some 3 ms).
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
        """Refuse weights that contradict each other."""
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

    @property
    def stages(self) -> int:
        """Stages of a step: evaluations of the field, where it is explicit."""
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
        """Per tree its elementary weight at every stage and at the end slope (HNW, definition II.2.9)."""
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
        """Row by stage, with its diagonal; then that of the end slope."""
        first, *others = self.a
        return (first, *((*row, self.diagonal) if self.diagonal else row for row in others), self.b)


class _Tree(NamedTuple):
    """A rooted tree: its branches are known by their places among all trees, the smallest first."""

    size: int
    density: int
    branches: tuple[int, ...]


def _same(x: float, y: float) -> bool:
    return isclose(x, y, rel_tol=1e-11, abs_tol=1e-11)


@cache
def _trees(highest: int) -> tuple[_Tree, ...]:
    """All rooted trees with up to that many nodes, the smallest first."""
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
    """All multisets of trees with ``size`` nodes in all, none of them after the ``last``."""
    if size == 0:
        yield ()
        return
    for i in range(last, -1, -1):
        if trees[i].size <= size:
            for rest in _forests(trees, size - trees[i].size, i):
                yield (i, *rest)
