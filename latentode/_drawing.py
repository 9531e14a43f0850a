"""How a forecast is drawn: axes, colours, markers, ticks, legend."""

import sys
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from latentode.data import TimeAxis

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = [
    "FAINT",
    "HELD_OUT",
    "MEAN",
    "ForecastBands",
    "ObservedSeries",
    "TimeScale",
    "add_legend",
    "as_label",
    "draw_panel",
    "lead_time_label",
    "legend_outside",
    "make_axes",
    "one_axes",
    "require_matplotlib",
    "three_digits",
    "tidy",
    "unit_of",
]

Floats = NDArray[np.float64]

# Okabe and Ito's palette, which colour-blind readers can distinguish; the two kinds of points differ in shape as well.
MEAN, OBSERVED, HELD_OUT, FAINT = "#0072B2", "#222222", "#D55E00", "#8C8C8C"

NARROW, NARROW_TICKS, WIDE_TICKS = 2.5, 5, 6
"""Inches below which an axes is narrow, and the most dates along a narrow one and along others."""

LETTER, MARKERS = 0.07, 1.5
"""Inches of a legend: a letter, and the markers and space of three columns."""

_UNITS = (("days", 86_400.0), ("hours", 3_600.0), ("minutes", 60.0), ("seconds", 1.0))


def require_matplotlib() -> None:
    """Raise with install instructions if matplotlib is missing.

    Raises
    ------
    ImportError
        When matplotlib cannot be imported.
    """
    try:
        import matplotlib.figure  # noqa: F401
    except ImportError as cause:
        raise ImportError("drawing needs matplotlib: pip install latentode[plot]") from cause


LONGEST_LABEL = 40
"""Characters of a name in a picture: an id may be a whole sentence."""


def as_label(name: object, longest: int = LONGEST_LABEL) -> str:
    """A name of the caller's as matplotlib draws it letter for letter, on one line, and not longer than `longest`.

    Matplotlib reads what stands between two dollars as mathematics, and leaves labels that are empty or begin with an
    underscore out of legends. Characters that cannot be printed become spaces.
    """
    text = "".join(c if c.isprintable() else " " for c in str(name)).strip()
    if len(text) > longest:
        text = text[: longest - 1] + "…"
    text = text.replace("$", r"\$")
    return f"\u200b{text}" if not text or text.startswith("_") else text


@dataclass(frozen=True)
class ObservedSeries:
    """Observations of one series: (row,) times, (row, channel) values."""

    times: Floats
    values: Floats

    def since(self, first: float) -> "ObservedSeries":
        """The observations at this time and later."""
        kept = self.times >= first
        return ObservedSeries(self.times[kept], self.values[kept])


@dataclass(frozen=True)
class ForecastBands:
    """A forecast on a grid of times: mean and, widest first, prediction intervals; a column per channel and bound."""

    times: Floats
    mean: pd.DataFrame
    bounds: pd.DataFrame
    levels: list[float]


def unit_of(axis: TimeAxis, longest: float) -> tuple[str, float]:
    """The largest unit that fits durations up to the longest, and its length; no unit, and 1, for numbers."""
    if axis.kind == "number":
        return "", 1.0
    return next((unit for unit in _UNITS if longest >= 2 * unit[1]), _UNITS[-1])


def lead_time_label(unit: str) -> str:
    """The label of an axis of lead times in a unit of :func:`unit_of`."""
    return f"lead time ({unit})" if unit else "lead time"


def three_digits(number: float) -> str:
    """A positive number as a person reads it: three digits, or all that stand before the point."""
    return f"{number:,.0f}" if number >= 100 else f"{number:.3g}"


