import pytest
import torch

from latentode.nn.dynamics import MLPDynamics
from latentode.ode import solve


def test_a_solution_is_read_again_at_any_time_it_covers_and_is_nan_beyond():
    z0, times = torch.ones(2, 1, dtype=torch.float64), torch.tensor([[1.0, -1.0], [0.5, -2.0]], dtype=torch.float64)
    for options in ({}, {"jump_times": [0.2, -0.3]}, {"method": "tsit5", "independent": True}):
        solution = solve(lambda t, z: -z, z0, times, n_steps_back=9, coarse=None, **options)
        assert torch.allclose(solution.at(times), solution.z, atol=1e-14)
        assert solution.at(torch.tensor([0.7])).isnan().flatten().tolist() == [False, True]


@pytest.mark.parametrize("adjoint", ["checkpointed", "backsolve"])
def test_a_solution_whose_steps_were_not_kept_says_so(adjoint):
    solution = solve(lambda t, z: -z, torch.ones(1, 1, requires_grad=True), torch.ones(1), adjoint=adjoint)
    with pytest.raises(RuntimeError, match="steps were not kept"):
        solution.at(torch.tensor([0.5]))


def test_a_solution_whose_sides_were_solved_together_is_read_again_on_both():
    field, z0 = MLPDynamics(2, (4,)).double(), torch.randn(3, 2, dtype=torch.float64)
    times = torch.tensor([0.9, -0.2, 0.1, -0.8], dtype=torch.float64)
    for n_steps in (2, 30):
        solution = solve(field, z0, times, n_steps=n_steps)
        assert torch.allclose(solution.at(times), solution.z, atol=1e-14)
