"""Series with periods of their own, from frame to forecast."""

import numpy as np
import pandas as pd
import pytest

from latentode import PUBLISHED, LatentODEForecaster, load
from latentode.datasets import make_periodic
from latentode.nn import members_of


@pytest.fixture(scope="module")
def sparse():
    """Ten points of each sinusoid, and the truth everywhere."""
    truth = make_periodic(n_series=60, n_points=100, noise_width=0.0, random_state=0)
    return truth.groupby("id").sample(10, random_state=0).sort_values(["id", "time"]), truth


@pytest.fixture(scope="module")
def forecaster(sparse):
    return LatentODEForecaster(max_steps=60, hidden_dim=16, random_state=0).fit(sparse[0])


def test_a_few_points_of_each_tell_its_whole_course(forecaster, sparse):
    _, truth = sparse
    error = forecaster.predict(truth)["y"] - truth["y"]
    assert all(model.rhythm is not None for model in members_of(forecaster.model_))
    assert np.square(error).mean() < 0.1 * truth["y"].var()


def test_it_is_saved_and_read(forecaster, sparse, tmp_path):
    forecaster.save(tmp_path / "model")
    again = load(tmp_path / "model")
    query = sparse[1].iloc[::50]
    pd.testing.assert_frame_equal(again.predict(query), forecaster.predict(query), check_exact=True)
    pd.testing.assert_frame_equal(again.predict_interval(query), forecaster.predict_interval(query), check_exact=True)


@pytest.mark.parametrize("params", [{"rhythm": False}, PUBLISHED])
def test_nobody_who_wants_none_gets_one(sparse, params):
    fitted = LatentODEForecaster(**params, max_steps=2, hidden_dim=8, random_state=0).fit(sparse[0])
    assert all(model.rhythm is None for model in members_of(fitted.model_))
