"""What every candidate forecast scored on held-out series, as a fit leaves it and as a table."""

from collections.abc import Hashable, Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

__all__ = ["CANDIDATES", "SCORES", "leaderboard_frame"]

Floats = NDArray[np.float64]

CANDIDATES = ("latentode", "network", "Gaussian process", "last value", "series' mean", "overall mean")
SCORES = ("n", "mae", "rmse", "crps", "coverage")
IN_UNITS = ["mae", "rmse", "crps"]


def leaderboard_frame(
    scores: Floats, spread: Floats, channels: Sequence[Hashable], by_channel: bool = False
) -> pd.DataFrame:
    """Lay the scores out as a table, the lowest RMSE first.

    Parameters
    ----------
    scores : array of float
        (candidate, channel, score), as :data:`CANDIDATES` and :data:`SCORES` name them; NaN where there is none.
    spread : array of float
        (channel,), the units in which channels are averaged.
    channels : sequence of hashable
        Names of the channels.
    by_channel : bool
        Whether to give a row per channel and candidate, in the channel's own unit.

    Examples
    --------
    >>> scores = np.full((6, 1, 5), np.nan)
    >>> scores[0, 0], scores[3, 0] = [8, 2.0, 3.0, 1.5, 0.9], [8, 1.0, 2.0, np.nan, np.nan]
    >>> leaderboard_frame(scores, np.array([2.0]), ["bili"])[["n", "mae", "rmse"]]
                n  mae  rmse
    forecast
    last value  8  0.5   1.0
    latentode   8  1.0   1.5
    """
    present = np.flatnonzero((~np.isnan(scores[:, :, SCORES.index("n")])).any(1))
    names = pd.Index([CANDIDATES[k] for k in present], name="forecast")
    parts = [
        pd.DataFrame(of_channel[present], names, list(SCORES)).astype({"n": np.int64})
        for of_channel in scores.transpose(1, 0, 2)
    ]
    if by_channel:
        ordered = [part.sort_values("rmse", kind="stable").reset_index() for part in parts]
        keys = [pd.Series([name] * len(part), dtype=object) for name, part in zip(channels, ordered, strict=True)]
        return pd.concat([part.assign(channel=key) for part, key in zip(ordered, keys, strict=True)]).set_index(
            ["channel", "forecast"]
        )
    scaled = [part.assign(**part[IN_UNITS] / unit) for part, unit in zip(parts, spread, strict=True)]
    table = pd.concat(scaled).groupby(level=0, sort=False).mean().reindex(names)
    table["n"] = sum(part["n"] for part in parts)
    return table.sort_values("rmse", kind="stable")
