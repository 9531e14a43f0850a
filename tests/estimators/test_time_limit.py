import logging
from functools import partial

import numpy as np
import pandas as pd
import pytest
import torch

from latentode.estimators import defaults, time_limit
from latentode.estimators.time_limit import seconds_to_finish
from latentode.nn import LatentODE
from latentode.training import TimeLimit, TrainingConfig
from latentode.training import time_limit as of_training
from latentode.training.module import LatentODEModule
from tests.estimators.tiny import checks_every, quick, waves
from tests.training.test_time_limit import Clock

FEWEST = 10


@pytest.fixture
def clock(monkeypatch):
    """Every training step takes a second and nothing else any; checks are frequent, and ten steps worth a model."""
    clock, step = Clock(), LatentODEModule.training_step

    def slow(self, *args):
        clock.now += 1.0
        return step(self, *args)

    monkeypatch.setattr(LatentODEModule, "training_step", slow)
    monkeypatch.setattr(time_limit, "TimeLimit", partial(TimeLimit, clock=clock))
    monkeypatch.setattr(time_limit, "OF_ALL", 0.0)
    monkeypatch.setattr(of_training, "FEWEST_STEPS", FEWEST)
    monkeypatch.setattr(defaults, "TrainingConfig", partial(TrainingConfig, steps_per_check=2))
    return clock


@pytest.fixture(scope="module")
def small():
    return waves(22, 6)


def steps_of(forecaster):
    return forecaster.history_.groupby("model")["step"].max().tolist()


def lines(caplog):
    return [r for r in caplog.records if r.name == "latentode" and "shortened" in r.getMessage()]


def test_several_models_share_the_time(small, clock, caplog):
    caplog.set_level(logging.INFO, "latentode")
    fitted = quick(n_models=3, max_steps=100, time_limit=60).fit(small)
    steps = steps_of(fitted)
    assert len(steps) == 3
    assert min(steps) >= 15
    assert 50 <= sum(steps) <= 60
    (line,) = lines(caplog)
    assert line.levelno == logging.INFO
    assert line.getMessage().startswith("time_limit=60 shortened the fit: model 1 of 3 took ")
    assert line.getMessage().count("of 100 steps") == 3


def test_fewer_models_are_trained_rather_than_shorter_ones(small, clock, caplog):
    caplog.set_level(logging.INFO, "latentode")
    fitted = quick(n_models=3, max_steps=100, time_limit="28s").fit(small)
    steps = steps_of(fitted)
    assert len(steps) == 2
    assert min(steps) >= FEWEST - 1
    assert clock.now <= 28
    assert "2 of 3 models were trained" in lines(caplog)[0].getMessage()
    assert np.isfinite(fitted.predict(small)).all(axis=None)


def test_a_single_model_gets_what_others_have_no_time_for(small, clock):
    assert steps_of(quick(n_models=3, max_steps=100, time_limit=14).fit(small))[0] >= 12


def test_a_limit_that_is_over_at_once_leaves_a_forecaster(small, clock):
    fitted = quick(max_steps=100, time_limit=1e-3).fit(small)
    assert steps_of(fitted)[0] <= 2
    assert np.isfinite(fitted.predict_interval(small)).all(axis=None)


def test_time_is_kept_for_stacking_and_calibration(small, clock, monkeypatch):
    monkeypatch.setattr(time_limit, "OF_ALL", 20.0)
    assert steps_of(quick(max_steps=100, time_limit=50).fit(small))[0] <= 30


def test_a_generous_limit_gives_the_same_bits_and_no_line(small, caplog):
    caplog.set_level(logging.INFO, "latentode")
    with checks_every(3):
        expected = quick(n_models=2, max_steps=9).fit(small)
        found = quick(n_models=2, max_steps=9, time_limit="1h").fit(small)
    assert lines(caplog) == []
    theirs = expected.model_.state_dict()
    assert all(torch.equal(weight, theirs[name]) for name, weight in found.model_.state_dict().items())
    pd.testing.assert_frame_equal(found.predict_interval(small), expected.predict_interval(small), check_exact=True)


def test_the_limit_begins_with_fit_and_a_second_fit_has_it_again(small, clock):
    forecaster = quick(max_steps=60, time_limit=20)
    first, second = steps_of(forecaster.fit(small)), steps_of(forecaster.fit(small))
    assert first == second


def test_what_remains_is_estimated_from_passes_over_held_out_data(small, monkeypatch):
    clock = Clock()
    batches = []
    predict = LatentODE.predict

    def slow(self, batch):
        clock.now += 0.01 * len(batch.lengths)
        batches.append(batch)
        return predict(self, batch)

    fitted = quick(stacking=False, max_steps=1)
    monkeypatch.setattr(LatentODE, "predict", slow)
    fitted.fit(small)
    batch = max(batches, key=lambda b: len(b.lengths))
    n_rows = len(batch.lengths)
    seconds = seconds_to_finish(fitted.model_, None, [batch, batch], TimeLimit(60, clock))
    assert seconds == pytest.approx(time_limit.OF_ALL + time_limit.OF_NETWORK * 0.01 * 2 * n_rows)
    assert seconds_to_finish(fitted.model_, None, [], TimeLimit(60, clock)) == time_limit.OF_ALL
