"""The 25 non-stiff DETEST problems, each as a field for ``solve``, with the end values published for them.

Hull, Enright, Fellen & Sedgwick (1972), Comparing numerical methods for ordinary differential equations, SIAM Journal
on Numerical Analysis 9(4). Every problem runs over t in [0, 20]. The end values z(20) are those of Enright & Pryce
(1987), Algorithm 648: NSDTST and STDTST, ACM TOMS 13(1), so that a slip in a formula here cannot hide.

Well-known transcriptions differ: E4 has 0.032 (not 0.32), the tridiagonal matrices of C3 and C4 hold -2 in every
diagonal place, the last too, and in C5 the pull of the other planets on the sun is subtracted. The end values decide.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch
from scipy.integrate import solve_ivp
from torch import Tensor

__all__ = ["END", "PROBLEMS", "Problem", "kepler", "reference", "scipy_field"]

END = 20.0


@dataclass(frozen=True)
class Problem:
    """dz/dt = field(t, z) with z(0) = start; ``end`` is z(20), or the first components of it."""

    name: str
    field: Callable[[Tensor, Tensor], Tensor]
    start: tuple[float, ...]
    end: tuple[float, ...]

    @property
    def z0(self) -> Tensor:
        """The start as one series, (1, latent)."""
        return torch.tensor([self.start], dtype=torch.float64)


@lru_cache(maxsize=64)
def reference(name: str, times: tuple[float, ...]) -> Tensor:
    """Return the problem's solution at rising times by SciPy's DOP853 at a tolerance of 1e-12, (time, latent).

    It is right to 3e-11 everywhere: between its steps as at them, which a restart at every time has shown.
    """
    slope = scipy_field(PROBLEMS[name])
    solution = solve_ivp(slope, (0.0, END), PROBLEMS[name].start, "DOP853", t_eval=times, rtol=1e-12, atol=1e-13)
    return torch.from_numpy(solution.y.T.copy())


def scipy_field(problem: Problem) -> Callable[[float, np.ndarray], np.ndarray]:
    """Return the problem's field as SciPy calls it."""

    def slope(t: float, z: np.ndarray) -> np.ndarray:
        return problem.field(torch.full((1, 1), t, dtype=torch.float64), torch.from_numpy(z).unsqueeze(0))[0].numpy()

    return slope


def _columns(*columns: Tensor) -> Tensor:
    return torch.stack(columns, -1)


def _a1(t: Tensor, z: Tensor) -> Tensor:
    """Exponential decay."""
    return -z


def _a2(t: Tensor, z: Tensor) -> Tensor:
    """A special case of the Riccati equation."""
    return -(z**3) / 2


def _a3(t: Tensor, z: Tensor) -> Tensor:
    """An oscillation."""
    return z * torch.cos(t)


def _a4(t: Tensor, z: Tensor) -> Tensor:
    """Logistic growth."""
    return z / 4 * (1 - z / 20)


def _a5(t: Tensor, z: Tensor) -> Tensor:
    """A spiral."""
    return (z - t) / (z + t)


def _b1(t: Tensor, z: Tensor) -> Tensor:
    """Predator and prey, in conflict."""
    x, y = z.unbind(-1)
    return _columns(2 * (x - x * y), -(y - x * y))


def _b2(t: Tensor, z: Tensor) -> Tensor:
    """A linear chemical reaction."""
    x, y, w = z.unbind(-1)
    return _columns(-x + y, x - 2 * y + w, y - w)


def _b3(t: Tensor, z: Tensor) -> Tensor:
    """A non-linear chemical reaction."""
    x, y, _ = z.unbind(-1)
    return _columns(-x, x - y**2, y**2)


def _b4(t: Tensor, z: Tensor) -> Tensor:
    """A curve on a torus."""
    x, y, w = z.unbind(-1)
    r = torch.sqrt(x**2 + y**2)
    return _columns(-y - x * w / r, x - y * w / r, x / r)


def _b5(t: Tensor, z: Tensor) -> Tensor:
    """A rigid body, turning without force."""
    x, y, w = z.unbind(-1)
    return _columns(y * w, -x * w, -0.51 * x * y)


def _linear(matrix: Tensor) -> Callable[[Tensor, Tensor], Tensor]:
    return lambda t, z: z @ matrix.t()


def _decay_chain(rates: list[float]) -> Tensor:
    """Each member decays into the next at its own rate, the last is stable."""
    out = torch.tensor(rates, dtype=torch.float64)
    return torch.diag(out, -1) - torch.diag(torch.cat([out, out.new_zeros(1)]))


def _diffusion(n: int) -> Tensor:
    """Heat along a rod with cold ends: -2 on the diagonal, 1 beside it."""
    beside = torch.ones(n - 1, dtype=torch.float64)
    return torch.diag(beside, 1) + torch.diag(beside, -1) - 2 * torch.eye(n, dtype=torch.float64)


