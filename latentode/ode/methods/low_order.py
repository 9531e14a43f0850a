"""Explicit methods of orders 1 to 4."""

from latentode.ode.methods.runge_kutta import Method, Tableau, hermite, linear

__all__ = ["BOSH3", "EULER", "FEHLBERG2", "HEUN", "HEUN3", "MIDPOINT", "RALSTON", "RK4", "RK4_38"]

# The estimates of Euler and of the midpoint rule are their difference from the trapezoidal rule, which has the slope at
# the end of the step for nothing; that of Heun is its difference from Euler.
_EULER = Tableau(a=((),), b=(1.0,), c=(0.0,), error=(1 / 2, -1 / 2), order=1)
_MIDPOINT = Tableau(a=((), (1 / 2,)), b=(0.0, 1.0), c=(0.0, 1 / 2), error=(-1 / 2, 1.0, -1 / 2), order=2)
_HEUN = Tableau(a=((), (1.0,)), b=(1 / 2, 1 / 2), c=(0.0, 1.0), error=(-1 / 2, 1 / 2, 0.0), order=2)

# Ralston (1962), Mathematics of Computation 16: the smallest error bound of all methods with two stages. The
# estimate is the difference from Euler's step, as in Heun's method.
_RALSTON = Tableau(a=((), (2 / 3,)), b=(1 / 4, 3 / 4), c=(0.0, 2 / 3), error=(-3 / 4, 3 / 4, 0.0), order=2)

# Fehlberg (1969), NASA TR R-315, formula RK1(2). The estimate compares with a first-order step whose own error is
# small, so it is about a hundred times smaller than that of the other methods of order 2.
_FEHLBERG2 = Tableau(
    a=((), (1 / 2,), (1 / 256, 255 / 256)),
    b=(1 / 512, 255 / 256, 1 / 512),
    c=(0.0, 1 / 2, 1.0),
    error=(-1 / 512, 0.0, 1 / 512, 0.0),
    order=2,
)

# Heun (1900). The error is the difference from b = (0, 1/2, 1/2), of order 2.
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

# Kutta (1901), Zeitschrift für Mathematik und Physik 46: the two methods of order 4 in four stages.
# The error is the difference from b = (1/6, 1/3, 1/3, 0, 1/6), which has order 3 with the end slope.
_RK4 = Tableau(
    a=((), (1 / 2,), (0.0, 1 / 2), (0.0, 0.0, 1.0)),
    b=(1 / 6, 1 / 3, 1 / 3, 1 / 6),
    c=(0.0, 1 / 2, 1 / 2, 1.0),
    error=(0.0, 0.0, 0.0, 1 / 6, -1 / 6),
    order=4,
)

# The 3/8 rule. The only weights of order 3 that use the end slope and not the last stage are
# b = (1/12, 1/2, 1/4, 0, 1/6).
_RK4_38 = Tableau(
    a=((), (1 / 3,), (-1 / 3, 1.0), (1.0, -1.0, 1.0)),
    b=(1 / 8, 3 / 8, 3 / 8, 1 / 8),
    c=(0.0, 1 / 3, 2 / 3, 1.0),
    error=(1 / 24, -1 / 8, 1 / 8, 1 / 8, -1 / 6),
    order=4,
)

EULER = Method("euler", _EULER, linear(_EULER))
MIDPOINT = Method("midpoint", _MIDPOINT, hermite(_MIDPOINT))
HEUN = Method("heun", _HEUN, hermite(_HEUN), adaptive=True)
RALSTON = Method("ralston", _RALSTON, hermite(_RALSTON), adaptive=True)
FEHLBERG2 = Method("fehlberg2", _FEHLBERG2, hermite(_FEHLBERG2), adaptive=True)
HEUN3 = Method("heun3", _HEUN3, hermite(_HEUN3))
BOSH3 = Method("bosh3", _BOSH3, hermite(_BOSH3), adaptive=True)
RK4 = Method("rk4", _RK4, hermite(_RK4))
RK4_38 = Method("rk4_38", _RK4_38, hermite(_RK4_38))
