"""What samples say of whole paths, beside the truth: the sum over a month, the chance of a maximum, the time until it.

python -m tests.benchmarks.accuracy.paths [SEED ...]

Daily levels vary around 20 as an AR(1) process with coefficient 0.9 and noise of standard deviation 1; 30 % of the days
were not measured. The truth is simulated from the last day, which is always measured.
"""

import sys

import numpy as np
import pandas as pd

from latentode import LatentODEForecaster
from latentode.evaluation import coverage_by_lead
from latentode.evaluation.reliability import coverage_and_error

N_SERIES, N_DAYS, AHEAD, THRESHOLD = 60, 40, 30, 24.0
N_SAMPLES, N_TRUE = 1000, 1000


def simulated(start: np.ndarray, n_days: int, rng: np.random.Generator) -> np.ndarray:
    """Levels of the days after a start, (..., day)."""
    level, days = start - 20, []
    for _ in range(n_days):
        level = 0.9 * level + rng.standard_normal(level.shape)
        days.append(20 + level)
    return np.stack(days, axis=-1)


def measured(seed: int) -> None:
    rng = np.random.default_rng(seed)
    start = 20 + rng.standard_normal(N_SERIES) / np.sqrt(1 - 0.9**2)
    levels = simulated(start, N_DAYS, rng)
    df = pd.DataFrame({"id": np.repeat(range(N_SERIES), N_DAYS), "day": np.tile(np.arange(N_DAYS), N_SERIES)})
    df["level"] = levels.ravel()
    df = df[(df["day"] == N_DAYS - 1) | (rng.random(len(df)) < 0.7)]
    forecaster = LatentODEForecaster(id_col="id", time_col="day", horizon=AHEAD, random_state=seed).fit(df)
    days = np.arange(N_DAYS, N_DAYS + AHEAD)
    query = pd.DataFrame({"id": np.repeat(range(N_SERIES), AHEAD), "day": np.tile(days, N_SERIES)})
    drawn = forecaster.sample(query, N_SAMPLES, random_state=0)["level"].to_numpy().reshape(N_SAMPLES, N_SERIES, AHEAD)
    true = simulated(np.broadcast_to(levels[:, -1], (N_TRUE, N_SERIES)), AHEAD, rng)
    of_series = np.broadcast_to(np.arange(N_SERIES), (N_TRUE, N_SERIES)).ravel()
    for level in (50, 80, 90):
        low, high = np.quantile(drawn.sum(2), [0.5 - level / 200, 0.5 + level / 200], axis=0)
        inside = (low <= true.sum(2)) & (true.sum(2) <= high)
        share, error, _ = coverage_and_error(inside.ravel(), of_series)
        print(f"seed {seed}: {level} % interval of the sum holds {100 * share:.1f} % (s.e. {100 * error:.1f})")
    print(f"  standard deviation of the sum {drawn.sum(2).std(0).mean():.1f}, truth {true.sum(2).std(0).mean():.1f}")
    for by in (5, 10, 20, 30):
        ours, truth = ((paths[..., :by].max(2) > THRESHOLD).mean(0) for paths in (drawn, true))
        print(
            f"  chance to pass {THRESHOLD:g} within {by} days: mean {ours.mean():.3f}, truth {truth.mean():.3f}; "
            f"mean difference of a series {np.abs(ours - truth).mean():.3f}"
        )
    thirds = np.array_split(np.argsort(levels.mean(1)), 3)  # by the mean level of the history
    low, middle, high = ((ours - truth)[rows].mean() for rows in thirds)
    print(f"  that of low, middling and high series: {low:+.3f}, {middle:+.3f}, {high:+.3f}")
    single = pd.DataFrame({"series": of_series.repeat(AHEAD), "lead": np.tile(np.arange(1, AHEAD + 1), of_series.size)})
    low, high = (np.broadcast_to(q, true.shape).ravel() for q in np.quantile(drawn, [0.05, 0.95], axis=0))
    table = coverage_by_lead(single.assign(**{"y": true.ravel(), "q0.05": low, "q0.95": high}), [0, 5, 10, 30], by=())
    print(table.to_string())


if __name__ == "__main__":
    for seed in map(int, sys.argv[1:] or ["0"]):
        measured(seed)
