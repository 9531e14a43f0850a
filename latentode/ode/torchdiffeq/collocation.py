"""Fully implicit Runge-Kutta methods: collocation at Gauss's and at Radau's nodes."""

from dataclasses import dataclass
from math import sqrt

import torch

from latentode.ode.methods.runge_kutta import Row, Tableau
from latentode.ode.torchdiffeq.quadrature import lagrange_integrals

__all__ = ["COLLOCATION", "Coefficients", "full_matrix"]


@dataclass(frozen=True)
class Coefficients:
    """A Runge-Kutta step whose stages may depend on each other: row j of ``a`` has a weight for every stage."""

    a: tuple[Row, ...]
    b: Row
    c: Row

    @property
    def stages(self) -> int:
        """Stages of a step."""
        return len(self.b)


def collocation(*nodes: float) -> Coefficients:
    """Return the step whose polynomial has the slope of the field at every node.

    Parameters
    ----------
    *nodes : float
        As fractions of the step.

    Examples
    --------
    The implicit midpoint rule:

    >>> midpoint = collocation(0.5)
    >>> [round(weight, 12) for weight in midpoint.b], midpoint.c
    ([1.0], (0.5,))

    References
    ----------
    Hairer, Nørsett & Wanner (1993), Solving Ordinary Differential Equations I, theorem II.7.8.
    """
    c = torch.tensor(nodes, dtype=torch.float64)
    zero, one = c.new_tensor(0.0), c.new_tensor(1.0)
    *a, b = (tuple(lagrange_integrals(c, zero, end).tolist()) for end in (*c, one))
    return Coefficients(tuple(a), b, tuple(nodes))


def full_matrix(tableau: Tableau) -> Coefficients:
    """Return a diagonally implicit method in the same form."""
    rows = [(*row, tableau.diagonal if row else 0.0) for row in tableau.a]
    m = tableau.stages
    return Coefficients(tuple((*row, *[0.0] * (m - len(row))) for row in rows), tableau.b, tableau.c)


# Gauss's nodes give the order 2s for s stages, Radau's (the last one is the end of the step) 2s - 1.
COLLOCATION = {
    "implicit_midpoint": collocation(1 / 2),
    "gl4": collocation(1 / 2 - sqrt(3) / 6, 1 / 2 + sqrt(3) / 6),
    "gl6": collocation(1 / 2 - sqrt(15) / 10, 1 / 2, 1 / 2 + sqrt(15) / 10),
    "radauIIA3": collocation(1 / 3, 1.0),
    "radauIIA5": collocation((4 - sqrt(6)) / 10, (4 + sqrt(6)) / 10, 1.0),
}
