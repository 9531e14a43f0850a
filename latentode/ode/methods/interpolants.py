"""Interpolants that any tableau has: the line, and the cubic through both ends with both slopes."""

from latentode.ode.tableau import Row, Tableau

__all__ = ["hermite", "linear"]


def linear(tableau: Tableau) -> tuple[Row, ...]:
    """Return the dense rows of the line between both ends."""
    return tuple((weight,) for weight in tableau.b)


def hermite(tableau: Tableau, bump: Row | None = None) -> tuple[Row, ...]:
    """Return the dense rows of the cubic through both ends with both slopes.

    With d = sum_j b_j k_j the cubic is z + h (theta k_0 + theta^2 (3d - 2k_0 - k_end) + theta^3 (k_0 + k_end - 2d)).
    The slope k_end is that of the last stage where it is the end of the step, and else has a row of its own.

    Parameters
    ----------
    tableau : Tableau
        The step between the ends.
    bump : tuple of float
        Weights of the slopes in a multiple of theta^2 (1 - theta)^2, which keeps both ends and both slopes there.
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
