"""The two rules of order 4 in four stages by Kutta (1901), Zeitschrift für Mathematik und Physik 46."""

from latentode.ode.methods.interpolants import hermite
from latentode.ode.methods.method import Method
from latentode.ode.tableau import Tableau

__all__ = ["RK4", "RK4_38"]

# The error is the difference to b = (1/6, 1/3, 1/3, 0, 1/6), of order 3 with the end slope.
_RK4 = Tableau(
    a=((), (1 / 2,), (0.0, 1 / 2), (0.0, 0.0, 1.0)),
    b=(1 / 6, 1 / 3, 1 / 3, 1 / 6),
    c=(0.0, 1 / 2, 1 / 2, 1.0),
    error=(0.0, 0.0, 0.0, 1 / 6, -1 / 6),
    order=4,
)

# The rule of three eighths. Here the weights of order 3 with the end slope and without the last stage are
# b = (1/12, 1/2, 1/4, 0, 1/6), and no others.
_RK4_38 = Tableau(
    a=((), (1 / 3,), (-1 / 3, 1.0), (1.0, -1.0, 1.0)),
    b=(1 / 8, 3 / 8, 3 / 8, 1 / 8),
    c=(0.0, 1 / 3, 2 / 3, 1.0),
    error=(1 / 24, -1 / 8, 1 / 8, 1 / 8, -1 / 6),
    order=4,
)

RK4 = Method("rk4", _RK4, hermite(_RK4))
RK4_38 = Method("rk4_38", _RK4_38, hermite(_RK4_38))
