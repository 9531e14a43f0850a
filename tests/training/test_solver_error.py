"""The error of the solver's steps, and what a training does about it."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from latentode.nn import LatentODE, LatentODEConfig
from latentode.training import TaskSampler, TrainingConfig, train, validation_batches
from latentode.training.module import LatentODEModule
from latentode.training.solver_error import MOST_SOLVER_STEPS, solver_error, with_solver_steps
from tests.nn.batches import lively, random_batch
from tests.training.small import small_model, waves


@pytest.fixture
def setting():
    sampler = TaskSampler(waves(), span=1.0)
    return sampler, validation_batches(sampler, np.arange(8), 2, np.random.default_rng(0))


def stiff_model(rate=40.0, n_steps=3, **options):
    """One whose dynamics turn so fast that few steps cannot follow."""
    model = lively(n_steps=n_steps, dynamics="mlp", **options)
    with torch.no_grad():
        for parameter in model.dynamics.layers[-1].parameters():
            parameter.mul_(rate)
    return model


def test_the_error_is_the_distance_from_a_fine_solution():
    model, batch = stiff_model(rate=8.0), random_batch()
    with torch.no_grad():
        coarse = model.predict(batch)
        found = solver_error(model, batch)
        with_solver_steps(model, 200)
        exact = model.predict(batch)
    targets = batch.target_mask > 0
    distance = ((coarse.mean - exact.mean) / exact.scale).square()
    expected = torch.stack([distance[..., c][targets[..., c]].mean().sqrt() for c in range(2)])
    assert (expected > 1e-3).all()
    torch.testing.assert_close(found, expected, rtol=0.5, atol=0)


def test_the_model_keeps_its_steps():
    model = stiff_model()
    solver_error(model, random_batch())
    assert model.config.n_steps == 3


def test_the_histories_are_encoded_once():
    model, batch, encoded = stiff_model(), random_batch(), []
    model.encoder.register_forward_hook(lambda *_: encoded.append(1))
    found = solver_error(model, batch)
    assert len(encoded) == 1
    with torch.no_grad():
        coarse = model.predict(batch)
        with_solver_steps(model, 6)
        fine = model.predict(batch)
    targets = batch.target_mask > 0
    squared = ((coarse.mean - fine.mean) / fine.scale).square()
    assert found.tolist() == pytest.approx([float(squared[..., c][targets[..., c]].mean().sqrt()) for c in range(2)])


def test_the_error_of_closed_forms_is_zero():
    assert solver_error(lively(dynamics="linear"), random_batch()).tolist() == [0.0, 0.0]


def test_a_channel_without_targets_has_no_error():
    batch = random_batch()
    mask = batch.target_mask.clone()
    mask[..., 1] = 0.0
    found = solver_error(stiff_model(), replace(batch, target_mask=mask))
    assert found[0] > 0
    assert found[1] == 0


def of_errors(errors, monkeypatch):
    """Let the validation checks find these errors, one after another."""
    check, left = LatentODEModule.validation_step, list(errors)

    def with_error(self, batch, number):
        check(self, batch, number)
        self.solver_error = left.pop(0)

    monkeypatch.setattr(LatentODEModule, "validation_step", with_error)


def steps_after(setting, errors, monkeypatch, **options):
    of_errors(errors, monkeypatch)
    model = small_model()
    options = TrainingConfig(n_steps=2 * len(errors), steps_per_check=2, batch_size=4, **options)
    history, *_ = train(model, *setting, options, np.random.default_rng(0))
    return model.config.n_steps, [row["solver_steps"] for row in history]


def test_steps_are_doubled_while_the_error_is_not_small(setting, monkeypatch):
    n_steps, by_check = steps_after(setting, [0.05, 0.3, 0.2, 0.09], monkeypatch, more_solver_steps=True)
    assert by_check == [6, 12, 24, 24]
    assert n_steps == 24


def test_a_given_number_of_steps_is_kept(setting, monkeypatch):
    assert steps_after(setting, [0.3, 0.3], monkeypatch) == (6, [6, 6])


def test_steps_are_doubled_up_to_a_limit(setting, monkeypatch):
    n_steps, _ = steps_after(setting, [5.0] * 6, monkeypatch, more_solver_steps=True)
    assert n_steps <= MOST_SOLVER_STEPS < 2 * n_steps


@pytest.mark.parametrize("error", [float("nan"), float("inf")])
def test_an_error_that_is_not_finite_is_no_reason_for_more_steps(setting, monkeypatch, error):
    assert steps_after(setting, [error], monkeypatch, more_solver_steps=True)[0] == 6


def test_the_weights_of_a_model_do_not_depend_on_its_steps():
    few, many = (LatentODE(LatentODEConfig(n_channels=1, usual_gap=0.1, n_steps=n)).state_dict() for n in (3, 48))
    assert {k: v.shape for k, v in few.items()} == {k: v.shape for k, v in many.items()}
