"""One self-contained page about a model and its data: no network, nothing but the file."""

import itertools
import warnings
from collections.abc import Hashable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from latentode._drawing import FAINT, HELD_OUT, MEAN, require_matplotlib
from latentode._page import (
    TEMPLATE,
    counted,
    duration_in_words,
    escaped,
    image,
    image_axes,
    images,
    table,
    time_text,
)
from latentode.data import DataError, DataWarning, Panel, is_stored, panel_from_frame, read_parquet, values_of
from latentode.data.native import as_pandas
from latentode.estimators import LatentODEForecaster
from latentode.estimators.frames import last_third
from latentode.io.atomic import write_out
from latentode.plotting import plot_calibration, plot_forecast, plot_latent, plot_training

__all__ = ["report"]

MOST_SERIES = 24
"""Series whose forecasts can be browsed: evenly chosen where there are more."""

MOST_CHANNELS = 4
"""Channels whose forecasts are drawn."""

LEADS = 3

_KEY = (
    '<p class="key faint"><span><i style="background:#222;border-radius:50%;border:1px solid #fff"></i>observed</span>'
    f'<span><i style="border:2px solid {HELD_OUT};background:#fff"></i>held out</span>'
    f'<span><i style="background:{MEAN};height:2px;vertical-align:middle"></i>forecast</span>'
    f'<span><i style="background:{MEAN};opacity:.5"></i>50 % interval</span>'
    f'<span><i style="background:{MEAN};opacity:.2"></i>90 % interval</span>'
    f'<span><i style="border-left:2px dashed {FAINT};width:2px;vertical-align:middle"></i>end of history</span></p>'
)


def report(
    forecaster: LatentODEForecaster, df: pd.DataFrame, path: str | Path, held_out: pd.DataFrame | None = None
) -> None:
    """Write a page: the data, how irregular they are, training, forecasts by series, errors, calibration, latent space.

    The last third of every series of `df` is held out and forecast, and errors are those of the mean; the rest is its
    history. Where fit has seen rows of a series at or after its first held-out time, the page says so.

    Parameters
    ----------
    forecaster : LatentODEForecaster
        Fitted.
    df : DataFrame, or path of a Parquet file, or pyarrow dataset
        Series to forecast, in the shape of what was given to fit.
    path : str or Path
        The file to write.
    held_out : DataFrame, optional
        The rows to forecast, in place of the last third of `df`, which is then the history.

    Raises
    ------
    DataError
        When no series has values at two times, or what is stored is no Parquet.
    ImportError
        When matplotlib is not installed.

    Examples
    --------
    >>> from latentode import LatentODEForecaster
    >>> from latentode.datasets import make_spirals
    >>> from latentode.report import report
    >>> df = make_spirals(n_series=30, n_points=12, random_state=0)
    >>> fitted = LatentODEForecaster(max_steps=20, random_state=0).fit(df[df["id"] < 25])
    >>> report(fitted, df[df["id"] >= 25], "spirals.html")  # doctest: +SKIP
    """
    require_matplotlib()
    df = read_parquet(df, forecaster.schema_.id_col) if is_stored(df) else as_pandas(df)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DataWarning)  # the page shows these warnings
        page = _page(forecaster, df, None if held_out is None else as_pandas(held_out))
    write_out(Path(path), page.encode())


@dataclass(frozen=True)
class _Test:
    """The known rows, the held-out rows, and the forecasts."""

    history: pd.DataFrame
    held_out: pd.DataFrame
    panel: Panel
    seen: bool


def _page(forecaster: LatentODEForecaster, df: pd.DataFrame, held_out: pd.DataFrame | None) -> str:
    test = _split(forecaster, df, held_out)
    title = f"{counted(len(forecaster.channels_), 'channel')}, {counted(test.panel.n_series, 'series', 'series')}"
    latent = [image_axes(3.0), image_axes(3.4)]
    plot_latent(forecaster, history=test.history, axes=latent)
    sections = [
        ("Data", _data(forecaster, test)),
        ("Training", image(plot_training(forecaster, image_axes(3.2)).figure, "held-out score by step")),
        ("Forecasts", _forecasts(forecaster, test)),
        ("Errors", _errors(forecaster, test)),
        ("Calibration", _calibration(forecaster, test)),
        ("Latent space", images([image(ax.figure, "latent trajectories") for ax in latent])),
    ]
    body = "\n".join(f'<section id="s{k}"><h2>{name}</h2>\n{text}</section>' for k, (name, text) in enumerate(sections))
    links = " ".join(f'<a href="#s{k}">{name}</a>' for k, (name, _) in enumerate(sections))
    return TEMPLATE.format(title=escaped(title), links=links, body=body)


