import numpy as np
import pandas as pd
import pytest
import torch

from latentode.training.module import LatentODEModule
from tests.estimators.tiny import checks_every, quick, waves


@pytest.mark.parametrize("max_steps", [1, 30])
def test_no_more_steps_are_taken_than_allowed(df, max_steps):
    assert quick(max_steps=max_steps).fit(df).history_["step"].max() == max_steps


def test_training_lowers_the_validation_score():
    df = waves(24, 12, missing=0)
    with checks_every(5):
        history = quick(max_steps=30, hidden_dim=16, learning_rate=0.03).fit(df).history_["validation_crps"]
    assert history.min() < 0.9 * history.iloc[0]


@pytest.mark.parametrize("method", ["euler", "midpoint", "heun", "rk4"])
def test_any_fixed_method_of_the_solver_fits_and_predicts(df, method):
    assert np.isfinite(quick(method=method, n_steps=2).fit(df).predict(df)).all(axis=None)


def test_any_adjoint_fits_the_same_model():
    df = waves(3, 6)
    predicted = [quick(adjoint=a).fit(df).predict(df) for a in ("discrete", "autograd")]
    np.testing.assert_allclose(*predicted, atol=1e-3)


def test_a_caller_in_double_precision_can_fit_and_gets_the_same_predictions(df, fitted):
    expected = fitted.predict(df), fitted.predict_interval(df), fitted.sample(df, 2, random_state=0)
    torch.set_default_dtype(torch.float64)
    try:
        answers = fitted.predict(df), fitted.predict_interval(df), fitted.sample(df, 2, random_state=0)
        again = quick().fit(df).predict(df)
        assert torch.get_default_dtype() == torch.float64
    finally:
        torch.set_default_dtype(torch.float32)
    for answer, wanted in zip(answers, expected, strict=True):
        pd.testing.assert_frame_equal(answer, wanted, atol=1e-4)
    assert np.isfinite(again).all(axis=None)


@pytest.mark.parametrize("fraction", [0.98, 0.999])
def test_however_much_is_held_out_something_is_learned_from(fraction):
    df = waves(20, 5)
    forecaster = quick(max_steps=1, validation_fraction=fraction).fit(df)
    assert np.isfinite(forecaster.predict(df)).all(axis=None)


def test_an_interrupt_leaves_a_forecaster_that_can_be_used(df, monkeypatch):
    steps = LatentODEModule.training_step
    seen = []

    def broken_off(self, batch, number):
        seen.append(number)
        if len(seen) == 30:
            raise KeyboardInterrupt
        return steps(self, batch, number)

    monkeypatch.setattr(LatentODEModule, "training_step", broken_off)
    forecaster = quick(max_steps=100)
    with pytest.raises(KeyboardInterrupt, match="after 25 steps; the forecaster keeps the best weights"):
        forecaster.fit(df)
    assert len(seen) == 30
    assert forecaster.history_["step"].tolist() == [25.0]
    assert np.isfinite(forecaster.predict(df)).all().all()
