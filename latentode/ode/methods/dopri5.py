"""Dormand & Prince's pair of orders 5 and 4 (1980), Journal of Computational and Applied Mathematics 6(1)."""

from latentode.ode.methods.runge_kutta import Method, Tableau, hermite

__all__ = ["DOPRI5"]

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
_BUMP = (
    -12715105075 / 11282082432,
    0.0,
    87487479700 / 32700410799,
    -10690763975 / 1880347072,
    701980252875 / 199316789632,
    -1453857185 / 822651844,
    69997945 / 29380423,
)

DOPRI5 = Method("dopri5", _DOPRI5, hermite(_DOPRI5, _BUMP), adaptive=True)
