"""Seconds of an epoch and of a default fit at the scale of a clinical data set, and what the fit is worth.

10,000 series of 75 rows and 37 channels, 15 % of the values observed: four slow latent walks mixed into all channels,
each value with noise. A tenth of the series is not fitted; their later half is queried. Mean absolute error in units of
each channel's spread, beside naive forecasts.

    python -m tests.benchmarks.accuracy.medical_scale > medical_scale.json
"""

import json
import sys
import time

import numpy as np
import pandas as pd
import torch

from latentode import LatentODEForecaster
from latentode.evaluation import LastValue, PopulationMean, SeriesMean

N_SERIES, N_ROWS, N_CHANNELS, OBSERVED, HOURS = 10_000, 75, 37, 0.15, 48.0
BATCH = 128


def patients(rng: np.random.Generator) -> pd.DataFrame:
    """Every series' rows in order of time."""
    begin = rng.normal(size=(N_SERIES, 1, 4))
    walks = begin + np.cumsum(0.15 * rng.normal(size=(N_SERIES, N_ROWS, 4)), axis=1)
    mixing = 0.5 * rng.normal(size=(4, N_CHANNELS))
    values = (walks @ mixing + 0.3 * rng.normal(size=(N_SERIES, N_ROWS, N_CHANNELS))).reshape(-1, N_CHANNELS)
    values[rng.random(values.shape) > OBSERVED] = np.nan
    df = pd.DataFrame(values.astype(np.float32), columns=[f"c{k}" for k in range(N_CHANNELS)])
    df.insert(0, "time", np.sort(rng.uniform(0, HOURS, (N_SERIES, N_ROWS)), axis=1).ravel())
    df.insert(0, "id", np.repeat(np.arange(N_SERIES), N_ROWS))
    return df


def main() -> None:
    df = patients(np.random.default_rng(0))
    channels = list(df.columns[2:])
    is_test = df["id"] >= 0.9 * N_SERIES
    train, test = df[~is_test], df[is_test]
    known = test["time"] <= HOURS / 2
    history, queried = test[known], test[~known]
    queries, truth, spread = queried[["id", "time"]], queried[channels], train[channels].std()
    started = time.perf_counter()
    forecaster = LatentODEForecaster(random_state=0).fit(train)
    seconds = time.perf_counter() - started
    checks = forecaster.history_
    taken, steps = (float(checks[c].iloc[-1] - checks[c].iloc[0]) for c in ("seconds", "step"))
    a_step = taken / steps
    answers = {"latentode": forecaster.predict(queries, history=history)}
    for naive in (LastValue, SeriesMean, PopulationMean):
        answers[naive.__name__] = naive().fit(train).predict(queries, history=history)
    reported = {
        "threads": torch.get_num_threads(),
        "seconds of a step": round(a_step, 3),
        "seconds of an epoch": round(a_step * N_SERIES / BATCH, 1),
        "seconds of the fit": round(seconds),
        "steps": int(checks["step"].iloc[-1]),
        "mae": {k: round(float(((v[channels] - truth).abs() / spread).mean().mean()), 4) for k, v in answers.items()},
    }
    sys.stderr.write(f"{reported}\n")
    json.dump(reported, sys.stdout, indent=1)


if __name__ == "__main__":
    main()
