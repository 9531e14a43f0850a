"""Toy periodic data (Rubanova et al. 2019, supplement): sinusoids of random frequency and level.

Protocol: 1,000 series of 100 times shared by all (``make_periodic``), 80 % learned from; 10, 20, 30 or 50 % of the
points kept at random. Interpolation: all 100 points of the others from those kept; extrapolation: the later half from
those kept of the earlier one. Mean squared errors beside the published ones (whose generator differs a little: an
order of magnitude) and naive forecasts.

    python -m tests.benchmarks.accuracy.toy [DENSITY ...] > results.json
"""

import json
import sys

from latentode.datasets import make_periodic
from tests.benchmarks.accuracy.rollouts import extrapolation, interpolation

PUBLISHED = {
    "interpolation": {10: 0.0713, 20: 0.0314, 30: 0.0535, 50: 0.0172},
    "extrapolation": {10: 0.0531, 20: 0.0443, 30: 0.0357, 50: 0.0139},
}


def main(*densities: str) -> None:
    frame = make_periodic(shared_times=True, random_state=0)
    values = frame["y"].to_numpy().reshape(1000, 100, 1)
    times = frame["time"].to_numpy()[:100]
    results = []
    for percent in map(int, densities or ("10", "20", "30", "50")):
        for task, scored in (
            ("interpolation", interpolation(values, times, percent / 100, seed=0)),
            ("extrapolation", extrapolation(values, times, 50, percent / 100, seed=0)),
        ):
            rounded = {k: round(v, 5) for k, v in scored.items()}
            results.append({"task": task, "observed": percent, "published": PUBLISHED[task][percent], **rounded})
            sys.stderr.write(f"{results[-1]}\n")
    json.dump(results, sys.stdout, indent=1)


if __name__ == "__main__":
    main(*sys.argv[1:])
