"""Made-up sets of many kinds: each function draws a long frame of irregular, partly observed series."""

from collections.abc import Callable

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.integrate import solve_ivp

__all__ = [
    "brusselator",
    "counts",
    "damped_rotations",
    "kicked_relaxations",
    "logistic_growth",
    "long_series",
    "lorenz",
    "motion",
    "ornstein_uhlenbeck",
    "pharmacokinetics",
    "random_walks",
    "reservoir",
    "seasonal_ar",
    "wide",
]

Floats = NDArray[np.float64]
Generator = np.random.Generator


def _frame(rng: Generator, times: list[Floats], values: list[Floats], seen: float = 1.0) -> pd.DataFrame:
    """A long frame; of the values a part is seen, and a row at which nothing is seen is left out."""
    stacked = np.concatenate(values)
    channels = [f"c{k}" for k in range(stacked.shape[1])]
    df = pd.DataFrame(np.where(rng.random(stacked.shape) < seen, stacked, np.nan), columns=channels)
    ids = np.repeat([f"s{i:04d}" for i in range(len(times))], [len(t) for t in times])
    df.insert(0, "time", np.concatenate(times))
    df.insert(0, "id", ids)
    return df.dropna(subset=channels, how="all").reset_index(drop=True)


def _drawn(
    rng: Generator, n: int, rows: int, end: float, course: Callable[[Floats], Floats], noise: float, seen: float = 1.0
) -> pd.DataFrame:
    """Courses at times of their own: ``course(times)`` draws one series, (row, channel)."""
    times = [np.sort(rng.uniform(0, end, rows)) for _ in range(n)]
    values = [course(t) for t in times]
    return _frame(rng, times, [v + noise * rng.standard_normal(v.shape) for v in values], seen)


def damped_rotations(rng: Generator, n: int) -> pd.DataFrame:
    """Two damped oscillators with frequencies of their own, mixed into three channels."""
    mix = rng.standard_normal((4, 3)) / 2

    def course(t: Floats) -> Floats:
        parts = []
        for _ in range(2):
            omega, decay, phase = 2 * np.pi * rng.uniform(0.5, 3), rng.uniform(0, 1.5), rng.uniform(0, 2 * np.pi)
            size = np.exp(-decay * t) * rng.uniform(0.5, 1.5)
            parts += [size * np.cos(omega * t + phase), size * np.sin(omega * t + phase)]
        return np.stack(parts, -1) @ mix

    return _drawn(rng, n, 40, 1.0, course, 0.05, 0.7)


def kicked_relaxations(rng: Generator, n: int) -> pd.DataFrame:
    """Four channels relax to a level of the series, at rates of the channel, and are kicked at random."""
    rates, coupling = rng.uniform(1, 6, 4), 0.5 * rng.standard_normal((4, 4))

    def course(t: Floats) -> Floats:
        level = rng.standard_normal(4) * 0.7
        kicks, sizes = np.sort(rng.uniform(0, 1, 3)), rng.standard_normal((3, 4)) @ (np.eye(4) + coupling)
        since = np.maximum(t[:, None] - kicks, 0)
        moved = (np.exp(-since[..., None] * rates) * (t[:, None] >= kicks)[..., None] * sizes).sum(1)
        return level + np.exp(-t[:, None] * rates) * rng.standard_normal(4) + moved

    return _drawn(rng, n, 30, 1.0, course, 0.1, 0.5)


def random_walks(rng: Generator, n: int) -> pd.DataFrame:
    """Two correlated Wiener processes: nothing beats the last value."""
    root = np.linalg.cholesky(np.array([[1.0, 0.6], [0.6, 1.0]]))

    def course(t: Floats) -> Floats:
        steps = rng.standard_normal((len(t), 2)) @ root.T
        return np.cumsum(np.sqrt(np.diff(t, prepend=0))[:, None] * steps, 0) + rng.standard_normal(2)

    return _drawn(rng, n, 40, 1.0, course, 0.05, 0.8)


