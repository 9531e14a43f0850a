"""A plot of the stacking weights: how far a forecast is that of the Gaussian process, and how far the network's."""

from typing import TYPE_CHECKING

import numpy as np
from sklearn.utils.validation import check_is_fitted

from latentode._drawing import FAINT, as_label, lead_time_label, legend_outside, one_axes, three_digits, tidy, unit_of
from latentode.estimators import LatentODEForecaster

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["plot_weights"]

MOST_NAMED = 6
"""Channels with a colour and a name of their own; of more, all are drawn faint."""

STYLES = ("--", "-")
"""After one observation, and after ten."""


def plot_weights(forecaster: LatentODEForecaster, ax: "Axes | None" = None) -> "Axes":
    """Draw the weight of the Gaussian process by lead time, for each channel; the rest to 1 is the network's.

    The solid line holds after ten observations of the channel, the dashed one after one. Points at "inside" are of
    times within the history.

    Parameters
    ----------
    forecaster : LatentODEForecaster
        Fitted with ``stacking=True``.
    ax : Axes, optional
        Where to draw. None makes a figure of its own.

    Returns
    -------
    Axes

    Raises
    ------
    ImportError
        When matplotlib is not installed.
    NotFittedError
        Before ``fit``.
    ValueError
        When the forecaster was fitted with ``stacking=False``.

    Examples
    --------
    >>> from latentode import LatentODEForecaster
    >>> from latentode.datasets import make_spirals
    >>> from latentode.plotting import plot_weights
    >>> df = make_spirals(n_series=25, n_points=10, random_state=0)
    >>> plot_weights(LatentODEForecaster(max_steps=50, random_state=0).fit(df)).get_ylabel()
    'weight of the Gaussian process'
    """
    check_is_fitted(forecaster, "model_")
    weights = forecaster.weights_
    if weights is None:
        raise ValueError("the forecaster was fitted with stacking=False: the network has all the weight")
    ax = one_axes(ax)
    few = weights.shape[1] <= MOST_NAMED
    for k, channel in enumerate(weights.columns):
        for (_, line), style in zip(weights.iloc[:, k].unstack("observations").items(), STYLES, strict=True):
            label = as_label(channel) if few and style == STYLES[-1] else None
            ax.plot(
                range(len(line)), line, style, marker="o", ms=3, lw=1.4, color=f"C{k}" if few else FAINT, label=label
            )
    leads = weights.index.unique("lead")
    unit, length = unit_of(forecaster.time_axis_, float(leads.max()))
    ax.set_xticks(range(len(leads)), ["inside", *(three_digits(lead / length) for lead in leads[1:])])
    ax.set_ylim(-0.02, 1.02)
    ax.set_xlabel(lead_time_label(unit), fontsize=9)
    ax.set_ylabel("weight of the Gaussian process", fontsize=9)
    for style, text in zip(STYLES, ("after one observation", "after ten"), strict=True):
        ax.plot([], [], style, color=FAINT, lw=1.4, label=text)
    legend_outside(np.array([ax]), *ax.get_legend_handles_labels())
    tidy(ax)
    return ax