def _split(forecaster: LatentODEForecaster, df: pd.DataFrame, held_out: pd.DataFrame | None) -> _Test:
    schema, n_known = forecaster.schema_, len(df)
    df = df if held_out is None else pd.concat([df, held_out])
    observed = np.asarray(~np.isnan(values_of(df, schema)).all(axis=1))
    times = forecaster.time_axis_.to_float(schema.times_of(df))
    ids = schema.ids_of(df)
    series = pd.Index(np.zeros(len(df), dtype=np.int64)) if ids is None else ids
    late = np.zeros(len(df), dtype=bool)
    late[observed] = last_third(times[observed], series[observed])
    if held_out is not None:
        late = observed & (np.arange(len(df)) >= n_known)
    if not late.any() or not (observed & ~late).any():
        raise DataError("no series has values at two times: there is nothing to hide and ask")
    panel = panel_from_frame(df, schema, forecaster.time_axis_, forecaster.coding_)[0]
    fitted = forecaster.panel_
    place = fitted.ids.get_indexer(series[late])
    seen = bool((fitted.last_times[place[place >= 0]] >= times[late][place >= 0]).any())
    # A row without values is not an observation, but its known columns are known ahead.
    return _Test(df[~late], df[late], panel, seen)


# --------------------------------------------------------------------------------------------------- sections


def _data(forecaster: LatentODEForecaster, test: _Test) -> str:
    panel, axis = test.panel, forecaster.time_axis_
    gaps = np.diff(panel.times)[np.diff(panel.series_of_row) == 0]
    quantiles = np.quantile(gaps, [0.05, 0.5, 0.95]) if len(gaps) else np.full(3, np.nan)
    begin, end = axis.from_float(np.array([panel.times.min(), panel.times.max()]))
    facts = [
        ("series", f"{panel.n_series:,}"),
        ("rows", f"{len(panel.times):,}"),
        ("rows of a series", f"{panel.lengths.min()} to {panel.lengths.max()}, usually {np.median(panel.lengths):g}"),
        ("from, to", f"{time_text(axis, begin)}, {time_text(axis, end)}"),
        ("gaps between rows", " / ".join(duration_in_words(axis, g) for g in quantiles) + " (5, 50, 95 % of them)"),
        ("horizon of the fit", duration_in_words(axis, forecaster.horizon_)),
        ("seasons", ", ".join(duration_in_words(axis, p) for p in forecaster.seasons_.periods) or "none found"),
    ]
    rows = "".join(f"<tr><th>{escaped(k)}</th><td>{escaped(v)}</td></tr>" for k, v in facts)
    parts = (_channels(forecaster, panel), _gaps(forecaster, gaps, panel))
    return f'<div class="wide"><table class="facts">{rows}</table></div>{"".join(parts)}'


def _channels(forecaster: LatentODEForecaster, panel: Panel) -> str:
    values = panel.values[:, : len(forecaster.channels_)]
    rows = []
    for name, column in zip(forecaster.channels_, values.T, strict=True):
        x = column[~np.isnan(column)]
        cells = [f"{v:.4g}" for v in np.quantile(x, [0.05, 0.5, 0.95])] if len(x) else ["", "", ""]
        rows.append([str(name), f"{len(x):,}", f"{1 - len(x) / max(len(column), 1):.0%}", *cells])
    return table(["channel", "values", "missing", "5 %", "median", "95 %"], rows)


def _gaps(forecaster: LatentODEForecaster, gaps: Any, panel: Panel) -> str:
    between, lengths = image_axes(2.4), image_axes(2.4)
    positive = gaps[gaps > 0]
    if len(positive):
        unit, name = (1.0, "") if forecaster.time_axis_.kind == "number" else (86_400.0, ", days")
        edges = np.geomspace(positive.min(), positive.max() * (1 + 1e-9), 41) / unit
        between.hist(positive / unit, bins=np.unique(edges).tolist(), color="#0072B2")
        between.set_xscale("log")
        between.set_xlabel(f"gap between rows{name}", fontsize=9)
    lengths.hist(panel.lengths, bins=30, color="#0072B2")
    lengths.set_xlabel("rows of a series", fontsize=9)
    for ax in (between, lengths):
        ax.spines[["top", "right"]].set_visible(False)
        ax.tick_params(labelsize=8)
    drawn = [(between, "gaps between rows")] if len(positive) else []
    return images([image(ax.figure, alt) for ax, alt in [*drawn, (lengths, "rows of a series")]])


