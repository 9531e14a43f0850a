"""Gradient boosting on hand-made lag features: what an analyst would try before a latent ODE.

One :class:`sklearn.ensemble.HistGradientBoostingRegressor` per channel (for the mean) and per channel and quantile, on
the last two values of every channel, their rate of change, their age, means and counts over the history, the number of
rows so far, the lead time, and the time since the series began. Queries are drawn as in the
test: a few random origins per series, and every row after them within the horizon.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.ensemble import HistGradientBoostingRegressor

__all__ = ["LagBoosting"]

Floats = NDArray[np.float64]

ORIGINS = 6


@dataclass
class LagBoosting:
    """Fit on whole series; answer rows that follow histories, (row, channel) and (quantile, row, channel)."""

    horizon: float | None
    quantiles: tuple[float, ...]
    random_state: int = 0
    means: list[HistGradientBoostingRegressor] = field(default_factory=list)
    bands: list[list[HistGradientBoostingRegressor]] = field(default_factory=list)

    def fit(self, df: pd.DataFrame, channels: list[str]) -> "LagBoosting":
        rng = np.random.default_rng(self.random_state)
        inputs, truths = [], []
        for _, times, values in _series(df, channels):
            for row in rng.integers(0, max(len(times) - 1, 1), ORIGINS):
                queried = times > times[row]
                if self.horizon is not None:
                    queried &= times <= times[row] + self.horizon
                if queried.any():
                    inputs.append(_features(times[: row + 1], values[: row + 1], times[queried]))
                    truths.append(values[queried])
        x, y = np.concatenate(inputs), np.concatenate(truths)
        options = {"early_stopping": True, "max_iter": 300, "learning_rate": 0.06, "random_state": self.random_state}
        for channel in y.T:
            known = ~np.isnan(channel)
            self.means.append(HistGradientBoostingRegressor(**options).fit(x[known], channel[known]))
            self.bands.append(
                [
                    HistGradientBoostingRegressor(loss="quantile", quantile=q, **options).fit(x[known], channel[known])
                    for q in self.quantiles
                ]
            )
        return self

    def predict(self, history: pd.DataFrame, queried: pd.DataFrame, channels: list[str]) -> tuple[Floats, Floats]:
        """Return means and quantiles of the rows of ``queried``."""
        known = {name: (times, values) for name, times, values in _series(history, channels)}
        times, ids = _numbers(queried["time"]), queried["id"].to_numpy()
        x = np.concatenate([_features(*known[name], times[i : i + 1]) for i, name in enumerate(ids)])
        means = np.stack([model.predict(x) for model in self.means], -1)
        return means, np.stack([[model.predict(x) for model in band] for band in self.bands], -1)


def _numbers(times: pd.Series) -> Floats:
    """Times as numbers; dates in days."""
    if pd.api.types.is_datetime64_any_dtype(times):
        return (times - pd.Timestamp(0)).dt.total_seconds().to_numpy() / 86_400
    return times.to_numpy(dtype=float)


def _series(df: pd.DataFrame, channels: list[str]) -> Iterator[tuple[object, Floats, Floats]]:
    times, values = _numbers(df["time"]), df[channels].to_numpy(dtype=float)
    for name, rows in df.groupby("id", sort=False).indices.items():
        rows = rows[np.argsort(times[rows], kind="stable")]
        yield name, times[rows], values[rows]


def _features(times: Floats, values: Floats, queried: Floats) -> Floats:
    """What is known at the end of a history, and how far ahead is queried, (queried, feature)."""
    each = []
    for channel in values.T:
        at = np.flatnonzero(~np.isnan(channel))
        last, before = (channel[at[-k]] if len(at) >= k else np.nan for k in (1, 2))
        age = times[-1] - times[at[-1]] if len(at) else np.nan
        gap = times[at[-1]] - times[at[-2]] if len(at) > 1 else np.nan
        mean = channel[at].mean() if len(at) else np.nan
        each += [last, before, (last - before) / gap if gap > 0 else np.nan, age, mean, len(at)]
    now = np.broadcast_to([*each, len(times)], (len(queried), len(each) + 1))
    return np.column_stack([now, queried - times[-1], queried - times[0]])
