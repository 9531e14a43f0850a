import random

import numpy as np
import pytest
import torch

from latentode.training import TrainingConfig, train
from latentode.training.loop import run
from latentode.training.module import LatentODEModule
from tests.training.small import score_of, small_model, trained

FEW = {"n_steps": 2, "steps_per_check": 1}


def test_training_leaves_no_file_prints_nothing_and_draws_from_no_global_state(setting, tmp_path, monkeypatch, capfd):
    monkeypatch.chdir(tmp_path)
    before = torch.get_rng_state(), random.getstate(), repr(np.random.get_state())  # noqa: NPY002
    train(small_model(), *setting, TrainingConfig(**FEW, batch_size=4), np.random.default_rng(0))
    after = torch.get_rng_state(), random.getstate(), repr(np.random.get_state())  # noqa: NPY002
    assert torch.equal(before[0], after[0])
    assert before[1:] == after[1:]
    assert list(tmp_path.iterdir()) == []
    assert capfd.readouterr() == ("", "")


def test_gradients_are_clipped_to_the_largest_norm(setting, monkeypatch):
    step, norms = torch.optim.AdamW.step, []

    def noted(self, closure=None):
        def then():
            loss = closure()
            grads = [p.grad for group in self.param_groups for p in group["params"] if p.grad is not None]
            norms.append(torch.stack([g.norm() for g in grads]).norm().item())
            return loss

        return step(self, then)

    monkeypatch.setattr(torch.optim.AdamW, "step", noted)
    trained(setting, **FEW, clip=1e6)
    free, norms[:] = list(norms), []
    trained(setting, **FEW, clip=1e-2)
    assert min(free) > 1e-2
    assert norms == pytest.approx([1e-2] * 2, rel=1e-3)


def test_the_draws_of_the_latent_state_come_from_a_generator_of_the_seed_given(setting, monkeypatch):
    class Noted(Exception):
        """No training is needed: the generator is known before it."""

    def noted(self, model, options, generator):
        raise Noted(generator.initial_seed())

    monkeypatch.setattr(LatentODEModule, "__init__", noted)
    seeds = []
    for seed in (0, 0, 1):
        with pytest.raises(Noted) as raised:
            run(small_model(), *setting, TrainingConfig(), np.random.default_rng(seed), None)
        seeds.append(raised.value.args[0])
    assert seeds[0] == seeds[1] != seeds[2]


def test_every_check_is_of_the_averaged_weights_on_the_batches_given(setting):
    seen = []
    model, history = trained(setting, **FEW, on_check=lambda average, rows: seen.append(score_of(average, setting[1])))
    assert [row["validation_crps"] for row in history] == pytest.approx(seen, rel=1e-4)
    assert score_of(model, setting[1]) == pytest.approx(min(seen), rel=1e-4)


def test_an_error_in_a_check_reaches_the_caller(setting):
    def fail(*_):
        raise ZeroDivisionError("mine")

    with pytest.raises(ZeroDivisionError, match="mine"):
        trained(setting, **FEW, on_check=fail)
