"""Samples and intervals of simulated processes beside the truth, from many series and from few.

python -m tests.benchmarks.accuracy.processes N_SERIES [SEED ...]

Series of 20 rows at irregular times, gaps of 0.51 on average (days, a third of them missing, for the autoregression);
forecast from the end of each history, default settings. The truth is simulated from the state of the process there.
"""

import sys
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from latentode import LatentODEForecaster

Floats = NDArray[np.float64]

N_ROWS, N_SAMPLES, N_TRUE = 20, 500, 400
LEADS = np.array([0.25, 0.5, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0])
SHOWN = [0, 1, 2, 3, 5, 9]
"""Lead times whose coverage is shown."""

WHOLE = slice(2, None)
"""Leads 1 to 8, which are summed."""


@dataclass(frozen=True)
class Process:
    """A linear process with Gaussian noise.

    Parameters
    ----------
    step : callable
        From a state, (..., state), a duration, (..., 1), and a source of randomness to the state after it.
    start : callable
        From a number of series and a source of randomness to first states.
    seen : callable
        From a state to the channels, (..., channel).
    daily : bool
        Observed on whole days, of which a third is missing.
    """

    step: Callable[[Floats, Floats, np.random.Generator], Floats]
    start: Callable[[int, np.random.Generator], Floats]
    seen: Callable[[Floats], Floats] = lambda state: state
    daily: bool = False


def _walk(state: Floats, gap: Floats, rng: np.random.Generator) -> Floats:
    return state + np.sqrt(gap) * rng.standard_normal(state.shape)


def _ou(state: Floats, gap: Floats, rng: np.random.Generator) -> Floats:
    kept = np.exp(-0.3 * gap)
    return kept * state + np.sqrt(1 - kept**2) * rng.standard_normal(state.shape)


def _two(state: Floats, gap: Floats, rng: np.random.Generator) -> Floats:
    common = 0.8 * np.ones((2, 2)) + 0.2 * np.eye(2)
    kept = np.exp(-0.3 * gap)
    return kept * state + np.sqrt(1 - kept**2) * (rng.standard_normal(state.shape) @ np.linalg.cholesky(common).T)


def _integrated(state: Floats, gap: Floats, rng: np.random.Generator) -> Floats:
    """Position and velocity, in small steps of Euler's method: an Ornstein-Uhlenbeck process, integrated."""
    n = 16
    short = gap[..., 0] / n
    place, speed = state[..., 0], state[..., 1]
    for _ in range(n):
        kept = np.exp(-0.5 * short)
        after = kept * speed + np.sqrt(1 - kept**2) * rng.standard_normal(speed.shape)
        place, speed = place + short * (speed + after) / 2, after
    return np.stack([place, speed], axis=-1)


PROCESSES = {
    "walk": Process(_walk, lambda n, rng: np.zeros((n, 1))),
    "OU": Process(_ou, lambda n, rng: rng.standard_normal((n, 1))),
    "AR(1)": Process(_ou, lambda n, rng: rng.standard_normal((n, 1)), daily=True),
    "integrated OU": Process(
        _integrated,
        lambda n, rng: np.stack([np.zeros(n), rng.standard_normal(n)], axis=1),
        lambda state: state[..., :1],
    ),
    "two channels": Process(_two, lambda n, rng: rng.standard_normal((n, 2))),
}


def simulated(process: Process, n_series: int, rng: np.random.Generator) -> tuple[pd.DataFrame, Floats, Floats]:
    """Histories as a frame, the ends of them, (series,), and the states there, (series, state)."""
    if process.daily:
        days = np.stack([np.append(np.sort(rng.permutation(29)[: N_ROWS - 1]), 29) for _ in range(n_series)])
        times = days.astype(float)
    else:
        times = np.cumsum(rng.exponential(0.5, (n_series, N_ROWS)) + 0.01, axis=1)
    state, states = process.start(n_series, rng), []
    for gap in np.diff(times, axis=1, prepend=0.0).T:
        state = process.step(state, gap[:, None], rng)
        states.append(process.seen(state))
    values = np.stack(states, axis=1)
    frame = pd.DataFrame({"id": np.repeat(np.arange(n_series), N_ROWS), "time": times.ravel()})
    for k in range(values.shape[-1]):
        frame[f"x{k}"] = values[..., k].ravel()
    return frame, times[:, -1], state


def measured(name: str, n_series: int, seed: int) -> dict[str, float]:
    """Figures of one process and seed."""
    process, rng = PROCESSES[name], np.random.default_rng(100 + seed)
    frame, ends, state = simulated(process, n_series, rng)
    forecaster = LatentODEForecaster(id_col="id", time_col="time", random_state=seed).fit(frame)
    query = pd.DataFrame({"id": np.repeat(np.arange(n_series), len(LEADS)), "time": np.add.outer(ends, LEADS).ravel()})
    channels = list(frame.columns[2:])
    drawn = forecaster.sample(query, N_SAMPLES, random_state=0)[channels].to_numpy()
    drawn = drawn.reshape(N_SAMPLES, n_series, len(LEADS), len(channels))
    true, state = [], np.broadcast_to(state, (N_TRUE, *state.shape))
    for gap in np.diff(LEADS, prepend=0.0):
        state = process.step(state, np.full((*state.shape[:-1], 1), gap), rng)
        true.append(process.seen(state))
    return figures(drawn, np.stack(true, axis=2))


def figures(drawn: Floats, true: Floats) -> dict[str, float]:
    """Samples beside draws of the truth, (draw, series, lead, channel)."""
    found = {f"lead {LEADS[k]:g}": _covered(drawn[:, :, k], true[:, :, k]) for k in SHOWN}
    found["sum"] = _covered(drawn[:, :, WHOLE].sum(2), true[:, :, WHOLE].sum(2))
    found["max"] = _covered(drawn[:, :, WHOLE].max(2), true[:, :, WHOLE].max(2))
    for a, b in ((2, 3), (5, 9)):
        ours, truth = (_correlation(x[:, :, a], x[:, :, b]) for x in (drawn, true))
        found[f"r {LEADS[a]:g}-{LEADS[b]:g}"], found[f"true r {LEADS[a]:g}-{LEADS[b]:g}"] = ours, truth
    ours, truth = (np.diff(x[:, :, 2:4], axis=2).std(0).mean() for x in (drawn, true))
    found["sd of increment / true"] = float(ours / truth)
    if drawn.shape[-1] > 1:
        for part, x in (("", drawn), ("true ", true)):
            found[f"{part}r of channels"] = _correlation(x[:, :, 5, 0], x[:, :, 5, 1])
    return found


def _covered(drawn: Floats, true: Floats) -> float:
    low, high = np.quantile(drawn, [0.05, 0.95], axis=0)
    return float(((low <= true) & (true <= high)).mean())


def _correlation(a: Floats, b: Floats) -> float:
    """Of draws of each series, the mean over series."""
    a, b = a - a.mean(0), b - b.mean(0)
    return float(((a * b).mean(0) / (a.std(0) * b.std(0)).clip(1e-12)).mean())


if __name__ == "__main__":
    n_series, seeds = int(sys.argv[1]), [int(seed) for seed in sys.argv[2:]] or [0]
    for name in PROCESSES:
        table = pd.DataFrame([measured(name, n_series, seed) for seed in seeds], index=seeds)
        print(f"\n{name}, {n_series} series\n{table.round(3).to_string()}")
        print(pd.DataFrame({"mean": table.mean()}).T.round(3).to_string(header=False), flush=True)
