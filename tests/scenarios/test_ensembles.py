"""Several models that are trained with other series held out, and answer together."""

import copy
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from latentode import load
from latentode.estimators import fitting
from latentode.estimators.fitting import HISTORY
from latentode.nn import Ensemble, LatentODE, members_of
from latentode.plotting import plot_training
from latentode.training.module import LatentODEModule
from tests.estimators import tiny
from tests.estimators.tiny import waves


def quick(**params):
    """As many models as the number of series makes it."""
    return tiny.quick(**{"n_models": None, **params})


@pytest.fixture(scope="module")
def df():
    return waves(24, 8)


@pytest.fixture(scope="module")
def fitted(df):
    return quick().fit(df)


def alone(fitted, number):
    """The forecaster with one of its models."""
    one = copy.deepcopy(fitted)
    one.state_ = replace(one.state_, model=members_of(one.model_)[number])
    return one


def test_the_prediction_is_the_mean_of_those_of_the_models(fitted, df):
    each = [alone(fitted, number).predict(df) for number in range(3)]
    pd.testing.assert_frame_equal(fitted.predict(df), sum(each) / 3, rtol=1e-4, atol=1e-4)
    assert not np.allclose(each[0], each[1], rtol=1e-3)


def test_an_interval_is_about_as_wide_as_those_of_the_models_on_average(fitted, df):
    def widths(forecaster):
        bands = forecaster.predict_interval(df, 90)
        return (bands["x-hi-90"] - bands["x-lo-90"]).to_numpy()

    each = np.mean([widths(alone(fitted, number)) for number in range(3)], axis=0)
    np.testing.assert_allclose(widths(fitted), each, rtol=0.1)


def test_samples_lie_as_quantiles_say(fitted, df):
    query = df.head(4)
    drawn = fitted.sample(query, 6_000, random_state=0)["x"].to_numpy().reshape(6_000, 4)
    wanted = np.array([0.05, 0.25, 0.5, 0.75, 0.95])
    found = fitted.predict_quantiles(query, wanted)[[f"x-q{q:g}" for q in wanted]].to_numpy()
    assert np.abs((drawn[..., None] < found).mean(0) - wanted).max() < 0.03


def test_latent_states_that_are_distributions_are_drawn_from_every_model(df):
    drawn = quick(kl_weight=0.1).fit(df).predict_interval(df.head(20), 80)
    assert (drawn["x-lo-80"] < drawn["x-hi-80"]).all()


def test_one_model_is_one_on_request(df):
    single = quick(n_models=1).fit(df)
    assert isinstance(single.model_, LatentODE)
    assert single.history_["model"].unique().tolist() == [0.0]


def test_an_ensemble_is_read_as_it_was_saved(fitted, df, tmp_path):
    fitted.save(tmp_path / "model")
    again = load(tmp_path / "model")
    pd.testing.assert_frame_equal(again.predict_interval(df), fitted.predict_interval(df), check_exact=True)
    assert len(members_of(again.model_)) == 3
    assert again.n_models is None


def test_features_are_those_of_the_first_model(fitted, df):
    pd.testing.assert_frame_equal(fitted.encode(df), alone(fitted, 0).encode(df), check_exact=True)


def test_a_warm_start_goes_on_from_each_model(df):
    warm = quick(warm_start=True, max_steps=1, learning_rate=1e-9).fit(df)
    before = [{k: v.clone() for k, v in m.state_dict().items()} for m in members_of(warm.model_)]
    warm.set_params(random_state=5).fit(df)
    for model, weights in zip(members_of(warm.model_), before, strict=True):
        assert all(np.allclose(v, weights[k], atol=1e-6) for k, v in model.state_dict().items())


@pytest.mark.parametrize(("breaks_at", "n_models"), [(3, 1), (6, 1), (12, 2)])
def test_an_interrupt_keeps_the_models_that_were_trained_to_their_end_or_else_the_first(
    df, monkeypatch, breaks_at, n_models
):
    step, seen = LatentODEModule.training_step, []

    def interrupted(self, *args):
        seen.append(1)
        if len(seen) == breaks_at:
            raise KeyboardInterrupt
        return step(self, *args)

    monkeypatch.setattr(LatentODEModule, "training_step", interrupted)
    forecaster = quick(max_steps=5)
    kept = "after 0 steps; the forecaster keeps the best weights" if breaks_at < 5 else f"the {n_models} trained before"
    with pytest.raises(KeyboardInterrupt, match=kept):
        forecaster.fit(df)
    assert len(members_of(forecaster.model_)) == n_models
    assert np.isfinite(forecaster.predict_interval(df)).all(axis=None)
    assert len(forecaster.history_) == (breaks_at > 5) * n_models


def test_an_interrupt_between_two_models_keeps_those_before(df, monkeypatch):
    train, ended = fitting.train, []

    def interrupted(*args):
        if ended:
            raise KeyboardInterrupt
        ended.append(train(*args))
        return ended[0]

    monkeypatch.setattr(fitting, "train", interrupted)
    forecaster = quick()
    with pytest.raises(KeyboardInterrupt, match="in model 2 of 3; the forecaster keeps the 1 trained before it"):
        forecaster.fit(df)
    assert np.isfinite(forecaster.predict_interval(df)).all(axis=None)


def test_a_fit_interrupted_at_once_can_be_saved_loaded_and_drawn(df, monkeypatch, tmp_path):
    def interrupted(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(LatentODEModule, "training_step", interrupted)
    forecaster = quick()
    with pytest.raises(KeyboardInterrupt):
        forecaster.fit(df)
    forecaster.save(tmp_path / "model")
    again = load(tmp_path / "model")
    pd.testing.assert_frame_equal(again.predict(df), forecaster.predict(df), check_exact=True)
    assert list(forecaster.history_) == HISTORY
    assert len(plot_training(forecaster).lines) == 0


def test_every_model_may_have_the_first_sample(df, monkeypatch):
    """The one sample that is queried is the last of as many draws as models were passed over, and one."""
    fitted, draws, sample = quick(kl_weight=0.1).fit(df), set(), Ensemble.sample

    def noted(self, batch, noise):
        draws.add(len(noise))
        return sample(self, batch, noise)

    monkeypatch.setattr(Ensemble, "sample", noted)
    for seed in range(20):
        assert len(fitted.sample(df.head(1), 1, random_state=seed)) == 1
    assert draws == {1, 2, 3}
