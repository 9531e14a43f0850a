"""The contract every naive forecaster keeps."""

import subprocess
import sys

import numpy as np
import pandas as pd
import pytest

from latentode.datasets import load_pbc
from latentode.evaluation import (
    ConstantVelocity,
    LastValue,
    LinearInterpolation,
    LinearTrend,
    PopulationMean,
    SeriesMean,
)

NAN = float("nan")
ALL = [PopulationMean, SeriesMean, LastValue, ConstantVelocity, LinearTrend, LinearInterpolation]
every = pytest.mark.parametrize("method", ALL)


@pytest.fixture(scope="module")
def visits() -> pd.DataFrame:
    return load_pbc()


@pytest.fixture(scope="module")
def questions(visits) -> pd.DataFrame:
    shuffled = visits.sample(200, random_state=0)
    return shuffled.assign(time=shuffled["time"] + 30)


@every
def test_answers_keep_the_rows_index_and_channels_of_the_query(method, visits, questions):
    answer = method().fit(visits).predict(questions)
    assert answer.index.equals(questions.index)
    assert list(answer.columns) == list(visits.columns[2:])
    assert (answer.dtypes == "float64").all()
    assert not answer.isna().any(axis=None)


@every
def test_the_order_of_rows_changes_no_answer(method, visits, questions):
    fitted = method().fit(visits.sample(frac=1, random_state=1))
    expected = method().fit(visits).predict(questions)
    pd.testing.assert_frame_equal(fitted.predict(questions[::-1])[::-1], expected)


@every
def test_targets_in_the_query_are_ignored(method, visits, questions):
    fitted = method().fit(visits)
    blind = questions[["id", "time"]]
    assert fitted.predict(questions.assign(bili=1e9)).equals(fitted.predict(blind))


@every
def test_an_index_with_duplicates_is_no_trouble(method, visits, questions):
    ones = pd.Index([1] * len(visits))
    expected = method().fit(visits).predict_quantiles(questions)
    answer = method().fit(visits.set_axis(ones)).predict_quantiles(questions.set_axis(ones[: len(questions)]))
    assert np.array_equal(answer, expected)


@every
def test_dates_give_the_same_answers_as_numbers_in_any_unit(method, visits, questions):
    expected = method().fit(visits).predict(questions)
    for unit in ("s", "us", "ns"):

        def dated(frame, unit=unit):
            days = pd.to_timedelta(frame["time"], unit="D")
            return frame.assign(time=(pd.Timestamp("1980-01-01") + days).astype(f"datetime64[{unit}]"))

        answer = method().fit(dated(visits)).predict(dated(questions))
        pd.testing.assert_frame_equal(answer, expected)


def test_dates_and_numbers_do_not_mix():
    numbers = pd.DataFrame({"id": [1, 1], "time": [0, 1], "x": [1.0, 2.0]})
    dates = numbers.assign(time=pd.to_datetime(["2020-01-01", "2020-01-02"]))
    with pytest.raises(ValueError, match=r"query: times are numbers here but were dates in fit .*'time', int64"):
        LastValue().fit(dates).predict(numbers)
    with pytest.raises(ValueError, match="query: times are dates here but were numbers in fit"):
        LastValue().fit(numbers).predict(dates)
    with pytest.raises(ValueError, match="time zone"):
        LastValue().fit(dates).predict(dates.assign(time=dates["time"].dt.tz_localize("UTC")))
    with pytest.raises(ValueError, match=r"history: time column 'time' holds text .* instead of times"):
        LastValue().fit(numbers.assign(time=["yesterday", "today"]))


def test_a_history_given_with_the_query_replaces_the_fitted_one():
    fitted = LastValue().fit(pd.DataFrame({"id": [1, 1, 2], "time": [0, 1, 0], "x": [1.0, 2.0, 9.0]}))
    query = pd.DataFrame({"id": [1, 2, 3], "time": [5, 5, 5]})
    history = pd.DataFrame({"x": [7.0, 8.0], "id": [1, 3], "time": [0, 0]})
    assert fitted.predict(query)["x"].tolist() == [2.0, 9.0, 4.0]
    assert fitted.predict(query, history)["x"].tolist() == [7.0, 4.0, 8.0]
    assert fitted.predict(query)["x"].tolist() == [2.0, 9.0, 4.0]
    band = fitted.predict_quantiles(query, [0.5], history)
    assert (band["x-q0.5"] - fitted.predict(query, history)["x"]).tolist() == [fitted.residuals_["x"].mean()] * 3


def test_values_given_twice_for_one_moment_are_averaged():
    history = pd.DataFrame({"id": 1, "time": [0, 1, 1, 1], "x": [0.0, 2.0, 6.0, NAN]})
    query = pd.DataFrame({"id": [1, 1], "time": [1, 2]})
    assert LastValue().fit(history).predict(query)["x"].tolist() == [4.0, 4.0]
    assert ConstantVelocity().fit(history).predict(query)["x"].tolist() == [4.0, 8.0]


@every
def test_nullable_numbers_and_categorical_series_are_read(method):
    plain = pd.DataFrame({"id": ["a", "a", "a", "b"], "time": [0, 1, 2, 0], "x": [1.0, NAN, 3.0, 4.0]})
    query = pd.DataFrame({"id": ["a", "b"], "time": [5, 5]})
    nullable = plain.astype({"id": "category", "x": "Int64"})
    expected = method().fit(plain).predict_quantiles(query)
    assert method().fit(nullable).predict_quantiles(query.astype({"id": "category"})).equals(expected)


