import warnings

import numpy as np
import pandas as pd
import pytest

from latentode.data import DataError, DataWarning
from latentode.datasets import load_pbc, load_storms, make_spirals
from tests.estimators.tiny import quick, waves


def grid(times, series="s00"):
    return pd.DataFrame({"id": series, "time": np.asarray(times, dtype=float)})


def test_one_row_out_per_row_in_with_the_same_index_and_a_column_per_channel(df, fitted):
    odd = df.sample(20, random_state=0).set_index(pd.Index([7, 7, *range(18)], name="visit"))
    predicted = fitted.predict(odd)
    assert predicted.index.equals(odd.index)
    assert predicted.columns.tolist() == ["x", "y"]
    assert predicted.dtypes.tolist() == [np.float64, np.float64]


def test_channels_in_the_query_are_ignored(df, fitted):
    expected = fitted.predict(df)
    for query in (df[["id", "time"]], df.assign(x=1e6, y=np.nan), df.assign(x="text"), df[["time", "y", "id"]]):
        pd.testing.assert_frame_equal(fitted.predict(query), expected, check_exact=True)


def test_permuted_queries_give_permuted_predictions(df, fitted):
    order = np.random.default_rng(0).permutation(len(df))
    for ask in (fitted.predict, fitted.predict_interval):
        pd.testing.assert_frame_equal(ask(df.iloc[order]), ask(df).iloc[order], check_exact=True)


def test_a_prediction_does_not_depend_on_other_queries(fitted):
    query = pd.concat(
        [grid(np.linspace(-20, 60, 81)), grid([0.5, 3.0], "s05"), grid([100.0], "s07")], ignore_index=True
    )
    together = fitted.predict(query)
    bands = fitted.predict_interval(query)
    for i in (0, 20, 40, 60, *range(80, len(query))):
        alone = query.iloc[[i]]
        np.testing.assert_allclose(fitted.predict(alone), together.iloc[[i]], rtol=1e-6, atol=1e-5)
        np.testing.assert_allclose(fitted.predict_interval(alone), bands.iloc[[i]], atol=1e-4)


def test_the_same_query_twice_gets_the_same_prediction(df, fitted):
    twice = pd.concat([df, df])
    for ask in (fitted.predict, fitted.predict_quantiles):
        answers = ask(twice)
        np.testing.assert_array_equal(answers[: len(df)], answers[len(df) :])


def test_queries_before_between_and_after_the_observations_are_predicted(df, fitted):
    predicted = fitted.predict(grid([-1e6, -10, -0.1, 0.5, 3, 5.99, 6.5, 60, 1e6]))
    assert np.isfinite(predicted).all(axis=None)
    assert predicted["y"].between(-30, 80).all()


def test_a_prediction_uses_the_observations_around_it(df, fitted):
    rows = df[df["id"] == "s04"].dropna().iloc[[3, 6]]
    shifted = df[df["id"] == "s04"].assign(y=lambda d: d["y"] + 2)
    before, after = fitted.predict(rows), fitted.predict(rows, history=shifted)
    assert (after["y"] - before["y"] > 0.5).all()


def test_predictions_change_smoothly_with_time(df, fitted):
    times = np.linspace(-3, 12, 3001)
    predicted = fitted.predict(grid(times))
    steps = predicted.diff().abs().max()
    assert (steps < 0.25 * df[["x", "y"]].std()).all()


def test_an_empty_query_gets_an_empty_prediction(df, fitted):
    for empty in (df.iloc[:0], pd.DataFrame(columns=["id", "time"])):
        assert fitted.predict(empty).shape == (0, 2)
        assert fitted.sample(empty, 3).shape == (0, 5)


def test_an_empty_query_gets_empty_quantiles_and_intervals(df, fitted):
    assert fitted.predict_quantiles(df.iloc[:0]).shape == (0, 6)
    assert fitted.predict_interval(df.iloc[:0]).shape == (0, 8)


def test_only_the_latest_rows_of_a_long_history_are_read_for_the_future():
    long = waves(1, 700)
    forecaster = quick().fit(long)
    future = grid(np.linspace(6.1, 12, 5))
    latest = long[long["x"].notna() | long["y"].notna()].tail(256)
    expected = forecaster.predict(future, history=latest)
    np.testing.assert_allclose(forecaster.predict(future), expected, atol=1e-5)
    changed = long.assign(x=lambda d: d["x"].where(d.index >= 400, 50.0))
    np.testing.assert_allclose(forecaster.predict(future, history=changed), expected, atol=1e-5)


def test_queries_far_back_in_a_long_history_are_predicted_from_near_observations():
    long = waves(1, 1500, missing=0)
    forecaster = quick(max_steps=25).fit(long)
    inside = long.iloc[5:1495:7]
    predicted = forecaster.predict(inside[["id", "time"]])
    assert np.isfinite(predicted).all(axis=None)
    error = (predicted - inside[["x", "y"]]).abs().mean()
    assert error["x"] < 0.3
    assert error["y"] < 0.3


