import copy
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch

from latentode.data import DataWarning
from latentode.nn import members_of
from tests.estimators.tiny import quick, rough_stacking, waves


def grid(times, series="s00"):
    return pd.DataFrame({"id": series, "time": np.asarray(times, dtype=float)})


def test_batches_of_any_size_give_the_same_predictions(df, fitted, monkeypatch):
    query = pd.concat([df[df["id"] < "s03"], grid(np.linspace(-5, 20, 20))], ignore_index=True)
    expected = fitted.predict(query), fitted.predict_interval(query)
    monkeypatch.setattr("latentode.estimators.query_batches.CELLS_A_BATCH", 50)
    monkeypatch.setattr("latentode.estimators.query_batches.QUERIES_A_GROUP", 7)
    np.testing.assert_allclose(fitted.predict(query), expected[0], rtol=2e-6, atol=1e-5)
    np.testing.assert_allclose(fitted.predict_interval(query), expected[1], atol=1e-4)


def test_the_mean_of_a_channel_in_logarithms_depends_on_its_width_by_its_share():
    df = waves().assign(x=lambda d: np.exp(3 * d["x"]))
    forecaster = quick().fit(df)
    learned = replace(forecaster.state_.calibration, variance_share=np.zeros(2))
    forecaster.state_ = replace(forecaster.state_, calibration=learned)
    answer, interval = forecaster.predict(df), forecaster.predict_interval(df, 80)
    assert (answer["x"] > 0).all()
    wider = replace(learned, factor=2 * learned.factor)
    forecaster.state_ = replace(forecaster.state_, calibration=wider)
    pd.testing.assert_frame_equal(forecaster.predict(df), answer)
    assert (forecaster.predict_interval(df, 80)["x-hi-80"] > interval["x-hi-80"]).all()
    forecaster.state_ = replace(forecaster.state_, calibration=replace(wider, variance_share=np.array([0.5, 0.0])))
    assert (forecaster.predict(df)["x"] > answer["x"]).all()
    pd.testing.assert_series_equal(forecaster.predict(df)["y"], answer["y"])


def test_intervals_later_than_the_series_of_fit_went_are_not_narrowed():
    with rough_stacking():
        forecaster = quick(stacking=True).fit(waves(10))
    query = grid([1.0, 6.8, 9.0])  # series of six time units

    def widths(factor):
        learned = forecaster.state_.calibration
        state = replace(forecaster.state_, calibration=replace(learned, factor=np.full_like(learned.factor, factor)))
        calibrated = copy.copy(forecaster)
        calibrated.state_ = state
        bands = calibrated.predict_interval(query, 80)
        return (bands["x-hi-80"] - bands["x-lo-80"]).to_numpy()

    inside, later, well_beyond = widths(0.5) / widths(1.0)
    assert (inside, well_beyond) == pytest.approx((0.5, 1.0), rel=1e-4)
    assert 0.55 < later < 0.95
    assert (widths(2.0) > 1.5 * widths(1.0)).all()


def test_the_same_intervals_are_predicted_twice(df, fitted):
    pd.testing.assert_frame_equal(fitted.predict_interval(df), fitted.predict_interval(df), check_exact=True)


def test_samples_go_together_over_times_and_channels_as_was_learned(df, fitted):
    forecaster = copy.copy(fitted)
    together = replace(fitted.state_.calibration, correlation=np.array([[1.0, -0.9], [-0.9, 1.0]]))
    query = grid(df[df["id"] == "s00"]["time"].max() + np.array([0.5, 0.6, 5.0]))

    def correlations(calibration):
        forecaster.state_ = replace(fitted.state_, calibration=calibration)
        drawn = forecaster.sample(query, 400, random_state=0)[["x", "y"]].to_numpy().reshape(400, 3, 2)
        near, far = (np.corrcoef(drawn[:, 0, 0], drawn[:, k, 0])[0, 1] for k in (1, 2))
        return near, far, np.corrcoef(drawn[:, 0].T)[0, 1]

    near, far, across = correlations(replace(together, correlation=np.eye(2)))
    assert near > 0.5
    assert abs(far) < near - 0.2
    assert correlations(together)[2] < across - 0.4


def test_samples_are_reproducible_by_their_seed_alone(df, fitted):
    first = fitted.sample(df, 4, random_state=1)
    pd.testing.assert_frame_equal(fitted.sample(df, 4, random_state=1), first, check_exact=True)
    pd.testing.assert_frame_equal(fitted.sample(df, 4, random_state=np.random.default_rng(1)), first, check_exact=True)
    assert not fitted.sample(df, 4, random_state=2).equals(first)
    assert not fitted.sample(df, 4).equals(fitted.sample(df, 4))


