"""Hopper: trajectories of a simulated one-legged robot, thrown and falling (Rubanova et al. 2019, table 3).

Protocol: 10,000 trajectories of 200 steps, 14 positions and velocities, from dm_control (seed 123), each feature as
(x - min) / max over all data, as published. The first 80 % are learned from, with 10, 20, 30 or 50 % of all their
points kept at random; of the others as many are kept of the first part, and all later points are queried: 100 -> 100,
and 66 -> 134. Interpolation: as many points of all 100 of a random slice are kept and all 100 queried. Mean squared
errors, in hundredths, beside the published ones. (The published models were taught all points of the later part; ours
only those kept.) Needs ``pip install latentode[bench]`` to generate the data; a file once generated is read again.

    python -m tests.benchmarks.accuracy.hopper hopper.npy [extrapolation|third|interpolation] [DENSITY ...] > out.json
"""

import json
import sys
from pathlib import Path

import numpy as np

from tests.benchmarks.accuracy.rollouts import extrapolation, interpolation

PUBLISHED = {
    "extrapolation": {10: 1.441, 20: 1.400, 30: 1.175, 50: 1.258},
    "interpolation": {10: 0.360, 20: 0.295, 30: 0.300, 50: 0.285},
}
N, T = 10_000, 200


def generate(n: int = N) -> np.ndarray:
    """Simulate the first `n` trajectories, (trajectory, step, feature)."""
    from dm_control import suite

    # The published data come from numpy's global generator; so must these.
    np.random.seed(123)  # noqa: NPY002
    physics = suite.load("hopper", "stand").physics
    out = np.empty((n, T, 14), dtype=np.float32)
    for trajectory in out:
        with physics.reset_context():
            data = physics.data
            data.qpos[:2] = np.random.uniform(0, 0.5, size=2)  # noqa: NPY002
            data.qpos[2:] = np.random.uniform(-2, 2, size=data.qpos[2:].shape)  # noqa: NPY002
            data.qvel[:] = np.random.uniform(-5, 5, size=data.qvel.shape)  # noqa: NPY002
        for row in trajectory:
            row[:7], row[7:] = physics.data.qpos, physics.data.qvel
            physics.step()
    return out


def load(file: Path) -> np.ndarray:
    """Read the trajectories, or simulate and keep them; scaled as published."""
    if not file.is_file():
        np.save(file, generate())
    raw = np.load(file).astype(np.float64)
    return (raw - raw.min((0, 1))) / raw.max((0, 1))


def main(file: str, task: str = "extrapolation", *densities: str) -> None:
    values = load(Path(file))
    times = np.arange(T) / T
    results = []
    for percent in map(int, densities or ("10", "20", "30", "50")):
        if task == "interpolation":
            begin = np.random.default_rng(0).integers(0, T - 100, N)
            rows = begin[:, None] + np.arange(100)
            found = interpolation(values[np.arange(N)[:, None], rows], times[:100], percent / 100, seed=0)
        else:
            found = extrapolation(values, times, T // 3 if task == "third" else 100, percent / 100, seed=0)
        errors = {k: round(100 * v, 6) for k, v in found.items() if k[0].isupper() or k == "latentode"}
        reported = {k: v for k, v in found.items() if k not in errors}
        published = PUBLISHED.get("extrapolation" if task == "third" else task, {}).get(percent)
        results.append({"task": task, "observed": percent, "mse_x100": errors, "published": published, **reported})
        sys.stderr.write(f"{results[-1]}\n")
    json.dump(results, sys.stdout, indent=1)


if __name__ == "__main__":
    main(*sys.argv[1:])