def test_columns_may_have_other_names_and_text_is_no_channel():
    history = pd.DataFrame({"who": ["a"], "when": [0], "x": [1.0], "y": [2.0], "note": ["fine"]})
    fitted = LastValue("who", "when").fit(history)
    assert fitted.target_cols_ == ["x", "y"]
    assert LastValue("who", "when", ["y"]).fit(history).predict(history).columns.tolist() == ["y"]


def test_a_channel_without_any_data_is_answered_with_nan_and_the_others_are_not():
    history = pd.DataFrame({"id": 1, "time": range(4), "x": 1.0, "empty": NAN})
    band = LastValue().fit(history).predict_quantiles(history, [0.1, 0.9])
    assert band.filter(like="empty").isna().all(axis=None)
    assert band.filter(like="x").notna().all(axis=None)


def test_an_empty_query_gives_an_empty_answer(visits):
    assert LastValue().fit(visits).predict(visits[:0]).shape == (0, 7)


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda frame: frame.drop(columns="id"), "history: id_col='id': no such column"),
        (lambda frame: frame.assign(id=[1.0, NAN]), "column 'id' is missing in 1 rows"),
        (lambda frame: frame.assign(time=[NAN, 1.0]), "column 'time' is missing in 1 rows"),
        (lambda frame: frame.drop(columns="x"), "history: no numeric column to forecast"),
    ],
)
def test_a_history_that_cannot_be_used_is_refused_with_the_reason(spoil, message):
    history = pd.DataFrame({"id": [1, 1], "time": [0.0, 1.0], "x": [1.0, 2.0]})
    with pytest.raises(ValueError, match=message):
        LastValue().fit(spoil(history))


def test_predicting_before_fitting_is_refused(visits):
    with pytest.raises(ValueError, match="LastValue is not fitted"):
        LastValue().predict(visits)


@pytest.mark.parametrize("fraction", [0.0, 1.0])
def test_a_hidden_fraction_that_is_none_is_refused(fraction, visits):
    with pytest.raises(ValueError, match="hidden_fraction"):
        LastValue(hidden_fraction=fraction).fit(visits)


def test_residuals_are_the_mistakes_on_the_hidden_last_third():
    # Of six rows the last two are hidden, of one none: 10 - 4 and, y being last seen at time 2, 12 - 3.
    history = pd.DataFrame(
        {
            "id": [1] * 6 + [2],
            "time": [5, 4, 3, 2, 1, 0, 0],
            "x": [10.0, NAN, 4.0, 3.0, 2.0, 1.0, 50.0],
            "y": [NAN, 12.0, NAN, 3.0, 2.0, 1.0, 50.0],
        }
    )
    fitted = LastValue().fit(history)
    assert fitted.residuals_["x"].tolist() == [6.0]
    assert fitted.residuals_["y"].tolist() == [9.0]


def test_residuals_of_interpolation_are_learned_between_observations():
    history = pd.DataFrame({"id": 1, "time": range(5), "x": [0.0, 5.0, 2.0, 3.0, 10.0]})
    # Rows 1 and 4 are hidden: between 0 and 2 the line says 1; after 3 the nearest value is 3.
    assert sorted(LinearInterpolation().fit(history).residuals_["x"]) == [4.0, 7.0]


def test_the_hidden_fraction_decides_how_much_is_hidden():
    history = pd.DataFrame({"id": 1, "time": range(10), "x": np.arange(10.0) ** 2})
    assert len(LastValue(hidden_fraction=0.1).fit(history).residuals_["x"]) == 1
    assert LastValue(hidden_fraction=0.5).fit(history).residuals_["x"].tolist() == [9, 20, 33, 48, 65]


def test_where_nothing_can_be_hidden_the_deviations_from_the_mean_are_the_spread():
    history = pd.DataFrame({"id": [1, 2, 3], "time": 0, "x": [1.0, 2.0, 6.0]})
    assert LastValue().fit(history).residuals_["x"].tolist() == [-2.0, -1.0, 3.0]


def test_quantiles_are_named_ordered_and_laid_around_the_answer():
    history = pd.DataFrame({"id": 1, "time": range(10), "x": np.arange(10.0) ** 2, "y": 1.0})
    fitted = LastValue(hidden_fraction=0.5).fit(history)
    band = fitted.predict_quantiles(pd.DataFrame({"id": [1], "time": [20]}), [0.1, 0.5, 0.975])
    assert list(band.columns) == ["x-q0.1", "x-q0.5", "x-q0.975", "y-q0.1", "y-q0.5", "y-q0.975"]
    assert band.loc[0, "x-q0.5"] == 81 + 33
    assert band.loc[0, "x-q0.1"] == pytest.approx(81 + np.quantile([9, 20, 33, 48, 65], 0.1))
    assert (band.filter(like="y") == 1.0).all(axis=None)


def test_the_band_covers_as_promised_where_the_future_is_like_the_past():
    rng = np.random.default_rng(0)
    n_series, n_points = 500, 9
    walks = pd.DataFrame(
        {
            "id": np.repeat(np.arange(n_series), n_points),
            "time": np.tile(np.arange(n_points), n_series),
            "x": rng.normal(size=(n_series, n_points)).cumsum(axis=1).ravel(),
        }
    )
    fitted = LastValue().fit(walks[walks["id"] < 250])
    new = walks[walks["id"] >= 250]
    past, future = new[new["time"] < 6], new[new["time"] >= 6]
    band = fitted.predict_quantiles(future, [0.05, 0.95], past)
    inside = (band["x-q0.05"] <= future["x"]) & (future["x"] <= band["x-q0.95"])
    assert inside.mean() == pytest.approx(0.9, abs=0.04)


def test_evaluation_needs_no_torch():
    code = "import sys, latentode.evaluation; print('torch' in sys.modules, 'sklearn' in sys.modules)"
    run = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert run.stdout.split() == ["False", "False"]