def ornstein_uhlenbeck(rng: Generator, n: int) -> pd.DataFrame:
    """Three channels that return to a level of the series, at a rate of the channel."""
    rates = np.array([2.0, 6.0, 20.0])

    def course(t: Floats) -> Floats:
        level, x, last = rng.standard_normal(3), rng.standard_normal(3), 0.0
        out = []
        for now in t:
            kept = np.exp(-rates * (now - last))
            x, last = kept * x + np.sqrt(1 - kept**2) * rng.standard_normal(3), now
            out.append(level + 0.7 * x)
        return np.array(out)

    return _drawn(rng, n, 40, 1.0, course, 0.05, 0.7)


def seasonal_ar(rng: Generator, n: int) -> pd.DataFrame:
    """Ten weeks of days with a season of the week, an autoregression and a trend; dated, a third missing."""
    week = rng.standard_normal((7, 2)) * 0.8
    times, values = [], []
    for _ in range(n):
        days = np.flatnonzero(rng.random(70) < 0.67)
        x = np.zeros((70, 2))
        for k in range(1, 70):
            x[k] = 0.8 * x[k - 1] + 0.5 * rng.standard_normal(2)
        trend = rng.standard_normal(2) * 0.5 * np.linspace(-1, 1, 70)[:, None]
        values.append((x + trend + rng.standard_normal(2) + week[np.arange(70) % 7])[days])
        times.append(days.astype(float))
    df = _frame(rng, times, values)
    return df.assign(time=pd.Timestamp("2021-01-04") + pd.to_timedelta(df["time"], unit="D"))


def counts(rng: Generator, n: int) -> pd.DataFrame:
    """Poisson counts of two channels whose rate turns with a season of 1 and has a level of the series."""

    def course(t: Floats) -> Floats:
        level, phase = rng.normal(1.2, 0.8, 2), np.array([0.0, 1.0])
        rate = np.exp(level + 0.8 * np.sin(2 * np.pi * t[:, None] + phase))
        return rng.poisson(rate).astype(float)

    return _drawn(rng, n, 40, 4.0, course, 0.0)


def reservoir(rng: Generator, n: int) -> pd.DataFrame:
    """A nonlinear store, filled by storms that are known beforehand (``rain``) and emptied at its own rate."""
    frames = []
    for i in range(n):
        rain = (rng.random(240) < 0.1) * rng.gamma(1.5, 1.0, 240)
        loss, level = rng.uniform(0.02, 0.08), np.empty(240)
        store = rng.uniform(1, 4)
        for k in range(240):
            store = max(store + rain[k] - loss * store**1.5, 0.01)
            level[k] = store
        seen = np.flatnonzero(rng.random(240) < 0.4)
        known = pd.DataFrame({"id": f"s{i:04d}", "time": np.arange(240.0), "c0": np.nan, "rain": rain})
        known.loc[seen, "c0"] = level[seen] + 0.1 * rng.standard_normal(len(seen))
        frames.append(known)
    return pd.concat(frames, ignore_index=True)


def logistic_growth(rng: Generator, n: int) -> pd.DataFrame:
    """Growth to a limit of the series at a rate of its own."""

    def course(t: Floats) -> Floats:
        limit, rate, middle = rng.lognormal(1, 0.3), rng.uniform(5, 12), rng.uniform(0.3, 0.7)
        return (limit / (1 + np.exp(-rate * (t - middle))) * np.exp(0.05 * rng.standard_normal(len(t))))[:, None]

    return _drawn(rng, n, 20, 1.0, course, 0.01)


def _integrated(field: Callable[[float, Floats], Floats], x0: Floats, t: Floats) -> Floats:
    return solve_ivp(field, (0.0, float(t[-1])), x0, t_eval=t, rtol=1e-6, atol=1e-8).y.T


def lorenz(rng: Generator, n: int) -> pd.DataFrame:
    """The system of Lorenz (1963) on its attractor, for two units of time."""

    def field(_: float, x: Floats) -> Floats:
        return np.array([10 * (x[1] - x[0]), x[0] * (28 - x[2]) - x[1], x[0] * x[1] - 8 / 3 * x[2]])

    def course(t: Floats) -> Floats:
        start = _integrated(field, rng.normal((0, 0, 25), 5), np.array([5.0]))[0]
        return _integrated(field, start, t) / 8

    return _drawn(rng, n, 80, 2.0, course, 0.02, 0.8)


