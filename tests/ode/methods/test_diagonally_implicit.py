import math

import numpy as np
import pytest
import torch

from latentode.ode import METHODS, solve
from latentode.ode.methods.diagonally_implicit import IMPLICIT_EULER, SDIRK2, TRAPEZOID, TRBDF2
from tests.ode.methods.trees import embedded_weights, orders_of

G = 1 - math.sqrt(0.5)
# The order of the step, and of the one that the estimate compares with.
ORDERS = {IMPLICIT_EULER: (1, 2), TRAPEZOID: (2, 1), SDIRK2: (2, 2), TRBDF2: (2, 3)}
every_method = pytest.mark.parametrize("method", ORDERS, ids=lambda m: m.name)


@every_method
def test_the_step_and_the_one_compared_with_meet_the_conditions_of_their_orders(method):
    assert METHODS[method.name] is method
    assert orders_of(method.tableau) == ORDERS[method]


# By how much a step of z' = a z grows, of x = h a, in closed form.
GROWS = {
    IMPLICIT_EULER: lambda x: 1 / (1 - x),
    TRAPEZOID: lambda x: (1 + x / 2) / (1 - x / 2),
    SDIRK2: lambda x: (1 + (1 - 2 * G) * x) / (1 - G * x) ** 2,
    TRBDF2: lambda x: (1 + (1 - 2 * G) * x) / (1 - G * x) ** 2,
}


@every_method
@pytest.mark.parametrize("x", [0.3, -0.5, -8.0, -1e6])
def test_a_step_of_a_linear_field_grows_as_the_stability_function_says(method, x):
    z0, end = torch.ones(1, 1, dtype=torch.float64), torch.ones(1, dtype=torch.float64)
    z = solve(lambda t, z: x * z, z0, end, t1=1.0, method=method.name, n_steps=1, coarse=None).z
    assert float(z) == pytest.approx(GROWS[method](x), rel=1e-9, abs=1e-9)


@every_method
def test_a_mode_that_decays_at_once_is_gone_except_by_the_trapezoidal_rule(method):
    z0, end = torch.ones(1, 1, dtype=torch.float64), torch.ones(1, dtype=torch.float64)
    z = solve(lambda t, z: -1e8 * z, z0, end, t1=1.0, method=method.name, n_steps=1, coarse=None).z
    assert abs(float(z)) == pytest.approx(1.0 if method is TRAPEZOID else 0.0, abs=1e-6)


def test_trbdf2_is_the_trapezoidal_rule_and_then_the_backward_difference_of_order_2():
    h, rate, y = 0.8, 3.0, 1.5

    def drive(t):
        return math.cos(2 * t)

    part = 2 * G
    inner = part * h / 2
    middle = (y + inner * (-rate * y + drive(0.0) + drive(part * h))) / (1 + inner * rate)
    # Through y at 0, part h and h: of unequal steps.
    past = middle / (part * (2 - part)) - y * (1 - part) ** 2 / (part * (2 - part))
    weight = h * (1 - part) / (2 - part)
    expected = (past + weight * drive(h)) / (1 + weight * rate)
    z0, end = torch.tensor([[y]], dtype=torch.float64), torch.tensor([h], dtype=torch.float64)
    z = solve(
        lambda t, z: -rate * z + torch.cos(2 * t), z0, end, t1=h, method="trbdf2", n_steps=1, coarse=None
    ).z  # fmt: skip
    assert float(z) == pytest.approx(expected, abs=1e-13)


def test_estimates_are_the_differences_that_are_said():
    assert embedded_weights(IMPLICIT_EULER.tableau)[:2].tolist() == list(TRAPEZOID.tableau.b)
    assert embedded_weights(TRAPEZOID.tableau)[:2].tolist() == list(IMPLICIT_EULER.tableau.b)
    assert embedded_weights(SDIRK2.tableau) == pytest.approx([0.5, 0.0, 0.5, 0.0], abs=1e-15)


def test_the_stages_of_sdirk2_have_the_weight_of_alexander_and_use_no_slope_at_the_beginning():
    tableau = SDIRK2.tableau
    assert tableau.diagonal == pytest.approx(G, abs=1e-15)
    assert np.array([row[0] for row in tableau.a[1:]]).tolist() == [0.0, 0.0]
    assert tableau.b[0] == 0.0
    assert pytest.approx(0.5) == 2 * G - G**2  # the condition of order 2