def test_a_predicted_frame_is_the_callers_own(df, fitted):
    predicted = fitted.predict(df)
    expected = predicted.copy()
    predicted.iloc[:] = 0.0
    pd.testing.assert_frame_equal(fitted.predict(df), expected, check_exact=True)


def test_history_of_a_known_series_takes_the_place_of_what_fit_saw(df, fitted):
    query = grid([1.0, 8.0])
    changed = df[df["id"] == "s00"].assign(y=lambda d: d["y"] + 3)
    replaced = fitted.predict(query, history=changed)
    assert (replaced["y"] - fitted.predict(query)["y"]).min() > 1
    renamed = fitted.predict(query.assign(id="new"), history=changed.assign(id="new"))
    np.testing.assert_allclose(replaced, renamed, atol=1e-5)


def test_history_leaves_the_other_series_as_they_were(df, fitted):
    others = df[df["id"] != "s00"]
    history = df[df["id"] == "s00"].assign(y=0.0)
    np.testing.assert_allclose(fitted.predict(others, history=history), fitted.predict(others), atol=1e-5)


def test_history_is_not_kept(df, fitted):
    before = fitted.predict(df)
    fitted.predict(df, history=df.assign(y=lambda d: d["y"] + 3))
    pd.testing.assert_frame_equal(fitted.predict(df), before, check_exact=True)


def test_history_of_one_series_replaces_it(one, fitted_on_one):
    changed = fitted_on_one.predict(one, history=one.assign(y=one["y"] + 3))
    assert (changed["y"] - fitted_on_one.predict(one)["y"]).mean() > 1


def test_history_in_any_order_is_one_history(df, fitted):
    new = df[df["id"].isin(["s01", "s02"])].assign(id=lambda d: "new" + d["id"])
    expected = fitted.predict(new, history=new)
    shuffled = new.sample(frac=1, random_state=0)
    pd.testing.assert_frame_equal(fitted.predict(new, history=shuffled), expected, check_exact=True)


def test_a_warning_about_a_history_names_it(df, fitted):
    new = df.head(5).assign(id="new")
    with pytest.warns(DataWarning, match=r"in history: 5 rows repeat"):
        fitted.predict(new, history=pd.concat([new, new]))


def test_the_prediction_of_an_unseen_series_does_not_depend_on_its_name_and_time(fitted):
    with pytest.warns(DataWarning, match="no observations of series"):
        answers = fitted.predict(pd.DataFrame({"id": ["p", "q", "r"], "time": [0.0, 3.0, 1e5]}))
    np.testing.assert_allclose(answers, answers.iloc[[0, 0, 0]], atol=1e-6)


def test_quantiles_rise_with_their_level_and_are_named_channel_by_channel(df, fitted):
    wanted = [0.01, 0.1, 0.25, 0.5, 0.75, 0.9, 0.99]
    found = fitted.predict_quantiles(df, wanted)
    assert found.columns.tolist() == [f"{c}-q{q:g}" for c in "xy" for q in wanted]
    assert found.index.equals(df.index)
    for channel in ("x-", "y-"):
        assert (found.filter(like=channel).diff(axis=1).iloc[:, 1:] > 0).all(axis=None)


def test_quantiles_requested_in_any_order_are_the_same(df, fitted):
    up, down = fitted.predict_quantiles(df, [0.2, 0.6]), fitted.predict_quantiles(df, (0.6, 0.2))
    pd.testing.assert_frame_equal(up, down[up.columns], check_exact=True)


def test_intervals_are_quantiles(df, fitted):
    bands = fitted.predict_interval(df, level=(80, 95))
    assert bands.columns.tolist() == [f"{c}-{s}-{v}" for c in "xy" for v in (80, 95) for s in ("lo", "hi")]
    found = fitted.predict_quantiles(df, [0.1, 0.9, 0.025, 0.975])
    np.testing.assert_allclose(bands, found, atol=1e-5)


def test_one_level_may_be_a_number(df, fitted):
    alone = fitted.predict_interval(df, 90)
    assert alone.columns.tolist() == ["x-lo-90", "x-hi-90", "y-lo-90", "y-hi-90"]
    pd.testing.assert_frame_equal(alone, fitted.predict_interval(df, (90.0,)), check_exact=True)


def test_the_mean_lies_well_within_its_interval(df, fitted):
    mean, bands = fitted.predict(df), fitted.predict_interval(df, 80)
    for channel in ("x", "y"):
        assert (mean[channel] > bands[f"{channel}-lo-80"]).all()
        assert (mean[channel] < bands[f"{channel}-hi-80"]).all()


