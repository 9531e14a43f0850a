"""Errors on 1,000 new series after fits of more and more series: whether more than a fit reads would pay.

The first half of each new series is known, the second is queried. One seed, one thread.

python -m tests.benchmarks.accuracy.many_series GENERATOR N_SERIES ...

GENERATOR is a function of ``tests.benchmarks.league.generators``.
"""

import sys
import time
import warnings

import numpy as np
import torch

from latentode import LatentODEForecaster
from tests.benchmarks.league import generators

N_NEW = 1_000


def main(generator: str, *sizes: str) -> None:
    for n in map(int, sizes):
        df = getattr(generators, generator)(np.random.default_rng(0), n + N_NEW)
        channels = [name for name in df.columns if name.startswith("c")]
        is_new = df["id"].isin(df["id"].unique()[:N_NEW])
        new = df[is_new]
        known = new["time"] <= new.groupby("id")["time"].transform("median")
        begin = time.perf_counter()
        forecaster = LatentODEForecaster(random_state=0).fit(df[~is_new])
        seconds = time.perf_counter() - begin
        queried = new[~known]
        found = forecaster.predict(queried[["id", "time"]], history=new[known])[channels].to_numpy()
        share = np.nanmean((found - queried[channels]) ** 2) / np.nanvar(queried[channels])
        steps = forecaster.history_["step"].max()
        print(
            f"{n} series: squared error {share:.4f} of the variance, fit {seconds:.0f} s, {steps:.0f} steps", flush=True
        )


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    torch.set_num_threads(1)
    main(*sys.argv[1:])
