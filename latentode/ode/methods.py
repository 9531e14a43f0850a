"""The Runge-Kutta methods on offer: each a tableau, an interpolant and an order, in a few lines."""

from dataclasses import dataclass

from latentode.ode.tableau import Row, Tableau

__all__ = ["METHODS", "Method", "find_method"]


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
    >>> rk4 = find_method("rk4")
    >>> rk4.order, rk4.tableau.stages, rk4.adaptive
    (4, 4, False)
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
    def uses_end_slope(self) -> bool:
        """Whether the interpolant needs the slope at the end of the last step."""
        return len(self.dense) > self.tableau.stages


def _linear(b: Row) -> tuple[Row, ...]:
    return tuple((weight,) for weight in b)


def _hermite(b: Row, bump: Row | None = None) -> tuple[Row, ...]:
    """Cubic through both ends with both slopes, plus ``bump`` times theta^2 (1 - theta)^2, which keeps the ends.

    With d = sum_j b_j k_j the cubic is z + h (theta k_1 + theta^2 (3d - 2k_1 - k_end) + theta^3 (k_1 + k_end - 2d)).
    """
    rows = [[0.0, 3.0 * weight, -2.0 * weight, 0.0] for weight in (*b, 0.0)]
    for stage, slope in ((0, (1.0, -2.0, 1.0)), (len(b), (0.0, -1.0, 1.0))):
        for power, value in enumerate(slope):
            rows[stage][power] += value
    for coefficients, weight in zip(rows, bump or (), strict=False):
        for power, value in ((1, 1.0), (2, -2.0), (3, 1.0)):
            coefficients[power] += weight * value
    return tuple(tuple(row[: 4 if bump else 3]) for row in rows)


_EULER = Tableau(a=((),), b=(1.0,), c=(0.0,), error=(1 / 2, -1 / 2), order=1)
_MIDPOINT = Tableau(a=((), (1 / 2,)), b=(0.0, 1.0), c=(0.0, 1 / 2), error=(-1 / 2, 1.0, -1 / 2), order=2)
_HEUN = Tableau(a=((), (1.0,)), b=(1 / 2, 1 / 2), c=(0.0, 1.0), error=(-1 / 2, 1 / 2, 0.0), order=2)

# Bogacki & Shampine (1989), Applied Mathematics Letters 2(4).
_BOSH3 = Tableau(
    a=((), (1 / 2,), (0.0, 3 / 4)),
    b=(2 / 9, 1 / 3, 4 / 9),
    c=(0.0, 1 / 2, 3 / 4),
    error=(-5 / 72, 1 / 12, 1 / 9, -1 / 8),
    order=3,
)

# Kutta (1901). The error is the difference to b = (1/6, 1/3, 1/3, 0, 1/6), of order 3 with the end slope.
_RK4 = Tableau(
    a=((), (1 / 2,), (0.0, 1 / 2), (0.0, 0.0, 1.0)),
    b=(1 / 6, 1 / 3, 1 / 3, 1 / 6),
    c=(0.0, 1 / 2, 1 / 2, 1.0),
    error=(0.0, 0.0, 0.0, 1 / 6, -1 / 6),
    order=4,
)

# Dormand & Prince (1980), Journal of Computational and Applied Mathematics 6(1).
_DOPRI5 = Tableau(
    a=(
        (),
        (1 / 5,),
        (3 / 40, 9 / 40),
        (44 / 45, -56 / 15, 32 / 9),
        (19372 / 6561, -25360 / 2187, 64448 / 6561, -212 / 729),
        (9017 / 3168, -355 / 33, 46732 / 5247, 49 / 176, -5103 / 18656),
    ),
    b=(35 / 384, 0.0, 500 / 1113, 125 / 192, -2187 / 6784, 11 / 84),
    c=(0.0, 1 / 5, 3 / 10, 4 / 5, 8 / 9, 1.0),
    error=(71 / 57600, 0.0, -71 / 16695, 71 / 1920, -17253 / 339200, 22 / 525, -1 / 40),
    order=5,
)
# Shampine's interpolant of order 4, in the form of Hairer, Nørsett & Wanner, section II.6.
_DOPRI5_BUMP = (
    -12715105075 / 11282082432,
    0.0,
    87487479700 / 32700410799,
    -10690763975 / 1880347072,
    701980252875 / 199316789632,
    -1453857185 / 822651844,
    69997945 / 29380423,
)

# Tsitouras (2011), Computers & Mathematics with Applications 62(2).
_TSIT5 = Tableau(
    a=(
        (),
        (0.161,),
        (-0.008480655492356989, 0.335480655492357),
        (2.8971530571054935, -6.359448489975075, 4.3622954328695815),
        (5.325864828439257, -11.748883564062828, 7.4955393428898365, -0.09249506636175525),
        (5.86145544294642, -12.92096931784711, 8.159367898576159, -0.071584973281401, -0.028269050394068383),
    ),
    b=(
        0.09646076681806523,
        0.01,
        0.4798896504144996,
        1.379008574103742,
        -3.290069515436081,
        2.324710524099774,
    ),
    c=(0.0, 0.161, 0.327, 0.9, 0.9800255409045097, 1.0),
    error=(
        -0.00178001105222577714,
        -0.0008164344596567469,
        0.007880878010261995,
        -0.1447110071732629,
        0.5823571654525552,
        -0.45808210592918697,
        1 / 66,
    ),
    order=5,
)


def _quartic(scale: float, first: float, second: float) -> Row:
    """The powers of ``scale * theta^2 (theta - first) (theta - second)``."""
    return (0.0, scale * first * second, -scale * (first + second), scale)


def _tsit5_dense() -> tuple[Row, ...]:
    scale, root, p, q = -1.0530884977290216, 1.3299890189751412, 1.4364028541716351, 0.7139816917074209
    first = (-scale * root * q, scale * (q + root * p), -scale * (p + root), scale)
    return (
        first,
        (0.0, 0.1017 * 1.2949852507374631, -0.1017 * 2.1966568338249754, 0.1017),
        (
            0.0,
            2.490627285651252793 * 1.57803468208092486,
            -2.490627285651252793 * 2.38535645472061657,
            2.490627285651252793,
        ),
        _quartic(-16.54810288924490272, 1.21712927295533244, 0.61620406037800089),
        _quartic(47.37952196281928122, 1.203071208372362603, 0.658047292653547382),
        _quartic(-34.87065786149660974, 1.2, 2 / 3),
        _quartic(2.5, 1.0, 0.6),
    )


METHODS: dict[str, Method] = {
    method.name: method
    for method in (
        Method("euler", _EULER, _linear(_EULER.b)),
        Method("midpoint", _MIDPOINT, _hermite(_MIDPOINT.b)),
        Method("heun", _HEUN, _hermite(_HEUN.b), adaptive=True),
        Method("bosh3", _BOSH3, _hermite(_BOSH3.b), adaptive=True),
        Method("rk4", _RK4, _hermite(_RK4.b)),
        Method("dopri5", _DOPRI5, _hermite(_DOPRI5.b, _DOPRI5_BUMP), adaptive=True),
        Method("tsit5", _TSIT5, _tsit5_dense(), adaptive=True),
    )
}


def find_method(name: str) -> Method:
    """Return the method of that name.

    Parameters
    ----------
    name : str
        One of ``METHODS``.

    Raises
    ------
    ValueError
        If there is no such method.

    Examples
    --------
    >>> find_method("dopri5").order
    5
    """
    if name not in METHODS:
        raise ValueError(f"no method is called {name!r}; there are {', '.join(sorted(METHODS))}")
    return METHODS[name]
