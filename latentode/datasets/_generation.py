"""What the generators share: randomness, records dropped at random, and the long frame they return."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

Floats = NDArray[np.float64]
RandomState = int | np.random.Generator | np.random.RandomState | None


def as_generator(random_state: RandomState) -> np.random.Generator:
    """Make a generator from a seed; a given generator is used directly.

    A ``RandomState`` seeds a new generator and advances, so that a second call draws other numbers.
    """
    if isinstance(random_state, np.random.RandomState):
        return np.random.default_rng(random_state.randint(2**31, size=4))
    return np.random.default_rng(random_state)


def check_sizes(n_series: int, n_points: int, observed: float) -> None:
    """Refuse a panel without series or points, and a fraction that is none."""
    for name, size in (("n_series", n_series), ("n_points", n_points)):
        if size < 1:
            raise ValueError(f"{name}={size}: there must be at least one")
    if not 0 < observed <= 1:
        raise ValueError(f"observed={observed}: the fraction of records to keep lies in (0, 1]")


def observed_frame(
    times: Floats, channels: Mapping[str, Floats], observed: float, rng: np.random.Generator
) -> pd.DataFrame:
    """Lay out values of shape (series, time) as a long frame, with the same share of records kept per series.

    The records that stay are drawn last of all randomness, so that the same seed with ``observed=1`` gives
    the records that were dropped.
    """
    n_series, n_points = times.shape
    kept = max(1, round(observed * n_points))
    chosen = rng.random(times.shape).argsort(axis=1).argsort(axis=1) < kept
    columns: dict[str, Any] = {
        "id": np.repeat(np.arange(n_series), n_points).reshape(times.shape)[chosen],
        "time": times[chosen],
    }
    columns |= {name: values[chosen] for name, values in channels.items()}
    return pd.DataFrame(columns)
