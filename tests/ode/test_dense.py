import pytest
import torch

from latentode.ode import METHODS, solve
from tests.ode.conftest import swing
from tests.ode.methods.test_methods import KNOWN


@pytest.mark.parametrize("method", METHODS)
def test_an_interpolant_is_exact_on_polynomials_of_its_degree(method):
    degree = KNOWN[method][2]
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
