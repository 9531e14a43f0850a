import numpy as np
import pytest

from latentode.ode import METHODS
from latentode.ode.methods.dopri8 import DOPRI8
from latentode.ode.methods.runge_kutta import Tableau
from tests.ode.methods.trees import (
    dense_slopes,
    dense_weights,
    embedded_weights,
    matrix,
    misses,
    order_of,
    step_weights,
    trees_of,
)


def test_a_tableau_of_order_eight_is_checked_to_the_eighth_order():
    t = METHODS["dopri8"].tableau
    lower = tuple(b - e for b, e in zip(t.b, t.error, strict=False))
    with pytest.raises(ValueError, match="have order 7, not 8"):
        Tableau(t.a, lower, t.c, t.error, 8)


def test_the_conditions_of_all_200_trees_of_up_to_eight_nodes_are_met_to_rounding():
    tableau = DOPRI8.tableau
    assert sum(len(trees_of(n)) for n in range(1, 9)) == 200
    off = [np.abs(misses(matrix(tableau), step_weights(tableau), n)).max() for n in range(1, 10)]
    assert max(off[:8]) < 1e-14
    assert off[8] > 1e-7


def test_the_step_that_the_estimate_compares_with_has_order_7():
    tableau = DOPRI8.tableau
    assert order_of(tableau, embedded_weights(tableau)) == 7
    assert tableau.error[-1] == 0.0  # both use the stages alone


@pytest.mark.parametrize("theta", [0.1, 0.5, 0.77])
def test_the_interpolant_has_order_5_inside_the_step(theta):
    assert order_of(DOPRI8.tableau, dense_weights(DOPRI8, theta), theta, highest=6) == 5


def test_the_interpolant_meets_both_ends_with_both_slopes():
    m = DOPRI8.tableau.stages
    assert dense_weights(DOPRI8, 1.0) == pytest.approx(step_weights(DOPRI8.tableau), abs=1e-12)
    assert dense_slopes(DOPRI8, 0.0) == pytest.approx(np.eye(m + 1)[0], abs=1e-12)
    assert dense_slopes(DOPRI8, 1.0) == pytest.approx(np.eye(m + 1)[m], abs=1e-10)


def test_it_is_the_method_of_that_name_and_chooses_its_steps():
    assert METHODS["dopri8"] is DOPRI8
    assert DOPRI8.adaptive
