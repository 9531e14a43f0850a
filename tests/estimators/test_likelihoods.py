import numpy as np
import pandas as pd
import pytest

from latentode import LatentODEForecaster
from latentode.data import DataError
from latentode.estimators.likelihoods import are_counts
from tests.estimators.tiny import quick


def birds(n_series=12, n_points=12, seed=0):
    """Sites visited at irregular times; two kinds of birds, one rare, and the temperature."""
    rng = np.random.default_rng(seed)
    time = np.sort(rng.uniform(0, 10, (n_series, n_points)), axis=1)
    rate = np.exp(rng.normal(0.3, 1, (n_series, 1)) + 0.3 * np.sin(time))
    return pd.DataFrame(
        {
            "id": np.repeat(np.arange(n_series), n_points),
            "time": time.ravel(),
            "lapwing": rng.poisson(rate).ravel(),
            "seen": (rng.random(time.size) < 0.3).astype(int),
            "degrees": 15 + rng.normal(size=time.size),
        }
    )


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (np.random.default_rng(0).negative_binomial(1, 0.2, 200), True),
        (np.random.default_rng(0).negative_binomial(1, 0.2, 49), False),  # too few
        (np.random.default_rng(0).negative_binomial(1, 0.2, 200) - 1, False),  # some below 0
        (np.random.default_rng(0).negative_binomial(1, 0.2, 200) / 2, False),  # not whole
        (np.random.default_rng(0).poisson(30, 200), False),  # no zeros
        (np.random.default_rng(0).negative_binomial(1, 0.001, 200) * (np.arange(200) % 5 > 0), False),  # large
        (np.random.default_rng(0).integers(0, 2, 200), False),
        (np.random.default_rng(0).integers(0, 5, 200), False),  # grades: they vary less than counts
        (np.zeros(200), False),
        (np.full(200, np.nan), False),
    ],
)
def test_counts_are_channels_of_small_whole_numbers_with_zeros_that_vary_as_counts_do(values, expected):
    assert are_counts(np.asarray(values, dtype=float)) is expected


def test_counts_are_recognised_and_no_forecast_of_them_is_negative():
    df = birds()
    forecaster = quick(max_steps=30).fit(df)
    assert tuple(forecaster.model_.config.likelihood) == ("negative_binomial", "gaussian", "gaussian")
    assert (forecaster.predict(df)["lapwing"] >= 0).all()
    interval = forecaster.predict_interval(df, 95)[["lapwing-lo-95", "lapwing-hi-95"]]
    assert (interval >= 0).all(axis=None)
    assert (interval == interval.round()).all(axis=None)


@pytest.mark.parametrize("name", ["poisson", "negative_binomial", "bernoulli"])
def test_samples_and_quantiles_of_counts_are_whole_and_within_their_support(name):
    df = birds()[["id", "time", "seen" if name == "bernoulli" else "lapwing"]]
    forecaster = quick(likelihood=name).fit(df)
    drawn = forecaster.sample(df, 20, random_state=0).iloc[:, -1].to_numpy()
    found = forecaster.predict_quantiles(df, (0.01, 0.25, 0.5, 0.99)).to_numpy()
    median, mean = forecaster.predict(df, point="median").to_numpy(), forecaster.predict(df).to_numpy()
    for values in (drawn, found, median):
        np.testing.assert_array_equal(values, values.astype(int))
        assert not np.signbit(values).any()
    most = 1 if name == "bernoulli" else np.inf
    assert ((mean >= 0) & (mean <= most)).all()
    assert drawn.max() <= most
    assert (mean != np.round(mean)).any()


def test_large_counts_are_whole_and_not_negative():
    df = birds()
    df["lapwing"] = df["lapwing"] * 10_000_000
    forecaster = quick(likelihood={"lapwing": "negative_binomial"}).fit(df)
    drawn = forecaster.sample(df, 20, random_state=0)["lapwing"].to_numpy()
    np.testing.assert_array_equal(drawn, np.round(drawn))
    assert drawn.min() >= 0


def test_channels_have_the_likelihoods_named_and_keep_them_in_a_file(tmp_path):
    df = birds()
    forecaster = quick(likelihood={"lapwing": "poisson", "seen": "bernoulli"}, n_models=2).fit(df)
    assert tuple(forecaster.model_.config.likelihood) == ("poisson", "bernoulli", "gaussian")
    drawn = forecaster.sample(df, 3, random_state=0)
    assert drawn["seen"].isin([0, 1]).all()
    assert (drawn["lapwing"] == drawn["lapwing"].round()).all()
    assert (drawn["degrees"] != drawn["degrees"].round()).any()
    forecaster.save(tmp_path / "model")
    loaded = LatentODEForecaster.load(tmp_path / "model")
    assert loaded.likelihood == forecaster.likelihood
    pd.testing.assert_frame_equal(loaded.predict(df), forecaster.predict(df), check_exact=True)
    pd.testing.assert_frame_equal(loaded.predict_interval(df), forecaster.predict_interval(df), check_exact=True)


def test_a_second_fit_that_continues_keeps_the_likelihoods():
    df = birds()
    forecaster = quick(warm_start=True).fit(df)
    forecaster.fit(df.head(24))  # too few values to recognise counts
    assert forecaster.model_.config.likelihood[0] == "negative_binomial"


def test_a_likelihood_of_what_is_no_channel_is_refused():
    with pytest.raises(
        DataError, match=r"'lapwig' is not a channel; the channels are \['lapwing', 'seen', 'degrees'\]"
    ):
        quick(likelihood={"lapwig": "poisson"}).fit(birds())


def test_an_unknown_likelihood_of_a_channel_is_refused():
    with pytest.raises(ValueError, match=r"likelihood=.*must be one of 'auto', 'gaussian'"):
        quick(likelihood={"lapwing": "poison"}).fit(birds())


def test_values_a_channels_likelihood_does_not_support_are_refused_by_its_name():
    with pytest.raises(DataError, match=r"likelihood='poisson' is for whole numbers.*'degrees'"):
        quick(likelihood={"degrees": "poisson"}).fit(birds())
