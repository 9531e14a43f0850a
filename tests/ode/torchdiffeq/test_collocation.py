import numpy as np
import pytest
import torch

from latentode.ode import METHODS
from latentode.ode.torchdiffeq.collocation import COLLOCATION, collocation, full_matrix
from tests.ode.methods.trees import matrix, misses


@pytest.mark.parametrize(
    ("name", "order"), [("implicit_midpoint", 2), ("gl4", 4), ("gl6", 6), ("radauIIA3", 3), ("radauIIA5", 5)]
)
def test_collocation_meets_the_conditions_of_its_order_and_no_more(name, order):
    method = COLLOCATION[name]
    a, b, c = (torch.tensor(x, dtype=torch.float64) for x in (method.a, method.b, method.c))
    off = [abs(float(b @ c ** (q - 1)) - 1 / q) for q in range(1, order + 2)]
    assert max(off[:-1]) < 1e-14 < 1e-4 < off[-1]
    for q in range(1, len(c) + 1):  # C(s), with which B(2s) or B(2s - 1) gives the order
        assert torch.allclose(a @ c ** (q - 1), c**q / q, atol=1e-14)


ORDERS = {"implicit_midpoint": 2, "gl4": 4, "gl6": 6, "radauIIA3": 3, "radauIIA5": 5}
every_method = pytest.mark.parametrize("name", COLLOCATION)


@every_method
def test_every_rooted_tree_of_the_order_is_met_and_not_all_of_the_next(name):
    a, b = np.array(COLLOCATION[name].a), np.array(COLLOCATION[name].b)
    off = [np.abs(misses(a, b, n)).max() for n in range(1, ORDERS[name] + 2)]
    assert max(off[:-1]) < 1e-14
    assert off[-1] > 1e-5


def grown(name, z):
    """The stability function R(z) = 1 + z b (1 - z a)^-1 1."""
    a, b = np.array(COLLOCATION[name].a), np.array(COLLOCATION[name].b)
    return 1 + z * (b @ np.linalg.solve(np.eye(len(b)) - z * a, np.ones(len(b))))


@every_method
def test_no_decay_is_magnified_and_radaus_methods_end_a_fast_one_at_once(name):
    axis = np.array([abs(grown(name, 1j * y)) for y in np.logspace(-3, 4, 60)])
    far = abs(grown(name, -1e8))
    if name.startswith("radau"):
        assert (axis <= 1 + 1e-12).all()
        assert far < 1e-6
    else:  # Gauss's methods turn as the equation does
        assert axis == pytest.approx(np.ones(60), abs=1e-11)
        assert far == pytest.approx(1.0, abs=1e-6)


@every_method
def test_the_last_node_of_radau_is_the_end_of_the_step_and_gausss_nodes_are_symmetric(name):
    method = COLLOCATION[name]
    if name.startswith("radau"):
        assert method.c[-1] == 1.0
        assert method.a[-1] == pytest.approx(method.b, abs=1e-14)
    else:
        assert np.array(method.c) + np.array(method.c[::-1]) == pytest.approx(np.ones(method.stages))
        assert method.b == pytest.approx(method.b[::-1])


def test_two_ends_are_the_trapezoidal_rule_and_three_nodes_that_of_simpson():
    assert collocation(0.0, 1.0).b == pytest.approx((1 / 2, 1 / 2))
    assert collocation(0.0, 0.5, 1.0).b == pytest.approx((1 / 6, 4 / 6, 1 / 6))
    assert collocation(0.0, 1.0).a == (pytest.approx((0.0, 0.0)), pytest.approx((1 / 2, 1 / 2)))


@pytest.mark.parametrize("name", ["implicit_euler", "trapezoid", "sdirk2", "trbdf2", "kvaerno3", "kvaerno5"])
def test_a_diagonally_implicit_method_has_all_its_weights_in_the_same_form(name):
    tableau = METHODS[name].tableau
    full = full_matrix(tableau)
    np.testing.assert_array_equal(np.array(full.a), matrix(tableau)[:-1, :-1])
    assert (full.b, full.c, full.stages) == (tableau.b, tableau.c, tableau.stages)
