"""Every choice of encoder, dynamics, decoder and likelihood fits, answers, and comes back from a file."""

import numpy as np
import pandas as pd
import pytest

from latentode import PUBLISHED, LatentODEForecaster, load
from latentode.data import DataError
from tests.estimators.tiny import quick, waves

pytestmark = pytest.mark.usefixtures("roughly_stacked")

CHOICES = [
    {"encoder": "odernn"},
    {"dynamics": "mlp"},
    {"dynamics": "linear"},
    {"dynamics": "mixed"},
    {"decoder": "mlp"},
    {"decoder": "linear"},
    {"likelihood": "fixed"},
    {"anchor": "start"},
    {"seasonality": 3.0, "decoder": "mlp"},
    PUBLISHED,
]


@pytest.mark.parametrize("options", CHOICES, ids=lambda o: "-".join(map(str, o.values()))[:40])
def test_every_choice_fits_predicts_and_is_loaded_again(options, tmp_path):
    df = waves(8, 12)
    forecaster = quick(**{"max_steps": 3, **options}).fit(df)
    bands = forecaster.predict_interval(df)
    assert np.isfinite(bands).all(axis=None)
    assert (bands["x-lo-80"] <= bands["x-hi-80"]).all()
    assert len(forecaster.sample(df.head(3), 2, random_state=0)) == 6
    forecaster.save(tmp_path)
    pd.testing.assert_frame_equal(load(tmp_path).predict_interval(df), bands, check_exact=True)


def counts_of(kind, n_series=40, seed=0):
    """Series of counts, or of 0 and 1, each at its own rate."""
    rng = np.random.default_rng(seed)
    times = np.sort(rng.uniform(0, 10, (n_series, 15)), axis=1)
    if kind == "bernoulli":
        values = rng.random(times.shape) < rng.beta(0.5, 0.5, (n_series, 1))
    else:
        values = rng.poisson(rng.gamma(2.0, 2.0, (n_series, 1)) * np.ones(times.shape))
    return pd.DataFrame({"id": np.repeat(np.arange(n_series), 15), "time": times.ravel(), "n": values.ravel() * 1.0})


@pytest.mark.parametrize("kind", ["bernoulli", "poisson", "negative_binomial"])
def test_counts_are_predicted_as_counts(kind):
    df = counts_of(kind)
    size = {"hidden_dim": 32, "latent_dim": 8, "n_models": 1}
    learned = {"max_steps": 40, "learning_rate": 0.03, "random_state": 0}
    forecaster = LatentODEForecaster(likelihood=kind, **size, **learned).fit(df)
    mean, band = forecaster.predict(df)["n"], forecaster.predict_quantiles(df, (0.1, 0.5, 0.9))
    drawn = forecaster.sample(df.head(20), 5, random_state=0)["n"]
    for counts in (band.to_numpy(), drawn.to_numpy()):
        np.testing.assert_allclose(counts, counts.round(), atol=1e-4)
        assert counts.min() > -1e-4
    assert mean.min() >= 0
    if kind == "bernoulli":
        assert mean.max() <= 1
    # A series' own rate is learned: its mean is nearer the truth than the mean of all.
    truth = df.groupby("id")["n"].transform("mean")
    assert (mean - truth).abs().mean() < 0.6 * (df["n"].mean() - truth).abs().mean()


@pytest.mark.slow
def test_the_year_is_known_to_a_forecaster_of_dates():
    rng = np.random.default_rng(0)
    days = np.sort(rng.choice(3 * 365, (12, 120)), axis=1)
    values = 10 + 5 * np.sin(2 * np.pi * days / 365.25) + 0.3 * rng.normal(size=days.shape)
    df = pd.DataFrame(
        {
            "id": np.repeat(np.arange(12), 120),
            "time": pd.Timestamp("2000-01-01") + pd.to_timedelta(days.ravel(), unit="D"),
            "t": values.ravel(),
        }
    ).drop_duplicates(["id", "time"])
    early = df["time"] < "2002-04-01"
    errors = {}
    for seasonality in ("auto", None):
        forecaster = LatentODEForecaster(horizon="200D", seasonality=seasonality, max_steps=200, random_state=0)
        late = df[~early]
        errors[seasonality] = (forecaster.fit(df[early]).predict(late[["id", "time"]])["t"] - late["t"]).abs().mean()
    assert errors["auto"] < 0.7
    assert errors["auto"] < errors[None]


@pytest.mark.parametrize(
    ("kind", "value", "match"),
    [
        ("poisson", -1.0, "for whole numbers from 0 up, but column 'x' holds -1 in row 3"),
        ("negative_binomial", 2.5, "for whole numbers from 0 up, but column 'x' holds 2.5 in row 3"),
        ("bernoulli", 2.0, "for 0 and 1, but column 'x' holds 2 in row 3"),
    ],
)
def test_a_likelihood_refuses_values_it_does_not_support(kind, value, match):
    df = waves(6, 8, missing=0.0)[["id", "time", "x"]].assign(x=1.0)
    df.loc[5, "x"] = np.nan
    assert quick(likelihood=kind, max_steps=1).fit(df).channels_ == ("x",)
    df.loc[3, "x"] = value
    with pytest.raises(DataError, match=match):
        quick(likelihood=kind).fit(df)


def test_huge_counts_are_sampled_and_predicted():
    df = waves(4, 8, missing=0.0)[["id", "time"]]
    df = df.assign(x=1e15 * np.arange(1, len(df) + 1))
    forecaster = quick(max_steps=2, likelihood="poisson").fit(df)
    assert np.isfinite(forecaster.predict_interval(df)).all(axis=None)
    assert np.isfinite(forecaster.sample(df, 2).select_dtypes(float)).all(axis=None)
