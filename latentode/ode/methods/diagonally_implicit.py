"""Diagonally implicit methods of orders 1 and 2, for stiff fields on a fixed grid.

Each is written with an explicit first stage, the slope at the beginning of the step. Where the method itself has none,
its weights are 0: the slope is known from the step before, and serves the interpolant.
"""

from math import sqrt

from latentode.ode.methods.runge_kutta import Method, Tableau, hermite

__all__ = ["IMPLICIT_EULER", "SDIRK2", "TRAPEZOID", "TRBDF2"]

# The estimates of the first two are their differences from each other's step.
_IMPLICIT_EULER = Tableau(a=((), (0.0,)), b=(0.0, 1.0), c=(0.0, 1.0), error=(-1 / 2, 1 / 2, 0.0), order=1, diagonal=1.0)
_TRAPEZOID = Tableau(
    a=((), (1 / 2,)), b=(1 / 2, 1 / 2), c=(0.0, 1.0), error=(1 / 2, -1 / 2, 0.0), order=2, diagonal=1 / 2
)

# Alexander (1977), SIAM Journal on Numerical Analysis 14(6): L-stable, both stages with the same weight. The estimate
# is the difference from the trapezoidal rule with the slopes at both ends.
_G = 1.0 - sqrt(2.0) / 2.0
_SDIRK2 = Tableau(
    a=((), (0.0,), (0.0, 1.0 - _G)),
    b=(0.0, 1.0 - _G, _G),
    c=(0.0, _G, 1.0),
    error=(-1 / 2, 1.0 - _G, _G - 1 / 2, 0.0),
    order=2,
    diagonal=_G,
)

# Bank et al. (1985) as a Runge-Kutta method, with the estimate of order 3 of Hosea & Shampine (1996), Applied Numerical
# Mathematics 20: the trapezoidal rule, then the backward differentiation formula of order 2.
_W = sqrt(2.0) / 4.0
_TRBDF2 = Tableau(
    a=((), (_G,), (_W, _W)),
    b=(_W, _W, _G),
    c=(0.0, 2 * _G, 1.0),
    error=((4 * _W - 1) / 3, -1 / 3, 2 * _G / 3, 0.0),
    order=2,
    diagonal=_G,
)

IMPLICIT_EULER = Method("implicit_euler", _IMPLICIT_EULER, hermite(_IMPLICIT_EULER))
TRAPEZOID = Method("trapezoid", _TRAPEZOID, hermite(_TRAPEZOID))
SDIRK2 = Method("sdirk2", _SDIRK2, hermite(_SDIRK2))
TRBDF2 = Method("trbdf2", _TRBDF2, hermite(_TRBDF2))
