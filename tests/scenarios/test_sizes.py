"""Few or many series, short or long ones, one channel or a hundred: better than the naive forecast, untouched."""

import numpy as np
import pandas as pd
import pytest

from latentode import LatentODEForecaster
from latentode.evaluation import LastValue, LinearTrend, PopulationMean, SeriesMean

NAIVE = (LastValue, SeriesMean, PopulationMean, LinearTrend)


def frame(times, values):
    """A long frame of (series, row) times and (series, row, channel) values."""
    n_series, n_rows, n_channels = values.shape
    df = pd.DataFrame(values.reshape(-1, n_channels), columns=[f"c{k}" for k in range(n_channels)])
    df.insert(0, "time", times.ravel())
    df.insert(0, "id", np.repeat(np.arange(n_series), n_rows))
    return df


def relaxing(n_series, n_rows, n_channels, seed=0, missing=0.3, noise=0.1, n_causes=2):
    """Courses that fall from where they began to where they end, driven by a few causes, each at its own pace."""
    rng = np.random.default_rng(seed)
    times = np.sort(rng.uniform(0, 10, (n_series, n_rows)), axis=1)
    mixing = np.random.default_rng(7).normal(size=(n_causes, n_channels))  # the same for all seeds: one population
    start, end = rng.normal(size=(2, n_series, 1, n_causes))
    pace = rng.uniform(0.2, 0.6, (n_series, 1, n_causes))
    values = (end + 2 * (start - end) * np.exp(-pace * times[..., None])) @ mixing
    values = values + noise * rng.normal(size=values.shape)
    values[rng.random(values.shape) < missing] = np.nan
    return frame(times, values)


def turning(n_series, n_rows, seed=0):
    """Two channels of an oscillation, each series with its own phase and size."""
    rng = np.random.default_rng(seed)
    times = np.sort(rng.uniform(0, 20, (n_series, n_rows)), axis=1)
    phase, size = rng.uniform(0, 6.28, (n_series, 1)), rng.uniform(0.5, 2.0, (n_series, 1))
    values = np.stack([size * np.sin(1.5 * times + phase), size * np.cos(1.5 * times + phase)], -1)
    return frame(times, values + 0.05 * rng.normal(size=values.shape))


def errors(df, new, n_known, **params):
    """Mean absolute errors in spreads, of ours and of each naive forecast, after the first rows of new series."""
    place = new.groupby("id").cumcount()
    history, later = new[place < n_known], new[place >= n_known]
    channels = [c for c in df.columns if c not in ("id", "time")]
    forecaster = LatentODEForecaster(random_state=0, **params).fit(df)
    answers = {"ours": forecaster.predict(later[["id", "time"]], history=history)}
    for kind in NAIVE:
        answers[kind.__name__] = kind().fit(df).predict(later[["id", "time"]], history=history)
    spread = df[channels].std()
    return {
        name: float(((answer[channels] - later[channels]).abs() / spread).mean().mean())
        for name, answer in answers.items()
    }


@pytest.mark.slow
def test_patients_with_five_visits():
    found = errors(
        relaxing(300, 5, 3), relaxing(80, 5, 3, seed=1).assign(id=lambda d: d["id"] + 1000), 3, max_steps=400
    )
    assert found.pop("ours") < min(found.values()), found


@pytest.mark.slow
def test_a_dozen_series():
    found = errors(
        turning(12, 60), turning(6, 60, seed=1).assign(id=lambda d: d["id"] + 100), 30, horizon=5, max_steps=500
    )
    assert found.pop("ours") < min(found.values()), found


@pytest.mark.slow
def test_one_series_of_one_channel():
    df = turning(1, 400)[["id", "time", "c0"]]
    early = df["time"] < 16
    forecaster = LatentODEForecaster(horizon=4, max_steps=500, random_state=0).fit(df[early])
    late = df[~early]
    ours = (forecaster.predict(late[["id", "time"]])["c0"] - late["c0"]).abs().mean()
    naive = [(kind().fit(df[early]).predict(late[["id", "time"]])["c0"] - late["c0"]).abs().mean() for kind in NAIVE]
    assert ours < min(naive)


@pytest.mark.slow
def test_a_hundred_channels():
    found = errors(
        relaxing(150, 15, 100, missing=0.8, n_causes=4),
        relaxing(30, 15, 100, seed=1, missing=0.8, n_causes=4).assign(id=lambda d: d["id"] + 1000),
        8,
        max_steps=400,
    )
    assert found.pop("ours") < min(found.values()), found


@pytest.mark.slow
def test_long_rollouts_from_a_few_points():
    df = turning(60, 300)
    new = turning(10, 300, seed=1).assign(id=lambda d: d["id"] + 100)
    found = errors(df, new, 5, max_steps=1200)
    assert found.pop("ours") < min(found.values()), found


@pytest.mark.slow
def test_ten_thousand_series():
    found = errors(relaxing(10_000, 20, 5), relaxing(300, 20, 5, seed=1).assign(id=lambda d: d["id"] + 20_000), 10)
    assert found.pop("ours") < min(found.values()), found
