"""The Runge-Kutta methods on offer: each a tableau, an interpolant and an order, on one screen."""

from latentode.ode.methods.dopri5 import DOPRI5
from latentode.ode.methods.dopri8 import DOPRI8
from latentode.ode.methods.kvaerno import KVAERNO3, KVAERNO5
from latentode.ode.methods.low_order import BOSH3, EULER, FEHLBERG2, HEUN, HEUN3, MIDPOINT, RALSTON
from latentode.ode.methods.method import Method
from latentode.ode.methods.rk4 import RK4, RK4_38
from latentode.ode.methods.tsit5 import TSIT5

__all__ = ["FURTHER", "IMPLICIT", "METHODS", "Method", "find_method"]


def _by_name(*methods: Method) -> dict[str, Method]:
    return {method.name: method for method in methods}


METHODS = _by_name(EULER, MIDPOINT, HEUN, BOSH3, RK4, DOPRI5, TSIT5)
FURTHER = _by_name(RALSTON, FEHLBERG2, HEUN3, RK4_38, DOPRI8)
IMPLICIT = _by_name(KVAERNO3, KVAERNO5)


def find_method(name: str) -> Method:
    """Return the method of that name.

    Parameters
    ----------
    name : str
        One of ``METHODS`` or ``FURTHER``, which are explicit, or of ``IMPLICIT``.

    Raises
    ------
    ValueError
        If there is no such method.

    Examples
    --------
    >>> find_method("dopri5").order
    5
    >>> find_method("kvaerno5").implicit
    True
    """
    methods = METHODS | FURTHER | IMPLICIT
    if name not in methods:
        raise ValueError(f"no method is called {name!r}; there are {', '.join(sorted(methods))}")
    return methods[name]
