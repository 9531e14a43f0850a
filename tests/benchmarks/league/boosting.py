"""Gradient boosting on hand-made lag features: what an analyst would try before a latent ODE.

One :class:`sklearn.ensemble.HistGradientBoostingRegressor` per channel for the mean, and one per channel and quantile,
on the last two values of every channel, their rate of change, age, mean and count, the number of rows so far, the lead
time, the time since the series began, the calendar where times are dates, and exponentially weighted sums of known
covariates up to the query row. Origins are drawn as in the contest: a few random ones per series, and every row after
them within the horizon (or, with ``gaps``, rows between others). Of more than 12 channels each sees its own
features and the last values of the others, and learns from fewer rows; the time that takes is what limits it.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.ensemble import HistGradientBoostingRegressor

__all__ = ["LagBoosting", "days_of"]

Floats = NDArray[np.float64]

ORIGINS = 6
WIDE, ROWS, ROWS_OF_WIDE = 12, 20_000, 4_000
SCALES = (2.0, 8.0, 32.0)
"""Usual gaps over which known covariates are summed up."""


@dataclass
class LagBoosting:
    """Fit on whole series; answer rows of series of which something is known."""

    channels: list[str]
    known_cols: tuple[str, ...]
    horizon: Any
    quantiles: tuple[float, ...]
    between: bool = False
    random_state: int = 0
    means: list[HistGradientBoostingRegressor] = field(default_factory=list)
    bands: list[list[HistGradientBoostingRegressor]] = field(default_factory=list)

    def fit(self, df: pd.DataFrame) -> "LagBoosting":
        rng = np.random.default_rng(self.random_state)
        horizon = self.horizon / pd.Timedelta(days=1) if isinstance(self.horizon, pd.Timedelta) else self.horizon
        series = list(self._series(df))
        self.gap = float(np.median(np.concatenate([np.diff(s[1]) for s in series if len(s[1]) > 1])))
        inputs, truths = [], []
        for _, times, values, driven, dates in series:
            seen = np.flatnonzero(~np.isnan(values).all(1))
            for row in rng.choice(seen, min(ORIGINS, len(seen)), replace=False) if len(seen) > 1 else ():
                queried = times > times[row]
                if horizon is not None:
                    queried &= times <= times[row] + horizon
                at = np.flatnonzero(queried)
                at = rng.choice(at, min(len(at), 100), replace=False)
                known = seen[seen <= row]
                if self.between:
                    hidden = rng.random(len(times)) < 0.3
                    at, known = np.flatnonzero(hidden), np.flatnonzero(~hidden)
                if len(at) and len(known):
                    inputs.append(self._features(times, values, driven, dates, known, at))
                    truths.append(values[at])
        x, y = np.concatenate(inputs), np.concatenate(truths)
        most = ROWS if len(self.channels) <= WIDE else ROWS_OF_WIDE
        kept = rng.permutation(len(x))[:most]
        x, y = x[kept], y[kept]
        options = {"early_stopping": True, "max_iter": 300, "learning_rate": 0.06, "random_state": self.random_state}
        # Five of these for each of the mean: as many trees would take minutes, and say little more of a quantile.
        options_of_band = options | {"max_iter": 100, "learning_rate": 0.12, "max_leaf_nodes": 15}
        for k, channel in enumerate(y.T):
            known = ~np.isnan(channel)
            seen, reported = self._of_channel(x[known], k), channel[known]
            self.means.append(HistGradientBoostingRegressor(**options).fit(seen, reported))
            self.bands.append(
                [
                    HistGradientBoostingRegressor(loss="quantile", quantile=q, **options_of_band).fit(seen, reported)
                    for q in self.quantiles
                ]
            )
        return self

    def predict(self, known: pd.DataFrame, queried: pd.DataFrame) -> tuple[Floats, Floats]:
        """Return means, (row, channel), and quantiles, (quantile, row, channel), of the rows of ``queried``."""
        both = pd.concat(
            [known.assign(row=-1), queried.assign(**dict.fromkeys(self.channels), row=np.arange(len(queried)))]
        )
        both = both.sort_values(["id", "time"], kind="stable")
        x: Any = [None] * len(queried)
        for _, rows in both.groupby("id", sort=False):
            _, times, values, driven, dates = next(self._series(rows))
            place = rows["row"].to_numpy()
            at, seen = np.flatnonzero(place >= 0), np.flatnonzero((place < 0) & ~np.isnan(values).all(1))
            for row, features in zip(place[at], self._features(times, values, driven, dates, seen, at), strict=True):
                x[row] = features
        stacked = np.stack(x)
        inputs = [self._of_channel(stacked, k) for k in range(len(self.channels))]
        means = np.stack([m.predict(s) for m, s in zip(self.means, inputs, strict=True)], -1)
        bands = [[m.predict(s) for m in band] for band, s in zip(self.bands, inputs, strict=True)]
        return means, np.moveaxis(np.array(bands), 0, 2)

    def _of_channel(self, x: Floats, k: int) -> Floats:
        n = len(self.channels)
        if n <= WIDE:
            return x
        own, rest = x[:, 6 * k : 6 * k + 6], x[:, 6 * n :]
        return np.concatenate([own, x[:, 0 : 6 * n : 6], rest], 1)

    def _series(self, df: pd.DataFrame) -> Iterator[tuple[object, Floats, Floats, Floats, pd.Series | None]]:
        times, values = days_of(df["time"]), df[self.channels].to_numpy(dtype=float)
        driven = df[list(self.known_cols)].to_numpy(dtype=float)
        dated = pd.api.types.is_datetime64_any_dtype(df["time"])
        for name, rows in df.groupby("id", sort=False).indices.items():
            rows = rows[np.argsort(times[rows], kind="stable")]
            yield name, times[rows], values[rows], driven[rows], df["time"].iloc[rows] if dated else None

    def _features(
        self,
        times: Floats,
        values: Floats,
        driven: Floats,
        dates: pd.Series | None,
        known: NDArray[np.int64],
        at: NDArray[np.int64],
    ) -> Floats:
        """What the known rows say of the rows at some places, (queried, feature)."""
        if self.between:
            return np.stack([self._at(times, values, known, row) for row in at])
        each: list[float] = []
        origin = times[known[-1]] if len(known) else times[0]
        for channel in values[known].T:
            seen = np.flatnonzero(~np.isnan(channel))
            last, before = (channel[seen[-k]] if len(seen) >= k else np.nan for k in (1, 2))
            age = origin - times[known[seen[-1]]] if len(seen) else np.nan
            gap = times[known[seen[-1]]] - times[known[seen[-2]]] if len(seen) > 1 else np.nan
            mean = channel[seen].mean() if len(seen) else np.nan
            each += [last, before, (last - before) / gap if gap > 0 else np.nan, age, mean, len(seen)]
        columns = [
            np.broadcast_to([*each, len(known)], (len(at), len(each) + 1)),
            times[at] - origin,
            times[at] - times[0],
        ]
        if dates is not None:
            queried = dates.iloc[at].dt
            columns += [queried.hour.to_numpy(), queried.dayofweek.to_numpy(), queried.dayofyear.to_numpy()]
        if driven.shape[1]:
            filled = np.nan_to_num(driven)
            for scale in SCALES:
                weight = np.exp(np.clip(-(times[at][:, None] - times) / (scale * self.gap), None, 0.0))
                columns.append((weight * (times <= times[at][:, None])) @ filled)
        return np.column_stack(columns)

    def _at(self, times: Floats, values: Floats, known: NDArray[np.int64], row: int) -> Floats:
        """What stands on both sides of a row."""
        out: list[float] = []
        for channel in values.T:
            seen = known[~np.isnan(channel[known])]
            left, right = seen[seen < row], seen[seen > row]
            for side, pick in ((left, -1), (right, 0)):
                out += [channel[side[pick]], times[side[pick]] - times[row]] if len(side) else [np.nan, np.nan]
            out += [channel[seen].mean() if len(seen) else np.nan, len(seen)]
        return np.array([*out, times[row] - times[0]])


def days_of(times: pd.Series) -> Floats:
    """Times as numbers; dates in days."""
    if pd.api.types.is_datetime64_any_dtype(times):
        return (times - pd.Timestamp(0)).dt.total_seconds().to_numpy() / 86_400
    return times.to_numpy(dtype=float)
