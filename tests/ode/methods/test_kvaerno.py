import math

import numpy as np
import pytest
import torch

from latentode.ode import METHODS, solve
from latentode.ode.methods.kvaerno import KVAERNO3, KVAERNO5
from tests.ode.methods.trees import embedded_weights, matrix, orders_of, step_weights

every_pair = pytest.mark.parametrize(
    ("method", "order"), [(KVAERNO3, 3), (KVAERNO5, 5)], ids=lambda x: getattr(x, "name", x)
)


def test_the_bump_of_kvaerno5_is_the_smallest_that_has_its_order():
    tableau, dense = METHODS["kvaerno5"].tableau, METHODS["kvaerno5"].dense
    trees = [(tree, values[:-1]) for tree, values in tableau._elementary_weights(4)]
    conditions = torch.tensor([values for _, values in trees], dtype=torch.float64)
    wanted = torch.tensor([[1 / tree.density if tree.size == 4 else 0.0] for tree, _ in trees], dtype=torch.float64)
    smallest = torch.linalg.pinv(conditions, rtol=1e-10) @ wanted
    assert [row[3] for row in dense] == pytest.approx(smallest.flatten().tolist(), abs=1e-12)


@every_pair
def test_the_step_and_the_stage_before_the_last_meet_the_conditions_of_their_orders(method, order):
    tableau = method.tableau
    assert orders_of(tableau) == (order, order - 1)
    # The step of lower order is the stage before the last, which lies at the end of the step as the last does.
    assert embedded_weights(tableau) == pytest.approx(matrix(tableau)[-3], abs=1e-15)
    assert tableau.c[-2:] == (1.0, 1.0)


@every_pair
def test_all_stages_have_order_2(method, order):
    a, c = matrix(method.tableau)[:-1, :-1], np.array(method.tableau.c)
    assert a @ c == pytest.approx(c**2 / 2, abs=1e-13)


def test_the_diagonal_of_kvaerno3_is_the_middle_root_of_its_polynomial():
    roots = np.sort(np.roots([6, -18, 9, -1]).real)
    assert KVAERNO3.tableau.diagonal == pytest.approx(roots[1], abs=1e-15)


@every_pair
def test_the_step_is_l_stable_and_the_one_of_lower_order_a_stable(method, order):
    """By R(z) = 1 + z b (1 - z a)^-1 1, whose largest value in the left half-plane is on the imaginary axis."""
    a = matrix(method.tableau)[:-1, :-1]

    def grown(weights, z):
        return 1 + z * (weights[:-1] @ np.linalg.solve(np.eye(len(a)) - z * a, np.ones(len(a))))

    for weights in (step_weights(method.tableau), embedded_weights(method.tableau)):
        assert max(abs(grown(weights, 1j * y)) for y in np.logspace(-2, 5, 200)) <= 1 + 1e-9
    assert abs(grown(step_weights(method.tableau), -1e7)) < 1e-5
    assert 0.5 < abs(grown(embedded_weights(method.tableau), -1e7)) < 1.0


@every_pair
def test_a_step_has_the_error_that_its_order_says_on_a_linear_problem(method, order):
    errors = []
    for h in (0.125, 0.0625):
        options = {"method": method.name, "t1": h, "n_steps": 1, "coarse": None}
        z0, t = torch.ones(1, 1, dtype=torch.float64), torch.tensor([h], dtype=torch.float64)
        errors.append(abs(float(solve(lambda t, z: -z, z0, t, **options).z) - math.exp(-h)))
    assert math.log2(errors[0] / errors[1]) == pytest.approx(order + 1, abs=0.25)


def test_they_are_the_methods_of_those_names():
    assert (METHODS["kvaerno3"], METHODS["kvaerno5"]) == (KVAERNO3, KVAERNO5)
