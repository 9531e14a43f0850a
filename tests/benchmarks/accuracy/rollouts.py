"""What the benchmarks on simulated trajectories share: thinning, splitting, fitting, scoring beside naive forecasts."""

import time
from typing import Any

import numpy as np
import pandas as pd

from latentode import LatentODEForecaster
from latentode.evaluation import (
    Baseline,
    LastValue,
    LinearInterpolation,
    LinearTrend,
    PopulationMean,
    SplineInterpolation,
)

__all__ = ["extrapolation", "frame_of", "interpolation"]

FORECASTS = (LastValue, LinearTrend, PopulationMean)
INTERPOLATIONS = (LinearInterpolation, SplineInterpolation, PopulationMean)


def extrapolation(
    values: np.ndarray, times: np.ndarray, n_known: int, observed: float, seed: int, **params: Any
) -> dict[str, Any]:
    """Fit on 80 % of the trajectories, thinned throughout; forecast all points after the first part of the others.

    Parameters
    ----------
    values : array
        (series, time, channel), scaled as the published protocol says.
    times : array
        (time,), or (series, time).
    n_known : int
        Points of the first part, of which a fraction is seen; all later ones are queried.
    observed : float
        The fraction of points seen, in fit and of the test histories.
    seed : int
        Of the thinning and the fit.
    **params
        Of the forecaster.

    Returns
    -------
    dict
        Mean squared errors by forecaster, and seconds of the fit.
    """
    rng = np.random.default_rng(seed)
    n_train = int(0.8 * len(values))
    frame = _thinned(values[:n_train], times, observed, rng)
    history = _thinned(
        values[n_train:, :n_known], _part(times, n_train, slice(0, n_known)), observed, rng, first=n_train
    )
    late = slice(n_known, values.shape[1])
    truth = frame_of(values[n_train:, late], _part(times, n_train, late), n_train)
    span = np.ptp(np.atleast_2d(times)[0])
    horizon = float(span * (values.shape[1] - n_known) / values.shape[1]) * 1.02
    return _scored(frame, history, truth, FORECASTS, {"horizon": horizon, **params}, seed)


def interpolation(values: np.ndarray, times: np.ndarray, observed: float, seed: int, **params: Any) -> dict[str, Any]:
    """Fit on 80 % of the trajectories, thinned; reconstruct all points of the others from as few.

    Parameters and results are those of :func:`extrapolation`.
    """
    rng = np.random.default_rng(seed)
    n_train = int(0.8 * len(values))
    frame = _thinned(values[:n_train], times, observed, rng)
    everywhere = slice(0, values.shape[1])
    history = _thinned(values[n_train:], _part(times, n_train, everywhere), observed, rng, first=n_train)
    truth = frame_of(values[n_train:], _part(times, n_train, everywhere), n_train)
    return _scored(frame, history, truth, INTERPOLATIONS, params, seed)


def _part(times: np.ndarray, n_train: int, which: slice) -> np.ndarray:
    return times[which] if times.ndim == 1 else times[n_train:, which]


def frame_of(values: np.ndarray, times: np.ndarray, first: int = 0) -> pd.DataFrame:
    """Whole courses, (series, time, channel), as a frame; ids count from `first`."""
    n_series, n_points, n_channels = values.shape
    df = pd.DataFrame(values.reshape(-1, n_channels), columns=[f"c{k}" for k in range(n_channels)])
    df.insert(0, "time", np.broadcast_to(times, (n_series, n_points)).ravel())
    df.insert(0, "id", np.repeat(np.arange(first, first + n_series), n_points))
    return df


def _thinned(
    values: np.ndarray, times: np.ndarray, observed: float, rng: np.random.Generator, first: int = 0
) -> pd.DataFrame:
    n_series, n_points, _ = values.shape
    kept = rng.random((n_series, n_points)).argsort(axis=1) < max(round(observed * n_points), 1)
    return frame_of(values, times, first)[kept.ravel()]


def _scored(
    frame: pd.DataFrame,
    history: pd.DataFrame,
    truth: pd.DataFrame,
    naive: tuple[type[Baseline], ...],
    params: dict[str, Any],
    seed: int,
) -> dict[str, Any]:
    queries, channels = truth[["id", "time"]], [c for c in truth.columns if c not in ("id", "time")]
    started = time.perf_counter()
    forecaster = LatentODEForecaster(random_state=seed, **params).fit(frame)
    seconds = time.perf_counter() - started
    steps = int(forecaster.history_.groupby("model")["step"].max().sum())
    found: dict[str, Any] = {"seconds": round(seconds), "steps": steps}
    bands = forecaster.predict_interval(queries, 90, history=history)
    inside = [truth[c].between(bands[f"{c}-lo-90"], bands[f"{c}-hi-90"]).mean() for c in channels]
    found["coverage of 90 %"] = float(np.mean(inside))
    answers = {"latentode": forecaster.predict(queries, history=history)}
    answers |= {kind.__name__: kind().fit(frame).predict(queries, history=history) for kind in naive}
    return found | {
        name: float(np.square(answer[channels].to_numpy() - truth[channels].to_numpy()).mean())
        for name, answer in answers.items()
    }
