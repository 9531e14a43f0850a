"""A forecaster and naive ones, scored on values they have not seen, in one table."""

from collections.abc import Hashable, Mapping, Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from latentode.estimators import LatentODEForecaster
from latentode.estimators.frames import last_third
from latentode.evaluation import Baseline, LastValue, LinearTrend, PopulationMean, SeriesMean, score_table

__all__ = ["OURS", "compare", "last_part", "table_of"]

OURS = "latentode"
LEVEL = 90
QUANTILES = tuple(round(0.05 * k, 2) for k in range(1, 20))
NAIVE: Mapping[str, type[Baseline]] = {
    "last value": LastValue,
    "series' mean": SeriesMean,
    "overall mean": PopulationMean,
    "linear fit": LinearTrend,
}
SCORES = {"mae": "MAE", "rmse": "RMSE", "crps": "CRPS", "coverage": f"{LEVEL} % coverage"}


def last_part(df: pd.DataFrame, id_col: Hashable, time_col: Hashable) -> NDArray[np.bool_]:
    """Find the rows that are the last third of their series in time: at least one, and never the first.

    Parameters
    ----------
    df : DataFrame
        A row per series and time, in any order.
    id_col, time_col : hashable
        Its columns.

    Returns
    -------
    array of bool
        (row,). Rows of one time go together; a series of a single time has no last part.

    Examples
    --------
    >>> import pandas as pd
    >>> last_part(pd.DataFrame({"id": [1, 1, 1, 2], "time": [5, 3, 4, 0]}), "id", "time").tolist()
    [True, False, False, False]
    """
    first = df[time_col].groupby(df[id_col], sort=False).transform("min")
    return last_third(df[time_col], df[id_col]) & (df[time_col] > first).to_numpy(dtype=np.bool_)


def compare(
    forecaster: LatentODEForecaster,
    known: pd.DataFrame,
    held_out: pd.DataFrame,
    history: pd.DataFrame | None = None,
    naive: Mapping[str, type[Baseline]] = NAIVE,
) -> pd.DataFrame:
    """Score a fitted forecaster and naive ones on the same queries.

    Parameters
    ----------
    forecaster : LatentODEForecaster
        Fitted to `known`.
    known : DataFrame
        What it was fitted to, with columns of ids and times. The naive forecasters are fitted to it too, and the
        channels' standard deviations in it are the units in which channels are averaged.
    held_out : DataFrame
        Ids, times and the truth.
    history : DataFrame, optional
        Observations to predict from, for series that are not in `known`.
    naive : mapping of str to type of Baseline
        The naive forecasters by name.

    Returns
    -------
    DataFrame
        As :func:`latentode.evaluation.score_table` gives it; errors are those of the mean.
    """
    channels = list(forecaster.channels_)
    schema = forecaster.schema_
    points = {OURS: forecaster.predict(held_out, history=history)}
    bands = {OURS: forecaster.predict_quantiles(held_out, QUANTILES, history=history)}
    for name, kind in naive.items():
        baseline = kind(schema.id_col, schema.time_col, channels).fit(known)
        points[name] = baseline.predict(held_out, history)
        bands[name] = baseline.predict_quantiles(held_out, QUANTILES, history)
    spread = known[channels].std()
    spread = spread.where(spread > 0, 1.0)  # a constant channel has no spread
    return score_table(held_out[channels], points, bands, spread=spread, level=LEVEL)


def table_of(scores: pd.DataFrame, channel: str = "channel", names: Mapping[str, str] | None = None) -> str:
    """Lay out scores for reading: a column per forecaster, the average first, the best error of a row starred.

    Parameters
    ----------
    scores : DataFrame
        As :func:`compare` gives it.
    channel : str
        What to call a channel.
    names : mapping of str to str, optional
        The channels' names in the table.

    Returns
    -------
    str
        Lines, without a newline at the end.
    """
    forecasters = list(scores["forecaster"].unique())
    channels = [c for c in scores["channel"].unique() if c != "mean"]
    shown = {c: str(c) if names is None else names.get(c, str(c)) for c in channels}
    by_channel = {c: part.set_index("forecaster").loc[forecasters] for c, part in scores.groupby("channel", sort=False)}
    width = max(map(len, [*SCORES.values(), *shown.values()])) + 3
    widths = [max(len(f), 6) + 3 for f in forecasters]

    def line(label: str, cells: Sequence[str]) -> str:
        return f"{label:{width}}" + "".join(f"{cell:>{w}}" for cell, w in zip(cells, widths, strict=True))

    lines = [line("", [f"{f} " for f in forecasters]), f"average over {channel}s, in units of each one's spread"]
    lines += [line(f"  {title}", _cells(by_channel["mean"][score], score)) for score, title in SCORES.items()]
    for score, title in SCORES.items():
        lines += ["", f"{title} by {channel}"]
        lines += [line(f"  {shown[c]}", _cells(by_channel[c][score], score)) for c in channels]
    return "\n".join(text.rstrip() for text in lines)


def _cells(values: pd.Series, score: str) -> list[str]:
    """Three digits for the lowest error, the same decimals for the others; ``*`` on the lowest, ``-`` for none."""
    found = values.to_numpy(np.float64)
    if score == "coverage":
        return [f"{100 * v:.0f} % " if v == v else "- " for v in found]
    best = np.nanmin(np.append(found, np.inf))
    decimals = int(np.clip(2 - np.floor(np.log10(best)), 0, 8)) if 0 < best < np.inf else 3
    return [f"{v:.{decimals}f}" + ("*" if v == best else " ") if v == v else "- " for v in found]
