import torch

from latentode.ode import solve


def test_steps_end_at_step_times_and_the_grid_is_shared_out():
    solution = solve(lambda t, z: -z, torch.ones(1, 1), torch.ones(1, 1), t1=1.0, step_times=[0.25], n_steps=4)
    assert solution.stats.steps == 4
    assert solution.stats.evaluations == 17
    jumping = solve(lambda t, z: -z, torch.ones(1, 1), torch.ones(1, 1), t1=1.0, jump_times=[0.25], n_steps=4)
    assert jumping.stats.evaluations == 18
