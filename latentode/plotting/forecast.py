"""Pictures of forecasts: observations, expected values and prediction intervals."""

from collections.abc import Hashable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from latentode._drawing import (
    ForecastBands,
    ObservedSeries,
    TimeScale,
    add_legend,
    as_label,
    draw_panel,
    make_axes,
    require_matplotlib,
)
from latentode.data import DataError, Panel, panel_from_frame
from latentode.data.native import as_pandas
from latentode.estimators import LatentODEForecaster

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["plot_forecast"]

Floats = NDArray[np.float64]

MOST_SHOWN = 4
"""Rows and columns of the picture by default: more cannot be read on a page."""

GRID = 160
"""Points of a mean line, at least."""

PER_SEASON, FINEST = 24, 1_600
"""Points of a mean line in the shortest season, and points at most: a page has no more pixels across."""

ROW_NAME = 24
"""Characters of a series' name, which is drawn along the height of a panel."""

TIMES_THE_FUTURE, FEWEST_ROWS = 3.0, 12
"""History shown by default: this many times the future, and at least this many rows."""


def plot_forecast(
    forecaster: LatentODEForecaster,
    series: Sequence[Hashable] | Hashable | None = None,
    channels: Sequence[Hashable] | Hashable | None = None,
    *,
    history: pd.DataFrame | None = None,
    held_out: pd.DataFrame | None = None,
    horizon: Any = None,
    lookback: Any = None,
    level: Sequence[float] | float = (50, 90),
    axes: "Axes | NDArray[Any] | None" = None,
) -> NDArray[Any]:
    """Draw forecasts with their prediction intervals, a row per series and a column per channel.

    Each shows the observations, the mean through them and beyond, and the intervals around it. A vertical line
    marks the end of the history: left of it the model interpolates, right of it it forecasts.
    :meth:`LatentODEForecaster.plot` is the short way to it.

    Parameters
    ----------
    forecaster : LatentODEForecaster
        Fitted.
    series : hashable or sequence of hashable, optional
        The series to draw. None means the first four: of `history` if there is one, else of the fitted ones.
    channels : hashable or sequence of hashable, optional
        The channels to draw. None means the first four.
    history : DataFrame, optional
        Observations of series that were not in fit, as in :meth:`LatentODEForecaster.predict`.
    held_out : DataFrame, optional
        Observations that the model has not seen, in the same shape, drawn as hollow squares. The model reads their
        static and known columns, as it reads those of the rows given to :meth:`LatentODEForecaster.predict`.
    horizon : str, Timedelta or number, optional
        How far beyond the history. None means as far as `held_out` goes, or else the horizon of the fit.
    lookback : str, Timedelta or number, optional
        How much of the history to show, before its end. None means three times as much as there is future, but at
        least the last 12 rows. The model reads the history before it too.
    level : float or sequence of float
        Levels of the intervals, in per cent.
    axes : Axes or array of Axes, optional
        Where to draw: as many as series times channels, row by row. None makes a figure. A notebook shows it at the
        end of the cell; elsewhere pyplot does not hold it, and nobody needs to close it.

    Returns
    -------
    array of Axes
        (series, channel). The figure is ``axes[0, 0].figure``.

    Raises
    ------
    DataError
        When a series has no observations, or a channel is not one of the model's.
    ImportError
        When matplotlib is not installed.

    Examples
    --------
    >>> from latentode import LatentODEForecaster
    >>> from latentode.datasets import make_spirals
    >>> from latentode.plotting import plot_forecast
    >>> df = make_spirals(n_series=30, n_points=20, random_state=0)
    >>> forecaster = LatentODEForecaster(max_steps=25, random_state=0).fit(df)
    >>> axes = plot_forecast(forecaster, series=[0, 1], horizon=1.0)
    >>> axes.shape
    (2, 2)
    >>> axes[0, 0].figure.savefig("spirals.png")  # doctest: +SKIP
    """
    require_matplotlib()
    history, held_out = as_pandas(history), as_pandas(held_out)
    shown = _channels(forecaster, channels)
    known = forecaster.panel_ if history is None else _panel(forecaster, history)
    chosen = _series(forecaster, known, series)
    pasts = [_past(forecaster, known, name) for name in chosen]
    truth = None if held_out is None else _panel(forecaster, held_out)
    futures = [None if truth is None else _observed(truth, name) for name in chosen]
    times = [_times(forecaster, *pair, horizon, lookback) for pair in zip(pasts, futures, strict=True)]
    bands = _bands(forecaster, chosen, times, history, held_out, level)

    grid = make_axes(axes, len(chosen), len(shown))
    for row, (name, past, future, band) in enumerate(zip(chosen, pasts, futures, bands, strict=True)):
        scale = TimeScale.of(forecaster.time_axis_, band.times)
        past, shown_future = past.since(band.times[0]), None if future is None else future.since(band.times[0])
        for ax, channel in zip(grid[row], shown, strict=True):
            draw_panel(ax, scale, band, past, shown_future, channel, forecaster.channels_.index(channel))
            if row == 0:
                ax.set_title(as_label(channel), fontsize=10)
            if row == len(chosen) - 1:
                ax.set_xlabel(scale.label(forecaster.schema_.time_col), fontsize=9)
        grid[row, 0].set_ylabel(_row_name(forecaster, name), fontsize=9)
    add_legend(grid)
    return grid


