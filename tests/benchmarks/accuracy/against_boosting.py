"""The default forecaster beside gradient boosting on lag features and naive forecasts, on pbc, storms and airports.

Protocol: a quarter of the series, drawn by the seed, are test series: what lies before a part of their own duration
(pbc and airports: half, storms: two fifths) is their history, and every later value (storms: up to 48 h on; half of all
storm records are dropped first; airports: up to two days on, the fortnights of a year taken as series of their own,
three tenths of the values dropped) is queried. All are fitted on the other series; ours with default settings, given
the horizon where there is one. Scores are means over channels of errors in units of the channel's spread in the fitted
series; CRPS by quantiles; coverage of the 90 % interval, with its standard error by chance of which series are tested
(jackknife over series). Nothing is chosen by these scores.

    python -m tests.benchmarks.accuracy.against_boosting [SET ...] [SEED ...] [> results.json]
"""

import json
import sys
import time
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
import pandas as pd

from latentode import LatentODEForecaster
from latentode.datasets import load_airports, load_pbc, load_storms
from latentode.evaluation import ConstantVelocity, LastValue, LinearTrend, PopulationMean, SeriesMean, score_table
from tests.benchmarks.accuracy.lag_boosting import LagBoosting

QUANTILES = (0.05, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95)
NAIVE = (LastValue, SeriesMean, PopulationMean, LinearTrend, ConstantVelocity)
SETS = ("pbc", "storms", "airports")
FORTNIGHT = 14 * 86_400


def load(name: str, rng: np.random.Generator) -> tuple[pd.DataFrame, float, float | None]:
    """Return the frame with its times in days, the part of a test series that is history, and the horizon."""
    if name == "pbc":
        return load_pbc(), 0.5, None
    if name == "airports":
        return _fortnights(rng), 0.5, 2.0
    df = load_storms()
    df = df[rng.random(len(df)) < 0.5].reset_index(drop=True)
    return df.assign(time=(df["time"] - df["time"].min()).dt.total_seconds() / 86_400), 0.4, 2.0


