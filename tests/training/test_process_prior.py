import pytest
import torch

from latentode.nn import GaussianProcess
from latentode.training.process_prior import (
    parameters_of,
    place_of_period,
    prior_around,
    set_parameters,
    steps_of,
)


def a_process(**options) -> GaussianProcess:
    return GaussianProcess(2, 0, usual_gap=0.1, duration=1.0, **options)


def test_the_penalty_is_that_of_independent_gaussians_around_the_initial_parameters():
    process = a_process(n_frequencies=3)
    prior = prior_around(process)
    assert prior.penalty(process) == 0
    for name, precision in (("level", 0.2), ("sinusoid", 1.2)):
        moved = a_process(n_frequencies=3)
        with torch.no_grad():
            moved.log_variances[name][1] += 2.0
        assert prior.penalty(moved).item() == pytest.approx(0.5 * precision * 4)
    moved = a_process(n_frequencies=3)
    with torch.no_grad():
        moved.log_lengths["drift"] += 1.0
    assert prior.penalty(moved).item() == pytest.approx(2 * 0.5 * 0.5)


def test_parameters_that_are_set_are_those_read():
    process = a_process()
    values = torch.randn(parameters_of(process).shape)
    set_parameters(process, values)
    assert torch.equal(parameters_of(process), values)


def test_a_short_period_moves_in_small_steps():
    process = a_process()
    with torch.no_grad():
        process.log_lengths["period"][:] = torch.tensor([1.0, 0.1]).log()
    steps = steps_of(process)
    period = place_of_period(process)
    torch.testing.assert_close(steps[period], torch.tensor([0.2, 0.02]))
    assert (steps[torch.arange(len(steps)) != period] == 1).all()
