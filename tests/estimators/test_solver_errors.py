"""The error of the solver in a fit."""

import warnings

import numpy as np
import pandas as pd
import pytest

from latentode import load
from latentode.estimators import fitting
from latentode.estimators.solver_errors import agree_on_steps, solver_errors, solver_sentences
from latentode.estimators.trained import Trained
from latentode.training.solver_error import TOLERANCE
from tests.estimators.tiny import quick, waves
from tests.nn.batches import lively, random_batch


def test_a_fit_tells_the_error_of_each_channel_and_keeps_it(tmp_path):
    fitted = quick(n_steps=None).fit(waves(9, 6))
    assert fitted.solver_error_.index.tolist() == list(fitted.channels_)
    assert (fitted.solver_error_ < TOLERANCE).all()
    assert (fitted.history_["solver_steps"] == fitted.model_.config.n_steps).all()
    fitted.save(tmp_path / "model")
    pd.testing.assert_series_equal(load(tmp_path / "model").solver_error_, fitted.solver_error_)


def test_few_steps_that_are_enough_give_no_warning():
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        quick(n_steps=1).fit(waves(16, 8))


def test_steps_that_are_too_few_give_a_warning_with_the_channel(monkeypatch):
    monkeypatch.setattr(fitting, "solver_errors", lambda _: np.array([0.25, 0.01]))
    with pytest.warns(UserWarning, match=r"error of the ODE solver is 0\.25 .* channel 'x' \(n_steps=2\)"):
        quick().fit(waves(9, 6))


def test_the_models_of_an_ensemble_agree_on_the_most_steps():
    models = [lively(n_steps=n) for n in (3, 12, 6)]
    held = np.arange(4)
    agree_on_steps([Trained(model, [], held) for model in models])
    assert [model.config.n_steps for model in models] == [12, 12, 12]


def test_without_held_out_data_the_error_is_not_known():
    assert solver_errors([Trained(lively(), [], np.arange(4))]) is None
    assert solver_sentences(None, ["x"], 3) == []


def test_an_error_that_is_not_finite_is_a_large_one(monkeypatch):
    import torch

    from latentode.estimators import solver_errors as module

    monkeypatch.setattr(module, "solver_error", lambda *_: torch.tensor([float("nan"), 0.0]))
    found = solver_errors([Trained(lively(), [random_batch()], np.arange(4))])
    assert np.isfinite(found).all()
    assert found[0] > 1e3
