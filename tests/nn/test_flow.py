import pytest
import torch

from latentode.nn.flow import Dynamics, Grid
from latentode.nn.node_path import NodePath
from latentode.ode import solve


class Decay(Dynamics):
    """z' = -rate z, and the times at which it was evaluated."""

    def __init__(self):
        super().__init__()
        self.seen = []

    def forward(self, t, z, rate=None):
        self.seen.append(float(torch.as_tensor(t).detach().flatten()[0]))
        return -z if rate is None else -rate * z


@pytest.fixture
def start():
    return torch.tensor([[1.0, 2.0], [3.0, -1.0]], dtype=torch.float64)


def exact(z0, times, rate=1.0):
    return z0.unsqueeze(1) * torch.exp(-rate * times).unsqueeze(-1)


def test_without_a_grid_six_steps_of_rk4_go_one_span_ahead(start):
    times = torch.tensor([[0.0, 0.35, 1.0], [0.9, 0.5, 0.1]], dtype=torch.float64)
    field = Decay()
    found = field.flow(start, times)
    expected = solve(Decay(), start, times, t0=0.0, t1=1.0, method="rk4", n_steps=6, watch=False).z
    assert torch.equal(found, expected)
    assert torch.allclose(found, exact(start, times), atol=1e-4)
    assert len(field.seen) in (24, 25)  # four stages of six steps, and the slope at the end


def test_the_steps_do_not_depend_on_the_queries(start):
    near, far = Decay(), Decay()
    near.flow(start, torch.full((2, 1), 0.1, dtype=torch.float64))
    far.flow(start, torch.tensor([[0.1, 0.7, 0.95]] * 2, dtype=torch.float64))
    assert near.seen == far.seen


@pytest.mark.parametrize(("reach", "backward"), [(1, True), (3, False), (2, True)])
def test_a_grid_reaches_as_many_spans_ahead_and_as_far_back(start, reach, backward):
    field, grid = Decay(), Grid(reach=reach, backward=backward, n_steps=8)
    times = torch.linspace(-reach if backward else 0, reach, 9, dtype=torch.float64).expand(2, -1)
    found = field.flow(start, times, grid=grid)
    assert torch.allclose(found, exact(start, times), rtol=1e-4)
    assert (min(field.seen), max(field.seen)) == (-reach * backward, reach)


def test_the_method_and_the_steps_per_span_are_those_of_the_grid(start):
    times = torch.full((2, 1), 2.0, dtype=torch.float64)
    found = Decay().flow(start, times, grid=Grid(reach=2, n_steps=4, method="euler"))
    assert torch.allclose(found, start.unsqueeze(1) * (1 - 0.25) ** 8, rtol=1e-12)


@pytest.mark.parametrize("adjoint", ["discrete", "autograd"])
def test_the_context_is_each_series_own_and_has_its_gradient(start, adjoint):
    rate = torch.tensor([[0.5], [2.0]], dtype=torch.float64, requires_grad=True)
    times = torch.ones(2, 1, dtype=torch.float64)
    found = Decay().flow(start, times, rate, grid=Grid(n_steps=40, adjoint=adjoint))
    expected = exact(start, times, rate)
    assert torch.allclose(found, expected, atol=1e-7)
    (ours,), (theirs,) = (torch.autograd.grad(z.sum(), rate) for z in (found, expected))
    assert torch.allclose(ours, theirs, atol=1e-6)


def test_known_covariates_drive_the_trajectory():
    class Driven(Dynamics):
        control_dim = 1

        def forward(self, t, z, u):
            return u

    path = NodePath(
        torch.tensor([[0.0, 1.0]], dtype=torch.float64), torch.tensor([[[1.0], [3.0]]], dtype=torch.float64)
    )
    times = torch.tensor([[0.25, 1.0]], dtype=torch.float64)
    found = Driven().flow(torch.zeros(1, 1, dtype=torch.float64), times, grid=Grid(n_steps=8, control=path))
    assert found.flatten().tolist() == pytest.approx([0.25 + 0.25**2, 2.0])  # the integral of 1 + 2t
