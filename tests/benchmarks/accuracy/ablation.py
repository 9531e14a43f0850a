"""Each default choice switched off, on two real sets: what it is worth.

Protocol: sets, splits and scores of ``against_boosting``; every choice with three seeds, which draw the split, too.

    python -m tests.benchmarks.accuracy.ablation [SET ...] [SEED ...] > ablation.json
"""

import json
import sys
import time
from typing import Any

from latentode import PUBLISHED
from latentode.evaluation import score_table
from tests.benchmarks.accuracy.against_boosting import QUANTILES, as_users_have_it, fitted, questions

CHOICES: dict[str, dict[str, Any]] = {
    "default": {},
    "neural ODE alone (dynamics='mlp')": {"dynamics": "mlp"},
    "closed form alone (dynamics='linear')": {"dynamics": "linear"},
    "no skip (decoder='mlp')": {"decoder": "mlp"},
    "no summary": {"summary": False},
    "a point for a latent state": {"variational": False},
    "start of the history as anchor": {"anchor": "start"},
    "no averaged weights": {"averaging": 0.0},
    "no dropout": {"dropout": 0.0},
    "published Latent ODE": PUBLISHED,
}
SETS = ("pbc", "airports")


def run(name: str, seed: int, params: dict[str, Any]) -> dict[str, float]:
    """Scores averaged over channels."""
    split = questions(name, seed)
    keys, history = (as_users_have_it(x, split.dated) for x in (split.asked[["id", "time"]], split.history))
    started = time.perf_counter()
    forecaster = fitted(split, seed, **params)
    points = {"latentode": forecaster.predict(keys, history=history)}
    fans = {"latentode": forecaster.predict_quantiles(keys, QUANTILES, history=history)}
    spread = split.train[split.channels].std()
    table = score_table(split.asked[split.channels], points, fans, spread=spread, level=90)
    row = table[table["channel"] == "mean"].drop(columns=["channel", "forecaster"]).iloc[0]
    return {**row.round(4).to_dict(), "seconds": round(time.perf_counter() - started)}


def main(*given: str) -> None:
    results = []
    seeds = [int(a) for a in given if a.isdigit()] or [0, 1, 2]
    for seed in seeds:
        for name in [a for a in given if not a.isdigit()] or SETS:
            for choice, params in CHOICES.items():
                results.append({"set": name, "seed": seed, "choice": choice, **run(name, seed, params)})
                sys.stderr.write(f"{results[-1]}\n")
    json.dump(results, sys.stdout, indent=1)


if __name__ == "__main__":
    main(*sys.argv[1:])