_GRAVITY = 2.95912208286  # of the sun, in astronomical units and hundreds of days
_SUN = 1.00000597682  # the sun with the inner planets
_PLANETS = torch.tensor(
    [0.000954786104043, 0.000285583733151, 0.0000437273164546, 0.0000517759138449, 0.00000277777777778],
    dtype=torch.float64,
)


def _c5(t: Tensor, z: Tensor) -> Tensor:
    """The five outer planets, seen from the sun: places (planet by planet), then speeds."""
    place, speed = (half.unflatten(-1, (5, 3)) for half in z.chunk(2, -1))
    pull = place / torch.linalg.vector_norm(place, dim=-1, keepdim=True) ** 3
    apart = place.unsqueeze(-3) - place.unsqueeze(-2)  # (series, planet j, planet k, axis): from j to k
    distance = torch.linalg.vector_norm(apart, dim=-1, keepdim=True)
    others = torch.where(distance > 0, apart / distance**3 - pull.unsqueeze(-3), 0.0)
    acceleration = (_PLANETS.view(5, 1) * others).sum(-2) - (_SUN + _PLANETS).view(5, 1) * pull
    return torch.cat([speed.flatten(-2), _GRAVITY * acceleration.flatten(-2)], -1)


def kepler(t: Tensor, z: Tensor, gravity: float | Tensor = 1.0) -> Tensor:
    """A planet about a fixed sun, the field of class D; ``gravity`` is a number, or (series, 1)."""
    place, speed = z.chunk(2, -1)
    return torch.cat([speed, -gravity * place / (place**2).sum(-1, keepdim=True) ** 1.5], -1)


def _orbit(eccentricity: float) -> tuple[float, ...]:
    """Start nearest to the sun."""
    return (1 - eccentricity, 0.0, 0.0, math.sqrt((1 + eccentricity) / (1 - eccentricity)))


def _second_order(acceleration: Callable[[Tensor, Tensor, Tensor], Tensor]) -> Callable[[Tensor, Tensor], Tensor]:
    """z = (y, y') with y'' = acceleration(t, y, y')."""

    def field(t: Tensor, z: Tensor) -> Tensor:
        y, speed = z.chunk(2, -1)
        return torch.cat([speed, acceleration(t, y, speed)], -1)

    return field


def _e1(t: Tensor, y: Tensor, v: Tensor) -> Tensor:
    """Bessel's equation of order 1/2, begun at 1."""
    return -(v / (t + 1) + (1 - 0.25 / (t + 1) ** 2) * y)


def _e2(t: Tensor, y: Tensor, v: Tensor) -> Tensor:
    """Van der Pol's oscillator."""
    return (1 - y**2) * v - y


def _e3(t: Tensor, y: Tensor, v: Tensor) -> Tensor:
    """Duffing's equation."""
    return y**3 / 6 - y + 2 * torch.sin(2.78535 * t)


def _e4(t: Tensor, y: Tensor, v: Tensor) -> Tensor:
    """A fall with the square of the speed as its resistance."""
    return 0.032 - 0.4 * v**2


def _e5(t: Tensor, y: Tensor, v: Tensor) -> Tensor:
    """A linear pursuit."""
    return torch.sqrt(1 + v**2) / (25 - t)


def _first_of(n: int) -> tuple[float, ...]:
    return (1.0,) + (0.0,) * (n - 1)


