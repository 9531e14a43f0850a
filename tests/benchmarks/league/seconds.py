"""Errors against the seconds of a fit: the default forecaster within time limits, boosting, the best naive forecasts.

Sets of many kinds from the choosing half, one fit at a time in one process, one thread. What is loaded once per process
(PyTorch's optimisers, Lightning: about two seconds) is loaded before.

python -m tests.benchmarks.league.seconds [PICTURE]
"""

import json
import os
import sys
import warnings
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")  # read when torch and scikit-learn are loaded

import numpy as np

from tests.benchmarks.league.players import baselines, latentode
from tests.benchmarks.league.running import contest_of

FILE = Path(__file__).parents[1] / "accuracy" / "results" / "seconds.json"
LIMITS = {"1": 1, "2": 2, "4": 4, "8": 8, "16": 16, "none": None}
SETS = (
    "pbc",
    "storms, later",
    "airports",
    "cities",
    "firms, a dozen",
    "wages",
    "Brusselator",
    "logistic growth",
    "reservoir",
    "damped rotations",
    "wide",
    "motion",
)


def play(name: str) -> dict[str, dict[str, float]]:
    """Seconds of the fit, and the CRPS, of every player of a set."""
    contest = contest_of(name, 0, quick=True)
    found = {}
    for who, limit in LIMITS.items():
        row = latentode(contest, 0, time_limit=limit)
        found[who] = {k: row[k] for k in ("fit_seconds", "crps")}
        print(name, who, found[who], flush=True)
    others = baselines(contest, 0)
    found["boosting"] = {k: others["boosting"][k] for k in ("fit_seconds", "crps")}
    naive = min(row["crps"] for player, row in others.items() if player != "boosting")
    return found | {"naive": {"fit_seconds": 0.0, "crps": naive}}


def means() -> dict[str, tuple[float, float]]:
    """Of each player, in the geometric mean over sets: seconds of a fit, and the CRPS over boosting's."""
    rows = list(json.loads(FILE.read_text("utf-8")).values())
    over = {who: [row[who]["crps"] / row["boosting"]["crps"] for row in rows] for who in rows[0]}
    seconds = {who: [row[who]["fit_seconds"] for row in rows] for who in rows[0]}
    return {who: (_geometric(seconds[who]), _geometric(over[who])) for who in rows[0]}


def _geometric(numbers: list[float]) -> float:
    return float(np.exp(np.mean(np.log(numbers)))) if min(numbers) > 0 else 0.0


def draw(path: str) -> None:
    """The picture of the means."""
    import matplotlib

    matplotlib.use("agg")
    from matplotlib import pyplot as plt

    found = means()
    figure, axes = plt.subplots(figsize=(6.4, 3.6), layout="constrained")
    ours = np.array([found[who] for who in LIMITS])
    axes.plot(*ours.T, marker="o", label="latentode, with a time limit of 1 to 16 s and with none")
    axes.plot(*found["boosting"], "s", color="tab:orange", label="gradient boosting on lag features")
    axes.axhline(found["naive"][1], color="grey", linestyle=":", label="the best naive forecast of each set")
    axes.set(xscale="log", xlabel="seconds of a fit, geometric mean over sets", ylabel="CRPS over that of boosting")
    axes.set_xticks([1, 2, 4, 8], labels=["1", "2", "4", "8"])
    axes.minorticks_off()
    axes.legend(frameon=False, fontsize=8)
    figure.savefig(path, dpi=110)


def main(*picture: str) -> None:
    warnings.simplefilter("ignore")
    if not picture:
        latentode(contest_of("wages", 1, quick=True), 0, max_steps=30)  # loads what is loaded once
        FILE.write_text(json.dumps({name: play(name) for name in SETS}, indent=1) + "\n", encoding="utf-8")
    else:
        draw(picture[0])


if __name__ == "__main__":
    main(*sys.argv[1:])