def brusselator(rng: Generator, n: int) -> pd.DataFrame:
    """The chemical oscillator of Prigogine, with a limit cycle or a fixed point of the series' own."""

    def course(t: Floats) -> Floats:
        a, b = rng.uniform(0.8, 1.2), rng.uniform(1.5, 3.0)

        def field(_: float, x: Floats) -> Floats:
            return np.array([a + x[0] ** 2 * x[1] - (b + 1) * x[0], b * x[0] - x[0] ** 2 * x[1]])

        return _integrated(field, rng.uniform(0.5, 3, 2), t)

    return _drawn(rng, n, 40, 20.0, course, 0.05, 0.8)


def pharmacokinetics(rng: Generator, n: int) -> pd.DataFrame:
    """One compartment with absorption, a dose every eight hours, sampled irregularly over a day."""

    def course(t: Floats) -> Floats:
        absorbed, cleared = rng.lognormal(0.3, 0.3), rng.lognormal(-1.5, 0.35)
        volume = rng.lognormal(0, 0.25)
        since = np.maximum(t[:, None] - np.array([0.0, 8.0, 16.0]), 0)
        level = absorbed / (volume * (absorbed - cleared)) * (np.exp(-cleared * since) - np.exp(-absorbed * since))
        return (level.sum(1) * np.exp(0.1 * rng.standard_normal(len(t))))[:, None]

    return _drawn(rng, n, 14, 24.0, course, 0.01)


def wide(rng: Generator, n: int) -> pd.DataFrame:
    """A hundred channels at 5 % seen, mixed from six smooth courses."""
    mix = rng.standard_normal((6, 100)) / 2

    def course(t: Floats) -> Floats:
        omega, phase = 2 * np.pi * rng.uniform(0.3, 1.5, 6), rng.uniform(0, 2 * np.pi, 6)
        return (np.sin(omega * t[:, None] + phase) + 0.7 * rng.standard_normal(6)) @ mix

    return _drawn(rng, n, 50, 1.0, course, 0.1, 0.05)


def long_series(rng: Generator, n: int) -> pd.DataFrame:
    """Two thousand hourly rows of a sensor with a day, a wandering level, and holes of hours to days."""
    times, values = [], []
    for _ in range(n):
        level = np.cumsum(0.05 * rng.standard_normal(3_000))
        t = np.arange(3_000)
        day = rng.uniform(0.5, 1.5) * np.sin(2 * np.pi * (t / 24 + rng.uniform(0, 0.2)))
        ar = np.zeros(3_000)
        for k in range(1, 3_000):
            ar[k] = 0.9 * ar[k - 1] + 0.2 * rng.standard_normal()
        keep = np.ones(3_000, dtype=bool)
        for begin in rng.integers(0, 3_000, 20):
            keep[begin : begin + int(rng.integers(6, 96))] = False
        rows = np.flatnonzero(keep)[:2_000]
        values.append((level + day + ar)[rows, None])
        times.append(rows.astype(float))
    df = _frame(rng, times, values)
    return df.assign(time=pd.Timestamp("2021-01-01") + pd.to_timedelta(df["time"], unit="h"))


def motion(rng: Generator, n: int) -> pd.DataFrame:
    """Three hundred even rows of fifty channels, smooth functions of a gait with its own phase, pace and size."""
    first, second = rng.standard_normal((6, 30)), rng.standard_normal((30, 50)) / 5
    times, values = [], []
    for _ in range(n):
        t = np.arange(300) / 300
        pace, phase = rng.uniform(1.9, 2.1), rng.uniform(0, 2 * np.pi)
        sizes = rng.uniform(0.7, 1.3, 3)
        angle = 2 * np.pi * pace * t + phase
        latent = np.concatenate(
            [sizes[k] * np.stack([np.cos((k + 1) * angle), np.sin((k + 1) * angle)]) / (k + 1) for k in range(3)]
        )
        values.append(np.tanh(latent.T @ first) @ second + 0.05 * rng.standard_normal((300, 50)))
        times.append(np.arange(300.0))
    return _frame(rng, times, values)
