"""A backtest as a picture."""

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from latentode._drawing import as_label, legend_outside, one_axes

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["plot_backtest"]

WITHOUT_UNIT = ("coverage", "mase", "log_score")
"""Scores of a backtest that can be averaged over channels as they are."""


def plot_backtest(table: pd.DataFrame, score: str = "mae", ax: "Axes | None" = None) -> "Axes":
    """Draw a score over the lead, a line per model, averaged over channels.

    Parameters
    ----------
    table : DataFrame
        As :func:`latentode.evaluation.summarise_backtest` gives it.
    score : str
        The column to draw. Channels are averaged after division by their mean over all models, so that each counts
        alike; those of :data:`WITHOUT_UNIT` as they are.
    ax : Axes, optional
        Where to draw. None makes a new figure.

    Returns
    -------
    Axes

    Raises
    ------
    ValueError
        If there is no such score.
    """
    if score not in table.columns:
        raise ValueError(f"the table has no column {score!r}; its columns are {list(table.columns)}")
    axes = one_axes(ax, 7, 4)
    middle, unit = pd.Series([where.mid for where in table["lead"]], table.index), ""
    if pd.api.types.is_timedelta64_dtype(middle.dtype):
        middle, unit = middle.dt.total_seconds() / 86_400, ", days"
    drawn = table.assign(middle=middle)
    if score not in WITHOUT_UNIT:
        drawn[score] = drawn[score] / drawn.groupby("channel", sort=False)[score].transform("mean")
    lines = drawn.pivot_table(score, "middle", "model", sort=False).sort_index()
    for model in lines.columns:
        ours = model == "forecaster"
        axes.plot(
            lines.index,
            lines[model],
            marker="o",
            label=as_label(model),
            linewidth=2.5 if ours else 1.2,
            zorder=2 + ours,
        )
    axes.set_xlabel(f"lead{unit}")
    axes.set_ylabel(score if score in WITHOUT_UNIT else f"{score}, relative to the mean of all")
    legend_outside(np.array([axes]), *axes.get_legend_handles_labels())
    return axes
