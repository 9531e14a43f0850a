"""Errors shrink as fast as a method's order says: of steps, interpolants and gradients, both ways of time.

The slopes are fitted where the leading term of the error rules: the spans are long enough, and the problems lively
enough, for that to happen well before rounding does, for orders from 1 to 8.
"""

import functools
import math

import numpy as np
import pytest
import torch

from latentode.ode import METHODS, solve
from tests.ode.conftest import swing, swing_solution

ROUNDING = 5e-14
N_SERIES = 8
ANGLE = torch.arange(N_SERIES, dtype=torch.float64)
START = torch.stack([torch.cos(ANGLE), torch.sin(ANGLE)], 1) * (0.5 + 0.05 * ANGLE).unsqueeze(1)


def spans(problem, order):
    """Each series' own span, (series, 1): where the leading term of one series happens to vanish, others speak."""
    longest = {"swing": 3.0, "spiral": 2.0 if order < 6 else 3.0}[problem]
    return longest * torch.linspace(0.4, 1.0, N_SERIES, dtype=torch.float64).unsqueeze(1)


def spiral(t, z):
    """Non-autonomous, non-linear and coupled: the radius follows r' = r (1 - r^2) / 5, the angle turns by 1 + t."""
    x, y = z.unbind(-1)
    turn, grow = 1 + t.squeeze(-1), (1 - x**2 - y**2) / 5
    return torch.stack([x * grow - turn * y, y * grow + turn * x], -1)


def spiral_solution(z0, t, t0=0.0):
    """The closed form, (series, time, 2), for times (series, time)."""
    x, y = z0.unsqueeze(1).unbind(-1)
    stretch = (torch.exp(0.4 * (t0 - t)) * (1 - x**2 - y**2) + x**2 + y**2).rsqrt()
    angle = (t - t0) + (t**2 - t0**2) / 2
    cos, sin = torch.cos(angle), torch.sin(angle)
    return torch.stack([(x * cos - y * sin) * stretch, (x * sin + y * cos) * stretch], -1)


PROBLEMS = {"swing": (swing, swing_solution), "spiral": (spiral, spiral_solution)}
POOR = {"fehlberg2"}  # whose published error estimate sees a third of the error, or less the smaller it gets


def slow_if(condition):
    return [pytest.mark.slow] if condition else []


# Explicit methods have the harder problem in the default suite. Implicit ones take a Newton iteration per stage: they
# have the easier one. The other problem of each is slow.
EVERY = [
    pytest.param(problem, name, marks=slow_if((problem == "spiral") == method.implicit or name == "kvaerno5"))
    for problem in PROBLEMS
    for name, method in METHODS.items()
]
WITH_GRADIENTS = {"euler", "rk4", "bosh3", "tsit5", "dopri8", "trapezoid", "kvaerno3"}
every_problem_and_method = pytest.mark.parametrize(("problem", "method"), EVERY)


def grids(method):
    """Numbers of steps: enough for the leading term to rule, few enough for rounding to stay below it."""
    order = method.order
    if method.implicit and 1 < order < 4:  # each step takes long, and the leading term rules soon
        return (8, 11, 16, 23)
    if order == 1:  # far backwards the spiral grows, and Euler's method needs fine steps
        return (64, 91, 128, 181)
    if order < 5:
        return (16, 23, 32, 45) if order < 4 else (45, 64, 91, 128)
    return (45, 64, 91, 128, 181) if order == 5 else (4, 6, 8, 11, 16, 23, 32, 45, 64)


def shrinkage(error_of, method):
    """Fit the power of 1/n with which an error shrinks, over the finest four grids that rounding does not touch."""
    points = []
    for n in grids(METHODS[method]):
        error = error_of(n).square().mean().sqrt().item()
        if error < ROUNDING:
            break
        points.append((math.log(n), -math.log(error)))
    assert len(points) >= 4, f"rounding leaves only {len(points)} grids to fit"
    return np.polyfit(*np.array(points[-4:]).T, 1)[0]


def interpolant_order(method):
    """The order of the dense output inside a step, read from its coefficients."""
    rows, size = method.dense, method.tableau.stages + 1

    def weights(theta):
        inner = [sum(w * theta ** (p + 1) for p, w in enumerate(row)) for row in rows]
        return tuple(inner + [0.0] * (size - len(inner)))

    highest = max(5, method.order)
    return min(method.tableau.order_of(weights(theta), theta, highest) for theta in (0.21, 0.5, 0.83))


