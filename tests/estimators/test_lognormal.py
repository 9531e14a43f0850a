from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import torch

from latentode.data import ChannelScaler
from latentode.estimators.lognormal import variance_shares
from latentode.estimators.trained import Trained
from latentode.nn import Batch, Prediction
from latentode.persistence.calibration import Calibration, log_of_mean_over_median
from tests.estimators.tiny import quick


def shares(n_series, spread, said=1.0, n_queries=20, seed=0):
    """Of a model that says mean 0 and deviation `said`, in logarithms, where the truth deviates by `spread`."""
    rng = np.random.default_rng(seed)
    logs = torch.as_tensor(rng.normal(0, spread, (n_series, n_queries, 1)), dtype=torch.float32)
    known = np.array([0.0])
    scaler = ChannelScaler(known, known + 1, known + 1e-6, known + 1)

    def predict(batch):
        return Prediction(torch.zeros_like(batch.targets), torch.full_like(batch.targets, said))

    batch = Batch(
        times=torch.zeros(n_series, 1),
        values=torch.zeros(n_series, 1, 1),
        mask=torch.zeros(n_series, 1, 1),
        lengths=torch.ones(n_series, dtype=torch.long),
        query_times=torch.full((n_series, n_queries), 0.5),
        targets=logs,
        target_mask=torch.ones_like(logs),
    )
    trained = [Trained(SimpleNamespace(predict=predict), [batch], np.arange(n_series))]
    return variance_shares(trained, Calibration.none(1), scaler).item()


def test_with_many_series_the_share_is_that_of_the_true_variance():
    assert shares(3000, 1.0) == pytest.approx(1.0, abs=0.1)
    assert shares(3000, 0.5) == pytest.approx(0.25, abs=0.1)


def test_few_series_leave_the_mean_nearer_to_the_median():
    few = np.mean([shares(6, 1.0, seed=seed) for seed in range(40)])
    assert few < 0.75
    assert shares(4, 1.0) == 0.0


def test_values_that_do_not_vary_leave_the_median():
    assert shares(300, 1e-3) == 0.0


def test_the_mean_of_a_lognormal_is_bounded():
    found = log_of_mean_over_median(np.array([[0.0, 1.0, 100.0]]), np.array([1.0, 0.5, 1.0]))
    np.testing.assert_allclose(found, [[0.0, 0.25, 2.0]])


@pytest.fixture(scope="module")
def skewed():
    """Values of 60 series around 1, independent and lognormal: no history says anything."""
    rng = np.random.default_rng(0)
    frame = pd.DataFrame({"id": np.repeat(np.arange(60), 20), "time": np.tile(np.arange(20.0), 60)})
    df = frame.assign(y=np.exp(rng.normal(0, 1.0, 1200)))
    fresh = frame.assign(id=frame["id"] + 1000, y=np.exp(rng.normal(0, 1.0, 1200)))
    return quick(max_steps=75).fit(df), fresh


def test_the_mean_of_skewed_values_has_the_smaller_squared_error_and_the_median_the_smaller_absolute_error(skewed):
    forecaster, fresh = skewed
    late = fresh["time"] > 9
    error = {
        point: (forecaster.predict(fresh[late], history=fresh[~late], point=point)["y"] - fresh.loc[late, "y"])
        for point in ("mean", "median")
    }
    assert (error["mean"] ** 2).mean() < (error["median"] ** 2).mean()
    assert error["median"].abs().mean() < error["mean"].abs().mean()


def test_the_median_is_the_middle_quantile(skewed):
    forecaster, fresh = skewed
    found = forecaster.predict(fresh, fresh, point="median")
    np.testing.assert_array_equal(found["y"], forecaster.predict_quantiles(fresh, (0.5,), fresh)["y-q0.5"])


def test_the_share_of_a_channel_is_kept_in_a_file(skewed, tmp_path):
    forecaster, fresh = skewed
    assert forecaster.state_.calibration.variance_share > 0.3
    forecaster.save(tmp_path / "model")
    loaded = type(forecaster).load(tmp_path / "model")
    pd.testing.assert_frame_equal(loaded.predict(fresh, fresh), forecaster.predict(fresh, fresh), check_exact=True)
    state = forecaster.state_
    loaded.state_ = replace(state, calibration=replace(state.calibration, variance_share=np.zeros(1)))
    assert (loaded.predict(fresh, fresh)["y"] < forecaster.predict(fresh, fresh)["y"]).all()


def test_a_point_that_is_neither_is_refused(skewed):
    forecaster, fresh = skewed
    with pytest.raises(ValueError, match="point='mode' must be 'mean' or 'median'"):
        forecaster.predict(fresh, point="mode")
