"""Kværnø's stiffly accurate pairs of orders 3(2) and 5(4) (2004), BIT Numerical Mathematics 44(3).

The last two stages of both are at the end of the step. The one before the last has the lower order, so the error is the
difference of the two. The slope at the end is that of the last stage: neither estimate nor interpolant needs another.
The step is L-stable, the one of lower order A-stable only.
"""

from latentode.ode.methods.runge_kutta import Method, Row, Tableau, hermite

__all__ = ["KVAERNO3", "KVAERNO5"]


def _pair(a: tuple[Row, ...], c: Row, diagonal: float, order: int) -> Tableau:
    *_, lower, last = a
    b = (*last, diagonal)
    error = (*(x - y for x, y in zip(b, (*lower, diagonal, 0.0), strict=True)), 0.0)
    return Tableau(a, b, c, error, order, diagonal)


# The middle root of 6 g^3 - 18 g^2 + 9 g - 1, which makes the method L-stable: Kværnø prints ten digits.
_G = 0.4358665215084590
_KVAERNO3 = _pair(
    a=(
        (),
        (_G,),
        ((-4 * _G**2 + 6 * _G - 1) / (4 * _G), (1 - 2 * _G) / (4 * _G)),
        ((6 * _G - 1) / (12 * _G), -1 / ((24 * _G - 12) * _G), (-6 * _G**2 + 6 * _G - 1) / (6 * _G - 3)),
    ),
    c=(0.0, 2 * _G, 1.0, 1.0),
    diagonal=_G,
    order=3,
)

# The third stage is evaluated beyond the end of the step.
_KVAERNO5 = _pair(
    a=(
        (),
        (0.26,),
        (0.13, 0.84033320996790809),
        (0.22371961478320505, 0.47675532319799699, -0.06470895363112615),
        (0.16648564323248321, 0.10450018841591720, 0.03631482272098715, -0.13090704451073998),
        (0.13855640231268224, 0.0, -0.04245337201752043, 0.02446657898003141, 0.61943039072480676),
        (
            0.13659751177640291,
            0.0,
            -0.05496908796538376,
            -0.04118626728321046,
            0.62993304899016403,
            0.06962479448202728,
        ),
    ),
    c=(0.0, 0.52, 1.230333209967908, 0.8957659843500759, 0.43639360985864756, 1.0, 1.0),
    diagonal=0.26,
    order=5,
)
# An interpolant of order 4. The cubic has order 3, and misses the condition of a tree of four nodes and density g by
# theta^2 (1 - theta)^2 / g, as any cubic through both ends of theta^4 with both slopes does. The weights of the bump
# must therefore sum the elementary weights of those four trees to 1/g, and those of the smaller trees to 0: rank 5 for
# 7 weights (the stages have order 2). These are the solution of least norm, computed with 40 digits.
_BUMP = (
    -0.48424934964585916,
    0.0,
    0.99217470118034615,
    -0.62410803310215611,
    1.38010042737842507,
    -0.63195887290537786,
    -0.63195887290537786,
)

KVAERNO3 = Method("kvaerno3", _KVAERNO3, hermite(_KVAERNO3), adaptive=True)
KVAERNO5 = Method("kvaerno5", _KVAERNO5, hermite(_KVAERNO5, _BUMP), adaptive=True)