def _fortnights(rng: np.random.Generator) -> pd.DataFrame:
    """Hourly weather in pieces of a fortnight: many short series, with holes."""
    df = load_airports()
    channels = [c for c in df.columns if c not in ("id", "time")]
    seconds = (df["time"] - df["time"].min()).dt.total_seconds()
    values = df[channels].mask(rng.random((len(df), len(channels))) < 0.3)
    kept = (rng.random(len(df)) < 0.3) & values.notna().any(axis=1)
    piece = df["id"].astype(str) + "-" + (seconds // FORTNIGHT).astype(int).astype(str)
    return values.assign(id=piece, time=seconds / 86_400)[["id", "time", *channels]][kept].reset_index(drop=True)


@dataclass(frozen=True)
class Questions:
    """What is learned from, what is known of the test series, the queries of them, and how far ahead."""

    train: pd.DataFrame
    history: pd.DataFrame
    queried: pd.DataFrame
    channels: list[str]
    horizon: float | None
    dated: bool


def questions(name: str, seed: int) -> Questions:
    """Split a set."""
    rng = np.random.default_rng(seed)
    df, part, horizon = load(name, rng)
    return divided(df, part, horizon, rng, dated=name != "pbc")


def divided(
    df: pd.DataFrame, part: float, horizon: float | None, rng: np.random.Generator, *, dated: bool
) -> Questions:
    """A quarter of the series are test series, of which the first part is known and what follows queried."""
    channels = [c for c in df.columns if c not in ("id", "time")]
    ids = rng.permutation(df["id"].unique())
    is_test = df["id"].isin(ids[: len(ids) // 4])
    train, test = df[~is_test], df[is_test]
    begin, end = (test.groupby("id")["time"].transform(how) for how in ("min", "max"))
    cut = begin + part * (end - begin)
    history, later = test[test["time"] <= cut], test["time"] > cut
    queried = test[later if horizon is None else later & (test["time"] <= cut + horizon)]
    return Questions(train, history, queried, channels, horizon, dated)


def as_users_have_it(df: pd.DataFrame, dated: bool) -> pd.DataFrame:
    """Days as the dates they were; days since the first visit as they are."""
    return df.assign(time=pd.Timestamp("2013-01-01") + pd.to_timedelta(df["time"], unit="D")) if dated else df


def fitted(split: Questions, seed: int, **params: Any) -> LatentODEForecaster:
    """Our forecaster, fitted to the training series."""
    far = split.horizon
    horizon = pd.Timedelta(days=far) if split.dated and far is not None else far
    forecaster = LatentODEForecaster(horizon=horizon, random_state=seed, **params)
    return forecaster.fit(as_users_have_it(split.train, split.dated))


def run(split: Questions, seed: int) -> pd.DataFrame:
    """Return scores by forecaster, averaged over channels."""
    train, history, queried, channels, horizon, dated = (getattr(split, f.name) for f in fields(split))
    truth, queries = queried[channels], queried[["id", "time"]]
    predictions: dict[str, Any] = {}
    quantiles: dict[str, Any] = {}
    seconds: dict[str, float] = {}

    def keep(label: str, means: np.ndarray, bands: np.ndarray, started: float) -> None:
        names = [f"{c}-q{q:g}" for c in channels for q in QUANTILES]
        flat = np.moveaxis(np.sort(bands, 0), 0, 2).reshape(len(queried), -1)
        predictions[label] = queries.join(pd.DataFrame(means, queried.index, channels))
        quantiles[label] = queries.join(pd.DataFrame(flat, queried.index, names))
        seconds[label] = time.perf_counter() - started

    started = time.perf_counter()
    ours, past, keys = fitted(split, seed), as_users_have_it(history, dated), as_users_have_it(queries, dated)
    predictions["latentode"] = ours.predict(keys, history=past)
    quantiles["latentode"] = ours.predict_quantiles(keys, QUANTILES, history=past)
    seconds["latentode"] = time.perf_counter() - started
    started = time.perf_counter()
    boosting = LagBoosting(horizon, QUANTILES, seed).fit(train, channels)
    keep("boosting", *boosting.predict(history, queried, channels), started)
    for naive in NAIVE:
        started = time.perf_counter()
        baseline = naive().fit(pd.concat([train, history]))
        predictions[naive.__name__] = baseline.predict(queries)
        quantiles[naive.__name__] = baseline.predict_quantiles(queries, QUANTILES)
        seconds[naive.__name__] = time.perf_counter() - started
    table = score_table(truth, predictions, quantiles, spread=train[channels].std(), level=90)
    table = table[table["channel"] == "mean"].set_index("forecaster").drop(columns="channel")
    chance = {label: coverage_error(truth, band, queries["id"]) for label, band in quantiles.items()}
    return table.assign(coverage_error=pd.Series(chance), seconds=pd.Series(seconds))


def coverage_error(truth: pd.DataFrame, band: pd.DataFrame, series: pd.Series) -> float:
    """Standard error of the mean over channels of the 90 % intervals' coverage, had other series been drawn."""
    known = truth.notna()
    inside = pd.DataFrame({c: truth[c].between(band[f"{c}-q0.05"], band[f"{c}-q0.95"]) for c in truth}) & known
    hits, n = (x.groupby(series.to_numpy()).sum() for x in (inside, known))
    without_one = ((hits.sum() - hits) / (n.sum() - n)).mean(axis=1)
    return float(np.sqrt((len(n) - 1) * without_one.var(ddof=0)))


def main(*given: str) -> None:
    results = []
    seeds = [int(a) for a in given if a.isdigit()] or [0, 1, 2]
    for name in [a for a in given if not a.isdigit()] or SETS:
        for seed in seeds:
            table = run(questions(name, seed), seed).round(4)
            sys.stderr.write(f"{name}, seed {seed}\n{table.to_string()}\n")
            results.append({"set": name, "seed": seed, "scores": table.to_dict("index")})
    json.dump(results, sys.stdout, indent=1)


if __name__ == "__main__":
    main(*sys.argv[1:])
