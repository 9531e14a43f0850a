"""Explicit methods of orders 1 to 3."""

from latentode.ode.methods.interpolants import hermite, linear
from latentode.ode.methods.method import Method
from latentode.ode.tableau import Tableau

__all__ = ["BOSH3", "EULER", "FEHLBERG2", "HEUN", "HEUN3", "MIDPOINT", "RALSTON"]

_EULER = Tableau(a=((),), b=(1.0,), c=(0.0,), error=(1 / 2, -1 / 2), order=1)
_MIDPOINT = Tableau(a=((), (1 / 2,)), b=(0.0, 1.0), c=(0.0, 1 / 2), error=(-1 / 2, 1.0, -1 / 2), order=2)
_HEUN = Tableau(a=((), (1.0,)), b=(1 / 2, 1 / 2), c=(0.0, 1.0), error=(-1 / 2, 1 / 2, 0.0), order=2)

# Ralston (1962), Mathematics of Computation 16: the smallest bound on the error of two stages. The estimate is the
# difference to Euler's step, as in Heun's method.
_RALSTON = Tableau(a=((), (2 / 3,)), b=(1 / 4, 3 / 4), c=(0.0, 2 / 3), error=(-3 / 4, 3 / 4, 0.0), order=2)

# Fehlberg (1969), NASA TR R-315, formula RK1(2). The estimate is that of a first-order step whose own error is made
# small, so it is some hundred times smaller than that of the other methods of order 2.
_FEHLBERG2 = Tableau(
    a=((), (1 / 2,), (1 / 256, 255 / 256)),
    b=(1 / 512, 255 / 256, 1 / 512),
    c=(0.0, 1 / 2, 1.0),
    error=(-1 / 512, 0.0, 1 / 512, 0.0),
    order=2,
)

# Heun (1900). The error is the difference to b = (0, 1/2, 1/2), of order 2.
_HEUN3 = Tableau(
    a=((), (1 / 3,), (0.0, 2 / 3)),
    b=(1 / 4, 0.0, 3 / 4),
    c=(0.0, 1 / 3, 2 / 3),
    error=(1 / 4, -1 / 2, 1 / 4, 0.0),
    order=3,
)

# Bogacki & Shampine (1989), Applied Mathematics Letters 2(4).
_BOSH3 = Tableau(
    a=((), (1 / 2,), (0.0, 3 / 4)),
    b=(2 / 9, 1 / 3, 4 / 9),
    c=(0.0, 1 / 2, 3 / 4),
    error=(-5 / 72, 1 / 12, 1 / 9, -1 / 8),
    order=3,
)

EULER = Method("euler", _EULER, linear(_EULER))
MIDPOINT = Method("midpoint", _MIDPOINT, hermite(_MIDPOINT))
HEUN = Method("heun", _HEUN, hermite(_HEUN), adaptive=True)
RALSTON = Method("ralston", _RALSTON, hermite(_RALSTON), adaptive=True)
FEHLBERG2 = Method("fehlberg2", _FEHLBERG2, hermite(_FEHLBERG2), adaptive=True)
HEUN3 = Method("heun3", _HEUN3, hermite(_HEUN3))
BOSH3 = Method("bosh3", _BOSH3, hermite(_BOSH3), adaptive=True)
