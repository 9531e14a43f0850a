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
    SeriesMean,
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
