"""Calibration plots: the actual coverage of prediction intervals, by level and by lead time."""

from collections.abc import Hashable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from latentode._drawing import FAINT, MEAN, as_label, lead_time_label, legend_outside, make_axes, tidy, unit_of
from latentode.data import DataError, TimeAxis, values_of
from latentode.data.native import as_pandas
from latentode.estimators import LatentODEForecaster
from latentode.estimators.query import resolve_query
from latentode.estimators.warnings import no_data_warnings
from latentode.evaluation import coverage_by_lead
from latentode.evaluation.reliability import binned

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["plot_calibration"]

MOST_NAMED = 8
"""Channels with a colour and a name of their own; of more, all but the mean are drawn faint."""

OVER_LEAD = (50.0, 80.0, 95.0)
"""Levels drawn over the lead time: of those given the ones that are nearest to these."""

COLOURS = ("#56B4E9", MEAN, "#222222")
"""Of the levels over the lead time, from the lowest up."""

LEADS = 4
"""Bins of the lead time, with about as many values in each."""

SURE = 1.96
"""Standard errors on either side that the bars show: 95 %."""


def plot_calibration(
    forecaster: LatentODEForecaster,
    truth: pd.DataFrame,
    history: pd.DataFrame | None = None,
    levels: Sequence[float] = (10, 20, 30, 40, 50, 60, 70, 80, 90, 95),
    axes: "Sequence[Axes] | NDArray[Any] | None" = None,
) -> NDArray[Any]:
    """Draw actual against nominal coverage of the prediction intervals, and beside it coverage over the lead time.

    Coverage over the lead time is of all channels, with bars that reach over 95 % of what chance makes of it: they take
    into account that values of one series lie within their intervals, or beside them, together
    (:func:`latentode.evaluation.coverage_by_lead`). Values at or before the last observation of their series, and
    those of series without any, have no lead time and are in the first picture only.

    Parameters
    ----------
    forecaster : LatentODEForecaster
        Fitted.
    truth : DataFrame
        Rows the forecaster has not seen, with their values.
    history : DataFrame, optional
        Observations before them, as in :meth:`LatentODEForecaster.predict`.
    levels : sequence of float
        Levels of the intervals, in per cent; over the lead time three of them.
    axes : two Axes, optional
        Where to draw. None makes a figure.

    Returns
    -------
    array of Axes
        (2,), coverage by level and coverage over the lead time.

    Raises
    ------
    DataError
        When `truth` holds no value.
    ImportError
        When matplotlib is not installed.
    ValueError
        When `axes` are not two.

    Examples
    --------
    >>> from latentode import LatentODEForecaster
    >>> from latentode.datasets import make_spirals
    >>> from latentode.plotting import plot_calibration
    >>> df = make_spirals(n_series=25, n_points=10, random_state=0)
    >>> early = df["time"] < df["time"].median()
    >>> forecaster = LatentODEForecaster(max_steps=50, random_state=0).fit(df[early])
    >>> [ax.get_xlabel() for ax in plot_calibration(forecaster, df[~early])]
    ['should lie within, %', 'lead time']
    """
    found = _intervals(forecaster, as_pandas(truth), as_pandas(history), levels)
    given = None if axes is None else np.asarray(axes, dtype=object)
    if given is not None and given.size != 2:
        raise ValueError(f"axes holds {given.size}, but coverage by level and over the lead time need 2")
    both: NDArray[Any] = make_axes(given, 1, 2)[0]
    _draw_by_level(both[0], found, levels, forecaster.channels_)
    _draw_by_lead(both[1], found[found["lead"] > 0], levels, forecaster.time_axis_)
    legend_outside(both, *both[0].get_legend_handles_labels())
    for ax in both:
        tidy(ax)
    return both


