"""Order conditions of Runge-Kutta methods from rooted trees, by a way of their own.

A tree is the sorted tuple of its branches: ``()`` is a leaf. The library numbers trees and walks all of them at once;
here each is taken by itself, as in Butcher's definitions.
"""

from functools import cache
from itertools import combinations_with_replacement
from math import factorial, prod

import numpy as np


@cache
def trees_of(n):
    """All rooted trees of ``n`` nodes."""
    return sorted({tuple(sorted(forest)) for forest in _forests(n - 1, n - 1)})


def _forests(n, largest):
    """Multisets of trees with ``n`` nodes in all, none of more than ``largest``."""
    if n == 0:
        yield ()
        return
    for size in range(min(n, largest), 0, -1):
        for count in range(1, n // size + 1):
            for some in combinations_with_replacement(trees_of(size), count):
                for rest in _forests(n - count * size, size - 1):
                    yield (*some, *rest)


def size(tree):
    return 1 + sum(map(size, tree))


def density(tree):
    return size(tree) * prod(map(density, tree))


def symmetry(tree):
    return prod(factorial(tree.count(branch)) * symmetry(branch) ** tree.count(branch) for branch in set(tree))


def matrix(tableau):
    """The weights of all stages, and below them those of the step: the end slope is one more stage, (m + 1, m + 1)."""
    m = tableau.stages
    a = np.zeros((m + 1, m + 1))
    for i, row in enumerate(tableau.a):
        a[i, : len(row)] = row
        a[i, i] = tableau.diagonal if i else 0.0
    a[m, :m] = tableau.b
    return a


def step_weights(tableau):
    return np.array([*tableau.b, 0.0])


def embedded_weights(tableau):
    """The weights of the step that the estimate compares with."""
    return step_weights(tableau) - np.array(tableau.error)


def dense_weights(method, theta):
    """The weights of the interpolant inside a step."""
    rows = [sum(w * theta ** (p + 1) for p, w in enumerate(row)) for row in method.dense]
    return np.array(rows + [0.0] * (method.tableau.stages + 1 - len(rows)))


def dense_slopes(method, theta):
    """The same of its slope."""
    rows = [sum((p + 1) * w * theta**p for p, w in enumerate(row)) for row in method.dense]
    return np.array(rows + [0.0] * (method.tableau.stages + 1 - len(rows)))


def misses(a, weights, n, theta=1.0):
    """By how much the condition of each tree of ``n`` nodes is missed."""

    def stages(tree):
        return prod((a @ stages(branch) for branch in tree), start=np.ones(len(a)))

    return np.array([weights @ stages(tree) - theta**n / density(tree) for tree in trees_of(n)])


def order_of(tableau, weights, theta=1.0, highest=9, tolerance=1e-11):
    """The order of a combination of the stages and the end slope, at a fraction of the step."""
    a = matrix(tableau)
    for n in range(1, highest + 1):
        if np.abs(misses(a, weights, n, theta)).max() > tolerance:
            return n - 1
    return highest


def orders_of(tableau):
    """The order of the step, and of the one that the estimate compares with."""
    return order_of(tableau, step_weights(tableau)), order_of(tableau, embedded_weights(tableau))


def principal_error(tableau):
    """The norm of the coefficients of the leading term of the error."""
    n = tableau.order + 1
    sigma = np.array([symmetry(tree) for tree in trees_of(n)])
    return np.linalg.norm(misses(matrix(tableau), step_weights(tableau), n) / sigma)
