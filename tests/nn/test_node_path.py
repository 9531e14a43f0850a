"""DecoderInputs covariates on the solver's grid: what holds, averaged around each node."""

import math

import pytest
import torch

from latentode.nn.node_path import path_on_nodes

PAD = math.inf


def nodes(knot_times, knots, n_steps=4, reach=1, backward=False):
    return path_on_nodes(torch.tensor(knot_times), torch.tensor(knots)[..., None], n_steps, reach, backward)


def test_a_constant_is_that_constant_everywhere():
    path = nodes([[0.3]], [[2.5]], backward=True)
    assert path.times.shape == (1, 9)
    torch.testing.assert_close(path.values, torch.full((1, 9, 1), 2.5))


def test_no_pulse_between_two_nodes_is_lost():
    path = nodes([[0.0, 0.30, 0.32]], [[0.0, 1.0, 0.0]])
    assert path.values.sum().item() / 4 == pytest.approx(0.02, abs=1e-6)


def test_the_integral_over_the_grid_is_that_of_what_holds():
    path = nodes([[0.0, 0.2, 0.7]], [[1.0, 3.0, -1.0]], n_steps=1000)
    mean = torch.trapezoid(path.values[0, :, 0], path.times[0])
    assert mean.item() == pytest.approx(0.2 * 1 + 0.5 * 3 + 0.3 * -1, abs=2e-3)


def test_padding_and_series_without_knots_say_nothing():
    alone = nodes([[0.0, 0.5]], [[0.0, 1.0]])
    padded = nodes([[0.0, 0.5, PAD], [PAD, PAD, PAD]], [[0.0, 1.0, 0.0], [0.0, 0.0, 0.0]])
    torch.testing.assert_close(padded.values[:1], alone.values)
    torch.testing.assert_close(padded.values[1], torch.zeros(5, 1))


def test_the_solver_adds_no_step_for_it():
    assert nodes([[0.0, 0.5]], [[0.0, 1.0]]).kinks is None
