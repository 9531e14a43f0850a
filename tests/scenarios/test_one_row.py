"""A frame in which every series has one row: nothing to learn of change, but of the population."""

import numpy as np
import pandas as pd
import pytest

from latentode import LatentODEForecaster, load
from latentode.data import DataError, DataWarning

pytestmark = pytest.mark.filterwarnings("ignore:prediction intervals are calibrated")


def patients(n=120, seed=0):
    """One visit of each patient; the value depends on the group."""
    rng = np.random.default_rng(seed)
    group = rng.choice(["a", "b"], n)
    value = 2.0 * (group == "b") + 0.3 * rng.standard_normal(n)
    return pd.DataFrame({"id": np.arange(n), "time": rng.uniform(0, 10, n), "value": value, "group": group})


NEW = pd.DataFrame({"id": ["x", "y"], "time": [5.0, 5.0], "group": ["a", "b"]})


@pytest.fixture(scope="module")
def fitted():
    with pytest.warns(DataWarning, match="120 observations in 120 series, none with two or more: nothing says how a"):
        return LatentODEForecaster(static_cols=["group"], max_steps=150, random_state=0).fit(patients())


@pytest.mark.filterwarnings("ignore:no observations of series")
def test_a_new_series_is_answered_by_its_group(fitted):
    found = fitted.predict_interval(NEW, 90)
    assert fitted.predict(NEW)["value"].tolist() == pytest.approx([0.0, 2.0], abs=0.3)
    assert (found["value-lo-90"] < [0.0, 2.0]).all()
    assert (found["value-hi-90"] > [0.0, 2.0]).all()
    assert (found["value-hi-90"] - found["value-lo-90"] < 3.0).all()  # that of the whole population is 2.6 and more


def test_there_is_no_score_of_forecasts(fitted):
    with pytest.raises(ValueError, match="no leaderboard: no forecast was held out"):
        fitted.leaderboard()


@pytest.mark.filterwarnings("ignore:no observations of series")
def test_it_is_saved_and_loaded(fitted, tmp_path):
    fitted.save(tmp_path / "model")
    pd.testing.assert_frame_equal(load(tmp_path / "model").predict(NEW), fitted.predict(NEW))


def test_a_series_of_the_fit_is_answered_between_its_value_and_its_group(fitted):
    df = patients()
    far = df.loc[(df["value"] - 2.0 * (df["group"] == "b")).abs().nlargest(5).index]
    found = fitted.predict(far.assign(time=far["time"] + 0.1).drop(columns="value"))["value"]
    group = 2.0 * (far["group"] == "b")
    share = (found - group) / (far["value"] - group)
    assert share.between(-0.3, 1.2).all()  # their value is not added to what the group says


def test_dates_and_a_horizon_warn_of_nothing_but_single_rows():
    df = patients().assign(time=lambda d: pd.Timestamp("2024-01-01") + pd.to_timedelta(d["time"], unit="D"))
    with pytest.warns(DataWarning) as said:
        forecaster = LatentODEForecaster(static_cols=["group"], max_steps=5, random_state=0).fit(df)
    assert ["none with two or more" in str(w.message) for w in said] == [True]
    assert forecaster.horizon_ > 5 * 86_400.0  # seconds


def test_without_the_process_nothing_is_learned_from_single_rows():
    with pytest.raises(DataError, match="none with two or more: too little data"):
        LatentODEForecaster(static_cols=["group"], stacking=False, random_state=0).fit(patients())


def test_seven_series_are_too_few():
    with pytest.raises(DataError, match="7 observations in 7 series, none with two or more: too little data"):
        LatentODEForecaster(static_cols=["group"], random_state=0).fit(patients(7))
