import math

import pytest
import torch

from latentode.ode import METHODS, solve

from .conftest import swing, swing_solution

ORDERS = {name: method.order for name, method in METHODS.items()}


def slope(errors, steps):
    return math.log(errors[0] / errors[1]) / math.log(steps[1] / steps[0])


def errors_of(method, steps, times):
    z0 = torch.tensor([[1.3]], dtype=torch.float64)
    exact = swing_solution(z0, times)
    return [
        float((solve(swing, z0, times, 0.0, 2.0, method=method, n_steps=n, coarse=None).z - exact).abs().max())
        for n in steps
    ]


@pytest.mark.parametrize("method", METHODS)
def test_the_nodes_converge_with_the_order_of_the_method_on_a_field_that_reads_the_time(method):
    steps = (20, 40) if ORDERS[method] > 3 else (80, 160)
    errors = errors_of(method, steps, torch.tensor([[2.0]], dtype=torch.float64))
    assert slope(errors, steps) > ORDERS[method] - 0.25


@pytest.mark.parametrize("method", METHODS)
def test_the_dense_output_converges_with_the_order_of_the_method_too(method):
    steps = (20, 40) if ORDERS[method] > 3 else (80, 160)
    errors = errors_of(method, steps, torch.linspace(0.0, 2.0, 997, dtype=torch.float64).unsqueeze(0))
    assert slope(errors, steps) > min(ORDERS[method], 5) - 0.35


@pytest.mark.parametrize("method", METHODS)
def test_an_interpolant_is_exact_on_polynomials_of_its_degree(method):
    degree = {"euler": 1, "midpoint": 2, "heun": 2, "bosh3": 3, "rk4": 3, "dopri5": 4, "tsit5": 4}[method]
    times = torch.linspace(0.0, 1.0, 23, dtype=torch.float64).unsqueeze(0)
    z = solve(
        lambda t, z: degree * t ** (degree - 1),
        torch.zeros(1, 1).double(),
        times,
        method=method,
        n_steps=2,
        coarse=None,
    ).z
    assert torch.allclose(z.squeeze(-1), times**degree, atol=1e-13)


@pytest.mark.parametrize("method", METHODS)
def test_queries_at_the_nodes_read_the_nodes(method):
    z0 = torch.tensor([[1.0, -0.5]], dtype=torch.float64)
    times = torch.linspace(0.0, 1.0, 5, dtype=torch.float64).unsqueeze(0)
    z = solve(swing, z0, times, 0.0, 1.0, method=method, n_steps=4, coarse=None).z
    one = solve(swing, z0, times[:, 4:], 0.0, 1.0, method=method, n_steps=4, coarse=None).z
    assert torch.equal(z[:, 0], z0)
    assert torch.allclose(z[:, 4:], one, atol=1e-15)
    step = z0
    for n in range(4):
        start = torch.full((1,), n / 4, dtype=torch.float64)
        end = start + 0.25
        step = solve(swing, step, end.unsqueeze(0), start, end, method=method, n_steps=1, coarse=None).z[:, 0]
        assert torch.allclose(z[:, n + 1], step, atol=1e-13)
