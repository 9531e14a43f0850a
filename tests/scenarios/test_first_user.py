"""What a first user gets wrong, each met by a sentence that says what, where, and what to do."""

import warnings

import numpy as np
import pandas as pd
import pytest
from sklearn.exceptions import NotFittedError

from latentode import LatentODEForecaster
from latentode.data import DataError, DataWarning
from tests.estimators.tiny import dated, quick, single, waves

pytestmark = pytest.mark.usefixtures("roughly_stacked")

ASKING = ["predict", "predict_quantiles", "predict_interval", "sample", "score"]


@pytest.mark.parametrize("method", [*ASKING, "forecast"])
def test_predicting_before_fitting_is_refused(method, df):
    arguments = () if method == "forecast" else (df,)
    with pytest.raises(NotFittedError, match="not fitted yet"):
        getattr(LatentODEForecaster(), method)(*arguments)


def test_saving_before_fitting_is_refused(tmp_path):
    with pytest.raises(NotFittedError, match="not fitted yet"):
        LatentODEForecaster().save(tmp_path / "model")
    assert not (tmp_path / "model").exists()


def test_arrays_are_refused_everywhere(df, fitted):
    with pytest.raises(DataError, match=r"expected a pandas DataFrame.*got ndarray"):
        quick().fit(df.to_numpy())
    with pytest.raises(DataError, match=r"expected a pandas DataFrame.*got ndarray"):
        quick().fit(df.to_numpy(), df["x"].to_numpy())
    for method in ASKING:
        with pytest.raises(DataError, match=r"expected a DataFrame.*got ndarray"):
            getattr(fitted, method)(df.to_numpy())
    with pytest.raises(DataError, match=r"expected a DataFrame.*got ndarray"):
        fitted.predict(df, history=df.to_numpy())


def test_a_misspelt_column_is_named_with_those_there_are(df):
    with pytest.raises(DataError, match=r"id_col='patient'.*no such column.*'id', 'time', 'x', 'y'"):
        quick(id_col="patient").fit(df)
    with pytest.raises(DataError, match=r"target_cols: no column 'z'.*'x', 'y'"):
        quick(target_cols=["x", "z"]).fit(df)


def test_text_in_a_channel_names_the_row(df):
    spoilt = df.astype({"x": object})
    spoilt.loc[3, "x"] = "n/a"
    with pytest.raises(DataError, match=r"column 'x' should hold numbers but row 3 holds 'n/a'.*pd\.to_numeric"):
        quick().fit(spoilt)


def test_a_frame_without_rows_is_refused(df):
    with pytest.raises(DataError, match="no rows"):
        quick().fit(df.iloc[:0])


def test_one_row_teaches_nothing(df):
    with pytest.raises(DataError, match=r"1 observations in 1 series.*observations at two times"):
        quick().fit(df.dropna().iloc[:1])


def test_one_row_of_each_of_few_series_teaches_nothing(df):
    with pytest.raises(DataError, match=r"none with two or more.*too little data to learn from"):
        quick().fit(df.dropna().groupby("id").head(1).head(7))


def test_a_frame_without_values_teaches_nothing(df):
    with pytest.raises(DataError, match=r"0 observations"):
        quick().fit(df.assign(x=np.nan, y=np.nan))


@pytest.mark.filterwarnings("error", "ignore:prediction intervals are calibrated")
def test_two_rows_are_enough():
    df = waves(1, 2, missing=0)
    assert np.isfinite(quick(stacking=True).fit(df).predict(df)).all(axis=None)


@pytest.mark.filterwarnings("error", "ignore:prediction intervals are calibrated")
def test_two_values_of_a_series_and_one_of_others_are_enough():
    df = waves(3, 4, missing=0).iloc[[0, 1, 4, 8]]
    assert np.isfinite(quick(stacking=True).fit(df).predict(df)).all(axis=None)


def test_repeated_rows_are_averaged_and_counted(df):
    doubled = pd.concat([df, df.iloc[:3].assign(y=lambda d: d["y"] + 2)], ignore_index=True)
    with pytest.warns(DataWarning, match=r"3 rows repeat a \(series, time\).*averaged.*series 's00', time "):
        forecaster = quick(stacking=True).fit(doubled)
    means = df.copy()
    means.loc[means.index[:3], "y"] += 1
    pd.testing.assert_frame_equal(forecaster.predict(df), quick(stacking=True).fit(means).predict(df), atol=1e-5)


def test_infinite_values_are_missing_and_counted(df):
    spoilt, clean = df.copy(), df.copy()
    spoilt.loc[[2, 5], "y"] = np.inf, -np.inf
    clean.loc[[2, 5], "y"] = np.nan
    with pytest.warns(DataWarning, match="2 infinite values were taken as missing"):
        forecaster = quick().fit(spoilt)
    pd.testing.assert_frame_equal(forecaster.predict(df), quick().fit(clean).predict(df), check_exact=True)


