import numpy as np
import pytest
import torch

from latentode.nn import GaussianProcess
from latentode.training import TimeLimit
from latentode.training import gaussian_process as fitting_process
from latentode.training.callbacks import EarlyStopping
from latentode.training.gaussian_process import fit_gaussian_process
from latentode.training.module import LatentODEModule
from latentode.training.time_limit import FEWEST_STEPS
from tests.training.small import trained, waves


class Clock:
    """Stands still until somebody advances it."""

    def __init__(self):
        self.now = 0.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def cheap_steps(monkeypatch):
    """Steps that learn nothing of the data, where it matters only when they are taken, and at which rate."""

    def cheap(self, *_):
        return sum(weight.square().sum() for weight in self.model.parameters())

    monkeypatch.setattr(LatentODEModule, "training_step", cheap)


@pytest.fixture
def a_second_a_step(clock, monkeypatch):
    """Every training step takes a second."""
    step = LatentODEModule.training_step

    def slow(self, *args):
        clock.now += 1.0
        return step(self, *args)

    monkeypatch.setattr(LatentODEModule, "training_step", slow)
    return clock


# ------------------------------------------------------------------------------------------------- the limit


def test_a_part_gets_its_share_of_what_is_left(clock):
    limit = TimeLimit(100.0, clock)
    clock.now = 20.0
    limit.reserve(20.0)
    limit.share(1 / 3)
    assert limit.left == pytest.approx(20.0)
    clock.now = 30.0  # the part ended early
    limit.share(1 / 2)
    assert limit.left == pytest.approx(25.0)


def test_a_second_reserve_replaces_the_first(clock):
    limit = TimeLimit(100.0, clock)
    limit.reserve(30.0)
    limit.reserve(10.0)
    assert limit.latest == 90.0


def test_a_training_gets_time_for_its_fewest_steps_of_what_others_would_have(clock):
    limit = TimeLimit(1000.0, clock)
    limit.share(1 / 10)
    limit.measure(2.0, step=25)
    assert limit.steps_left == pytest.approx(FEWEST_STEPS - 25)


def test_what_is_too_short_for_another_model_goes_to_the_present_one(clock):
    limit = TimeLimit(1.5 * FEWEST_STEPS, clock)
    limit.share(1 / 3)
    limit.measure(1.0, step=25)
    assert limit.until == limit.latest
    assert limit.allows_another  # as long as nobody has used it
    clock.now = FEWEST_STEPS
    assert not limit.allows_another


def test_without_a_limit_nothing_is_ever_over(clock):
    limit = TimeLimit(clock=clock)
    limit.reserve(10.0)
    limit.share(1 / 3)
    limit.measure(1e9, step=1)
    clock.now = 1e12
    assert not limit.finite
    assert not limit.over
    assert limit.allows_another
    assert limit.steps_left == limit.left == np.inf


# ------------------------------------------------------------------------------------------------- training


def rates_of(history):
    return np.array([row["learning_rate"] for row in history])


def test_training_ends_in_time_and_is_annealed(setting, cheap_steps, a_second_a_step):
    limit = TimeLimit(100.0, a_second_a_step)
    _, history = trained(setting, n_steps=1000, steps_per_check=5, time_limit=limit)
    assert 90 <= history[-1]["step"] <= 100
    assert a_second_a_step.now <= 100
    rates = rates_of(history)
    assert (rates[5:13] == rates[5]).all()  # held for three quarters, then annealed
    assert (np.diff(rates[14:]) < 0).all()
    assert rates[-1] < 0.05 * rates[5]


def test_under_a_short_limit_the_warm_ups_are_short_too(setting, cheap_steps, a_second_a_step):
    limit = TimeLimit(60.0, a_second_a_step)
    _, history = trained(setting, n_steps=1000, steps_per_check=10, time_limit=limit)
    assert rates_of(history)[1] == 3e-3  # of 1,000 steps the first 50 warm up


def test_the_annealing_starts_from_the_best_weights(setting, cheap_steps, a_second_a_step, monkeypatch):
    ask = LatentODEModule.validation_step

    def worse_later(self, batch, number):
        ask(self, batch, number)
        crps, queried = self.scores.pop()
        self.scores.append((crps + queried * max(self.step - 20, 0), queried))

    monkeypatch.setattr(LatentODEModule, "validation_step", worse_later)
    restored = []
    restore = EarlyStopping._restore_best

    def noted(self):
        restored.append((self.module.step, self.best_step))
        restore(self)

    monkeypatch.setattr(EarlyStopping, "_restore_best", noted)
    limit = TimeLimit(100.0, a_second_a_step)
    trained(setting, n_steps=1000, steps_per_check=10, patience=50, time_limit=limit)
    assert restored == [(70, 20)]


def test_a_pace_that_slows_down_shortens_the_annealing(setting, cheap_steps, clock, monkeypatch):
    step = LatentODEModule.training_step

    def slower(self, *args):
        clock.now += 1.0 if self.step < 80 else 4.0
        return step(self, *args)

    monkeypatch.setattr(LatentODEModule, "training_step", slower)
    _, history = trained(setting, n_steps=1000, steps_per_check=5, time_limit=TimeLimit(100.0, clock))
    assert 80 < history[-1]["step"] < 95
    assert clock.now <= 104.0  # a step ends once it has begun


def test_a_round_ends_early_where_its_steps_take_too_long(setting, a_second_a_step):
    _, history = trained(setting, n_steps=100, steps_per_check=25, time_limit=TimeLimit(6.0, a_second_a_step))
    assert len(history) == 1
    assert history[0]["step"] <= 7


def test_a_limit_in_the_past_still_leaves_a_model(setting, a_second_a_step):
    limit = TimeLimit(5.0, a_second_a_step)
    limit.reserve(10.0)
    model, history = trained(setting, n_steps=100, time_limit=limit)
    assert history[0]["step"] <= 2
    assert all(torch.isfinite(p).all() for p in model.parameters())


def test_a_limit_that_is_not_reached_changes_no_bit(setting, a_second_a_step):
    expected, history = trained(setting, n_steps=30, steps_per_check=5)
    found, same = trained(setting, n_steps=30, steps_per_check=5, time_limit=TimeLimit(40.0, a_second_a_step))
    assert all(torch.equal(a, b) for a, b in zip(found.parameters(), expected.parameters(), strict=True))
    assert [{**row, "seconds": 0} for row in same] == [{**row, "seconds": 0} for row in history]


# ------------------------------------------------------------------------------------------- the Gaussian process


def test_the_process_takes_the_steps_there_is_time_for(clock, monkeypatch):
    evidence = GaussianProcess.evidence

    def slow(self, *args):
        clock.now += 1.0
        return evidence(self, *args)

    monkeypatch.setattr(GaussianProcess, "evidence", slow)
    limit = TimeLimit(4.0, clock)
    process = fit_gaussian_process(waves(), 1.0, 0.05, np.random.default_rng(0), limit)
    assert limit.shortened == [f"the Gaussian process took 4 of {fitting_process.STEPS} steps"]
    assert all(torch.isfinite(p).all() for p in process.parameters())
    assert process.effects.abs().sum() > 0  # they are known however few steps were taken
