"""Calibration plots: the actual coverage of prediction intervals."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from latentode._drawing import FAINT, MEAN, as_label, legend_outside, one_axes, tidy
from latentode.data import DataError, values_of
from latentode.data.native import as_pandas
from latentode.estimators import LatentODEForecaster

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["plot_calibration"]

MOST_NAMED = 8
"""Channels with a colour and a name of their own; of more, all but the mean are drawn faint."""


def plot_calibration(
    forecaster: LatentODEForecaster,
    truth: pd.DataFrame,
    history: pd.DataFrame | None = None,
    levels: Sequence[float] = (10, 20, 30, 40, 50, 60, 70, 80, 90, 95),
    ax: "Axes | None" = None,
) -> "Axes":
    """Draw actual against nominal coverage of the prediction intervals.

    Parameters
    ----------
    forecaster : LatentODEForecaster
        Fitted.
    truth : DataFrame
        Rows the forecaster has not seen, with their values.
    history : DataFrame, optional
        Observations before them, as in :meth:`LatentODEForecaster.predict`.
    levels : sequence of float
        Levels of the intervals, in per cent.
    ax : Axes, optional
        Where to draw. None makes a figure of its own.

    Returns
    -------
    Axes

    Raises
    ------
    DataError
        When `truth` holds no value.
    ImportError
        When matplotlib is not installed.

    Examples
    --------
    >>> from latentode import LatentODEForecaster
    >>> from latentode.datasets import make_spirals
    >>> from latentode.plotting import plot_calibration
    >>> df = make_spirals(n_series=25, n_points=10, random_state=0)
    >>> early = df["time"] < df["time"].median()
    >>> forecaster = LatentODEForecaster(max_steps=50, random_state=0).fit(df[early])
    >>> plot_calibration(forecaster, df[~early]).get_xlabel()
    'should lie within, %'
    """
    truth, history = as_pandas(truth), as_pandas(history)
    channels = list(forecaster.channels_)
    values = values_of(truth, forecaster.schema_)[:, : len(channels)]
    there = ~np.isnan(values)
    if not there.any():
        raise DataError("truth holds no value to compare the intervals with")
    bands = forecaster.predict_interval(truth, levels, history=history)
    ax = one_axes(ax)
    ax.plot([0, 100], [0, 100], color=FAINT, lw=0.9, ls=(0, (4, 3)))
    found = np.full((len(channels), len(levels)), np.nan)
    for k, channel in enumerate(channels):
        y = values[there[:, k], k]
        for j, level in enumerate(levels):
            low, high = (bands[f"{channel}-{side}-{level:g}"].to_numpy()[there[:, k]] for side in ("lo", "hi"))
            found[k, j] = 100 * np.mean((low <= y) & (y <= high)) if len(y) else np.nan
    few = len(channels) <= MOST_NAMED
    for k, channel in enumerate(channels):
        if there[:, k].any():
            label = f"{as_label(channel)} ({int(there[:, k].sum())})" if few else None
            ax.plot(levels, found[k], lw=1.1, color=None if few else FAINT, alpha=0.9 if few else 0.5, label=label)
    total = there.sum(0)
    mean = np.nansum(found * total[:, None], axis=0) / total.sum()
    ax.plot(levels, mean, color=MEAN, lw=2.4, marker="o", ms=4, label=f"all values ({int(total.sum())})")
    ax.set(xlim=(0, 100), ylim=(0, 100), aspect="equal")
    ax.set_xlabel("should lie within, %", fontsize=9)
    ax.set_ylabel("lay within, %", fontsize=9)
    legend_outside(np.array([ax]), *ax.get_legend_handles_labels())
    tidy(ax)
    return ax
