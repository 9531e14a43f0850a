"""Long roll-outs from little: 20 whole courses of Hopper are learned from, 3 rows of each new one are known.

A course is 200 rows of 14 channels (see :mod:`tests.benchmarks.accuracy.hopper`); the other 197 rows are queried, of
80 new courses. Seeds take courses of their own. Beside the default fit stand the published model (``PUBLISHED``), the
mean curve of the courses learned (by the time since the start), their mean, and the last value. Mean squared errors
are in units of each channel's spread in the courses learned; ``scaled`` are in units of its range, in hundredths. The
fit to 20 series of 300 rows and 50 channels, the league's ``motion``, is timed and scored alike, without the published
model.

    python -m tests.benchmarks.accuracy.rollouts_hopper            # all, and writes results/rollouts_hopper.json
    python -m tests.benchmarks.accuracy.rollouts_hopper hopper 0   # one set and seed, the default alone
"""

import json
import sys
import time
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch

from latentode import PUBLISHED, LatentODEForecaster
from tests.benchmarks.accuracy.hopper import generate
from tests.benchmarks.accuracy.rollouts import frame_of
from tests.benchmarks.league.generators import motion

SEEDS = (0, 1, 2)
TIMED = (0,)
"""Seeds of motion, which is there for its time."""
N_LEARNED, N_NEW, N_KNOWN = 20, 80, 3


def hopper(seed):
    """Courses of a seed, (course, row, channel): the first 20 are learned from."""
    n = N_LEARNED + N_NEW
    return generate(n * len(SEEDS)).astype(float)[n * seed : n * (seed + 1)]


def gait(seed):
    df = motion(np.random.default_rng(seed), N_LEARNED + N_NEW)
    return df.drop(columns=["id", "time"]).to_numpy().reshape(N_LEARNED + N_NEW, 300, 50)


SETS = {"hopper": hopper, "motion": gait}


def play(name, seed, alone=False):
    values = SETS[name](seed)
    spread, low, high = values[:N_LEARNED].std((0, 1)), values.min((0, 1)), values.max((0, 1))
    learned, new = values[:N_LEARNED], values[N_LEARNED:]
    times = np.arange(values.shape[1]) / values.shape[1]
    train, test = frame_of(learned, times), frame_of(new, times, first=N_LEARNED)
    known = test.groupby("id").cumcount() < N_KNOWN
    queries = test.loc[~known, ["id", "time"]]
    truth = new[:, N_KNOWN:]

    def scored(answer):
        square = np.square(np.broadcast_to(answer, truth.shape) - truth).mean((0, 1))
        return {"mse": float((square / spread**2).mean()), "scaled": float(100 * (square / (high - low) ** 2).mean())}

    def fitted(**params: Any):
        begin, begin_cpu = time.perf_counter(), time.process_time()
        forecaster = LatentODEForecaster(random_state=seed, **params).fit(train)
        seconds, cpu = time.perf_counter() - begin, time.process_time() - begin_cpu
        bands = forecaster.predict_interval(queries, 90, history=test[known])
        lows, highs = (bands[[f"c{k}-{side}-90" for k in range(truth.shape[2])]] for side in ("lo", "hi"))
        inside = (truth >= lows.to_numpy().reshape(truth.shape)) & (truth <= highs.to_numpy().reshape(truth.shape))
        answer = forecaster.predict(queries, history=test[known]).to_numpy().reshape(truth.shape)
        steps = float(forecaster.history_.groupby("model")["step"].max().sum())
        return scored(answer) | {"coverage": float(inside.mean()), "seconds": seconds, "cpu": cpu, "steps": steps}

    found = {"latentode": fitted(), "mean curve": scored(learned[:, N_KNOWN:].mean(0))}
    if not alone:
        if name == "hopper":
            found["published"] = fitted(**PUBLISHED)
        found["mean"] = scored(learned.mean((0, 1)))
        found["last value"] = scored(new[:, N_KNOWN - 1 : N_KNOWN])
    found["latentode"]["over mean curve"] = found["latentode"]["mse"] / found["mean curve"]["mse"]
    found["latentode"]["over mean curve, scaled"] = found["latentode"]["scaled"] / found["mean curve"]["scaled"]
    return {who: {k: float(f"{v:.4g}") for k, v in row.items()} for who, row in found.items()}


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    torch.set_num_threads(1)
    if sys.argv[1:]:
        print(play(sys.argv[1], int(sys.argv[2]), alone=True))
    else:
        rows = {}
        for name in SETS:
            rows[name] = []
            for seed in SEEDS if name == "hopper" else TIMED:
                rows[name].append(play(name, seed))
                print(f"{name}, seed {seed}")
                print(pd.DataFrame(rows[name][-1]).T.to_string(), flush=True)
        path = Path(__file__).parent / "results" / "rollouts_hopper.json"
        path.write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")