def test_samples_of_a_series_and_time_are_the_same_in_any_order_of_rows(df, fitted):
    queried = pd.concat([df, df.tail(30).assign(id="x"), df.tail(30).assign(id="w"), df.tail(9)]).reset_index(drop=True)
    with pytest.warns(DataWarning, match="no observations of series"):
        drawn = fitted.sample(queried, 2, random_state=0)
    for order in (queried.index[::-1], np.random.default_rng(0).permutation(len(queried))):
        with pytest.warns(DataWarning, match="no observations of series"):
            found = fitted.sample(queried.loc[order], 2, random_state=0)
        for k in range(2):
            mine = found[found["sample_id"] == k].set_axis(order).sort_index()
            pd.testing.assert_frame_equal(mine, drawn[drawn["sample_id"] == k].set_axis(queried.index), rtol=1e-5)


def test_samples_of_repeated_rows_are_one_trajectory(df, fitted):
    drawn = fitted.sample(pd.concat([df, df]), 3, random_state=0)[["x", "y"]].to_numpy().reshape(3, 2, len(df), 2)
    np.testing.assert_allclose(drawn[:, 0], drawn[:, 1], rtol=1e-5)


def test_samples_do_not_touch_the_random_state_of_others(df, fitted):
    state, ours = np.random.get_state()[1].copy(), torch.get_rng_state()  # noqa: NPY002
    fitted.sample(df, 2)
    fitted.predict_quantiles(df)
    np.testing.assert_array_equal(np.random.get_state()[1], state)  # noqa: NPY002
    assert torch.equal(torch.get_rng_state(), ours)


def test_the_mean_of_samples_is_the_prediction(df, fitted):
    query = df.iloc[::12]
    drawn = fitted.sample(query, 3000, random_state=0)
    values = drawn[["x", "y"]].to_numpy().reshape(3000, len(query), 2)
    deviation = np.abs(values.mean(0) - fitted.predict(query).to_numpy()) / values.std(0)
    assert deviation.max() < 0.12  # about six standard errors


def test_samples_fall_below_a_quantile_as_often_as_its_level(df, fitted):
    query = df.iloc[::12]
    drawn = fitted.sample(query, 3000, random_state=0)[["x", "y"]].to_numpy().reshape(3000, len(query), 2)
    wanted = np.array([0.05, 0.25, 0.5, 0.75, 0.95])
    found = fitted.predict_quantiles(query, wanted).to_numpy().reshape(len(query), 2, 5)
    below = (drawn[..., None] < found).mean(0)
    assert np.abs(below - wanted).max() < 0.04


def without_noise(forecaster, log_std):
    """The forecaster with a posterior of given width and observations without error."""
    changed = copy.deepcopy(forecaster)
    with torch.no_grad():
        for model in members_of(changed.model_):
            encoder, latent = model.encoder, model.encoder.latent_dim
            encoder.to_latent.weight[latent:] = 0.0
            encoder.to_latent.bias[latent:] = log_std
            model.likelihood.log_scale.fill_(-20.0)
    return changed


@pytest.fixture(scope="module")
def drawn_from(df):
    """A forecaster whose latent state is a distribution."""
    return quick(kl_weight=0.1).fit(df)


def test_a_sample_is_one_coherent_trajectory(drawn_from):
    forecaster = without_noise(drawn_from, 0.0)
    query = grid([6.5, 6.52, 8.0])
    drawn = forecaster.sample(query, 300, random_state=0)["x"].to_numpy().reshape(300, 3)
    assert drawn.std(0).min() > 1e-3
    correlation = np.corrcoef(drawn.T)
    assert correlation[0, 1] > 0.99
    assert correlation[0, 2] > 0.3


def test_series_are_sampled_apart(drawn_from):
    forecaster = without_noise(drawn_from, 0.0)
    query = pd.concat([grid([7.0], "s00"), grid([7.0], "s01")])
    drawn = forecaster.sample(query, 400, random_state=0)["x"].to_numpy().reshape(400, 2)
    assert abs(np.corrcoef(drawn.T)[0, 1]) < 0.25


def test_a_deterministic_latent_is_sampled_as_one_point(df):
    forecaster = without_noise(quick(stacking=False).fit(df), 0.0)
    drawn = forecaster.sample(df.head(3), 20, random_state=0)["x"].to_numpy().reshape(20, 3)
    assert (drawn.std(0) < 1e-3).all()
    np.testing.assert_allclose(drawn.mean(0), forecaster.predict(df.head(3))["x"], atol=1e-3)
