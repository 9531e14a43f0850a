"""Rolling origins: cut the series at several times, forecast what follows, score it beside the naive."""

from collections.abc import Hashable, Mapping, Sequence
from copy import deepcopy
from typing import Any, Protocol

import numpy as np
import pandas as pd

from latentode.data import Schema, infer_schema
from latentode.evaluation.baseline import LEVELS, Baseline
from latentode.evaluation.baselines import LastValue, LinearTrend, PopulationMean, SeriesMean
from latentode.evaluation.joint_scores import energy_score
from latentode.evaluation.metrics import (
    coverage,
    crps_quantiles,
    interval_width,
    log_score_quantiles,
    mae,
    mase,
    naive_error,
    rmse,
)
from latentode.evaluation.reliability import binned

__all__ = ["Forecaster", "backtest", "summarise_backtest"]

_PARTS = (0.5, 0.7)
_SAMPLE = "sample"
_ROLES = ("id_col", "time_col", "target_cols", "static_cols", "known_cols", "impulse_cols", "past_cols")
_NAIVE: Mapping[str, type[Baseline]] = {
    "last value": LastValue,
    "series mean": SeriesMean,
    "population mean": PopulationMean,
    "linear trend": LinearTrend,
}


class Forecaster(Protocol):
    """What can be backtested: ``LatentODEForecaster``, a :class:`Baseline`, or anything with these methods."""

    def fit(self, X: pd.DataFrame, /) -> Any:
        """Learn from a long frame."""

    def predict(self, X: pd.DataFrame, /, history: pd.DataFrame | None = None) -> pd.DataFrame:
        """Point forecasts row by row, a column per channel."""

    def predict_quantiles(
        self, X: pd.DataFrame, /, quantiles: Sequence[float] = ..., history: pd.DataFrame | None = None
    ) -> pd.DataFrame:
        """Quantiles row by row, in columns ``{channel}-q{level}``."""


def backtest(
    forecaster: Forecaster,
    df: pd.DataFrame,
    *,
    id_col: Hashable | None = None,
    time_col: Hashable | None = None,
    target_cols: Sequence[Hashable] | None = None,
    origins: Sequence[Any] | None = None,
    fractions: Sequence[float] | None = None,
    horizon: Any = None,
    train: pd.DataFrame | None = None,
    quantiles: Sequence[float] = LEVELS,
    naive: Mapping[str, type[Baseline]] = _NAIVE,
    n_samples: int = 0,
) -> pd.DataFrame:
    """Forecast from several origins, and set the truth beside the forecasts.

    At each origin the rows of a series up to it are its history, and those after it the queries. A series without
    a history, or without a row after the origin, is left out there.

    Parameters
    ----------
    forecaster : Forecaster
        Copied before each fit; the one given is not changed.
    df : DataFrame
        A row per series and time, NaN where a channel was not measured. Ids and times stand in columns.
    id_col, time_col : hashable, optional
        Its columns. None means those of the forecaster (its parameters ``id_col`` and ``time_col``), or infer as it
        does.
    target_cols : sequence of hashable, optional
        The channels. None means the forecaster's ``target_cols``, or every other numeric column. Its
        ``static_cols``, ``known_cols`` and ``impulse_cols`` are part of the histories and the queries, its
        ``past_cols`` of the histories.
    origins : sequence of times, optional
        Cut-off times, the same for all series. None means by `fractions`; without these either, dates are cut where a
        half and seven tenths of the whole span have passed, and numbers by the same parts of each series' own span.
    fractions : sequence of float, optional
        Cut-offs as parts of each series' own span, between 0 and 1. Where all series share one calendar, data learned
        from one series may then be later than the origin of another: give `origins` instead.
    horizon : str, Timedelta or number, optional
        The longest lead time: a duration ("5D") where times are dates, else a number. None means to the
        end.
    train : DataFrame, optional
        Other series, to fit to once; those of `df` are then forecast from their histories. None means to fit anew
        at each origin, to the histories.
    quantiles : sequence of float
        The levels.
    naive : mapping of str to type of Baseline
        The naive forecasters to compare with, by name.
    n_samples : int
        Joint samples to draw from models with a method ``sample``, as that of ``LatentODEForecaster``, for the energy
        score. The naive ones have none.

    Returns
    -------
    DataFrame
        A row per model, origin and value observed, with the columns ``model`` (``"forecaster"`` or a name of
        `naive`), ``cut`` (the entry of `origins` or `fractions`), ``origin``, ``series``, ``channel``, ``time``,
        ``lead`` (time since the origin), ``y``, ``scale`` (the mean step between successive observations of the
        channel in the histories), ``mean``, ``q{level}`` and ``sample{number}``, in the units of `df`.

    Raises
    ------
    ValueError
        If a column is missing, a fraction is not between 0 and 1, `horizon` does not fit the times or is not positive,
        `train` shares series with `df`, or no observation follows any origin.

    References
    ----------
    Tashman, L. J. (2000). Out-of-sample tests of forecasting accuracy. International Journal of Forecasting 16.

    Examples
    --------
    >>> import pandas as pd
    >>> from latentode.evaluation import LastValue, SeriesMean, backtest
    >>> df = pd.DataFrame({"id": 1, "time": [0, 1, 3, 4], "x": [1.0, 2.0, 5.0, 4.0]})
    >>> forecasts = backtest(LastValue(), df, origins=[1], horizon=2, naive={"mean": SeriesMean})
    >>> forecasts[["model", "series", "channel", "time", "lead", "y", "mean"]]
            model  series channel  time  lead    y  mean
    0  forecaster       1       x     3     2  5.0   2.0
    1        mean       1       x     3     2  5.0   1.5
    """
    if "forecaster" in naive:
        raise ValueError("a naive forecaster is named 'forecaster', as the one tested is; rename it")
    schema = _schema_of(forecaster, df, id_col, time_col, target_cols)
    id_col, time_col, channels = schema.id_name, schema.time_name, [*schema.target_cols]
    covariates = [*schema.static_cols, *schema.known_cols, *schema.impulse_cols]
    columns = [id_col, time_col, *channels, *covariates, *schema.past_cols]
    if train is not None and train[id_col].isin(df[id_col]).any():
        raise ValueError("train holds series of df, so their future would be seen in fit; take them out of one")
    df = df[columns].reset_index(drop=True)
    models: dict[str, Forecaster] = {"forecaster": forecaster}
    models |= {name: kind(id_col, time_col, channels) for name, kind in naive.items()}
    if train is not None:
        models = {name: deepcopy(model).fit(train[columns]) for name, model in models.items()}
    reach = None if horizon is None else _reach(horizon, df[time_col])
    parts = []
    for cut, ends in _cuts(df[id_col], df[time_col], origins, fractions).items():
        origin = df[id_col].map(ends)
        past = df[time_col] <= origin
        is_query = ~past & df[id_col].isin(df[id_col][past])
        if reach is not None:
            is_query &= df[time_col] <= origin + reach
        if not is_query.any():
            continue
        history = df[past]
        future = df[is_query]
        keys = {"cut": cut, "origin": origin[is_query], "series": future[id_col], "time": future[time_col]}
        keys["lead"] = keys["time"] - keys["origin"]
        query = future[[id_col, time_col, *covariates]]
        scale = naive_error(history, id_col, time_col, channels)
        for name, model in models.items():
            fitted = deepcopy(model).fit(history) if train is None else model
            parts += _forecasts(fitted, query, history, future, {"model": name, **keys}, scale, quantiles, n_samples)
    if not any(len(part) for part in parts):
        raise ValueError("no observation follows any origin within the horizon; choose earlier origins or a longer one")
    return pd.concat(parts, ignore_index=True)


