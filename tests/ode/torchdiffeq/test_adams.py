import math

import pytest
import torch

from latentode.ode import odeint
from tests.ode.torchdiffeq.turning import start, times, turned, turning

ORDERS = {"explicit_adams": 4, "implicit_adams": 5}  # of max_order=5
UNEQUAL = torch.tensor([0.0, 0.2, 0.3, 0.55, 0.7, 1.1, 1.3], dtype=torch.float64)


@pytest.mark.parametrize("method", ["explicit_adams", "implicit_adams"])
def test_adams_methods_keep_their_order_on_a_grid_of_unequal_steps(method):
    errors = []
    for n in (40, 80):
        t = 2.0 * (times(n, 1.0) + 0.1 * torch.sin(2 * math.pi * times(n, 1.0)))
        y = odeint(turning, start(), t, method=method, options={"max_order": 5, "max_iters": 20})
        errors.append(float((y[-1] - turned(t[-1])).abs().max()))
    assert math.log2(errors[0] / errors[1]) > ORDERS[method] - 0.6


def test_steps_of_adams_that_did_not_converge_are_counted_in_one_warning():
    with pytest.warns(UserWarning, match=r"^7 steps of implicit_adams did not converge in 1 iterations, the first at"):
        odeint(turning, start(), times(9), method="implicit_adams", options={"max_iters": 1})
    with pytest.raises(ValueError, match="max_order must be from 1 to 12, not 13"):
        odeint(turning, start(), times(9), method="implicit_adams", options={"max_order": 13})


@pytest.mark.parametrize(("method", "degree"), [("explicit_adams", 2), ("implicit_adams", 3)])
def test_a_slope_that_is_a_polynomial_of_time_is_integrated_exactly_on_any_grid(method, degree):
    """From the third step on: three slopes at least, and one more of the implicit method."""
    zero, t = torch.zeros(1, dtype=torch.float64), UNEQUAL

    def off(n):
        y = odeint(lambda t, y: (n + 1) * t**n * torch.ones_like(y), zero, t, method=method, options={"max_order": 4})
        return float((y[:, 0] - t ** (n + 1)).abs().max())

    assert max(off(n) for n in range(degree + 1)) < 1e-14
    assert off(degree + 2) > 1e-6


def test_on_equal_steps_the_weights_are_the_classical_ones():
    """Of order 4, (55, -59, 37, -9) / 24, once four slopes are there; until then of order 3, (23, -16, 5) / 12."""
    t = times(8)
    h, y = float(t[1]), odeint(turning, start(), times(8), method="explicit_adams", options={"max_order": 5})
    slopes = [turning(time, state) for time, state in zip(t, y, strict=True)]
    third = y[2] + h / 12 * (23 * slopes[2] - 16 * slopes[1] + 5 * slopes[0])
    assert torch.allclose(y[3], third, atol=1e-14)
    for n in range(3, 8):
        last = 55 * slopes[n] - 59 * slopes[n - 1] + 37 * slopes[n - 2] - 9 * slopes[n - 3]
        assert torch.allclose(y[n + 1], y[n] + h / 24 * last, atol=1e-14)


def test_the_implicit_step_solves_its_equation():
    """Of order 5 with the slope at its own end, (251, 646, -264, 106, -19) / 720."""
    t, options = times(20), {"max_order": 5, "max_iters": 50}
    h, y = float(t[1]), odeint(turning, start(), t, method="implicit_adams", options=options, rtol=1e-13, atol=1e-14)
    slopes = [turning(time, state) for time, state in zip(t, y, strict=True)]
    for n in range(4, 20):
        rise = 251 * slopes[n + 1] + 646 * slopes[n] - 264 * slopes[n - 1] + 106 * slopes[n - 2] - 19 * slopes[n - 3]
        assert torch.allclose(y[n + 1], y[n] + h / 720 * rise, atol=1e-12)


def test_an_explicit_step_takes_one_evaluation_once_the_first_two_are_taken():
    count = []

    def counted(t, y):
        count.append(float(t))
        return turning(t, y)

    odeint(counted, start(), times(10), method="explicit_adams")
    assert len(count) == 2 * 4 + 8


def test_the_lowest_orders_are_rk4_with_a_warning():
    with pytest.warns(UserWarning, match="max_order=3 is below 4: every step is one of rk4"):
        y = odeint(turning, start(), times(9), method="explicit_adams", options={"max_order": 3})
    assert torch.allclose(y, odeint(turning, start(), times(9), method="rk4"), atol=1e-14)
