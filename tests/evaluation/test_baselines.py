"""What each method answers, by hand."""

import numpy as np
import pandas as pd
import pytest

from latentode.evaluation import (
    ConstantVelocity,
    LastValue,
    LinearInterpolation,
    LinearTrend,
    PopulationMean,
    SeasonalNaive,
    SeriesMean,
    SplineInterpolation,
)

NAN = float("nan")

# Series b has one value of x; series c none; y was never measured in b. Mean of x: 22 / 5. Mean of y: 30.
HISTORY = pd.DataFrame(
    [
        ("a", 0.0, 1.0, 10.0),
        ("a", 2.0, 3.0, NAN),
        ("a", 3.0, NAN, 20.0),
        ("a", 4.0, 11.0, NAN),
        ("b", 1.0, 5.0, NAN),
        ("c", 1.0, NAN, 60.0),
        ("d", 5.0, 2.0, 30.0),
    ],
    columns=["id", "time", "x", "y"],
)
X_MEAN, Y_MEAN = 22 / 5, 30.0


def ask(method, *questions):
    query = pd.DataFrame(questions, columns=["id", "time"])
    return method().fit(HISTORY).predict(query).to_numpy().tolist()


def test_population_mean_is_that_of_all_observations():
    assert ask(PopulationMean, ("a", 0.0), ("new", 9.0)) == [[pytest.approx(X_MEAN), Y_MEAN]] * 2


def test_series_mean_is_that_of_the_observed_values():
    assert ask(SeriesMean, ("a", 9.0), ("b", 9.0)) == [[5.0, 15.0], [5.0, Y_MEAN]]


def test_last_value_is_the_last_one_observed_at_or_before_the_query_channel_by_channel():
    answers = ask(LastValue, ("a", 3.5), ("a", 2.0), ("a", 1.999), ("a", 100.0))
    assert answers == [[3.0, 20.0], [3.0, 10.0], [1.0, 10.0], [11.0, 20.0]]


def test_before_the_first_observation_last_value_knows_only_the_population():
    assert ask(LastValue, ("a", -0.5), ("b", 0.5)) == [[pytest.approx(X_MEAN), Y_MEAN]] * 2


def test_constant_velocity_goes_on_from_the_last_two_observations():
    x = [answer[0] for answer in ask(ConstantVelocity, ("a", 5.0), ("a", 3.0), ("a", 1.0), ("a", -1.0))]
    assert x == [15.0, 4.0, 1.0, pytest.approx(X_MEAN)]


def test_constant_velocity_with_one_observation_stays_there():
    assert ask(ConstantVelocity, ("b", 50.0)) == [[5.0, Y_MEAN]]


def test_linear_trend_is_the_least_squares_line():
    slope, level = np.polyfit([0.0, 2.0, 4.0], [1.0, 3.0, 11.0], 1)
    (late, early) = ask(LinearTrend, ("a", 10.0), ("a", -3.0))
    assert late == pytest.approx([level + 10 * slope, 10 + 10 * 10 / 3])
    assert early == pytest.approx([level - 3 * slope, 0.0])


def test_linear_trend_with_one_observation_is_flat():
    assert ask(LinearTrend, ("b", 50.0)) == [[5.0, Y_MEAN]]


def test_linear_interpolation_is_that_of_numpy():
    times = [-1.0, 0.0, 0.5, 2.0, 3.0, 4.0, 9.0]
    answers = np.array(ask(LinearInterpolation, *(("a", time) for time in times)))
    assert answers[:, 0] == pytest.approx(np.interp(times, [0, 2, 4], [1, 3, 11]))
    assert answers[:, 1] == pytest.approx(np.interp(times, [0, 3], [10, 20]))


ALL = [PopulationMean, SeriesMean, LastValue, ConstantVelocity, LinearTrend, LinearInterpolation]


@pytest.mark.parametrize("method", ALL)
def test_unknown_series_and_channels_without_observations_get_the_population_mean(method):
    x_of_c, new = ask(method, ("c", 7.0), ("new", 7.0))
    assert x_of_c[0] == pytest.approx(X_MEAN)
    assert new == [pytest.approx(X_MEAN), Y_MEAN]


