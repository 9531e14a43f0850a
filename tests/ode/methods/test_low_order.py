import math

import numpy as np
import pytest
import torch
from scipy.integrate import RK23

from latentode.ode import METHODS, solve
from latentode.ode.methods.low_order import BOSH3, EULER, FEHLBERG2, HEUN, HEUN3, MIDPOINT, RALSTON, RK4, RK4_38
from tests.ode.methods.trees import embedded_weights, matrix, misses, orders_of, step_weights

# The order of the step, and of the one that the estimate compares with.
ORDERS = {
    EULER: (1, 2),
    MIDPOINT: (2, 2),
    HEUN: (2, 1),
    RALSTON: (2, 1),
    FEHLBERG2: (2, 1),
    HEUN3: (3, 2),
    BOSH3: (3, 2),
    RK4: (4, 3),
    RK4_38: (4, 3),
}
every_method = pytest.mark.parametrize("method", ORDERS, ids=lambda m: m.name)


@every_method
def test_the_step_and_the_one_compared_with_meet_the_conditions_of_their_orders(method):
    assert METHODS[method.name] is method
    assert orders_of(method.tableau) == ORDERS[method]


def euler(f, t, y, h):
    return y + h * f(t, y)


def midpoint(f, t, y, h):
    return y + h * f(t + h / 2, y + h / 2 * f(t, y))


def heun(f, t, y, h):
    first = f(t, y)
    return y + h / 2 * (first + f(t + h, y + h * first))


def ralston(f, t, y, h):
    first = f(t, y)
    return y + h / 4 * (first + 3 * f(t + 2 * h / 3, y + 2 * h / 3 * first))


def heun3(f, t, y, h):
    first = f(t, y)
    second = f(t + h / 3, y + h / 3 * first)
    return y + h / 4 * (first + 3 * f(t + 2 * h / 3, y + 2 * h / 3 * second))


def bosh3(f, t, y, h):
    first = f(t, y)
    second = f(t + h / 2, y + h / 2 * first)
    return y + h / 9 * (2 * first + 3 * second + 4 * f(t + 3 * h / 4, y + 3 * h / 4 * second))


def rk4(f, t, y, h):
    first = f(t, y)
    second = f(t + h / 2, y + h / 2 * first)
    third = f(t + h / 2, y + h / 2 * second)
    return y + h / 6 * (first + 2 * second + 2 * third + f(t + h, y + h * third))


def rk4_38(f, t, y, h):
    first = f(t, y)
    second = f(t + h / 3, y + h / 3 * first)
    third = f(t + 2 * h / 3, y + h * (second - first / 3))
    return y + h / 8 * (first + 3 * second + 3 * third + f(t + h, y + h * (first - second + third)))


@pytest.mark.parametrize("textbook", [euler, midpoint, heun, ralston, heun3, bosh3, rk4, rk4_38])
def test_a_step_is_that_of_the_textbook(textbook):
    h, y = 0.4, 0.7
    field = lambda t, z: torch.cos(t) - z**3  # noqa: E731
    options = {"t0": 0.2, "t1": 0.2 + h, "method": textbook.__name__, "n_steps": 1, "coarse": None}
    z0, end = torch.tensor([[y]], dtype=torch.float64), torch.tensor([0.2 + h], dtype=torch.float64)
    expected = textbook(lambda t, y: math.cos(t) - y**3, 0.2, y, h)
    assert float(solve(field, z0, end, **options).z) == pytest.approx(expected, abs=1e-15)


def test_bosh3_is_the_pair_of_scipy():
    assert matrix(BOSH3.tableau)[:3, :3] == pytest.approx(RK23.A, abs=1e-15)
    assert BOSH3.tableau.b == pytest.approx(RK23.B, abs=1e-15)
    assert BOSH3.tableau.error == pytest.approx(-RK23.E, abs=1e-15)


def test_estimates_of_euler_and_the_midpoint_rule_compare_with_the_trapezoidal_rule():
    assert embedded_weights(EULER.tableau).tolist() == [0.5, 0.5]
    assert embedded_weights(MIDPOINT.tableau).tolist() == [0.5, 0.0, 0.5]
    assert embedded_weights(HEUN.tableau).tolist() == embedded_weights(RALSTON.tableau).tolist() == [1.0, 0.0, 0.0]


def test_ralstons_error_has_one_of_its_two_terms_only():
    misses_of = {m: np.abs(misses(matrix(m.tableau), step_weights(m.tableau), 3)) for m in (HEUN, RALSTON)}
    assert np.count_nonzero(misses_of[RALSTON] > 1e-14) == 1
    assert (misses_of[HEUN] > 1e-14).all()
    assert np.linalg.norm(misses_of[RALSTON]) < np.linalg.norm(misses_of[HEUN])


def test_the_estimate_of_fehlberg2_is_a_hundred_times_smaller_than_that_of_others():
    sizes = [np.abs(m.tableau.error).max() for m in (FEHLBERG2, HEUN, RALSTON, MIDPOINT)]
    assert 100 * sizes[0] < min(sizes[1:])


@pytest.mark.parametrize("method", [RK4, RK4_38], ids=lambda m: m.name)
def test_the_weights_compared_with_are_of_order_3_by_the_end_slope_without_the_last_stage(method):
    a, c = matrix(method.tableau), np.array([*method.tableau.c, 1.0])
    conditions = np.stack([np.ones(5), c, c**2, a @ c])[:, [0, 1, 2, 4]]
    found, _, rank, _ = np.linalg.lstsq(conditions, [1, 1 / 2, 1 / 3, 1 / 6], rcond=None)
    weights = embedded_weights(method.tableau)
    assert weights[3] == pytest.approx(0.0, abs=1e-15)
    assert rank == 4  # they are the only ones
    assert weights[[0, 1, 2, 4]] == pytest.approx(found, abs=1e-14)


def test_between_its_ends_euler_is_a_line():
    z0 = torch.tensor([[2.0]], dtype=torch.float64)
    times = torch.tensor([0.25, 0.5, 1.0], dtype=torch.float64)
    z = solve(lambda t, z: -z, z0, times, t1=1.0, method="euler", n_steps=1, coarse=None).z
    assert z.flatten().tolist() == pytest.approx([1.5, 1.0, 0.0])