def _schema_of(
    forecaster: Forecaster,
    df: pd.DataFrame,
    id_col: Hashable | None,
    time_col: Hashable | None,
    target_cols: Sequence[Hashable] | None,
) -> Schema:
    """Which column is what: as named here, else as the forecaster's own parameters name it, else inferred."""
    own = {name: getattr(forecaster, name, None) for name in _ROLES}
    given = {"id_col": id_col, "time_col": time_col, "target_cols": target_cols}
    schema = infer_schema(df, **{**own, **{name: value for name, value in given.items() if value is not None}})
    if schema.layout != "columns":
        raise ValueError("ids or times stand in the index of df; make them columns with df.reset_index()")
    if schema.id_col is None:
        raise ValueError("df has no column of ids; name it with id_col=, or give one series an id with df.assign(id=0)")
    return schema


def _cuts(
    ids: pd.Series, times: pd.Series, origins: Sequence[Any] | None, fractions: Sequence[float] | None
) -> dict[Any, pd.Series]:
    """The origin of every series at each cut."""
    span = times.groupby(ids).agg(["min", "max"])
    if origins is None and fractions is None:
        if not pd.api.types.is_datetime64_any_dtype(times.dtype):
            fractions = _PARTS
        else:
            origins = [times.min() + part * (times.max() - times.min()) for part in _PARTS]
    if origins is not None:
        return {cut: pd.Series(cut, span.index) for cut in origins}
    if not all(0 < part < 1 for part in fractions or ()):
        raise ValueError(f"fractions={list(fractions or ())} must lie between 0 and 1; give times as origins=")
    return {part: span["min"] + part * (span["max"] - span["min"]) for part in fractions or ()}


def _reach(horizon: Any, times: pd.Series) -> Any:
    """The horizon as what can be added to a time."""
    dates = pd.api.types.is_datetime64_any_dtype(times.dtype)
    number = isinstance(horizon, int | float | np.number) and not isinstance(horizon, np.timedelta64)
    try:
        if number == dates:
            raise TypeError
        reach: Any = pd.Timedelta(horizon) if dates else horizon
        nothing: Any = pd.Timedelta(0) if dates else 0
        positive = reach > nothing
    except (TypeError, ValueError):
        wanted = "a duration such as '30D' or '6h'" if dates else "a number, as the times are"
        raise ValueError(f"horizon={horizon!r}: expected {wanted}") from None
    if not positive:
        raise ValueError(f"horizon={horizon!r} must be positive")
    return reach


