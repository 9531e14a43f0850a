"""Plots of training: validation scores and learning rate."""

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from sklearn.utils.validation import check_is_fitted

from latentode._drawing import FAINT, HELD_OUT, MEAN, legend_outside, one_axes, tidy
from latentode.estimators import LatentODEForecaster

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["plot_training"]


def plot_training(forecaster: LatentODEForecaster, ax: "Axes | None" = None) -> "Axes":
    """Draw the held-out CRPS of every model by step, the best of it, and where the learning rate fell.

    Parameters
    ----------
    forecaster : LatentODEForecaster
        Fitted.
    ax : Axes, optional
        Where to draw. None makes a figure of its own.

    Returns
    -------
    Axes

    Raises
    ------
    ImportError
        When matplotlib is not installed.

    Examples
    --------
    >>> from latentode import LatentODEForecaster
    >>> from latentode.datasets import make_spirals
    >>> from latentode.plotting import plot_training
    >>> df = make_spirals(n_series=25, n_points=10, random_state=0)
    >>> plot_training(LatentODEForecaster(max_steps=50, random_state=0).fit(df)).get_xlabel()
    'step'
    """
    check_is_fitted(forecaster, "model_")
    ax = one_axes(ax)
    for _, rows in forecaster.history_.groupby("model"):
        _draw(ax, rows.reset_index(drop=True))
    ax.set_xlabel("step", fontsize=9)
    ax.set_ylabel("CRPS, in spreads", fontsize=9)
    handles, labels = ax.get_legend_handles_labels()
    once = dict(zip(labels, handles, strict=True))  # one entry, though a curve per model
    legend_outside(np.array([ax]), list(once.values()), list(once))
    tidy(ax)
    return ax


def _draw(ax: "Axes", rows: pd.DataFrame) -> None:
    """One model's training."""
    ax.plot(rows["step"], rows["validation_crps"], color=MEAN, lw=1.6, label="held-out CRPS")
    best = int(np.argmin(rows["validation_crps"].fillna(np.inf)))
    ax.plot(*rows.loc[best, ["step", "validation_crps"]], "o", color=HELD_OUT, ms=6, label="best, kept")
    # The rate is halved after a loss that is not finite. The annealing at the end is gradual and draws no line.
    falls = np.flatnonzero(rows["learning_rate"].to_numpy()[1:] < 0.5 * rows["learning_rate"].to_numpy()[:-1]) + 1
    for k in falls:
        ax.axvline(rows["step"][k], color=FAINT, lw=0.9, ls=(0, (4, 3)), label="learning rate falls")