def test_an_empty_channel_is_named_and_its_predictions_are_missing(df):
    with pytest.warns(DataWarning, match=r"\['z'\] hold no value at all.*NaN"):
        forecaster = quick(stacking=True).fit(df.assign(z=np.nan))
    assert forecaster.predict(df)["z"].isna().all()
    assert forecaster.predict(df)[["x", "y"]].notna().all(axis=None)
    bands = forecaster.predict_interval(df)
    assert bands.filter(like="z-").isna().all(axis=None)
    assert bands.filter(regex="^[xy]-").notna().all(axis=None)
    assert forecaster.sample(df.head(3), 2)["z"].isna().all()
    assert np.isfinite(forecaster.score(waves(3, seed=9).assign(id=lambda d: "new" + d["id"], z=np.nan)))


def test_fill_values_leave_the_other_series_finite(df):
    spoilt = df.copy()
    spoilt.loc[3, "x"] = 9.97e36
    predicted = quick(stacking=True).fit(spoilt).predict(df[df["id"] != "s00"])
    assert np.isfinite(predicted).all(axis=None)
    assert predicted["x"].abs().max() < 100


def test_the_order_of_rows_changes_not_a_bit(df, plain):
    shuffled = df.sample(frac=1, random_state=1)
    pd.testing.assert_frame_equal(quick().fit(shuffled).predict(df), plain.predict(df), check_exact=True)


def test_rows_without_a_time_or_an_id_are_left_out_and_counted(df):
    spoilt = df.copy()
    spoilt.loc[[0, 1], "time"] = np.nan
    spoilt.loc[[40], "id"] = None
    with pytest.warns(DataWarning, match=r"2 rows without a time.*1 rows without a series id"):
        forecaster = quick().fit(spoilt)
    left = quick().fit(df.drop(index=[0, 1, 40]))
    pd.testing.assert_frame_equal(forecaster.predict(df), left.predict(df), check_exact=True)


def test_times_of_text_are_refused_with_the_cure(df, fitted_on_dates, dates):
    with pytest.raises(DataError, match=r"'time' holds text.*pd\.to_datetime"):
        quick().fit(df.assign(time="2024-01-01"))
    with pytest.raises(DataError, match=r"'time' holds text.*pd\.to_datetime"):
        fitted_on_dates.predict(dates.assign(time=dates["time"].astype(str)))


def test_times_of_another_kind_than_in_fit_are_refused(df, dates, fitted, fitted_on_dates):
    with pytest.raises(DataError, match=r"times are dates here but were numbers in fit.*'time'"):
        fitted.predict(dates)
    with pytest.raises(DataError, match=r"times are numbers here but were dates in fit.*'time'"):
        fitted_on_dates.predict(df)
    with pytest.raises(DataError, match=r"times are numbers here but were dates in fit"):
        fitted_on_dates.predict(dates, history=df)


def test_a_zone_on_one_side_only_is_refused(dates, fitted_on_dates):
    with pytest.raises(DataError, match=r"has a time zone here but had none in fit.*tz_localize"):
        fitted_on_dates.predict(dates.assign(time=dates["time"].dt.tz_localize("UTC")))


def test_two_columns_that_could_name_the_series_need_a_word(df):
    with pytest.raises(DataError, match=r"'unique_id', 'id' could each name the series.*id_col="):
        quick().fit(df.assign(unique_id=1))
    assert quick(id_col="id").fit(df.assign(unique_id=1.0)).schema_.id_col == "id"


def test_an_id_left_out_of_a_grid_is_noticed():
    df = waves(missing=0).assign(time=np.tile(np.arange(10), 6)).drop(columns="id")
    with pytest.raises(DataError, match=r"50 of 60 rows share their time.*id_col="):
        quick().fit(df)


def test_a_text_column_that_may_name_the_series_is_refused_with_the_question(df):
    with pytest.raises(DataError, match=r"'patient' holds text: pass id_col='patient'"):
        quick().fit(df.rename(columns={"id": "patient"}))


def test_repeated_column_names_are_refused(df, fitted):
    with pytest.raises(DataError, match="more than one column named 'x'"):
        quick().fit(pd.concat([df, df[["x"]]], axis=1))
    with pytest.raises(DataError, match="more than one column named 'id'"):
        fitted.predict(pd.concat([df, df[["id"]]], axis=1))


@pytest.mark.parametrize("y", [lambda d: d["x"], lambda d: d[["x", "y"]], lambda d: d[["x", "y"]].to_numpy()])
def test_x_and_y_of_different_lengths_are_refused_with_both_counts(df, y):
    with pytest.raises(DataError, match=r"X has 288 rows and y has 5"):
        quick().fit(df[["id", "time"]], y(df).__getitem__(slice(5)))