def _forecasts(
    model: Forecaster,
    query: pd.DataFrame,
    history: pd.DataFrame,
    future: pd.DataFrame,
    keys: dict[str, Any],
    scale: pd.Series,
    quantiles: Sequence[float],
    n_samples: int,
) -> list[pd.DataFrame]:
    """The forecasts of one model, channel by channel, with the truth."""
    points = model.predict(query, history=history)
    bands = model.predict_quantiles(query, quantiles=quantiles, history=history)
    sample = getattr(model, "sample", None) if n_samples else None
    drawn = None if sample is None else sample(query, n_samples=n_samples, random_state=0, history=history)
    parts = []
    for channel in scale.index:
        part = {**keys, "channel": channel, "y": future[channel], "scale": scale[channel], "mean": points[channel]}
        part |= {f"q{level:g}": bands[f"{channel}-q{level:g}"] for level in quantiles}
        if drawn is not None:
            paths = drawn[channel].to_numpy(np.float64).reshape(n_samples, len(query))
            part |= {f"{_SAMPLE}{number}": path for number, path in enumerate(paths)}
        parts.append(pd.DataFrame(part).dropna(subset=["y"]))
    return parts


def summarise_backtest(forecasts: pd.DataFrame, bins: int | Sequence[Any] = 3, level: float = 90) -> pd.DataFrame:
    """Score a backtest by model, channel and lead time.

    Parameters
    ----------
    forecasts : DataFrame
        As :func:`backtest` gives it.
    bins : int or sequence
        Bins of the lead: how many, with about as many values in each, or their edges, open to the left.
    level : float
        The percentage of the central interval; its bounds must be among the quantiles.

    Returns
    -------
    DataFrame
        A row per channel, bin and model, with the columns ``channel``, ``lead``, ``model``, ``n``, ``mae``, ``rmse``,
        ``crps``, ``coverage`` and ``width`` in the channel's own units, ``mase`` (see :func:`mase`) and ``log_score``.
        ``mae``, ``rmse`` and ``mase`` are those of the mean, which has the least squared error. With samples there is
        ``energy`` too: the :func:`energy_score` of the values of one series, origin, channel and bin together, NaN for
        models without samples. Coverage at several levels, with standard errors, is in :func:`coverage_by_lead`.

    Raises
    ------
    ValueError
        If a lead is in no bin, a bound of the interval is missing, or a forecast is NaN.

    Examples
    --------
    >>> import pandas as pd
    >>> from latentode.evaluation import LastValue, backtest, summarise_backtest
    >>> df = pd.DataFrame({"id": 1, "time": [0, 1, 3, 4], "x": [1.0, 2.0, 5.0, 4.0]})
    >>> forecasts = backtest(LastValue(), df, origins=[1], naive={})
    >>> summarise_backtest(forecasts, bins=[0, 2, 4])[["channel", "lead", "n", "mae"]]
      channel    lead  n  mae
    0       x  (0, 2]  1  3.0
    1       x  (2, 4]  1  2.0
    """
    columns = {float(str(c)[1:]): c for c in forecasts.columns if str(c).startswith("q")}
    levels = np.array(sorted(columns))
    low, high = (f"q{tau:g}" for tau in ((100 - level) / 200, (100 + level) / 200))
    missing = {low, high} - set(forecasts.columns)
    if missing:
        raise ValueError(f"forecasts has no column {sorted(missing)}; its columns are {list(forecasts.columns)}")
    where = binned(forecasts["lead"], bins)
    samples = [c for c in forecasts.columns if str(c).startswith(_SAMPLE)]
    rows = []
    for (channel, lead, model), part in forecasts.groupby(["channel", where, "model"], sort=False, observed=True):
        bands = part[[columns[tau] for tau in levels]].to_numpy(np.float64)
        row = {"channel": channel, "lead": lead, "model": model, "n": len(part)}
        row |= {"mae": mae(part["y"], part["mean"]), "rmse": rmse(part["y"], part["mean"])}
        row |= {
            "crps": crps_quantiles(part["y"], bands, levels),
            "coverage": coverage(part["y"], part[low], part[high]),
        }
        row |= {"width": interval_width(part["y"], part[low], part[high])}
        row |= {"mase": mase(part["y"], part["mean"], part["scale"])}
        row |= {"log_score": log_score_quantiles(part["y"], bands, levels)}
        rows.append(row | ({"energy": _energy(part, samples)} if samples else {}))
    return pd.DataFrame(rows)


def _energy(part: pd.DataFrame, samples: list[str]) -> float:
    """The energy score of joint forecasts, each of one series from one origin."""
    drawn = part[samples].to_numpy(np.float64)
    if np.isnan(drawn).all():
        return float("nan")
    return energy_score(part["y"].to_numpy(), drawn, part.groupby(["cut", "series"], observed=True).ngroup())
