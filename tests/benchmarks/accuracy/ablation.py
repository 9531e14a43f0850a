"""Each default choice switched off, on real sets: what it is worth.

Protocol: sets, splits and scores of ``against_boosting``; every choice with three seeds, which draw the split,
too. Each is one model, which takes a third of the time of the default's three; those stand beside.

    python -m tests.benchmarks.accuracy.ablation [SET ...] [SEED ...] > ablation.json
"""

import json
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any
from unittest import mock

from latentode import PUBLISHED, LatentODEForecaster
from latentode.estimators import fitting, sizes
from latentode.evaluation import score_table
from latentode.nn import LatentODEConfig
from tests.benchmarks.accuracy.against_boosting import QUANTILES, as_users_have_it, fitted, questions

REFERENCE = "one model"
CHOICES: dict[str, dict[str, Any]] = {
    REFERENCE: {},
    "three models (the default)": {"n_models": 3},
    "neural ODE alone (dynamics='mlp')": {"dynamics": "mlp"},
    "closed form alone (dynamics='linear')": {"dynamics": "linear"},
    "no skip (decoder='mlp')": {"decoder": "mlp"},
    "no summary": {"summary": False},
    "a point for a latent state": {"variational": False},
    "start of the history as anchor": {"anchor": "start"},
    "no averaged weights": {"averaging": 0.0},
    "no dropout": {"dropout": 0.0},
    "no bridge between neighbours": {"bridge": False},
    "large states as they are": {"log_beyond": 0.0},
    "published Latent ODE": PUBLISHED,
}
"""What differs from the reference, by parameters, or, where there is none of that name, by the config of the model."""

SETS = ("pbc", "airports", "storms")


@contextmanager
def configured(**choices: Any) -> Iterator[None]:
    """Within the block models are made with these parts of their config."""

    def config_for(*args: Any) -> LatentODEConfig:
        return replace(sizes.config_for(*args), **choices)

    with mock.patch.object(fitting, "config_for", config_for):
        yield


def run(name: str, seed: int, params: dict[str, Any]) -> dict[str, float]:
    """Scores averaged over channels."""
    split = questions(name, seed)
    keys, history = (as_users_have_it(x, split.dated) for x in (split.asked[["id", "time"]], split.history))
    started = time.perf_counter()
    names = LatentODEForecaster().get_params()
    with configured(**{k: v for k, v in params.items() if k not in names}):
        forecaster = fitted(split, seed, **{"n_models": 1, **{k: v for k, v in params.items() if k in names}})
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