def test_x_and_y_with_other_indexes_are_refused(df):
    with pytest.raises(DataError, match=r"indexes of X and y differ.*align"):
        quick().fit(df[["id", "time"]], df["x"].sample(frac=1, random_state=0))


@pytest.mark.parametrize("y", [3.0, np.zeros((288, 1, 1))])
def test_a_y_of_no_use_is_refused_with_its_shape(df, y):
    with pytest.raises(DataError, match=r"y has shape"):
        quick().fit(df[["id", "time"]], y)


def test_queries_without_their_columns_are_refused(df, fitted):
    with pytest.raises(DataError, match=r"no column 'id' \(id_col\); its columns are 'time'"):
        fitted.predict(df[["time"]])
    with pytest.raises(DataError, match=r"no column 'time' \(time_col\); its columns are 'id'"):
        fitted.predict(df[["id"]])


def test_history_without_a_channel_is_refused(df, fitted):
    with pytest.raises(DataError, match=r"no column 'y', one of the channels \['x', 'y'\] seen in fit"):
        fitted.predict(df, history=df[["id", "time", "x"]])


def test_series_without_observations_are_named(fitted):
    query = pd.DataFrame({"id": ["new", "s00", "other", "new"], "time": [1.0, 1.0, 2.0, 2.0]})
    with pytest.warns(DataWarning, match=r"no observations of series 'new', 'other'.*population.*history="):
        predicted = fitted.predict(query)
    assert predicted.notna().all(axis=None)


def test_many_unknown_series_are_counted_not_all_named(fitted):
    query = pd.DataFrame({"id": [f"new{k}" for k in range(40)], "time": 1.0})
    with pytest.warns(DataWarning, match=r"\(40 in all\)") as caught:
        fitted.predict(query)
    assert len(str(caught[0].message)) < 300


def test_history_of_a_new_series_ends_the_warning(df, fitted):
    new = df[df["id"] == "s03"].assign(id="new")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        predicted = fitted.predict(new, history=new)
    same = fitted.predict(df[df["id"] == "s03"])
    np.testing.assert_allclose(predicted, same, atol=1e-5)


def test_queries_without_a_time_are_counted_and_predicted_as_nan(df, fitted, dates, fitted_on_dates):
    query = df.head(4).assign(time=[1.0, np.nan, 2.0, np.inf])
    with pytest.warns(DataWarning, match="2 rows without a time: their prediction is NaN"):
        predicted = fitted.predict(query)
    assert predicted["x"].isna().tolist() == [False, True, False, True]
    with pytest.warns(DataWarning, match="60 rows without a time"):
        assert fitted_on_dates.predict(dates.assign(time=pd.NaT)).isna().all(axis=None)


def test_queries_without_an_id_get_the_population_and_a_warning(df, fitted):
    with pytest.warns(DataWarning, match="no observations of series"):
        predicted = fitted.predict(df.head(2).assign(id=["s00", None]))
    assert predicted.notna().all(axis=None)


def test_the_warning_points_at_the_callers_line(df, fitted):
    stranger = df.head(1).assign(id="new")
    asking = {
        "fit": lambda: quick().fit(df.assign(z=np.nan)),
        "predict": lambda: fitted.predict(stranger),
        "predict_interval": lambda: fitted.predict_interval(stranger),
        "predict_quantiles": lambda: fitted.predict_quantiles(stranger),
        "sample": lambda: fitted.sample(stranger, 1),
    }
    for name, ask in asking.items():
        with pytest.warns(DataWarning) as caught:
            ask()
        assert caught[0].filename == __file__, name


@pytest.mark.parametrize("quantiles", [[0.0], [1.0], [10], [], [np.nan], [-0.1, 0.5]])
def test_quantiles_outside_0_and_1_are_refused(df, fitted, quantiles):
    with pytest.raises(ValueError, match=r"must lie between 0 and 1.*\(0\.1, 0\.5, 0\.9\)"):
        fitted.predict_quantiles(df, quantiles)


@pytest.mark.parametrize("level", [0, 100, -5, np.nan, (80, 101)])
def test_levels_outside_0_and_100_are_refused(df, fitted, level):
    with pytest.raises(ValueError, match=r"is in per cent"):
        fitted.predict_interval(df, level)


@pytest.mark.parametrize("n_samples", [0, -1])
def test_no_samples_are_refused(df, fitted, n_samples):
    with pytest.raises(ValueError, match=r"n_samples=.* must be at least 1"):
        fitted.sample(df, n_samples)


