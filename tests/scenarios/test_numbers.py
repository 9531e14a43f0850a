"""No number that is none reaches weights or answers, and dates of any century are the same dates."""

import numpy as np
import pandas as pd
import pytest
import torch

from latentode.nn import LatentODE
from tests.estimators.tiny import checks_every, dated, quick, waves

CHECK = 5
"""Steps between two validation checks."""


@pytest.fixture(scope="module", autouse=True)
def _often():
    with checks_every(CHECK):
        yield


@pytest.fixture(scope="module")
def small():
    return waves(4, 8)


def assert_finite(forecaster, df):
    assert all(torch.isfinite(w).all() for w in forecaster.model_.state_dict().values())
    assert np.isfinite(forecaster.predict(df).to_numpy()).all()
    assert np.isfinite(forecaster.predict_interval(df).to_numpy()).all()


@pytest.mark.parametrize("dynamics", ["mixed", "mlp", "linear"])
def test_a_field_that_training_drives_apart_is_met(small, dynamics):
    """At this rate the weights are thousands after a step, and the trajectory leaves the numbers."""
    with pytest.warns(UserWarning, match="the loss was not finite"):
        forecaster = quick(dynamics=dynamics, learning_rate=1e8, max_steps=2 * CHECK + 2).fit(small)
    assert_finite(forecaster, small)


@pytest.mark.parametrize("step", [2, CHECK, CHECK + 1])
def test_a_gradient_that_is_no_number_is_recovered_from(small, monkeypatch, step):
    """The loss is finite, its gradient is not; once just before a check, once just after one."""
    loss, calls = LatentODE.loss, []

    def broken(self, *args):
        calls.append(1)
        found = loss(self, *args)
        if len(calls) == step:
            found.total.register_hook(lambda gradient: gradient * float("nan"))
        return found

    monkeypatch.setattr(LatentODE, "loss", broken)
    with pytest.warns(UserWarning, match="the loss was not finite 1 time"):
        forecaster = quick(max_steps=4 * CHECK).fit(small)
    assert_finite(forecaster, small)
    assert forecaster.history_["loss"].iloc[-1] < np.inf


@pytest.mark.parametrize("century", [1701, 1901, 2201])
def test_dates_of_any_century_are_the_same_dates(century):
    df = dated(waves(4, 8))
    shifted = df.assign(time=df["time"] + (pd.Timestamp(f"{century}-03-01") - pd.Timestamp("2001-03-01")))
    params = {"seasonality": None}
    expected = quick(**params).fit(df).predict(df)
    pd.testing.assert_frame_equal(quick(**params).fit(shifted).predict(shifted), expected, rtol=1e-4, atol=1e-4)
