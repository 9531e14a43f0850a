import numpy as np
import pandas as pd
import pytest

from latentode.data import DataError, DataWarning
from tests.estimators.tiny import quick, waves

pytestmark = pytest.mark.usefixtures("roughly_stacked")


def test_x_and_y_apart_are_the_same_fit_bit_for_bit(df, plain):
    X, y = df[["id", "time"]], df[["x", "y"]]
    expected = plain.predict(df)
    pd.testing.assert_frame_equal(quick().fit(X, y).predict(X), expected, check_exact=True)
    by_array = quick(target_cols=["x", "y"]).fit(X, y.to_numpy())
    pd.testing.assert_frame_equal(by_array.predict(X), expected, check_exact=True)


def test_a_y_takes_the_place_of_channels_in_x(df):
    changed = quick().fit(df, df[["x", "y"]] + 1).predict(df)
    expected = quick().fit(df.assign(x=df["x"] + 1, y=df["y"] + 1)).predict(df)
    pd.testing.assert_frame_equal(changed, expected, check_exact=True)


@pytest.fixture(scope="module")
def x_alone(df):
    """A fit to one of the channels."""
    return quick().fit(df[["id", "time", "x"]])


@pytest.mark.parametrize(("make", "name"), [(lambda s: s, "x"), (lambda s: s.rename(None), "y"), (list, "y")])
def test_one_channel_may_come_as_a_series_or_a_list(df, x_alone, make, name):
    X, y = df[["id", "time"]], df["x"]
    forecaster = quick().fit(X, make(y))
    assert forecaster.channels_ == (name,)
    np.testing.assert_array_equal(forecaster.predict(X), x_alone.predict(df))


def test_a_nullable_y_is_read(df, x_alone):
    forecaster = quick().fit(df[["id", "time"]], df["x"].astype("Float64"))
    np.testing.assert_array_equal(forecaster.predict(df), x_alone.predict(df))


def test_columns_of_x_are_no_channels_when_y_names_them(df):
    forecaster = quick().fit(df.assign(dose=1.0)[["id", "time", "dose"]], df[["x"]])
    assert forecaster.channels_ == ("x",)


def test_fit_sets_the_fitted_attributes(df, fitted):
    assert fitted.channels_ == ("x", "y")
    assert fitted.n_features_in_ == 4
    assert fitted.feature_names_in_.tolist() == ["id", "time", "x", "y"]
    assert {"step", "loss", "validation_crps"} <= set(fitted.history_.columns)
    assert np.isfinite(fitted.history_[["loss", "validation_crps"]]).all(axis=None)
    assert 0 < fitted.horizon_ <= 6


def test_a_horizon_is_kept_in_the_unit_of_time(df, dates):
    assert quick(horizon=2).fit(df).horizon_ == 2.0
    assert quick(horizon="12h").fit(dates).horizon_ == 43200.0


def test_series_of_two_rows_are_enough(df):
    pairs = waves(4, 2, missing=0)
    assert np.isfinite(quick().fit(pairs).predict(pairs)).all(axis=None)


def test_a_horizon_shorter_than_any_gap_is_noticed(df):
    with pytest.warns(DataWarning, match="horizon"):
        quick(horizon=1e-9).fit(df)


@pytest.mark.filterwarnings("ignore::latentode.data.DataWarning")
def test_rows_without_a_value_do_not_move_the_end_of_a_series(df, plain):
    queried = pd.DataFrame({"id": df["id"].unique(), "time": 9.0, "x": np.nan, "y": np.nan})
    more = pd.concat([df, queried], ignore_index=True)
    forecaster = quick().fit(more)
    pd.testing.assert_frame_equal(forecaster.predict(queried), plain.predict(queried), check_exact=True)
    pd.testing.assert_frame_equal(plain.predict(queried, history=more), plain.predict(queried), atol=1e-5)
    pd.testing.assert_frame_equal(forecaster.forecast(), plain.forecast(), check_exact=True)


@pytest.mark.filterwarnings("error")
def test_an_ordinary_session_warns_of_nothing(tmp_path):
    df = waves(n_series=40, n_points=12)  # of 24 the five held out are hardly enough to vouch for intervals
    forecaster = quick(stacking=True).fit(df)
    forecaster.predict(df)
    forecaster.predict_interval(df)
    forecaster.sample(df, 2)
    forecaster.forecast()
    forecaster.save(tmp_path)


def test_an_update_predicts_as_the_same_rows_given_as_history(df):
    early = df["time"] < 4
    forecaster = quick(stacking=True).fit(df[early])
    queries = df[["id", "time"]].assign(time=df["time"] + 3)
    reported = forecaster.predict(queries, history=df)
    assert forecaster.update(df[~early]) is forecaster
    pd.testing.assert_frame_equal(forecaster.predict(queries), reported, atol=1e-6)


def test_an_update_corrects_values_and_keeps_the_others(df):
    forecaster = quick().fit(df)
    row = df[df["x"].notna() & df["y"].notna()].iloc[[0]]
    forecaster.update(row.assign(x=7.0, y=np.nan))
    panel = forecaster.panel_
    where = (panel.times == row["time"].item()) & (panel.ids[panel.series_of_row] == row["id"].item())
    assert panel.values[where].tolist() == [[7.0, row["y"].item()]]
    assert len(panel.times) == df[["x", "y"]].notna().any(axis=1).sum()


def test_an_update_may_bring_new_series(df):
    forecaster = quick(stacking=True).fit(df[df["id"] < "s20"])
    forecaster.update(df[df["id"] >= "s20"])
    assert set(forecaster.panel_.ids) == set(df["id"])
    pd.testing.assert_frame_equal(forecaster.predict(df), forecaster.predict(df, history=df), atol=1e-6)


def test_a_bad_update_changes_nothing(df):
    forecaster = quick().fit(df)
    before = forecaster.panel_
    with pytest.raises(DataError, match="no column 'y'"):
        forecaster.update(df.drop(columns="y"))
    assert forecaster.panel_ is before


def test_a_warm_start_goes_on_from_the_weights_and_a_cold_one_does_not(df):
    warm = quick(warm_start=True, max_steps=1, learning_rate=1e-9, stacking=True).fit(df)
    before = {k: v.clone() for k, v in warm.model_.state_dict().items()}
    warm.set_params(random_state=5).fit(df)
    assert all(np.allclose(v, before[k], atol=1e-6) for k, v in warm.model_.state_dict().items())
    cold = warm.set_params(warm_start=False).fit(df)
    assert not all(np.allclose(v, before[k], atol=1e-6) for k, v in cold.model_.state_dict().items())


def test_a_warm_start_keeps_its_scales_and_refuses_other_channels(df):
    forecaster = quick(warm_start=True).fit(df)
    scaler, horizon = forecaster.scaler_, forecaster.horizon_
    forecaster.fit(df[df["time"] < 3])
    assert forecaster.scaler_ is scaler
    assert forecaster.horizon_ == horizon
    with pytest.raises(DataError, match="warm_start=True continues the previous fit and needs its columns"):
        forecaster.fit(df.drop(columns="y"))


def test_equal_weights_are_no_weights(df):
    queries = df.assign(time=df["time"] + 1)
    reported = quick().fit(df, sample_weight=np.full(len(df), 3.0)).predict(queries)
    pd.testing.assert_frame_equal(reported, quick().fit(df).predict(queries), atol=1e-5)