# fmt: off
_C5_START = (
    3.42947415189, 3.35386959711, 1.35494901715, 6.64145542550, 5.97156957878, 2.18231499728,
    11.2630437207, 14.6952576794, 6.27960525067, -30.1552268759, 1.65699966404, 1.43785752721,
    -21.1238353380, 28.4465098142, 15.3882659679,
    -0.557160570446, 0.505696783289, 0.230578543901, -0.415570776342, 0.365682722812, 0.169143213293,
    -0.325325669158, 0.189706021964, 0.0877265322780, -0.0240476254170, -0.287659532608, -0.117219543175,
    -0.176860753121, -0.216393453025, -0.0148647893090,
)
_C5_END = (
    -4.792730224323733, -2.420550725448973, -0.9212509306014886, -4.217310404035213, 7.356202947498970,
    3.223785985421212, 4.035559443262270, 17.19865528670555, 7.478910794233703, -29.98759326324844,
    -4.107310937550929, -0.9277008321754407, -24.42125302518482, 23.81459045746554, 14.92096306951359,
    0.3499208963063806, -0.5748487687912825, -0.2551694020879149, -0.5237040978903326, -0.2493000463579661,
    -0.08045341642044464, -0.3875289237334110, 0.05648603288767891, 0.03023606472143342, 0.04133856546712445,
    -0.2862393029841379, -0.1183032405136207, -0.1511986457359206, -0.2460068894318766, -0.03189687411323877,
)
_C1_END = (
    2.061153622240064e-9, 4.122307244619555e-8, 4.122307244716968e-7, 2.748204829855288e-6, 1.374102414941961e-5,
    5.496409659803266e-5, 1.832136553274552e-4, 5.234675866508716e-4, 1.308668966628220e-3, 0.9979127409508656,
)
_C2_END = (
    2.061153577984930e-9, 2.061153573736588e-9, 2.061153569488245e-9, 2.061153565239902e-9, 2.061153560991560e-9,
    2.061153556743217e-9, 2.061153552494874e-9, 2.061153548246532e-9, 2.061153543998189e-9, 0.9999999814496180,
)
_C3_END = (
    2.948119211022058e-3, 5.635380154844266e-3, 7.829072515926013e-3, 9.348257908594937e-3, 1.007943610301970e-2,
    9.982674171429909e-3, 9.088693332766085e-3, 7.489115195185912e-3, 5.322964130953349e-3, 2.762434379029886e-3,
)
_C4_END = (
    3.124111453721466e-3, 6.015416842150318e-3, 8.470021834842650e-3, 1.033682931733337e-2, 1.153249572873923e-2,
    1.204549525737964e-2, 1.192957068015293e-2, 1.128883207111195e-2, 1.025804501391024e-2, 8.982017581934167e-3,
    7.597500902492453e-3, 6.219920556824985e-3, 4.935916341009131e-3, 3.801432544256119e-3, 2.844213677587894e-3,
)
_D_ENDS = (
    (0.2198835352008397, 0.9427076846341813, -0.9787659841058176, 0.3287977990962036),
    (-0.1777027357140412, 0.9467784719905892, -1.030294163192969, 0.1211074890053952),
    (-0.5780432953035361, 0.8633840009194193, -0.9595083730380727, -0.06504915126712089),
    (-0.9538990293416394, 0.6907409024219432, -0.8212674270877433, -0.1539574259125825),
    (-1.295266250987574, 0.4003938963792321, -0.6775390924707566, -0.1270838154278686),
)
# fmt: on

_E1_START = (math.sqrt(2 / math.pi) * math.sin(1), math.sqrt(2 / math.pi) * (math.cos(1) - math.sin(1) / 2))

PROBLEMS: dict[str, Problem] = {
    problem.name: problem
    for problem in (
        Problem("A1", _a1, (1.0,), (2.061153353012535e-9,)),
        Problem("A2", _a2, (1.0,), (0.2182178902359887,)),
        Problem("A3", _a3, (1.0,), (2.491650271850414,)),
        Problem("A4", _a4, (1.0,), (17.73016648131483,)),
        Problem("A5", _a5, (4.0,), (-0.7887826688964196,)),
        Problem("B1", _b1, (1.0, 3.0), (0.6761876008576667, 0.1860816099640036)),
        Problem("B2", _b2, (2.0, 0.0, 1.0), (1.000000001030576, 1.0, 0.9999999989694235)),
        Problem("B3", _b3, (1.0, 0.0, 0.0), (2.061153488557776e-9, 0.05257228022048349, 0.9474277177183630)),
        Problem("B4", _b4, (3.0, 0.0, 0.0), (0.9826950928005993, 2.198447081694832, 0.9129452507276399)),
        Problem("B5", _b5, (0.0, 1.0, 1.0), (-0.9396570798729192, -0.3421177754000779, 0.7414126596199957)),
        Problem("C1", _linear(_decay_chain([1.0] * 9)), _first_of(10), _C1_END),
        Problem("C2", _linear(_decay_chain([float(i) for i in range(1, 10)])), _first_of(10), _C2_END),
        Problem("C3", _linear(_diffusion(10)), _first_of(10), _C3_END),
        Problem("C4", _linear(_diffusion(51)), _first_of(51), _C4_END),
        Problem("C5", _c5, _C5_START, _C5_END),
        *(Problem(f"D{i + 1}", kepler, _orbit(0.1 + 0.2 * i), end) for i, end in enumerate(_D_ENDS)),
        Problem("E1", _second_order(_e1), _E1_START, (0.1456723600728308, -0.09883500195574063)),
        Problem("E2", _second_order(_e2), (2.0, 0.0), (2.008149762174948, -0.04250887527320057)),
        Problem("E3", _second_order(_e3), (0.0, 0.0), (-0.1004178858647128, 0.2411400132095954)),
        Problem("E4", _second_order(_e4), (30.0, 0.0), (33.95091444646555, 0.2767822659672869)),
        Problem("E5", _second_order(_e5), (0.0, 0.0), (14.11797390542629, 2.400000000000002)),
    )
}