def test_samples_are_long_with_ids_times_and_a_sample_id(df, fitted):
    drawn = fitted.sample(df.head(7), n_samples=3, random_state=0)
    assert drawn.columns.tolist() == ["id", "time", "sample_id", "x", "y"]
    assert drawn["sample_id"].tolist() == [0] * 7 + [1] * 7 + [2] * 7
    assert drawn.index.equals(pd.RangeIndex(21))
    for _, part in drawn.groupby("sample_id"):
        pd.testing.assert_frame_equal(part[["id", "time"]].reset_index(drop=True), df.head(7)[["id", "time"]])


def test_samples_of_dates_keep_their_dates(dates, fitted_on_dates):
    drawn = fitted_on_dates.sample(dates, 2, random_state=0)
    pd.testing.assert_series_equal(drawn["time"].head(len(dates)), dates["time"])


def test_a_level_between_0_and_1_is_refused(df, fitted):
    with pytest.raises(ValueError, match=r"per cent"):
        fitted.predict_interval(df, level=0.9)


def test_a_value_hidden_from_history_is_not_in_its_prediction(df, fitted):
    queried = df[df["id"] == "s02"].iloc[[5]]
    without = df[df["id"] == "s02"].drop(index=queried.index)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        answers = [fitted.predict(queried.assign(x=v, y=v), history=without) for v in (0.0, 100.0)]
    pd.testing.assert_frame_equal(*answers, check_exact=True)


def test_refused_queries_leave_the_forecaster_as_it_was(df, fitted):
    before = fitted.predict(df)
    with pytest.raises(DataError):
        fitted.predict(df[["id"]])
    pd.testing.assert_frame_equal(fitted.predict(df), before, check_exact=True)


def test_whole_numbers_with_holes_are_filled_as_floats_that_may_be_missing(fitted, df):
    counts = df.assign(y=df["y"].round().astype("Int64"))
    filled = fitted.impute(counts)["y"]
    assert filled.dtype == "Float64"
    assert filled.notna().all()
    np.testing.assert_array_equal(filled[counts["y"].notna()], counts["y"].dropna())


def test_imputed_values_stand_only_where_there_was_none(fitted, df):
    filled = fitted.impute(df)
    assert filled.columns.tolist() == df.columns.tolist()
    assert filled.index.equals(df.index)
    assert not filled[["x", "y"]].isna().any().any()
    was = df[["x", "y"]].notna()
    pd.testing.assert_frame_equal(filled[["x", "y"]].where(was), df[["x", "y"]], check_exact=True)


def test_imputing_leaves_the_frame_and_the_forecaster_as_they_were(fitted, df):
    copy, answer = df.copy(), fitted.predict(df)
    fitted.impute(df.assign(x=df["x"] + 1))
    pd.testing.assert_frame_equal(df, copy)
    pd.testing.assert_frame_equal(fitted.predict(df), answer)


def test_an_imputed_value_is_given_all_else_in_the_frame(fitted, df):
    hole = df.index[5]
    other = df.copy()
    other.loc[6:8, "y"] = other.loc[6:8, "y"] + 5
    one, two = (frame.assign(y=frame["y"].where(frame.index != hole)) for frame in (df, other))
    assert fitted.impute(one).loc[hole, "y"] != pytest.approx(fitted.impute(two).loc[hole, "y"], abs=1e-3)


def test_a_warning_far_beyond_the_horizon_names_the_horizon_of_training(df):
    forecaster = quick(horizon=2.0).fit(df)
    with pytest.warns(DataWarning, match=r"1 rows lie up to .* horizons after .* training went 2 ahead"):
        forecaster.predict(pd.DataFrame({"id": ["s00"] * 2, "time": [7.0, 60.0]}))


def test_a_lead_far_beyond_the_held_out_forecasts_is_warned_of_once_with_both_leads():
    long = pd.DataFrame({"time": pd.date_range("2020-01-01", periods=200), "y": np.arange(200.0) % 7})
    words = (
        r"^rows lie up to 150 days .* after the end of a series, but 90% of the held-out forecasts .* than \d\d days"
    )
    forecaster = quick(max_steps=2).fit(long)
    late = pd.DataFrame({"time": [long["time"].max() + pd.Timedelta("150D")]})
    for predict in (forecaster.predict, forecaster.predict_interval, lambda rows: forecaster.forecast("150D")):
        with pytest.warns(DataWarning, match=words) as caught:
            predict(late)
        assert len(caught) == 1
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        forecaster.forecast("30D", freq="1D")


@pytest.mark.parametrize("load", [make_spirals, load_pbc, load_storms])
def test_the_default_horizon_of_ordinary_sets_is_no_warning(load):
    df = load()
    forecaster = quick(max_steps=1).fit(df)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        forecaster.forecast(history=df[df["id"].isin(df["id"].unique()[:3])])


def test_a_horizon_that_the_held_out_forecasts_reached_is_no_warning():
    df = pd.DataFrame({"id": np.repeat(range(10), 40), "time": np.tile(np.arange(40.0), 10), "y": np.arange(400.0) % 7})
    forecaster = quick(max_steps=2, horizon=8.0).fit(df)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        forecaster.forecast()
