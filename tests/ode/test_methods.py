import pytest

from latentode.ode.methods import METHODS, find_method

ORDERS = {"euler": 1, "midpoint": 2, "heun": 2, "bosh3": 3, "rk4": 4, "dopri5": 5, "tsit5": 5}
INTERPOLANT_ORDERS = {"euler": 1, "midpoint": 2, "heun": 2, "bosh3": 3, "rk4": 3, "dopri5": 4, "tsit5": 4}
ERROR_ORDERS = {"euler": 2, "midpoint": 3, "heun": 2, "bosh3": 3, "rk4": 4, "dopri5": 5, "tsit5": 5}


def test_every_method_has_its_order_and_its_error_estimate_too():
    assert {name: method.order for name, method in METHODS.items()} == ORDERS
    assert {name: method.tableau.error_order for name, method in METHODS.items()} == ERROR_ORDERS


@pytest.mark.parametrize("name", METHODS)
def test_the_interpolant_meets_the_order_conditions_inside_the_step_and_ends_where_the_step_ends(name):
    method = METHODS[name]
    stages = method.tableau.stages

    def weights(theta):
        rows = [sum(w * theta ** (p + 1) for p, w in enumerate(row)) for row in method.dense]
        return tuple(rows + [0.0] * (stages + 1 - len(rows)))

    orders = [method.tableau.order_of(weights(theta), theta) for theta in (0.21, 0.5, 0.83)]
    assert min(orders) == INTERPOLANT_ORDERS[name]
    assert weights(1.0) == pytest.approx((*method.tableau.b, 0.0), abs=1e-12)


def test_an_unknown_method_is_named_with_those_there_are():
    with pytest.raises(ValueError, match=r"'rk5'; there are bosh3, dopri5"):
        find_method("rk5")