def _channels(forecaster: LatentODEForecaster, channels: Sequence[Hashable] | Hashable | None) -> list[Hashable]:
    if channels is None:
        return list(forecaster.channels_[:MOST_SHOWN])
    wanted = _listed(channels)
    unknown = [c for c in wanted if c not in forecaster.channels_]
    if unknown or not wanted:
        raise DataError(f"channels={channels!r}: the model's channels are {list(forecaster.channels_)!r}")
    return wanted


def _series(
    forecaster: LatentODEForecaster, known: Panel, series: Sequence[Hashable] | Hashable | None
) -> list[Hashable]:
    if series is None:
        return list(known.ids[known.lengths > 0][:MOST_SHOWN]) or list(known.ids[:1])
    wanted = _listed(series)
    missing = [s for s in wanted if s not in known.ids and s not in forecaster.panel_.ids]
    if missing or not wanted:
        raise DataError(f"series={series!r}: nothing is known of {missing!r}; pass history= with their observations")
    return wanted


def _listed(given: Sequence[Hashable] | Hashable) -> list[Hashable]:
    if isinstance(given, list | tuple | np.ndarray | pd.Index | pd.Series | range):
        return list(given)
    return [given]


def _panel(forecaster: LatentODEForecaster, frame: pd.DataFrame) -> Panel:
    return panel_from_frame(frame, forecaster.schema_, forecaster.time_axis_)[0]


def _past(forecaster: LatentODEForecaster, known: Panel, name: Hashable) -> ObservedSeries:
    """The history of a series: the one given, else the one seen in fit."""
    past = _observed(known, name)
    if not len(past.times):
        past = _observed(forecaster.panel_, name)
    if not len(past.times):
        raise DataError(f"series {name!r} has no observations to draw; pass history= with some")
    return past


def _observed(panel: Panel, name: Hashable) -> ObservedSeries:
    place = int(panel.ids.get_indexer(pd.Index([name]))[0])
    rows = slice(panel.offsets[place], panel.offsets[place + 1]) if place >= 0 else slice(0)
    return ObservedSeries(panel.times[rows], panel.values[rows])


def _times(
    forecaster: LatentODEForecaster, past: ObservedSeries, future: ObservedSeries | None, horizon: Any, lookback: Any
) -> Floats:
    """Times for the line: an even grid with the end of the history and the held-out times on it."""
    end = past.times[-1]
    held = np.empty(0) if future is None else future.times
    if horizon is not None:
        last = end + forecaster.time_axis_.length_of(horizon, "horizon")
    elif len(held):
        last = max(end, held[-1])
    else:
        last = end + forecaster.horizon_
    if lookback is not None:
        first = end - forecaster.time_axis_.length_of(lookback, "lookback")
    else:
        first = min(end - TIMES_THE_FUTURE * (last - end), past.times[-FEWEST_ROWS:][0], *held[:1])
    first = max(first, min([past.times[0], *held[:1]]))
    held = held[(first <= held) & (held <= last)]
    grid = np.linspace(first, last, _n_points(forecaster, last - first))
    # A column of dates holds microseconds, one of periods whole periods: draw at the times that are queried.
    queried = forecaster.time_axis_.from_float(np.union1d(grid, [end, *held]))
    return np.unique(forecaster.time_axis_.to_float(queried))


def _n_points(forecaster: LatentODEForecaster, length: float) -> int:
    """Enough for the shortest season the model knows, so that the line shows its shape."""
    shortest = min(forecaster.seasons_.periods, default=np.inf)
    return int(np.clip(PER_SEASON * length / shortest, GRID, FINEST))


def _bands(
    forecaster: LatentODEForecaster,
    chosen: list[Hashable],
    times: list[Floats],
    history: pd.DataFrame | None,
    held_out: pd.DataFrame | None,
    level: Sequence[float] | float,
) -> list[ForecastBands]:
    """Predict all series at once, so that a warning about the history comes once, not once per series."""
    levels = sorted({float(v) for v in np.atleast_1d(np.asarray(level, dtype=float))}, reverse=True)
    query = _query(forecaster, chosen, times)
    mean, bounds = forecaster._means_and_intervals(query, levels, history, covariates=held_out)
    ends = np.cumsum([len(t) for t in times])
    rows = [slice(end - len(t), end) for end, t in zip(ends, times, strict=True)]
    return [ForecastBands(t, mean.iloc[r], bounds.iloc[r], levels) for t, r in zip(times, rows, strict=True)]


def _query(forecaster: LatentODEForecaster, chosen: list[Hashable], times: list[Floats]) -> pd.DataFrame:
    """The queries of all series, in the layout of the frame given to fit."""
    schema, stamps = forecaster.schema_, forecaster.time_axis_.from_float(np.concatenate(times))
    ids = pd.Index(chosen)[np.repeat(np.arange(len(chosen)), [len(t) for t in times])]
    if schema.layout == "multiindex":
        return pd.DataFrame(index=pd.MultiIndex.from_arrays([ids, stamps], names=[schema.id_col, schema.time_col]))
    columns = {} if schema.id_col is None else {schema.id_col: ids}
    if schema.layout == "index":
        return pd.DataFrame(columns, index=pd.Index(stamps, name=schema.time_col))
    return pd.DataFrame({**columns, schema.time_col: stamps})


def _row_name(forecaster: LatentODEForecaster, name: Hashable) -> str:
    schema = forecaster.schema_
    if schema.id_col is None and schema.layout != "multiindex":
        return ""
    return as_label(name if isinstance(name, str) else f"{schema.id_col or 'series'} {name}", ROW_NAME)