@pytest.mark.parametrize(
    ("params", "sentence"),
    [
        ({"method": "rk5"}, r"rk5.*rk4"),
        ({"adjoint": "magic"}, r"adjoint.*magic"),
        ({"horizon": -1.0}, r"horizon=-1.0 must be positive"),
        ({"horizon": "3D"}, r"horizon='3D': expected a number"),
    ],
)
def test_parameters_that_do_not_exist_are_refused_in_fit(df, params, sentence):
    with pytest.raises(ValueError, match=sentence):
        quick(**params).fit(df)


def test_a_numeric_horizon_of_dates_is_refused(dates):
    with pytest.raises(DataError, match=r"horizon=3: expected a duration such as '30D'"):
        quick(horizon=3).fit(dates)


def test_a_fit_that_fails_leaves_no_half_fitted_forecaster(df):
    forecaster = quick(method="rk5")
    with pytest.raises(ValueError, match="rk5"):
        forecaster.fit(df)
    with pytest.raises(NotFittedError):
        forecaster.predict(df)


@pytest.mark.filterwarnings("ignore:no observations of series .void.")
def test_rows_of_a_series_without_any_value_are_no_observations(df):
    more = pd.concat([df, df[df["id"] == "s00"].assign(id="void", x=np.nan, y=np.nan)], ignore_index=True)
    forecaster = quick(stacking=True).fit(more)
    assert np.isfinite(forecaster.predict(more)).all(axis=None)


def test_one_series_needs_no_id(one, fitted_on_one):
    assert fitted_on_one.schema_.id_col is None
    assert np.isfinite(fitted_on_one.predict(one)).all(axis=None)


def test_one_series_by_its_index_is_the_same_as_by_a_column(dates):
    column = single(dates)
    by_column = quick().fit(column).predict(column)
    by_index = quick().fit(column.set_index("time")).predict(column.set_index("time"))
    np.testing.assert_array_equal(by_column, by_index)


def test_a_two_level_index_is_the_same_as_columns(df, plain):
    levels = df.set_index(["id", "time"])
    forecaster = quick().fit(levels)
    predicted = forecaster.predict(levels)
    assert predicted.index.equals(levels.index)
    np.testing.assert_array_equal(predicted, plain.predict(df))


@pytest.mark.parametrize("unit", ["s", "ms", "us", "ns"])
def test_the_unit_of_dates_makes_no_difference(unit):
    whole = waves().assign(time=lambda d: (d["time"] * 86400).round() / 86400)
    expected = quick().fit(dated(whole, "s"))
    predicted = quick().fit(dated(whole, unit)).predict(dated(whole, "s"))
    pd.testing.assert_frame_equal(predicted, expected.predict(dated(whole, "s")), check_exact=True)


def test_the_zone_of_dates_makes_no_difference(dates, fitted_on_dates):
    aware = dated(waves(), zone="UTC")
    predicted = quick(stacking=True).fit(aware.assign(time=aware["time"].dt.tz_convert("Asia/Kolkata"))).predict(aware)
    pd.testing.assert_frame_equal(predicted, fitted_on_dates.predict(dates), check_exact=True)


@pytest.mark.parametrize("dtype", ["category", object, "string"])
def test_the_type_of_text_ids_makes_no_difference(df, dtype, plain):
    cast = df.assign(id=df["id"].astype(dtype))
    expected = plain.predict(df)
    pd.testing.assert_frame_equal(plain.predict(cast), expected, check_exact=True)
    again = quick().fit(cast)
    pd.testing.assert_frame_equal(again.predict(df), expected, check_exact=True)


def test_ids_of_mixed_types_are_distinguished(df):
    mixed = df.assign(id=df["id"].map(lambda i: {"s00": 1, "s01": "1", "s02": (1,)}.get(i, i)).astype(object))
    forecaster = quick().fit(mixed)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        predicted = forecaster.predict(mixed)
    assert predicted.shape == (len(df), 2)


@pytest.mark.parametrize("dtype", ["Float64", "Float32", "float32"])
def test_the_type_of_the_values_makes_hardly_a_difference(df, dtype, plain):
    cast = quick().fit(df.astype({"x": dtype, "y": dtype})).predict(df)
    np.testing.assert_allclose(cast, plain.predict(df), atol=1e-3)


def test_a_frame_of_arrow_types_is_read():
    pytest.importorskip("pyarrow", exc_type=ImportError)
    df = dated(waves())
    arrow = df.convert_dtypes(dtype_backend="pyarrow")
    predicted = quick().fit(arrow).predict(arrow)
    pd.testing.assert_frame_equal(predicted, quick().fit(df).predict(df), check_exact=True)


def test_read_only_values_do_no_harm(df, plain):
    frozen = df.copy()
    for name in ("time", "x", "y"):
        values = frozen[name].to_numpy().copy()
        values.flags.writeable = False
        frozen[name] = pd.Series(values, copy=False)
    predicted = quick().fit(frozen).predict(frozen)
    pd.testing.assert_frame_equal(predicted, plain.predict(df), check_exact=True)
