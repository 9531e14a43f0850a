"""Adaptive solves of the 25 DETEST problems, against SciPy's DOP853 and the published end values.

An error is counted in units of ``1 + |z| + |dz/dt|``: what is late by a little is wrong by a little. ``ALLOWED`` says
by how many tolerances of these a solve may be wrong, anywhere in [0, 20]. The problems differ in what they make of an
error once committed: most forget it, but on an orbit a wrong energy means a wrong period, and the closer the orbit
comes to the sun the worse.
"""

from functools import lru_cache

import pytest
import torch

from latentode.ode import METHODS, solve
from tests.ode.detest import END, PROBLEMS, kepler, reference

TIMES = tuple((END * torch.linspace(0.005, 1.0, 60, dtype=torch.float64)).tolist())
ALLOWED = {"A": 30, "B": 15, "C": 10, "C5": 100, "D": 250, "D5": 1000, "E": 15}
POOR = {"fehlberg2": 10, "kvaerno5": 5}  # published pairs that see less of their error than the others do
ADAPTIVE = {name: method for name, method in METHODS.items() if method.adaptive}
IMPLICIT = {name for name, method in METHODS.items() if method.implicit}
ORBITS = [problem for problem in PROBLEMS if problem[0] == "D"]


def problems_of(name):
    """The problems a method has to solve: all for a high order; implicit steps and low orders are slow."""
    if name in IMPLICIT:
        return [
            problem for problem in PROBLEMS if problem[0] == "A" or (ADAPTIVE[name].order > 3 and problem[1] == "2")
        ]
    return [problem for problem in PROBLEMS if problem[0] == "A" or ADAPTIVE[name].order > 3]


def tolerance(name):
    """Both rtol and atol."""
    order = ADAPTIVE[name].order
    return 1e-5 if order < 3 else 1e-6 if order < 4 or name in IMPLICIT else 1e-8


def answer(field, z0, name, times=TIMES, **options):
    tol, times = tolerance(name), torch.as_tensor(times, dtype=torch.float64)
    return solve(field, z0, times, method=name, rtol=tol, atol=tol, max_steps=100_000, **options).z


def wrong_by(problem, z, name):
    """The largest error of a solution, (time, latent), in tolerances of the method."""
    exact = reference(problem, TIMES)
    slope = PROBLEMS[problem].field(torch.tensor(TIMES, dtype=torch.float64).unsqueeze(1), exact)
    return ((z - exact).abs() / (1 + exact.abs() + slope.abs())).max().item() / tolerance(name)


@lru_cache(maxsize=256)
def alone_wrong_by(problem, name):
    return wrong_by(problem, answer(PROBLEMS[problem].field, PROBLEMS[problem].z0, name)[0], name)


def allowed(problem):
    return ALLOWED.get(problem, ALLOWED[problem[0]])


@pytest.mark.parametrize("problem", PROBLEMS)
def test_the_reference_ends_where_the_published_solution_does(problem):
    published = torch.tensor(PROBLEMS[problem].end, dtype=torch.float64)
    found = reference(problem, TIMES)[-1, : len(published)]
    assert torch.allclose(found, published, rtol=1e-10, atol=1e-10)


LONG = {"A3", "D2", "E2"}
"""Problems that swing: implicit methods and those of low order take many steps. For these they are slow."""


def is_slow(name, problem):
    """Of the methods that solve a problem soon every second is slow."""
    soon = [other for other in ADAPTIVE if problem in problems_of(other) and not takes_long(other, problem)]
    return name not in soon or (len(soon) > 1 and soon.index(name) % 2 != list(PROBLEMS).index(problem) % 2)


def takes_long(name, problem):
    """Of tsit5 the systems, too, which two other methods of its order and above solve."""
    if name == "tsit5":
        return problem[0] in "BCE"
    return problem in LONG and (name in IMPLICIT or ADAPTIVE[name].order < 3)


@pytest.mark.parametrize(
    ("name", "problem"),
    [
        pytest.param(
            name,
            problem,
            marks=[pytest.mark.slow] if is_slow(name, problem) else [],
        )
        for name in ADAPTIVE
        for problem in problems_of(name)
    ],
)
def test_an_adaptive_solve_is_right_at_every_query_time(name, problem):
    assert alone_wrong_by(problem, name) < POOR.get(name, 1) * allowed(problem)


@pytest.mark.parametrize("name", [name for name in ADAPTIVE if set(ORBITS) <= set(problems_of(name))])
def test_five_orbits_in_one_batch_are_as_right_as_each_alone(name):
    together = answer(kepler, torch.cat([PROBLEMS[problem].z0 for problem in ORBITS]), name)
    for problem, z in zip(ORBITS, together, strict=True):
        assert wrong_by(problem, z, name) < max(1.0, 2 * alone_wrong_by(problem, name))


def test_orbits_about_suns_of_different_weight_run_on_their_own_clocks():
    pace = torch.tensor([[2.0], [0.5], [3.0], [1.5], [5.0]], dtype=torch.float64)  # the heavier the sun, the faster
    units = torch.cat([torch.ones(5, 2, dtype=torch.float64), pace.expand(-1, 2)], 1)
    z0 = torch.cat([PROBLEMS[problem].z0 for problem in ORBITS]) * units
    times = torch.tensor(TIMES, dtype=torch.float64) / pace
    z = answer(kepler, z0, "dopri5", times, t1=END / pace.squeeze(1), args=(pace**2,)) / units.unsqueeze(1)
    for problem, orbit in zip(ORBITS, z, strict=True):
        assert wrong_by(problem, orbit, "dopri5") < allowed(problem)
