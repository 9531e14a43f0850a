"""Storm tracks 24 hours ahead, half the records dropped at random, beside constant velocity and persistence.

Protocol: 20 % of the storms are test storms; half of all records (drawn once per seed) are never seen. For every
record of a test storm but its first, the history is its records so far and the question is the storm's position and
wind 24 hours later, where the full track has a record then. The model is fitted on the other storms with
``LatentODEForecaster(horizon="48h")``, all else default. Nothing is chosen by these scores.

    python tests/benchmarks/accuracy/storms.py [SEED ...]
"""

import sys
import time

import numpy as np
import pandas as pd

from latentode import LatentODEForecaster
from latentode.datasets import load_storms

DAY = pd.Timedelta("24h")


def questions(full, kept, test_ids):
    """A row per question, and the histories, each under an id of its own."""
    queried, histories = [], []
    track = full.set_index(["id", "time"])
    for storm, records in kept[kept["id"].isin(test_ids)].groupby("id"):
        records = records.sort_values("time")
        for k in range(1, len(records)):
            before, last = records.iloc[k - 1], records.iloc[k]
            if (storm, last["time"] + DAY) not in track.index:
                continue
            truth = track.loc[(storm, last["time"] + DAY)]
            share = DAY / (last["time"] - before["time"])
            name = f"{storm}/{k}"
            histories.append(records.iloc[: k + 1].assign(id=name))
            queried.append(
                {
                    "id": name,
                    "time": last["time"] + DAY,
                    **{f"true_{c}": truth[c] for c in ("lat", "long", "wind")},
                    **{f"last_{c}": last[c] for c in ("lat", "long", "wind")},
                    **{f"moved_{c}": last[c] + share * (last[c] - before[c]) for c in ("lat", "long")},
                }
            )
    return pd.DataFrame(queried), pd.concat(histories)


def kilometres(lat, long, other_lat, other_long):
    """Great-circle distances."""
    lat, long, other_lat, other_long = map(np.radians, (lat, long, other_lat, other_long))
    h = np.sin((lat - other_lat) / 2) ** 2
    h = h + np.cos(lat) * np.cos(other_lat) * np.sin((long - other_long) / 2) ** 2
    return 6371 * 2 * np.arcsin(np.sqrt(np.clip(h, 0, 1)))


def run(seed):
    """A table of errors by method, and what goes with it, for one seed."""
    full = load_storms()
    rng = np.random.default_rng(seed)
    kept = full[rng.random(len(full)) < 0.5]
    ids = kept["id"].unique()
    test_ids = rng.permutation(ids)[: len(ids) // 5]
    queried, histories = questions(full, kept, test_ids)
    started = time.perf_counter()
    forecaster = LatentODEForecaster(horizon="48h", random_state=seed).fit(kept[~kept["id"].isin(test_ids)])
    seconds = time.perf_counter() - started
    query = queried[["id", "time"]]
    said = forecaster.predict(query, history=histories)
    bands = forecaster.predict_interval(query, level=90, history=histories)
    distance = {
        "latentode": kilometres(queried["true_lat"], queried["true_long"], said["lat"], said["long"]),
        "constant velocity": kilometres(
            queried["true_lat"], queried["true_long"], queried["moved_lat"], queried["moved_long"]
        ),
        "persistence": kilometres(queried["true_lat"], queried["true_long"], queried["last_lat"], queried["last_long"]),
    }
    wind = {
        "latentode": (queried["true_wind"] - said["wind"]).abs(),
        "persistence": (queried["true_wind"] - queried["last_wind"]).abs(),
    }
    inside = {
        c: queried[f"true_{c}"].between(bands[f"{c}-lo-90"], bands[f"{c}-hi-90"]).mean()
        for c in ("lat", "long", "wind")
    }
    return pd.DataFrame(
        {
            "position_km": {name: d.mean() for name, d in distance.items()},
            "median_km": {name: d.median() for name, d in distance.items()},
            "wind_knots": {name: w.mean() for name, w in wind.items()},
        }
    ), {
        "questions": len(queried),
        "seconds": round(seconds),
        "coverage_90": {c: round(v, 3) for c, v in inside.items()},
    }


if __name__ == "__main__":
    for seed in [int(a) for a in sys.argv[1:]] or [0, 1, 2]:
        table, about = run(seed)
        print(f"seed {seed}: {about}\n{table.round(2).to_string()}\n", flush=True)
