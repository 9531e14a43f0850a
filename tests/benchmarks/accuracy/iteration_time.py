"""Milliseconds of a training iteration at the sizes of the published models: loss, gradients, optimiser.

Toy: one channel, latent 10, 50 points seen and 100 queried, batch 50. Hopper: 14 channels, latent 15, dynamics with
hidden layers of 300, 20 points seen and 100 queried, batch 50; every series has its own times. The default, and the
published decoder and likelihood (``PUBLISHED``) with our GRU and with the ODE-RNN encoder, all as wide as the published
dynamics, where the published encoder's state has 20 and 30; and the default with the hidden layers that it takes by
itself for the toy data. Beside them, in the same run, the published model's iteration as ``published_iteration`` writes
it anew (needs the extra ``bench``).

The median over iterations, and the best of some passes over all modes: what the machine gives when it is left alone.

    python -m tests.benchmarks.accuracy.iteration_time [THREADS] > iteration_time.json
"""

import json
import sys
import time

import numpy as np
import torch

from latentode.estimators.defaults import LOG_BEYOND, SOLVER_STEPS
from latentode.nn import LatentODE, LatentODEConfig
from latentode.training import RaggedSeries, TaskSampler
from tests.benchmarks.accuracy import published_iteration

SIZES = {
    "toy": {"n_channels": 1, "latent_dim": 10, "hidden_dim": 100, "context_dim": 0, "seen": 50, "queried": 100},
    "hopper": {"n_channels": 14, "latent_dim": 15, "hidden_dim": 300, "context_dim": 0, "seen": 20, "queried": 100},
}
PUBLISHED_PARTS = {"decoder": "linear", "likelihood": "fixed", "dynamics": "mlp", "summary": False, "anchor": "start"}
DEFAULT = {"dynamics": "mixed", "log_beyond": LOG_BEYOND, "n_steps": SOLVER_STEPS}
MODES = {
    "default (GRU, end of the history)": DEFAULT,
    "published parts, GRU": {"encoder": "gru", **PUBLISHED_PARTS},
    "published parts, ODE-RNN": {"encoder": "odernn", **PUBLISHED_PARTS},
}
CASES = [
    ("toy", "default, hidden layers of 64, as it takes them", {**DEFAULT, "hidden_dim": 64, "context_dim": 16}),
    *((data, mode, parts) for data in SIZES for mode, parts in MODES.items()),
]
BATCH, PASSES, REPEATS, WARM_UP = 50, 3, 20, 5


def milliseconds(seen: int, queried: int, n_channels: int, **config: object) -> float:
    """The median over iterations."""
    torch.manual_seed(0)
    rng = np.random.default_rng(0)
    rows = seen + queried
    offsets = np.arange(0, BATCH * rows + 1, rows)
    times = np.sort(rng.uniform(0, 1, (BATCH, rows)), axis=1).ravel()
    values = rng.normal(size=(len(times), n_channels)).astype(np.float32)
    maker = TaskSampler(RaggedSeries(offsets, times, values), 0.5)
    whole = np.arange(BATCH)
    batch = maker.at(whole, np.full(BATCH, seen), np.zeros(BATCH), np.ones(BATCH, dtype=bool), rng)
    model = LatentODE(LatentODEConfig(n_channels=n_channels, usual_gap=1 / rows, **config)).float()
    optimiser = torch.optim.AdamW(model.parameters(), fused=True)
    taken = []
    for _ in range(WARM_UP + REPEATS):
        started = time.perf_counter()
        optimiser.zero_grad()
        model.loss(batch, 1.0).total.backward()
        optimiser.step()
        taken.append(time.perf_counter() - started)
    return 1e3 * float(np.median(taken[WARM_UP:]))


def one_pass() -> tuple[list[float], list[float]]:
    """Of every case of ours, and of every data the published model's."""
    ours = [milliseconds(**{**SIZES[data], **parts}) for data, _, parts in CASES]
    return ours, [published_iteration.milliseconds(data, REPEATS, WARM_UP) for data in SIZES]


def main(*threads: str) -> None:
    if threads:
        torch.set_num_threads(int(threads[0]))
    ours, published = (np.min(taken, axis=0) for taken in zip(*(one_pass() for _ in range(PASSES)), strict=True))
    reference = dict(zip(SIZES, published.tolist(), strict=True))
    results = [
        {"data": data, "mode": mode, "ms": round(took, 1), "times": round(reference[data] / took, 1)}
        for (data, mode, _), took in zip(CASES, ours.tolist(), strict=True)
    ]
    reported = {data: round(took, 1) for data, took in reference.items()}
    json.dump({"threads": torch.get_num_threads(), "reference_ms": reported, "results": results}, sys.stdout, indent=1)


if __name__ == "__main__":
    main(*sys.argv[1:])
