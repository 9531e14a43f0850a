import pytest
import torch

from latentode.nn.dynamics import MLPDynamics
from latentode.ode import solve


@pytest.mark.parametrize("adjoint", ["checkpointed", "backsolve"])
def test_queries_at_the_nodes_are_answered_and_counted_once_by_adjoints_that_take_the_steps_in_parts(adjoint):
    field, z0 = MLPDynamics(2, (4,), time_dependent=True).double(), torch.rand(3, 2).double().requires_grad_()
    times = (torch.arange(65).double() / 64).requires_grad_()
    solutions = [
        solve(field, z0, times, 0.0, 1.0, t_back=0.0, method="heun", n_steps=64, adjoint=which)
        for which in (adjoint, "discrete")
    ]
    assert torch.allclose(*(solution.z for solution in solutions), atol=1e-13)
    assert solutions[0].stats.evaluations == solutions[1].stats.evaluations
    assert solutions[0].stats.steps == solutions[1].stats.steps == 64
    grads = [torch.autograd.grad((solution.z**2).sum(), [z0, times, *field.parameters()]) for solution in solutions]
    exactly = 1e-12 if adjoint == "checkpointed" else 1e-3
    assert all(torch.allclose(a, b, rtol=exactly, atol=exactly) for a, b in zip(*grads, strict=True))


def test_many_steps_of_each_series_own_are_answered_in_parts_as_at_once():
    z0, times = torch.ones(2, 1, dtype=torch.float64), torch.rand(2, 60, dtype=torch.float64, requires_grad=True)
    rate = torch.tensor([[9.0], [40.0]], dtype=torch.float64)
    z = [
        solve(
            lambda t, z: torch.cos(rate * t) * z, z0, times, 0.0, 1.0, method="bosh3", rtol=1e-7, atol=1e-8,
            independent=True, adjoint=adjoint,
        ).z
        for adjoint in ("backsolve", "discrete")
    ]  # fmt: skip
    assert torch.allclose(*z, rtol=1e-12)