def _forecasts(forecaster: LatentODEForecaster, test: _Test) -> str:
    whole = pd.concat([test.history, test.held_out])
    known = panel_from_frame(test.history, forecaster.schema_, forecaster.time_axis_, forecaster.coding_)[0]
    some = np.flatnonzero(known.lengths > 0)
    chosen = known.ids[some[np.linspace(0, len(some) - 1, min(MOST_SERIES, len(some))).astype(int)]]
    options, figures = [], []
    for k, name in enumerate(chosen):
        held_out = _forecast_images(forecaster, name, test.history, test.held_out)
        ahead = _forecast_images(forecaster, name, whole)
        options.append(f'<option value="f{k}">{escaped(str(name))}</option>')
        hidden = "" if k == 0 else " hidden"
        figures.append(
            f'<div class="forecast" id="f{k}"{hidden}><h3>The last third, held out</h3>{held_out}'
            f"<h3>What comes next</h3>{ahead}</div>"
        )
    note = (
        '<p class="note">These series were seen in fit: the held-out rows were part of the training data. '
        "Give series the model has not seen for errors that can be trusted.</p>"
        if test.seen
        else ""
    )
    shown = f"{len(chosen)} of {len(some)} series" if len(chosen) < len(some) else f"{len(some)} series"
    select = f'<label>Series <select id="which">{"".join(options)}</select></label> <span class="faint">{shown}</span>'
    explained = (
        "<p>First the last third of the series is held out and forecast from the rows before it. Then the series is "
        "forecast from all of its rows, a horizon ahead.</p>"
    )
    return f"{note}{explained}<p>{select}</p>{_KEY}{''.join(figures)}"


def _forecast_images(
    forecaster: LatentODEForecaster, name: Hashable, history: pd.DataFrame, held_out: pd.DataFrame | None = None
) -> str:
    """A picture for each channel; they share the page's key, so that none needs a legend."""
    channels = forecaster.channels_[:MOST_CHANNELS]
    axes = np.array([image_axes(2.5) for _ in channels])
    plot_forecast(forecaster, [name], channels, history=history, held_out=held_out, axes=axes)
    axes[0].set_ylabel("")  # the name stands above all of them
    for legend in axes[0].figure.legends:
        legend.remove()
    return images([image(ax.figure, f"forecast of {c} of {name}") for c, ax in zip(channels, axes, strict=True)])


def _calibration(forecaster: LatentODEForecaster, test: _Test) -> str:
    axes = [image_axes(4.6), image_axes(3.2)]
    plot_calibration(forecaster, test.held_out, test.history, axes=axes)
    alts = ("coverage by level", "coverage by lead time")
    return images([image(ax.figure, alt) for ax, alt in zip(axes, alts, strict=True)])


def _errors(forecaster: LatentODEForecaster, test: _Test) -> str:
    """By channel and lead, in units of each channel's spread, beside the last value."""
    schema, axis = forecaster.schema_, forecaster.time_axis_
    channels = list(forecaster.channels_)
    truth = values_of(test.held_out, schema)[:, : len(channels)]
    ours = forecaster.predict(test.held_out, history=test.history).to_numpy()
    bands = forecaster.predict_interval(test.held_out, 90, history=test.history)
    known = panel_from_frame(test.history, schema, axis, forecaster.coding_)[0]
    ids = schema.ids_of(test.held_out)
    place = known.ids.get_indexer(pd.Index(np.zeros(len(test.held_out), dtype=np.int64)) if ids is None else ids)
    naive = _last_values(known)[place][:, : len(channels)]
    lead = axis.to_float(schema.times_of(test.held_out)) - known.end_of(place)
    spread = forecaster.scaler_.spread[: len(channels)]
    edges = np.unique(np.nanquantile(lead, np.linspace(0, 1, LEADS + 1)))
    rows = []
    for k, name in enumerate(channels):
        for low, high in itertools.pairwise(edges):
            here = (lead >= low) & (lead <= high) & ~np.isnan(truth[:, k])
            if not here.any():
                continue
            y = truth[here, k]
            mine, last = (np.abs(x[here, k] - y) / spread[k] for x in (ours, naive))
            inside = (bands[f"{name}-lo-90"].to_numpy()[here] <= y) & (y <= bands[f"{name}-hi-90"].to_numpy()[here])
            compared = not np.isnan(last).all()
            cells = [f"{mine.mean():.3f}", f"{np.nanmean(last):.3f}" if compared else "", f"{inside.mean():.0%}"]
            mark = "*" if not compared or mine.mean() <= np.nanmean(last) else ""
            rows.append(
                [
                    str(name),
                    f"{duration_in_words(axis, low)} to {duration_in_words(axis, high)}",
                    f"{int(here.sum()):,}",
                    *cells,
                    mark,
                ]
            )
    head = ["channel", "lead", "values", "MAE, in spreads", "last value's", "within 90 %", ""]
    return table(head, rows) + '<p class="faint">* at least as good as the last value</p>'


def _last_values(panel: Panel) -> Any:
    """The last value of each channel, (series, channel), and a row of NaN for an unknown series."""
    frame = pd.DataFrame(panel.values).groupby(panel.series_of_row).last()
    whole = frame.reindex(np.arange(panel.n_series)).to_numpy(dtype=float)
    return np.concatenate([whole, np.full((1, panel.values.shape[1]), np.nan)])
