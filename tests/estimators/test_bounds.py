import numpy as np
import pandas as pd
import pytest

from latentode import load
from latentode.data import DataError
from tests.estimators.tiny import dated, quick, waves


def near_zero(n_series=8, n_points=10, seed=0):
    """Three channels: `x` is often 0 and never below, `y` goes below, `z` lies between 0 and 1."""
    rng = np.random.default_rng(seed)
    df = waves(n_series, n_points, seed, missing=0.0)
    return df.assign(x=df["x"].clip(lower=0), y=df["y"] - 22, z=rng.uniform(0, 1, len(df)))


def everything(forecaster, df):
    """Every kind of forecast far around the data, by name; a value per row and channel."""
    query = pd.concat([df.assign(time=df["time"] + shift) for shift in (-9.0, 0.3, 4.0)])[["id", "time"]]
    holes = df.assign(x=df["x"].mask(df.index % 2 == 0), z=df["z"].mask(df.index % 3 == 0))
    return {
        "mean": forecaster.predict(query),
        "median": forecaster.predict(query, point="median"),
        "quantiles": forecaster.predict_quantiles(query, (0.001, 0.5, 0.999)),
        "interval": forecaster.predict_interval(query, 99),
        "samples": forecaster.sample(query, 50, random_state=0),
        "forecast": forecaster.forecast(4.0),
        "impute": forecaster.impute(holes),
    }


def extent(frame, channel):
    columns = [c for c in frame.columns if c == channel or str(c).startswith(f"{channel}-")]
    return frame[columns].to_numpy().min(), frame[columns].to_numpy().max()


@pytest.fixture(scope="module")
def df():
    return near_zero()


@pytest.fixture(scope="module")
def bounded(df):
    return quick(bounds={"z": (0.0, 1.0)}).fit(df)


@pytest.fixture(scope="module")
def free(df):
    return quick(bounds=None).fit(df)


def test_a_channel_that_was_never_below_zero_has_no_forecast_below_zero(df, free):
    for name, answer in everything(quick().fit(df), df).items():
        assert extent(answer, "x")[0] >= 0, name
    assert extent(everything(free, df)["samples"], "x")[0] < 0  # what the rule keeps out


def test_a_channel_that_was_below_zero_is_free(df, free):
    answers = everything(quick().fit(df), df), everything(free, df)
    for name in ("mean", "quantiles", "samples"):
        pd.testing.assert_frame_equal(*(a[name].filter(regex="^y") for a in answers))


def test_stated_bounds_are_kept_by_every_forecast_and_others_stay_automatic(df, bounded, free):
    for name, answer in everything(bounded, df).items():
        low, high = extent(answer, "z")
        assert low >= 0, name
        assert high <= 1, name
        assert extent(answer, "x")[0] >= 0, name
    assert extent(everything(free, df)["quantiles"], "z")[1] > 1


def test_quantiles_within_the_bounds_are_as_without_them(df, bounded, free):
    with_them, without = (everything(f, df)["quantiles"].filter(regex="^z") for f in (bounded, free))
    pd.testing.assert_frame_equal(with_them, without.clip(0, 1))


def test_automatic_bounds_can_be_taken_from_one_channel(df, free):
    forecaster = quick(bounds={"x": (None, None)}).fit(df)
    assert extent(everything(forecaster, df)["samples"], "x")[0] < 0
    assert extent(everything(forecaster, df)["samples"], "z")[0] >= 0


def test_bounds_of_counts_are_whole(df):
    counts = df.assign(x=np.random.default_rng(0).poisson(2.0, len(df)).clip(1, 5).astype(float))
    forecaster = quick(likelihood={"x": "poisson"}, bounds={"x": (0.5, 5.5)}).fit(counts)
    drawn = forecaster.sample(counts[["id", "time"]], 50, random_state=0)["x"]
    assert set(drawn.unique()) <= {1.0, 2.0, 3.0, 4.0, 5.0}


def test_a_value_outside_its_bounds_is_an_error_that_says_where(df):
    wrong = dated(df)
    wrong.loc[wrong.index[7], "z"] = 1.4
    wrong.index = [f"r{k}" for k in range(len(wrong))]
    message = rf"column 'z' holds 1.4 in row 'r7', of series 's00' at time {wrong['time'].iloc[7]}, outside .*\(0, 1\)"
    with pytest.raises(DataError, match=message):
        quick(bounds={"z": (0, 1)}).fit(wrong)


def test_bounds_of_no_channel_are_refused(df):
    with pytest.raises(DataError, match="'w' is not a channel"):
        quick(bounds={"w": (0, 1)}).fit(df)


@pytest.mark.parametrize(
    "bounds", ["positive", 3, {"x": 0}, {"x": (1, 0)}, {"x": (0, 1, 2)}, {"x": "01"}, {"x": (0, "a")}]
)
def test_what_are_no_bounds_is_refused(df, bounds):
    with pytest.raises(ValueError, match=r"bounds=.* must be 'auto', None, or a dict"):
        quick(bounds=bounds).fit(df)


def test_bounds_are_saved_and_loaded(df, bounded, tmp_path):
    bounded.save(tmp_path / "model")
    loaded = load(tmp_path / "model")
    assert loaded.bounds == {"z": (0.0, 1.0)}
    for name, answer in everything(loaded, df).items():
        pd.testing.assert_frame_equal(answer, everything(bounded, df)[name])


def test_a_continued_fit_remembers_that_a_channel_was_below_zero(df):
    forecaster = quick(warm_start=True).fit(df)
    above = df.assign(y=df["y"].abs())
    assert np.isnan(forecaster.fit(above).state_.bounds[0, 1])
    assert forecaster.state_.bounds[0, 0] == 0
    assert np.isnan(forecaster.fit(df.assign(x=df["x"] - 0.5)).state_.bounds[0, 0])
