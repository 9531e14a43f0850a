"""Who plays: the default forecaster, gradient boosting, and naive forecasts."""

import resource
import time
import warnings
from dataclasses import replace
from typing import Any
from unittest import mock

import numpy as np
import pandas as pd

from latentode import LatentODEForecaster
from latentode.estimators import defaults, fitting
from latentode.evaluation import (
    ConstantVelocity,
    LastValue,
    LinearInterpolation,
    LinearTrend,
    PopulationMean,
    SeriesMean,
)
from tests.benchmarks.league.boosting import LagBoosting, days_of
from tests.benchmarks.league.contest import Contest
from tests.benchmarks.league.scoring import QUANTILES, scores

__all__ = ["NAIVE", "baselines", "latentode"]

NAIVE = (LastValue, SeriesMean, PopulationMean, LinearTrend, ConstantVelocity, LinearInterpolation)
N_SAMPLES = 64


def latentode(contest: Contest, seed: int, **params: Any) -> dict[str, float]:
    """The default forecaster, or one with other parameters: its scores, seconds, steps and peak memory (MB).

    A parameter named ``config.NAME`` is one of the model's config, for choices that are no parameters.
    """
    warnings.filterwarnings("ignore", category=UserWarning)  # series of one row are among them
    queries = contest.queried[["id", "time", *contest.known_cols]]
    given = {} if contest.history is None else {"history": contest.history}
    begin = time.perf_counter()
    known = list(contest.known_cols) or None
    inner = {name.removeprefix("config."): params.pop(name) for name in [*params] if name.startswith("config.")}
    forecaster = LatentODEForecaster(horizon=contest.horizon, known_cols=known, random_state=seed, **params)
    with mock.patch.object(fitting, "config_for", lambda *given: replace(defaults.config_for(*given), **inner)):
        forecaster.fit(contest.train)
    fitted = time.perf_counter()
    means = forecaster.predict(queries, **given).to_numpy()
    bands = forecaster.predict_quantiles(queries, QUANTILES, **given).to_numpy()
    answered = time.perf_counter()
    drawn = forecaster.sample(queries, N_SAMPLES, random_state=seed, **given)[contest.channels].to_numpy()
    samples = drawn.reshape(N_SAMPLES, len(queries), len(contest.channels))
    found = scores(contest, means, _by_quantile(bands), samples)
    last = forecaster.history_.groupby("model")["step"].max()
    return found | {
        "fit_seconds": fitted - begin,
        "predict_seconds": answered - fitted,
        "steps": float(last.sum()),
        "peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    }


def _by_quantile(bands: np.ndarray) -> np.ndarray:
    """Columns that hold the quantiles channel by channel, (row, channel * quantile), as (quantile, row, channel)."""
    return np.moveaxis(bands.reshape(len(bands), -1, len(QUANTILES)), 2, 0)


def baselines(contest: Contest, seed: int) -> dict[str, dict[str, float]]:
    """Scores and seconds of gradient boosting and of the naive forecasts, by name."""
    channels, queried = contest.channels, contest.queried
    found = {}
    begin = time.perf_counter()
    between = contest.history is not None and _is_between(contest)
    boosting = LagBoosting(channels, contest.known_cols, contest.horizon, QUANTILES, between, seed)
    means, bands = boosting.fit(contest.train).predict(contest.known, queried)
    found["boosting"] = scores(contest, means, bands) | {"fit_seconds": time.perf_counter() - begin}
    columns = ["id", "time", *channels]
    known = contest.known[columns].dropna(subset=channels, how="all")
    learned = (
        known
        if contest.history is None
        else pd.concat([contest.train[columns].dropna(subset=channels, how="all"), known])
    )
    for naive in NAIVE:
        fitted = naive().fit(learned)
        bands = fitted.predict_quantiles(queried[["id", "time"]], QUANTILES).to_numpy()
        found[naive.__name__] = scores(contest, fitted.predict(queried[["id", "time"]]).to_numpy(), _by_quantile(bands))
    return found


def _is_between(contest: Contest) -> bool:
    """Whether rows are queried that lie before others that are known."""
    assert contest.history is not None
    end = contest.history.groupby("id")["time"].max()
    queried = contest.queried
    return bool((days_of(queried["time"]) < days_of(queried["id"].map(end))).mean() > 0.5)
