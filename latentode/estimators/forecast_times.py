"""The times that ``forecast`` predicts: after the end of every series, in steps of a duration or a calendar."""

from collections.abc import Hashable, Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from latentode.data import DataError, Panel, TimeAxis
from latentode.data.time_axis import means_months
from latentode.estimators.clock import MAX_ROWS, clock_times
from latentode.persistence.state import FittedState

__all__ = ["forecast_times", "series_of"]

Floats = NDArray[np.float64]


def forecast_times(state: FittedState, panel: Panel, horizon: Any, freq: Any, align: str = "last") -> pd.DataFrame:
    """Ids and times to forecast after the end of every series.

    Parameters
    ----------
    state : FittedState
        The fitted forecaster's schema, time axis and horizon.
    panel : Panel
        The series. A series without observations has no end and is left out.
    horizon, freq : str, Timedelta, offset, number or None
        How far to forecast, and the distance of the times; None for the fitted horizon, and for a tenth of `horizon`.
    align : {"last", "clock"}
        Whether times are counted from the last observation of their series, or are multiples of `freq`.

    Returns
    -------
    DataFrame
        A row per series and time.

    Raises
    ------
    DataError
        When there is nothing to forecast, or too many times.
    ValueError
        When `align` is neither.
    """
    if align not in ("last", "clock"):
        raise ValueError(f"align={align!r} must be 'last' or 'clock'")
    schema, axis = state.schema, state.time_axis
    length = state.horizon if horizon is None else _length_of(horizon, axis, panel)
    ends = panel.last_times
    some = np.flatnonzero(~np.isnan(ends))
    if len(some) == 0:
        raise DataError("no series has observations, so there is no end to forecast from; pass history=")
    lengths, times = _grid(axis, ends[some], length, horizon, freq, align == "clock")
    frame: dict[Hashable, Any] = {}
    if schema.id_col is not None or schema.layout == "multiindex":
        frame[schema.id_name] = panel.ids[np.repeat(some, lengths)]
    frame[schema.time_name] = axis.from_float(times).array
    return pd.DataFrame(frame)


def series_of(panel: Panel, ids: Sequence[Any]) -> Panel:
    """Some series of a panel, in the order given.

    Parameters
    ----------
    panel : Panel
        The series.
    ids : sequence
        Those to keep; one that is given twice is kept once.

    Raises
    ------
    DataError
        When an id is not among the series, or none is given.
    """
    wanted = pd.Index([ids] if isinstance(ids, str) else list(ids)).unique()
    places = panel.ids.get_indexer(wanted)
    if len(wanted) == 0 or (places < 0).any():
        unknown = ", ".join(repr(i) for i in wanted[places < 0].tolist()[:5])
        raise DataError(f"ids={unknown}: no such series" if unknown else "ids= names no series; leave it out for all")
    return panel.take(places)


def _length_of(horizon: Any, axis: TimeAxis, panel: Panel) -> float:
    """The horizon on the axis; a frame or the name of a series in its place is refused as such."""
    if isinstance(horizon, pd.DataFrame):
        raise DataError(
            "horizon, the first argument of forecast, is a DataFrame: give observations as history=, "
            "or the rows to forecast to predict"
        )
    try:
        return axis.length_of(horizon, "horizon")
    except DataError:
        if isinstance(horizon, str) and horizon in panel.ids:
            raise DataError(
                f"horizon={horizon!r}, the first argument of forecast, is the name of a series: forecast takes a "
                f"horizon there; name series with ids=[{horizon!r}]"
            ) from None
        raise


def _grid(
    axis: TimeAxis, ends: Floats, length: float, horizon: Any, freq: Any, on_clock: bool
) -> tuple[NDArray[np.int64], Floats]:
    """How many times each series has, and all times, series by series."""
    offset = _calendar_offset(freq, axis)
    if on_clock and axis.kind != "period":
        if freq is None:
            raise DataError(
                f"align='clock' needs freq=, such as {'0.5' if axis.kind == 'number' else repr('1h')}, whose multiples "
                "are forecast"
            )
        if isinstance(offset, pd.offsets.Tick | pd.offsets.Day):  # the same on the clock, and sooner found
            freq, offset = pd.Timedelta(offset.n, "D") if isinstance(offset, pd.offsets.Day) else offset, None
        step = 0.0 if offset is not None else axis.length_of(freq, "freq")
        lengths, times = clock_times(axis, ends, length, step, offset)
    elif offset is not None:
        grids = [_calendar_steps(axis, end, length, offset, on_clock) for end in ends]
        lengths = np.array([len(g) for g in grids], dtype=np.int64)
        times = np.concatenate(grids)
    else:
        return _steps(ends, length, horizon, freq, axis)
    if len(times) == 0:
        what = "multiple" if on_clock and offset is None else "date"
        raise DataError(f"no {what} of freq={freq!r} lies within the horizon: there is nothing to forecast")
    return lengths, times


def _steps(ends: Floats, length: float, horizon: Any, freq: Any, axis: TimeAxis) -> tuple[NDArray[np.int64], Floats]:
    """Times at a fixed distance, counted from each end."""
    step = length / 10 if freq is None else axis.length_of(freq, "freq")
    steps = length / step * (1 + 1e-9)
    if steps < 1:
        raise DataError(f"freq={freq!r} is longer than horizon={horizon!r}: there is nothing to forecast")
    if steps * len(ends) > MAX_ROWS:
        raise DataError(f"{steps:.12g} times for each of {len(ends)} series are too many; choose a longer freq")
    n = int(steps)
    return np.full(len(ends), n), (ends[:, None] + step * np.arange(1, n + 1)).ravel()


def _calendar_offset(freq: Any, axis: TimeAxis) -> pd.offsets.BaseOffset | None:
    """An offset whose length varies, such as a month's start; None for a fixed length."""
    if axis.kind == "number":
        return None
    if axis.kind == "period":  # periods follow each other, whatever their length
        freq = axis.freq if freq is None else freq
    elif freq is None or _is_duration(freq):
        return None
    try:
        offset: pd.offsets.BaseOffset = pd.tseries.frequencies.to_offset(freq, is_period=axis.kind == "period")
        if axis.kind == "period":
            pd.period_range("2000", periods=1, freq=offset)  # pandas before 3 accepts "MS", which is no period
    except (ValueError, TypeError):
        example = "'M' or '2M'" if axis.kind == "period" else "'1D', '6h' or 'MS'"
        raise DataError(f"freq={freq!r} is not a frequency: use for instance {example}") from None
    if axis.kind == "timedelta":
        raise DataError("times are time differences, which have no calendar: give freq as a duration such as '1D'")
    return offset


def _is_duration(freq: Any) -> bool:
    if means_months(freq):
        return False
    try:
        pd.Timedelta(freq)
    except (TypeError, ValueError):
        return False
    return True


def _calendar_steps(axis: TimeAxis, end: float, length: float, offset: pd.offsets.BaseOffset, on_clock: bool) -> Any:
    first, last = axis.from_float(np.array([end, end + length]))
    if axis.kind == "period":
        begin = first.asfreq(offset)
        if on_clock:
            begin = pd.Period(ordinal=begin.ordinal // offset.n * offset.n, freq=begin.freqstr)
        steps = pd.period_range(begin, last.asfreq(offset), freq=offset)
        dates: pd.Series = pd.Series(steps.asfreq(axis.freq, how="S").unique())
    else:
        dates = pd.Series(pd.date_range(first, last, freq=offset))
    grid = axis.to_float(dates)
    return grid[grid > end]
