import numpy as np
import pandas as pd
import pytest

from latentode.datasets import make_catchment


def test_without_errors_the_level_follows_the_equation():
    data, truth, parameters = make_catchment(5, 200, noise=0, rain_error=0, random_state=0)
    pd.testing.assert_series_equal(data["rain"], truth["rain"])
    for name, rows in truth.groupby("id"):
        one = parameters.loc[name]
        level, rain = rows["level"].to_numpy(), rows["rain"].to_numpy()
        change = one["a"] * rain - one["k"] * level ** one["b"]
        dry = (rain[:-1] == 0) & (level[:-1] > 0.1)
        assert np.diff(level)[dry] == pytest.approx(change[:-1][dry], rel=0.3, abs=1e-3)  # of the day's beginning
        wet = rain[:-1] > 0.5
        assert np.corrcoef(np.diff(level)[wet], change[:-1][wet])[0, 1] > 0.99


def test_noise_and_gaps_are_those_given():
    data, truth, parameters = make_catchment(60, 300, mean_gap=5, noise=0.2, random_state=0)
    observed = data["level"].notna()
    residual = (data["level"] - truth["level"])[observed]
    assert residual.std() == pytest.approx(0.2 * truth["level"].std(), rel=0.05)
    assert residual.std() == pytest.approx(parameters["noise"][0], rel=0.05)
    gaps = data[observed].groupby("id")["time"].diff().dropna()
    assert gaps.min() >= 1
    assert gaps.mean() == pytest.approx(5, rel=0.1)


def test_the_error_of_rain_is_one_factor_a_storm():
    data, truth, _ = make_catchment(40, 300, rain_error=0.4, random_state=0)
    wet = data["rain"] > 0
    assert (wet == (truth["rain"] > 0)).all()
    factor = (truth["rain"] / data["rain"])[wet]
    assert factor.mean() == pytest.approx(1, abs=0.05)
    assert np.log(factor).std() == pytest.approx(0.4, rel=0.1)


def test_the_same_seed_gives_the_same_tables():
    for one, other in zip(make_catchment(3, 50, random_state=1), make_catchment(3, 50, random_state=1), strict=True):
        pd.testing.assert_frame_equal(one, other)


@pytest.mark.parametrize(
    "wrong", [{"n_series": 0}, {"n_days": 0}, {"mean_gap": 0}, {"noise": -1}, {"rain_error": -0.1}]
)
def test_what_cannot_be_simulated_is_refused(wrong):
    with pytest.raises(ValueError, match=next(iter(wrong))):
        make_catchment(**wrong)
