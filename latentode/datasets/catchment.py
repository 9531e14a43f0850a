"""Water stores that are filled by storms."""

from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from latentode.datasets._generation import RandomState, as_generator

Floats = NDArray[np.float64]

SUBSTEPS = 8
"""Euler steps a day of the simulation."""


class Catchments(NamedTuple):
    """The tables that :func:`make_catchment` returns and describes."""

    data: pd.DataFrame
    truth: pd.DataFrame
    parameters: pd.DataFrame


def make_catchment(
    n_series: int = 40,
    n_days: int = 365,
    *,
    mean_gap: float = 6.0,
    noise: float = 0.1,
    rain_error: float = 0.3,
    random_state: RandomState = None,
) -> Catchments:
    r"""Simulate the water levels of catchments: a nonlinear store, filled by rain and emptied by its outflow.

    The level :math:`S` of a catchment follows

    .. math:: \frac{dS}{dt} = a\,r(t) - k\,S^b,

    with the rain :math:`r` in storms of one to three days, and :math:`a, k, b` of its own. Rain is measured with an
    error: what fell is the measured amount times a lognormal factor, one for each storm. The level is observed at
    irregular times, with noise. The noise-free level and the parameters are returned too, so that the smallest possible
    error of a forecast is known.

    Parameters
    ----------
    n_series : int, default=40
        The number of catchments.
    n_days : int, default=365
        Days of each; rain is known on all of them.
    mean_gap : float, default=6.0
        Mean number of days between two observed levels (exponential, at least one day).
    noise : float, default=0.1
        Standard deviation of the noise of a level, in units of the level's standard deviation over all catchments.
    rain_error : float, default=0.3
        Standard deviation of the logarithm of the factor between the rain that fell and the rain measured.
    random_state : int, numpy.random.Generator, numpy.random.RandomState or None, default=None
        The only source of randomness.

    Returns
    -------
    data : pandas.DataFrame
        A row per catchment and day: ``id``, ``time`` (days), ``level`` (NaN where it was not observed), ``rain``.
    truth : pandas.DataFrame
        The same rows with the level without noise, and the rain that fell.
    parameters : pandas.DataFrame
        A row per catchment: ``id``, ``a``, ``k``, ``b``, and ``noise``, the standard deviation of the noise.

    Raises
    ------
    ValueError
        If a size or the mean gap is not positive, or an error is negative.

    References
    ----------
    Kirchner, J. W. (2009). Catchments as simple dynamical systems. Water Resources Research 45.

    Examples
    --------
    >>> from latentode.datasets import make_catchment
    >>> data, truth, parameters = make_catchment(n_series=3, n_days=100, random_state=0)
    >>> data.columns.tolist(), len(data)
    (['id', 'time', 'level', 'rain'], 300)
    """
    for name, size in (("n_series", n_series), ("n_days", n_days)):
        if size < 1:
            raise ValueError(f"{name}={size}: must be at least 1")
    if mean_gap <= 0:
        raise ValueError(f"mean_gap={mean_gap}: must be positive")
    for name, error in (("noise", noise), ("rain_error", rain_error)):
        if error < 0:
            raise ValueError(f"{name}={error}: must not be negative")
    rng = as_generator(random_state)
    measured, fallen = _storms(n_series, n_days, rain_error, rng)
    a, k, b = rng.lognormal(0.0, 0.3, n_series), rng.lognormal(-3.0, 0.5, n_series), rng.uniform(1.0, 2.0, n_series)
    level = _simulated(fallen, a, k, b, start=rng.lognormal(0.5, 0.5, n_series))
    noise_std = noise * float(level.std())
    observed = _days_observed(n_series, n_days, mean_gap, rng)
    noisy = np.where(observed, level + noise_std * rng.standard_normal(level.shape), np.nan)

    rows = {"id": np.repeat(np.arange(n_series), n_days), "time": np.tile(np.arange(n_days, dtype=float), n_series)}
    data = pd.DataFrame(rows | {"level": noisy.ravel(), "rain": measured.ravel()})
    truth = pd.DataFrame(rows | {"level": level.ravel(), "rain": fallen.ravel()})
    parameters = pd.DataFrame({"id": np.arange(n_series), "a": a, "k": k, "b": b, "noise": noise_std})
    return Catchments(data, truth, parameters)


def _storms(n: int, n_days: int, error: float, rng: np.random.Generator) -> tuple[Floats, Floats]:
    """Rain of each day as measured and as it fell, (series, day)."""
    measured, factor = np.zeros((n, n_days)), np.ones((n, n_days))
    begins = rng.random((n, n_days)) < 0.1
    for i, day in zip(*np.nonzero(begins), strict=True):
        days = slice(day, day + rng.integers(1, 4))
        measured[i, days] += rng.gamma(0.7, 1.0)
        factor[i, days] = np.exp(error * rng.standard_normal() - error**2 / 2)
    return measured, measured * factor


def _simulated(rain: Floats, a: Floats, k: Floats, b: Floats, start: Floats) -> Floats:
    """The level at the beginning of every day, (series, day)."""
    level, store = np.empty_like(rain), start
    for day in range(rain.shape[1]):
        level[:, day] = store
        for _ in range(SUBSTEPS):
            store = np.maximum(store + (a * rain[:, day] - k * store**b) / SUBSTEPS, 0.0)
    return level


def _days_observed(n: int, n_days: int, mean_gap: float, rng: np.random.Generator) -> NDArray[np.bool_]:
    observed = np.zeros((n, n_days), dtype=bool)
    for one in observed:
        days = np.cumsum(1 + rng.exponential(max(mean_gap - 1, 0.0), n_days)).astype(int) - 1
        one[days[days < n_days]] = True
    return observed
