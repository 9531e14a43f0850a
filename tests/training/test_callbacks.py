import copy

import numpy as np
import pytest
import torch

from latentode.nn import LatentODE
from latentode.training.module import LatentODEModule
from tests.training.small import score_of, trained


def test_the_model_is_left_with_the_best_weights_seen(setting, monkeypatch):
    ask, checks = LatentODEModule.validation_step, []

    def worse_from_the_fourth_check_on(self, batch, index):
        ask(self, batch, index)
        crps, queried = self.scores.pop()
        self.scores.append((crps + 1e3 * queried * (self.step > 15), queried))

    monkeypatch.setattr(LatentODEModule, "validation_step", worse_from_the_fourth_check_on)
    model, history = trained(
        setting, n_steps=30, steps_per_check=5, on_check=lambda seen, _: checks.append(copy.deepcopy(seen))
    )
    scores = [row["validation_crps"] for row in history]
    best, last = checks[int(np.argmin(scores))], checks[-1]
    assert len(checks) == 6
    assert min(scores[3:]) > 1e3 > max(scores[:3])  # so training does not end at its best
    assert score_of(model, setting[1]) == pytest.approx(min(scores), rel=1e-4)
    assert all(torch.equal(left, kept) for left, kept in zip(model.parameters(), best.parameters(), strict=True))
    assert not all(torch.equal(a, b) for a, b in zip(best.parameters(), last.parameters(), strict=True))


def test_training_stops_when_nothing_gets_better(setting):
    _, history = trained(setting, learning_rate=1e-12, averaging=0.0, n_steps=5000, patience=3, steps_per_check=5)
    assert len(history) <= 3 * 3


def test_where_nothing_gets_better_the_rate_falls_to_almost_nothing_and_training_stops(setting):
    _, history = trained(setting, learning_rate=1e-12, averaging=0.0, n_steps=5000, patience=2, steps_per_check=5)
    rates = [row["learning_rate"] for row in history]
    highest = rates.index(max(rates))
    assert sorted(rates[highest:], reverse=True) == rates[highest:]
    assert rates[-1] < 0.1 * max(rates)
    assert len(rates) <= 8


def test_training_goes_back_to_the_best_weights_before_it_anneals(setting, monkeypatch):
    ask, seen = LatentODEModule.validation_step, []

    def worse_from_the_third_check_on(self, batch, index):
        ask(self, batch, index)
        crps, queried = self.scores.pop()
        self.scores.append((crps + 1e3 * queried * (self.step > 10), queried))
        if index == 0:
            seen.append((self.step, torch.cat([p.detach().flatten() for p in self.model.parameters()])))

    monkeypatch.setattr(LatentODEModule, "validation_step", worse_from_the_third_check_on)
    _, history = trained(setting, n_steps=2000, patience=2, learning_rate=1e-2, steps_per_check=5)
    steps = [row["step"] for row in history]
    assert steps == [5.0 * k for k in range(1, 9)]  # best at 10, waited until 20, annealed over four checks
    at = dict(seen)
    assert (at[25] - at[10]).norm() < (at[20] - at[10]).norm()  # from the best again, at a falling rate


def test_a_loss_that_is_not_finite_is_recovered_from_and_said_once(setting, monkeypatch):
    loss, calls = LatentODE.loss, []

    def broken(self, *args):
        calls.append(1)
        found = loss(self, *args)
        return type(found)(found.total * float("nan"), found.kl) if len(calls) == 12 else found

    monkeypatch.setattr(LatentODE, "loss", broken)
    with pytest.warns(UserWarning, match="the loss was not finite 1 time") as said:
        model, history = trained(setting, n_steps=30, steps_per_check=5)
    assert len(said) == 1
    assert all(torch.isfinite(p).all() for p in model.parameters())
    assert np.isfinite(history[-1]["loss"])
    assert score_of(model, setting[1]) == pytest.approx(
        np.nanmin([row["validation_crps"] for row in history]), rel=1e-4
    )


def test_the_history_says_step_loss_and_score(setting):
    _, history = trained(setting, n_steps=15, steps_per_check=5)
    assert [row["step"] for row in history] == [5, 10, 15]
    assert all(np.isfinite(row["loss"]) and np.isfinite(row["validation_crps"]) for row in history)