def _intervals(
    forecaster: LatentODEForecaster, truth: pd.DataFrame, history: pd.DataFrame | None, levels: Sequence[float]
) -> pd.DataFrame:
    """A row per value, with its series, channel and lead time, and the bounds of its intervals as quantiles."""
    channels = list(forecaster.channels_)
    values = values_of(truth, forecaster.schema_)[:, : len(channels)]
    if np.isnan(values).all():
        raise DataError("truth holds no value to compare the intervals with")
    bands = forecaster.predict_interval(truth, levels, history=history)
    with no_data_warnings():  # the prediction has given them
        query = resolve_query(truth, forecaster.state_, history)
    keys = {"series": query.series, "lead": query.times - query.panel.end_of(query.series)}
    parts = []
    for k, channel in enumerate(channels):
        part = pd.DataFrame({**keys, "channel": k, "y": values[:, k]})
        for level in levels:
            for name, side in zip(_bounds(level), ("lo", "hi"), strict=True):
                part[name] = bands[f"{channel}-{side}-{level:g}"].to_numpy()
        parts.append(part.dropna(subset=[c for c in part if c != "lead"]))
    return pd.concat(parts, ignore_index=True)


def _draw_by_level(ax: "Axes", found: pd.DataFrame, levels: Sequence[float], channels: Sequence[Hashable]) -> None:
    """A line per channel, and one of all values."""
    ax.plot([0, 100], [0, 100], color=FAINT, lw=0.9, ls=(0, (4, 3)))
    bounds = {level: _bounds(level) for level in levels}
    inside = pd.DataFrame({level: found["y"].between(found[low], found[high]) for level, (low, high) in bounds.items()})
    few = len(channels) <= MOST_NAMED
    for k, part in (100 * inside).groupby(found["channel"]):
        label = f"{as_label(channels[k])} ({len(part)})" if few else None
        ax.plot(levels, part.mean(), lw=1.1, color=None if few else FAINT, alpha=0.9 if few else 0.5, label=label)
    ax.plot(levels, 100 * inside.mean(), color=MEAN, lw=2.4, marker="o", ms=4, label=f"all values ({len(found)})")
    ax.set(xlim=(0, 100), ylim=(0, 100), aspect="equal")
    ax.set_xlabel("should lie within, %", fontsize=9)
    ax.set_ylabel("lay within, %", fontsize=9)


def _draw_by_lead(ax: "Axes", ahead: pd.DataFrame, levels: Sequence[float], axis: TimeAxis) -> None:
    """The coverage of three levels in bins of the lead time; each level's name stands at its dashed line."""
    ax.set_ylabel("lay within, %", fontsize=9)
    ax.set_ylim(0, 104)  # so that a bar that ends at 100 is seen whole
    if ahead.empty:
        ax.set_xlabel("lead time", fontsize=9)
        ax.text(0.5, 0.5, "no value after\nits history", transform=ax.transAxes, ha="center", va="center", fontsize=9)
        return
    unit, length = unit_of(axis, float(ahead["lead"].max()))
    ahead = ahead.assign(lead=ahead["lead"] / length)
    ax.set_xlabel(lead_time_label(unit), fontsize=9)
    nearest = {min(levels, key=lambda one: abs(one - wanted)) for wanted in OVER_LEAD}
    places = ahead.groupby(binned(ahead["lead"], LEADS), observed=True)["lead"].median()
    table = coverage_by_lead(ahead, LEADS, sorted(nearest), by=())
    ax.set_xlim(0, 1.06 * float(places.max()))
    for colour, level in zip(COLOURS, sorted(nearest), strict=False):
        rows = table[table["nominal"] == level]
        ax.axhline(level, color=colour, lw=0.9, ls=(0, (4, 3)))
        ax.text(1.01, level, f"{level:g} %", color=colour, transform=ax.get_yaxis_transform(), va="center", fontsize=8)
        x, achieved = places[rows["lead"]].to_numpy(), rows["achieved"].to_numpy()
        reach = np.nan_to_num(SURE * rows["standard_error"].to_numpy())
        bars = [achieved - (achieved - reach).clip(0, 100), (achieved + reach).clip(0, 100) - achieved]
        ax.errorbar(x, achieved, bars, color=colour, lw=1.6, marker="o", ms=4, elinewidth=1.0, capsize=2)


def _bounds(level: float) -> tuple[str, str]:
    """The columns of the bounds of an interval."""
    return f"q{0.5 - level / 200:g}", f"q{0.5 + level / 200:g}"
