"""The values a score is of: those whose truth is known."""

from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

__all__ = ["Floats", "check_levels", "known_values", "mean_or_nan"]

Floats = NDArray[np.float64]


def known_values(y_true: ArrayLike, *, trailing: int = 0, **forecasts: ArrayLike) -> tuple[Floats, ...]:
    """Flatten truth and forecasts to the entries whose truth is known.

    Parameters
    ----------
    y_true : array_like
        The truth, of any shape; NaN where unknown.
    trailing : int
        How many axes a forecast has beyond those of the truth.
    **forecasts : array_like
        Forecasts by name.

    Returns
    -------
    tuple of array
        The truth, (known,), and each forecast, (known, ...).

    Raises
    ------
    ValueError
        If shapes or labels differ, or a known value was not predicted.

    Examples
    --------
    >>> known_values([1.0, float("nan")], y_pred=[2.0, 3.0])
    (array([1.]), array([2.]))
    """
    truth = np.asarray(y_true, dtype=np.float64)
    known = ~np.isnan(truth)
    kept = [truth[known]]
    for name, forecast in forecasts.items():
        _check_labels(y_true, name, forecast)
        values = np.asarray(forecast, dtype=np.float64)
        if values.ndim != truth.ndim + trailing or values.shape[: truth.ndim] != truth.shape:
            wanted = f"{truth.shape}" + " and one axis more" * trailing
            raise ValueError(f"{name} has shape {values.shape}, but y_true needs {wanted}")
        predicted = values[known]
        n_missing = int(np.isnan(predicted).reshape(len(predicted), -1).any(axis=1).sum()) if predicted.size else 0
        if n_missing:
            raise ValueError(
                f"{name} is NaN for {n_missing} of {len(predicted)} values whose truth is known; predict them all"
            )
        kept.append(predicted)
    return tuple(kept)


def _check_labels(y_true: Any, name: str, forecast: Any) -> None:
    if not (isinstance(y_true, pd.DataFrame | pd.Series) and type(y_true) is type(forecast)):
        return
    pairs = zip(y_true.axes, forecast.axes, strict=True)
    if y_true.shape == forecast.shape and not all(ours.equals(theirs) for ours, theirs in pairs):
        raise ValueError(
            f"{name} and y_true carry different labels; bring both into the same order of rows and columns"
        )


def mean_or_nan(values: NDArray[Any]) -> float:
    """The mean; NaN of no values.

    Examples
    --------
    >>> mean_or_nan(np.empty(0))
    nan
    """
    return float(values.mean()) if values.size else float("nan")


def check_levels(levels: ArrayLike, forecast: Floats) -> Floats:
    """Levels of quantiles as an array, (level,).

    Parameters
    ----------
    levels : array_like
        The levels.
    forecast : array
        (..., level), the quantiles.

    Raises
    ------
    ValueError
        If their number is not that of the quantiles, or they do not increase between 0 and 1.
    """
    tau = np.asarray(levels, dtype=np.float64)
    if tau.shape != forecast.shape[-1:]:
        raise ValueError(f"levels have shape {tau.shape}, but quantiles hold {forecast.shape[-1]} on the last axis")
    if not (np.all(np.diff(tau) > 0) and tau[0] > 0 and tau[-1] < 1):
        raise ValueError(f"levels must increase and lie between 0 and 1, got {tau.tolist()}")
    return tau