@functools.cache
def forwards(problem, method, n):
    """One solve for three tests: the start, and the answers at the end and then between the nodes."""
    field, z0 = PROBLEMS[problem][0], START.clone().requires_grad_()
    t1, times = queries(problem, method)
    return z0, solve(
        field, z0, times, t1=t1.squeeze(1), method=method, n_steps=n, adjoint="discrete", coarse=None
    ).z  # fmt: skip


def queries(problem, method):
    """The end of each series' span, (series, 1), and all times that are queried: the end, and 97 between."""
    t1 = spans(problem, METHODS[method].order)
    between = t1 * (0.05 + 0.6180339887498949 * torch.arange(97, dtype=torch.float64)).remainder(1.0)
    return t1, torch.cat([t1, between], 1)


@every_problem_and_method
def test_the_error_at_the_end_of_a_fixed_grid_shrinks_with_the_order_of_the_method(problem, method):
    solution, order = PROBLEMS[problem][1], METHODS[method].order
    exact = solution(START, spans(problem, order))

    def error(n):
        return forwards(problem, method, n)[1][:, :1].detach() - exact

    assert shrinkage(error, method) == pytest.approx(order, abs=0.3)


# Backwards a method goes with the problem that it does not have forwards; implicit ones have swing both ways.
@pytest.mark.parametrize(
    ("problem", "method"),
    [
        pytest.param(problem, name, marks=slow_if(problem == "spiral" or name == "kvaerno5"))
        for problem in PROBLEMS
        for name in METHODS
    ],
)
def test_backwards_the_error_at_the_end_shrinks_with_the_same_order(problem, method):
    (field, solution), order = PROBLEMS[problem], METHODS[method].order
    t0 = spans(problem, order)
    z0, t1 = solution(START, t0)[:, 0], torch.zeros_like(t0)

    def error(n):
        z = solve(field, z0, t1, t0.squeeze(1), method=method, n_steps=n, coarse=None).z
        return z - START.unsqueeze(1)

    assert shrinkage(error, method) == pytest.approx(order, abs=0.3)


@every_problem_and_method
def test_the_error_between_nodes_shrinks_with_the_order_of_the_interpolant(problem, method):
    solution, order = PROBLEMS[problem][1], METHODS[method].order
    exact = solution(START, queries(problem, method)[1][:, 1:])

    def error(n):
        return forwards(problem, method, n)[1][:, 1:].detach() - exact

    assert shrinkage(error, method) > min(order, interpolant_order(METHODS[method]) + 1) - 0.3


# That the discrete adjoint is autograd to rounding is tested of every method: here the default suite has some.
@pytest.mark.parametrize(
    ("problem", "method"),
    [pytest.param(*p.values, marks=p.marks or slow_if(p.values[1] not in WITH_GRADIENTS)) for p in EVERY],
)
def test_the_gradient_of_the_start_converges_to_the_true_sensitivity_with_the_same_order(problem, method):
    solution, order = PROBLEMS[problem][1], METHODS[method].order
    received, z0 = START.flip(0).unsqueeze(1), START.clone().requires_grad_()
    (exact,) = torch.autograd.grad(solution(z0, spans(problem, order)), z0, received)

    def error(n):
        z0, z = forwards(problem, method, n)
        return torch.autograd.grad(z[:, :1], z0, received, retain_graph=True)[0] - exact

    assert shrinkage(error, method) == pytest.approx(order, abs=0.3)


@pytest.mark.parametrize(
    ("problem", "method"),
    [
        # kvaerno3 takes thousands of steps to the finer tolerance.
        pytest.param(problem, name, marks=[*p.marks, *slow_if(name == "kvaerno3")])
        for p in EVERY
        for problem, name in [p.values]
        if METHODS[name].adaptive and name not in POOR
    ],
)
def test_every_hundredth_of_the_tolerance_leaves_a_twentieth_of_the_error_or_less(problem, method):
    field, solution = PROBLEMS[problem]
    times = torch.linspace(0.1, {"swing": 10.0, "spiral": 4.0}[problem], 40, dtype=torch.float64)
    exact = solution(START, times.expand(N_SERIES, -1))
    order = METHODS[method].order
    loosest, hundreds = (1e-2, 1) if order < 3 else (1e-3 if order == 3 else 1e-4, 2)

    def error(rtol):
        return (solve(field, START, times, method=method, rtol=rtol, atol=rtol).z - exact).abs().max().item()

    loose, fine = error(loosest), error(loosest / 100**hundreds)
    assert loose < 30 * loosest
    assert fine < loose / 20**hundreds