@pytest.mark.parametrize("method", ALL)
def test_many_random_series_agree_with_a_loop_over_them(method):
    rng = np.random.default_rng(0)
    history = pd.DataFrame({"id": rng.integers(0, 40, 300), "time": rng.normal(size=300).round(2)})
    history = history.drop_duplicates()
    history["x"] = rng.normal(size=len(history))
    history.loc[rng.random(len(history)) < 0.3, "x"] = NAN
    query = pd.DataFrame({"id": rng.integers(0, 45, 200), "time": rng.normal(size=200).round(2)})
    answers = method().fit(history).predict(query)["x"]
    known = history.dropna().sort_values("time")
    for (series, time), answer in zip(query.to_numpy(), answers, strict=True):
        own = known[known["id"] == series]
        expected = slow(method, own["time"].to_numpy(), own["x"].to_numpy(), time)
        assert answer == pytest.approx(known["x"].mean() if expected is None else expected)


def slow(method, times, values, time):
    past = times <= time
    if method is PopulationMean or len(times) == 0:
        return None
    if method is SeriesMean or (method is LinearTrend and len(times) == 1):
        return values.mean()
    if method is LinearTrend:
        return np.polyval(np.polyfit(times, values, 1), time)
    if method is LinearInterpolation:
        return np.interp(time, times, values)
    if not past.any():
        return None
    if method is LastValue or past.sum() == 1:
        return values[past][-1]
    return np.polyval(np.polyfit(times[past][-2:], values[past][-2:], 1), time)


# --------------------------------------------------------------------------------------- splines and seasons


def test_a_spline_passes_through_what_was_seen_and_never_overshoots():
    history = pd.DataFrame({"id": 1, "time": [0.0, 1.0, 2.0, 3.0], "x": [0.0, 0.0, 1.0, 1.0]})
    query = pd.DataFrame({"id": 1, "time": np.linspace(-1, 4, 101)})
    answer = SplineInterpolation().fit(history).predict(query)["x"]
    assert answer.between(0, 1).all()
    np.testing.assert_allclose(SplineInterpolation().fit(history).predict(history)["x"], history["x"])
    assert answer.iloc[0] == 0
    assert answer.iloc[-1] == 1


def test_a_spline_of_a_smooth_course_is_nearer_than_lines():
    time = np.sort(np.random.default_rng(0).uniform(0, 10, 40))
    history = pd.DataFrame({"id": 1, "time": time, "x": np.sin(time)})
    query = pd.DataFrame({"id": 1, "time": np.linspace(1, 9, 200)})
    errors = [
        (kind().fit(history).predict(query)["x"] - np.sin(query["time"])).abs().mean()
        for kind in (SplineInterpolation, LinearInterpolation)
    ]
    assert errors[0] < 0.8 * errors[1]


def test_splines_answer_series_with_one_value_or_none():
    history = pd.DataFrame({"id": [1, 1, 2], "time": [0.0, 1.0, 0.0], "x": [1.0, 3.0, 7.0]})
    query = pd.DataFrame({"id": [2, 3, 1], "time": [5.0, 5.0, 0.5]})
    np.testing.assert_allclose(SplineInterpolation().fit(history).predict(query)["x"], [7.0, 11 / 3, 2.0])


def test_the_season_before_is_the_answer_where_it_was_seen():
    dates = pd.date_range("2024-01-01", periods=10 * 24, freq="h")
    load = np.sin(2 * np.pi * dates.hour / 24)
    history = pd.DataFrame({"id": "a", "time": dates, "x": load}).sample(frac=0.7, random_state=0)
    query = pd.DataFrame({"id": "a", "time": dates + pd.Timedelta("10D")})
    seasonal = SeasonalNaive("24h").fit(history)
    error = (seasonal.predict(query)["x"] - load).abs().mean()
    assert error < 0.15
    assert error < 0.3 * (LastValue().fit(history).predict(query)["x"] - load).abs().mean()
    band = seasonal.predict_quantiles(query, (0.05, 0.95))
    assert ((band["x-q0.05"] <= load) & (load <= band["x-q0.95"])).mean() > 0.8


def test_without_a_value_a_period_before_the_last_one_answers():
    history = pd.DataFrame({"id": [1, 1, 2], "time": [0.0, 10.0, 50.0], "x": [1.0, 5.0, 9.0]})
    query = pd.DataFrame({"id": [1, 1, 2, 3], "time": [24.0, 29.0, 50.5, 1.0]})
    answer = SeasonalNaive(24).fit(history).predict(query)["x"]
    np.testing.assert_allclose(answer, [1.0, 1.0, 9.0, 5.0])


@pytest.mark.parametrize("period", [0, -3.0, "-1D"])
def test_a_period_must_be_positive(period):
    with pytest.raises(ValueError, match="must be positive"):
        SeasonalNaive(period).fit(pd.DataFrame({"id": 1, "time": [0.0, 1.0], "x": [1.0, 2.0]}))
