import math

import numpy as np
import pytest
import torch

from latentode.nn import Batch, LatentODE, LatentODEConfig
from latentode.training import TrainingConfig
from latentode.training.module import LatentODEModule


def module_of(**options):
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = LatentODE(LatentODEConfig(n_channels=1, usual_gap=0.1, latent_dim=2, context_dim=2, hidden_dim=4))
    return LatentODEModule(model, TrainingConfig(**options), torch.Generator())


def rates(n_steps):
    optimiser = module_of(n_steps=n_steps, learning_rate=0.01).configure_optimizers()
    schedule, found = optimiser["lr_scheduler"]["scheduler"], []
    for _ in range(n_steps):
        found.append(schedule.get_last_lr()[0])
        optimiser["optimizer"].step()
        schedule.step()
    return np.array(found)


def test_a_training_step_reads_nothing_from_its_device():
    # A tensor on "meta" has no values to read.
    module = module_of(kl_weight=1.0).to("meta")
    times, values = torch.zeros(3, 4), torch.zeros(3, 4, 1)
    batch = Batch(
        times=times,
        values=values,
        mask=torch.ones(3, 4, 1),
        lengths=torch.tensor([4, 2, 1]),
        query_times=torch.rand(3, 4),
        targets=values,
        target_mask=torch.ones(3, 4, 1),
    )
    optimiser = torch.optim.AdamW(module.model.parameters())  # the fused one has no form without values
    for number in range(2):
        module.training_step(module.transfer_batch_to_device(batch, torch.device("meta"), 0), number).backward()
        optimiser.step()
        module.on_train_batch_end()
    assert int(module.averaged.n_averaged) == 2
    assert {p.device.type for p in module.average.parameters()} == {"meta"}


def test_the_rate_rises_holds_and_falls_over_the_last_quarter():
    found = rates(300)
    assert found[0] < 0.15 * 0.01
    assert (np.diff(found[:15]) > 0).all()
    assert (found[15:225] == 0.01).all()
    assert (np.diff(found[227:295]) < 0).all()
    assert found[-1] < 0.05 * 0.01


def test_a_long_training_does_not_warm_up_for_longer():
    assert (rates(5000)[60:3000] == 0.01).all()


@pytest.mark.parametrize("n_steps", [1, 2, 5])
def test_few_steps_still_have_a_rate(n_steps):
    assert (rates(n_steps) > 1e-4).all()


def test_only_matrices_decay():
    groups = module_of(weight_decay=0.3).configure_optimizers()["optimizer"].param_groups
    decays = {p.ndim >= 2: g["weight_decay"] for g in groups for p in g["params"]}
    assert decays == {True: 0.3, False: 0.0}
    assert sum(len(g["params"]) for g in groups) == len(list(module_of().model.parameters()))


def test_the_optimiser_takes_one_operator_a_group_whatever_the_number_of_weights():
    module = module_of()
    optimiser = module.configure_optimizers()["optimizer"]
    for parameter in module.model.parameters():
        parameter.grad = torch.ones_like(parameter)
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU]) as profiled:
        optimiser.step()
    counts = {e.key: e.count for e in profiled.key_averages()}
    assert counts["aten::_fused_adamw_"] == len(optimiser.param_groups)
    assert "aten::addcdiv_" not in counts


def test_averaged_weights_follow_the_model_and_end_at_its_mean():
    module = module_of(averaging=0.9)
    parameter, average = next(module.model.parameters()), next(module.average.parameters())
    seen = []
    with torch.no_grad():
        for k in range(300):
            parameter.fill_(1.0 if k < 100 else 3.0)
            module.on_train_batch_end()
            seen.append(float(average.flatten()[0]))
    assert seen[0] == pytest.approx(1.0)
    assert 1 < seen[101] < 2
    assert seen[-1] == pytest.approx(3.0, abs=1e-3)


def test_the_divergence_weighs_nothing_at_first(monkeypatch):
    module = module_of(n_steps=100, kl_weight=2.0)
    nothing, weights = Batch(*[torch.zeros(1, 1)] * 5), []
    monkeypatch.setattr(module.model, "loss", lambda batch, weight, *_: weights.append(weight) or Fake())
    for step in (0, 15, 30, 99):
        monkeypatch.setattr(type(module), "global_step", step)
        module.training_step(nothing, 0)
    assert weights[0] == 0
    assert 0 < weights[1] < 2
    assert math.isclose(weights[2], 2.0)
    assert math.isclose(weights[3], 2.0)


class Fake:
    """A loss."""

    total = torch.zeros(())
