"""The Runge-Kutta methods: each is a tableau, an interpolant and an order."""

from latentode.ode.methods.diagonally_implicit import IMPLICIT_EULER, SDIRK2, TRAPEZOID, TRBDF2
from latentode.ode.methods.dopri5 import DOPRI5
from latentode.ode.methods.dopri8 import DOPRI8
from latentode.ode.methods.kvaerno import KVAERNO3, KVAERNO5
from latentode.ode.methods.low_order import BOSH3, EULER, FEHLBERG2, HEUN, HEUN3, MIDPOINT, RALSTON, RK4, RK4_38
from latentode.ode.methods.runge_kutta import Method
from latentode.ode.methods.tsit5 import TSIT5

__all__ = ["METHODS", "Method"]

METHODS = {
    method.name: method
    for method in (
        EULER,
        MIDPOINT,
        HEUN,
        RALSTON,
        FEHLBERG2,
        HEUN3,
        BOSH3,
        RK4,
        RK4_38,
        DOPRI5,
        TSIT5,
        DOPRI8,
        IMPLICIT_EULER,
        TRAPEZOID,
        SDIRK2,
        TRBDF2,
        KVAERNO3,
        KVAERNO5,
    )
}