@dataclass(frozen=True)
class TimeScale:
    """How the times of a series are shown on the horizontal axis."""

    axis: TimeAxis
    unit: str
    length: float

    @classmethod
    def of(cls, axis: TimeAxis, times: Floats) -> "TimeScale":
        """Time differences become numbers in the largest fitting unit, as matplotlib has no axis for them."""
        if axis.kind != "timedelta":
            return cls(axis, "", 1.0)
        return cls(axis, *unit_of(axis, float(np.ptp(times))))

    @property
    def dated(self) -> bool:
        """Whether the axis shows dates."""
        return self.axis.kind in ("datetime", "period")

    def place(self, times: Floats) -> NDArray[Any]:
        """Times as matplotlib takes them."""
        if not self.dated:
            return times / self.length
        dates = TimeAxis("datetime", self.axis.origin, self.axis.tz).from_float(times)
        places: NDArray[Any] = dates.dt.tz_localize(None).to_numpy()
        return places

    def label(self, time_col: Hashable | None) -> str:
        """No label for dates; the column's name, and a unit, for numbers."""
        name = "time" if time_col is None else as_label(time_col)
        if self.dated:
            return ""
        return f"{name} ({self.unit})" if self.unit else name

    def set_ticks(self, ax: "Axes") -> None:
        """Few ticks, so that they do not overlap in a small panel."""
        from matplotlib.ticker import MaxNLocator

        from latentode._date_ticks import set_date_ticks

        if self.dated:
            set_date_ticks(ax.xaxis, NARROW_TICKS if _inches(ax) < NARROW else WIDE_TICKS)
        else:
            ax.xaxis.set_major_locator(MaxNLocator(4))
        ax.yaxis.set_major_locator(MaxNLocator(4))


def one_axes(ax: "Axes | None", width: float = 5.0, height: float = 4.0) -> "Axes":
    """The axes given, or those of a new figure."""
    require_matplotlib()
    return _new_figure(width, height).add_subplot() if ax is None else ax


def make_axes(axes: "Axes | NDArray[Any] | None", n_rows: int, n_columns: int) -> NDArray[Any]:
    """Axes to draw on: the given ones in rows, or those of a new figure."""
    require_matplotlib()
    if axes is None:
        # A single panel is drawn wide; many are kept to the width of a page.
        width = {1: 7.2, 2: 8.0}.get(n_columns, max(9.6, 2.5 * n_columns))
        height = 3.0 if n_rows == 1 else 1.75 * n_rows + 0.6
        return _new_figure(width, height).subplots(n_rows, n_columns, squeeze=False)
    given = np.asarray(axes, dtype=object).ravel()
    if len(given) != n_rows * n_columns:
        raise ValueError(
            f"axes holds {len(given)}, but {n_rows} series with {n_columns} channels each need {n_rows * n_columns}"
        )
    return given.reshape(n_rows, n_columns)


def _new_figure(width: float, height: float) -> "Figure":
    """A figure that a notebook shows at the end of its cell; elsewhere one that pyplot does not hold."""
    from matplotlib.figure import Figure

    if not _shows_figures():
        return Figure(figsize=(width, height), layout="constrained")
    from matplotlib import pyplot

    return pyplot.figure(figsize=(width, height), layout="constrained")


def _shows_figures() -> bool:
    """Whether figures of pyplot show by themselves: in a notebook, and in interactive mode.

    A notebook's backend draws inside the page, and closes what it has shown. The backend matters only within IPython:
    naming it can load a toolkit of windows.
    """
    import matplotlib

    shell = sys.modules["IPython"].get_ipython() if "IPython" in sys.modules else None
    if shell is not None and "inline" in matplotlib.get_backend():
        return True
    return matplotlib.is_interactive()


