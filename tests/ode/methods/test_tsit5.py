import numpy as np
import pytest

from latentode.ode import METHODS
from latentode.ode.methods.dopri5 import DOPRI5
from latentode.ode.methods.tsit5 import TSIT5
from tests.ode.methods.trees import (
    dense_slopes,
    dense_weights,
    order_of,
    orders_of,
    principal_error,
    step_weights,
)


def test_step_and_estimate_have_orders_5_and_4():
    assert orders_of(TSIT5.tableau) == (5, 4)


@pytest.mark.parametrize("theta", [0.15, 0.5, 0.85])
def test_the_interpolant_has_order_4_inside_the_step(theta):
    assert order_of(TSIT5.tableau, dense_weights(TSIT5, theta), theta) == 4


def test_the_interpolant_meets_both_ends_with_both_slopes():
    assert dense_weights(TSIT5, 0.0) == pytest.approx(np.zeros(7), abs=1e-15)
    assert dense_weights(TSIT5, 1.0) == pytest.approx(step_weights(TSIT5.tableau), abs=1e-11)
    assert dense_slopes(TSIT5, 0.0) == pytest.approx(np.eye(7)[0], abs=1e-11)
    assert dense_slopes(TSIT5, 1.0) == pytest.approx(np.eye(7)[6], abs=1e-10)


def test_the_leading_error_is_little_more_than_a_third_of_that_of_dopri5():
    assert principal_error(DOPRI5.tableau) == pytest.approx(3.99e-4, rel=0.01)
    assert principal_error(TSIT5.tableau) < 0.36 * principal_error(DOPRI5.tableau)


def test_the_last_stage_of_a_step_is_the_first_of_the_next():
    assert TSIT5.uses_end_slope
    assert TSIT5.tableau.error[-1] == pytest.approx(1 / 66)


def test_it_is_the_method_of_that_name_and_chooses_its_steps():
    assert METHODS["tsit5"] is TSIT5
    assert TSIT5.adaptive
