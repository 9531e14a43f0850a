"""What a Runge-Kutta method is: a tableau, an interpolant, and what its error estimate is for."""

from dataclasses import dataclass

from latentode.ode.tableau import Row, Tableau

__all__ = ["Method"]


@dataclass(frozen=True)
class Method:
    """A Runge-Kutta method.

    Parameters
    ----------
    name : str
        What the caller writes.
    tableau : Tableau
        One step, and an estimate of its error.
    dense : tuple of rows
        The solution inside a step, ``z(t + theta h) = z + h sum_j sum_p dense[j][p] theta**(p+1) k_j``:
        a row per stage, and one for the slope at the end of the step where the interpolant uses it.
    adaptive : bool
        Whether the error estimate is meant to choose the steps.

    Examples
    --------
    >>> from latentode.ode.methods import find_method
    >>> rk4 = find_method("rk4")
    >>> rk4.order, rk4.tableau.stages, rk4.adaptive, rk4.implicit
    (4, 4, False, False)
    """

    name: str
    tableau: Tableau
    dense: tuple[Row, ...]
    adaptive: bool = False

    @property
    def order(self) -> int:
        """Order of the steps."""
        return self.tableau.order

    @property
    def implicit(self) -> bool:
        """Whether its stages must be solved for."""
        return self.tableau.diagonal != 0

    @property
    def uses_end_slope(self) -> bool:
        """Whether the interpolant needs the slope at the end of the last step."""
        return len(self.dense) > self.tableau.stages
