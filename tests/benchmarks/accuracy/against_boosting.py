"""The default forecaster beside gradient boosting on lag features and naive forecasts, on pbc and storms.

Protocol: a quarter of the series, drawn by the seed, are test series: what lies before a part of their own duration
(pbc: half, storms: two fifths) is their history, and every later value (storms: up to 48 h on; half of all storm
records are dropped first) is asked. All are fitted on the other series; ours with default settings, given the horizon
of the storms. Scores are means over channels of errors in units of the channel's spread in the fitted series; CRPS by
quantiles; coverage of the 90 % interval. Nothing is chosen by these scores.

    python -m tests.benchmarks.accuracy.against_boosting [SEED ...] [> results.json]
"""

import json
import sys
import time
from typing import Any

import numpy as np
import pandas as pd

from latentode import LatentODEForecaster
from latentode.datasets import load_pbc, load_storms
from latentode.evaluation import ConstantVelocity, LastValue, LinearTrend, PopulationMean, SeriesMean, score_table
from tests.benchmarks.accuracy.lag_boosting import LagBoosting

QUANTILES = (0.05, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95)
NAIVE = (LastValue, SeriesMean, PopulationMean, LinearTrend, ConstantVelocity)
SETS = ("pbc", "storms")


def load(name: str, rng: np.random.Generator) -> tuple[pd.DataFrame, float, float | None]:
    """Return the frame with its times in days, the part of a test series that is history, and the horizon."""
    if name == "pbc":
        return load_pbc(), 0.5, None
    df = load_storms()
    df = df[rng.random(len(df)) < 0.5].reset_index(drop=True)
    return df.assign(time=(df["time"] - df["time"].min()).dt.total_seconds() / 86_400), 0.4, 2.0


def run(name: str, seed: int) -> pd.DataFrame:
    """Return scores by forecaster, averaged over channels."""
    rng = np.random.default_rng(seed)
    df, part, horizon = load(name, rng)
    channels = [c for c in df.columns if c not in ("id", "time")]
    ids = rng.permutation(df["id"].unique())
    is_test = df["id"].isin(ids[: len(ids) // 4])
    train, test = df[~is_test], df[is_test]
    begin, end = (test.groupby("id")["time"].transform(how) for how in ("min", "max"))
    cut = begin + part * (end - begin)
    history, later = test[test["time"] <= cut], test["time"] > cut
    asked = test[later if horizon is None else later & (test["time"] <= cut + horizon)]
    truth, queries = asked[channels], asked[["id", "time"]]
    predictions: dict[str, Any] = {}
    quantiles: dict[str, Any] = {}
    seconds: dict[str, float] = {}

    def keep(label: str, means: np.ndarray, fans: np.ndarray, started: float) -> None:
        names = [f"{c}-q{q:g}" for c in channels for q in QUANTILES]
        flat = np.moveaxis(np.sort(fans, 0), 0, 2).reshape(len(asked), -1)
        predictions[label] = queries.join(pd.DataFrame(means, asked.index, channels))
        quantiles[label] = queries.join(pd.DataFrame(flat, asked.index, names))
        seconds[label] = time.perf_counter() - started

    started = time.perf_counter()
    ours = LatentODEForecaster(horizon=horizon, random_state=seed).fit(train)
    predictions["latentode"] = ours.predict(queries, history=history)
    quantiles["latentode"] = ours.predict_quantiles(queries, QUANTILES, history=history)
    seconds["latentode"] = time.perf_counter() - started
    started = time.perf_counter()
    boosting = LagBoosting(horizon, QUANTILES, seed).fit(train, channels)
    keep("boosting", *boosting.predict(history, asked, channels), started)
    for naive in NAIVE:
        started = time.perf_counter()
        baseline = naive().fit(pd.concat([train, history]))
        predictions[naive.__name__] = baseline.predict(queries)
        quantiles[naive.__name__] = baseline.predict_quantiles(queries, QUANTILES)
        seconds[naive.__name__] = time.perf_counter() - started
    table = score_table(truth, predictions, quantiles, spread=train[channels].std(), level=90)
    table = table[table["channel"] == "mean"].set_index("forecaster").drop(columns="channel")
    return table.assign(seconds=pd.Series(seconds))


def main(seeds: list[int]) -> None:
    results = []
    for name in SETS:
        for seed in seeds:
            table = run(name, seed).round(4)
            sys.stderr.write(f"{name}, seed {seed}\n{table.to_string()}\n")
            results.append({"set": name, "seed": seed, "scores": table.to_dict("index")})
    json.dump(results, sys.stdout, indent=1)


if __name__ == "__main__":
    main([int(a) for a in sys.argv[1:]] or [0, 1, 2])
