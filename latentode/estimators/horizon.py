"""The horizon of training where none is given, and how many of its forecasts begin early in their series."""

from typing import NamedTuple

import numpy as np

from latentode.data import Panel, TimeAxis
from latentode.training.tasks import NEARLY

__all__ = ["EARLY", "Horizon", "horizon_for", "typical_duration"]

OF_DURATIONS = 0.95
"""Quantile of the durations of the series that is the horizon where none is given."""

EARLY = 1 / 3
"""Fraction of forecast origins drawn early in their series, where the horizon is nearly as long as the series. Origins
drawn evenly alone would leave few forecasts from the first rows to the end."""


class Horizon(NamedTuple):
    """How far ahead a model is trained.

    Parameters
    ----------
    length : float
        The farthest lead time, on the axis.
    early : float
        Fraction of the forecasts that begin where nearly the whole horizon lies ahead.
    reason : str
        A line for the log that says how the length was chosen; empty where it was given.
    """

    length: float
    early: float
    reason: str


def horizon_for(panel: Panel, axis: TimeAxis, given: float | None) -> Horizon:
    """The horizon of a fit: the one given, or the duration that 95 % of the series do not exceed.

    Parameters
    ----------
    panel : Panel
        The observations.
    axis : TimeAxis
        Its times, which the line for the log is written with.
    given : float or None
        The horizon on the axis.
    """
    duration = typical_duration(panel)
    length = given or duration
    early = EARLY if length >= NEARLY * duration else 0.0
    reason = (
        f"horizon=None: training goes {axis.duration_text(length)} ahead, which {OF_DURATIONS:.0%} of the series do "
        "not exceed; a third of its forecasts begin early in their series"
    )
    chosen = given is None and panel.lengths.max(initial=0) > 1  # of single rows no forecast begins
    return Horizon(length, early, reason if chosen else "")


def typical_duration(panel: Panel) -> float:
    """The 95 % quantile of the durations of the series, in the panel's unit of time.

    Where each has one row, it is the time from the first to the last row of all; 1 where that is nothing.
    """
    durations = panel.last_times - panel.first_times
    durations = durations[durations > 0]
    return float(np.quantile(durations, OF_DURATIONS)) if len(durations) else float(np.ptp(panel.times)) or 1.0
