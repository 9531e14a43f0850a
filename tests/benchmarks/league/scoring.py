"""Scores of an answer: in units of each channel's spread in the series fitted, means over channels."""

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from latentode.evaluation import energy_score
from tests.benchmarks.league.contest import Contest

__all__ = ["QUANTILES", "scores"]

Floats = NDArray[np.float64]

QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)


def scores(contest: Contest, means: Floats, bands: Floats, samples: Floats | None = None) -> dict[str, float]:
    """Score means, (row, channel), quantiles, (quantile, row, channel), and joint samples, (sample, row, channel).

    CRPS is twice the mean pinball loss of :data:`QUANTILES`, for all alike; coverage that of the interval between the
    outermost; energy the score of the joint answer of a series, over the square root of the number of values queried.
    """
    spread = contest.train[contest.channels].std().to_numpy()
    spread = np.where(spread > 0, spread, 1.0)
    truth = contest.queried[contest.channels].to_numpy(dtype=float) / spread
    means, bands = means / spread, np.sort(bands, 0) / spread
    error = means - truth
    levels = np.array(QUANTILES)[:, None, None]
    below = truth - bands
    pinball = 2 * np.maximum(levels * below, (levels - 1) * below).mean(0)
    inside = np.where(np.isnan(truth), np.nan, (truth >= bands[0]) & (truth <= bands[-1]))
    found = {
        "mse": _mean(error**2),
        "mae": _mean(np.abs(error)),
        "crps": _mean(pinball),
        "coverage": float(np.nanmean(inside)),
    }
    if samples is not None:
        found["energy"] = _energy(contest.queried["id"], truth, samples / spread)
    return found


def _mean(x: Floats) -> float:
    """Of the channels' means; a channel that is never queried is none."""
    queried = ~np.isnan(x).all(0)
    return float(np.nanmean(x[:, queried], 0).mean())


def _energy(ids: pd.Series, truth: Floats, samples: Floats) -> float:
    found = []
    for rows in ids.reset_index(drop=True).groupby(ids.to_numpy()).indices.values():
        n_known = int((~np.isnan(truth[rows])).sum())
        if n_known:
            found.append(energy_score(truth[rows][None], np.moveaxis(samples[:, rows], 0, -1)[None]) / np.sqrt(n_known))
    return float(np.mean(found))