def draw_panel(
    ax: "Axes",
    scale: TimeScale,
    bands: ForecastBands,
    past: ObservedSeries,
    future: ObservedSeries | None,
    channel: Hashable,
    at: int,
) -> None:
    """One series and channel (its column number is `at`): intervals, mean, end of history, observations."""
    x = scale.place(bands.times)
    for depth, v in enumerate(bands.levels):
        low, high = (bands.bounds[f"{channel}-{side}-{v:g}"] for side in ("lo", "hi"))
        alpha = 0.16 + 0.14 * depth
        ax.fill_between(x, low, high, color=MEAN, alpha=min(alpha, 0.5), lw=0, label=f"{v:g} % interval", zorder=1)
    ax.plot(x, bands.mean[channel], color=MEAN, lw=1.6, label="forecast", zorder=3)
    ax.axvline(scale.place(past.times[-1:])[0], color=FAINT, lw=0.9, ls=(0, (4, 3)), label="end of history", zorder=2)
    seen = ~np.isnan(past.values[:, at])
    held_out = np.zeros(0, dtype=bool) if future is None else ~np.isnan(future.values[:, at])
    size = _marker_size(ax, int(seen.sum() + held_out.sum()))
    filled: dict[str, Any] = {"marker": "o", "ms": size, "mfc": OBSERVED, "mec": "white", "mew": 0.4}
    ax.plot(scale.place(past.times[seen]), past.values[seen, at], ls="none", label="observed", zorder=4, **filled)
    if future is not None:
        hollow: dict[str, Any] = {"marker": "s", "ms": size + 0.5, "mfc": "white", "mec": HELD_OUT, "mew": 0.3 * size}
        x = scale.place(future.times[held_out])
        ax.plot(x, future.values[held_out, at], ls="none", label="held out", zorder=5, **hollow)
    scale.set_ticks(ax)
    tidy(ax)


def _marker_size(ax: "Axes", n_points: int) -> float:
    """The largest size at which evenly spread points do not overlap."""
    return float(np.clip(55 * _inches(ax) / max(n_points, 1), 2.8, 4.5))


def _inches(ax: "Axes") -> float:
    """The width of an axes, before its layout is made."""
    return float(ax.get_position().width * ax.figure.get_figwidth())  # type: ignore[union-attr]


def tidy(ax: "Axes") -> None:
    """Draw frame and ticks lightly, so that the data stand out."""
    ax.margins(x=0.02)
    ax.spines[["top", "right"]].set_visible(False)
    ax.spines[["left", "bottom"]].set_color(FAINT)
    ax.tick_params(colors="#444444", labelsize=8, length=3, width=0.8)
    ax.xaxis.get_offset_text().set(fontsize=8, color="#444444")


def add_legend(grid: NDArray[Any]) -> None:
    """One legend for all panels of forecasts."""
    handles: dict[str, Any] = {}
    for ax in grid.flat:
        found = dict(zip(*reversed(ax.get_legend_handles_labels()), strict=True))
        handles = {**found, **handles}
    order = ["observed", "held out", "forecast", *reversed([k for k in handles if "interval" in k]), "end of history"]
    names = [k for k in order if k in handles]
    legend_outside(grid, [handles[k] for k in names], names)


def legend_outside(grid: NDArray[Any], handles: Sequence[Any], names: Sequence[str]) -> None:
    """A legend below the figure, off the data, if its layout makes room there and it has no other axes; else inside."""
    from matplotlib.layout_engine import ConstrainedLayoutEngine

    figure = grid.flat[0].figure
    if set(figure.axes) <= set(grid.flat) and isinstance(figure.get_layout_engine(), ConstrainedLayoutEngine):
        wide = figure.get_figwidth() >= 7
        columns = len(names) if wide and len(names) <= 6 else 3
        longest = max(map(len, names), default=0)
        if longest > 24:
            columns = 2 if wide else 1
        elif not wide and 3 * LETTER * longest + MARKERS > figure.get_figwidth():
            columns = 2
        style = {"frameon": False, "fontsize": 8.5, "columnspacing": 1.4, "handletextpad": 0.6}
        figure.legend(handles, names, loc="outside lower center", ncols=columns, **style)
    else:
        grid.flat[0].legend(handles, names, framealpha=0.8, edgecolor="none", fontsize=8)
