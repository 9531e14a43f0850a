"""Butcher tableaux as data: the coefficients of a Runge-Kutta step, which check themselves when built."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from itertools import combinations_with_replacement
from math import isclose, prod

__all__ = ["Tableau"]

Row = tuple[float, ...]
Tree = tuple["Tree", ...]


@dataclass(frozen=True)
class Tableau:
    """An explicit Runge-Kutta step from ``z`` over ``h``.

    Stage ``j`` is ``k_j = f(t + c_j h, z + h sum_l a_jl k_l)``, and the step ends at ``z + h sum_j b_j k_j``.
    The slope at the end of a step is the first slope of the next, whatever the method, so it costs nothing
    to use it too: ``error`` weighs the ``m`` stages and that end slope.

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
        The order the weights must have; checked against every rooted tree up to order 5.

    Raises
    ------
    ValueError
        If the weights contradict each other or miss the order.

    Examples
    --------
    >>> heun = Tableau(a=((), (1.0,)), b=(0.5, 0.5), c=(0.0, 1.0), error=(-0.5, 0.5, 0.0), order=2)
    >>> heun.stages, heun.error_order
    (2, 2)

    References
    ----------
    Hairer, Nørsett & Wanner (1993), Solving Ordinary Differential Equations I, sections II.1 and II.2.
    """

    a: tuple[Row, ...]
    b: Row
    c: Row
    error: Row
    order: int

    def __post_init__(self) -> None:
        """Refuse weights that contradict each other."""
        m = self.stages
        if len(self.a) != m or len(self.c) != m or len(self.error) != m + 1:
            raise ValueError(f"a tableau of {m} stages needs {m} rows, {m} places and {m + 1} error weights")
        if any(len(row) != j for j, row in enumerate(self.a)):
            raise ValueError("row j of an explicit tableau holds the j weights of the stages before it")
        if not all(_same(sum(row), c) for row, c in zip(self.a, self.c, strict=True)):
            raise ValueError("every row of a must sum to its c")
        if not _same(sum(self.error), 0.0):
            raise ValueError("the error weights must sum to 0")
        if (reached := self.order_of((*self.b, 0.0))) < self.order:
            raise ValueError(f"the weights b have order {reached}, not {self.order}")

    @property
    def stages(self) -> int:
        """Evaluations of the field per step."""
        return len(self.b)

    @property
    def error_order(self) -> int:
        """The power of ``h`` with which the error estimate of one step vanishes."""
        embedded = tuple(b - e for b, e in zip((*self.b, 0.0), self.error, strict=True))
        return min(self.order, self.order_of(embedded)) + 1

    def order_of(self, weights: Row, theta: float = 1.0, highest: int = 5) -> int:
        """Order of the combination ``z + h sum_j weights_j k_j`` at ``t + theta h``, end slope included."""
        for order in range(1, highest + 1):
            for tree in _trees(order):
                target = theta**order / _density(tree)
                if not _same(sum(w * p for w, p in zip(weights, self._products(tree), strict=True)), target):
                    return order - 1
        return highest

    def _products(self, tree: Tree) -> list[float]:
        """Per stage and the end slope: the elementary weight of ``tree`` (HNW, definition II.2.9)."""
        rows = (*self.a, self.b)
        inner = [self._products(branch) for branch in tree]
        return [prod(sum(w * p for w, p in zip(row, values, strict=False)) for values in inner) for row in rows]


def _same(x: float, y: float) -> bool:
    return isclose(x, y, rel_tol=1e-11, abs_tol=1e-11)


def _size(tree: Tree) -> int:
    return 1 + sum(map(_size, tree))


def _density(tree: Tree) -> int:
    return _size(tree) * prod(map(_density, tree))


@cache
def _trees(size: int) -> tuple[Tree, ...]:
    """All rooted trees with that many nodes, each as the tuple of its branches."""
    return tuple(_forests(size - 1, size - 1))


def _forests(size: int, largest: int) -> Iterator[tuple[Tree, ...]]:
    """All multisets of trees with ``size`` nodes in all, none of them larger than ``largest``."""
    if size == 0:
        yield ()
        return
    for first in range(min(size, largest), 0, -1):
        for count in range(1, size // first + 1):
            for rest in _forests(size - count * first, first - 1):
                for heads in combinations_with_replacement(_trees(first), count):
                    yield (*heads, *rest)
