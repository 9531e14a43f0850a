"""Resolving a query: the rows of a frame located in the panel, with the covariates those rows hold added to it."""

from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from latentode.data import (
    Coding,
    Covariates,
    DataError,
    Panel,
    TimedRows,
    covariates_from_rows,
    panel_from_frame,
    series_codes,
    static_of_series,
)
from latentode.estimators.frames import summary_of
from latentode.estimators.support import refuse_unsupported
from latentode.estimators.warnings import warn_data
from latentode.persistence.calibration import share_reaching
from latentode.persistence.state import FittedState

__all__ = ["CovariateRows", "ResolvedQuery", "ids_of", "panel_of", "resolve_query", "times_of"]

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]

FAR = 2.0
"""Horizons after the end of a series beyond which a warning says that predictions are unreliable."""

RARE, TIMES_FARTHER = 0.1, 2.0
"""A lead time is rare when fewer than this share of the held-out forecasts went a half of it.

Origins are spread over each series, so that in any set few forecasts go as far as its longest series. A warning at the
lead times themselves would come at the default horizon of every set. At twice as far it is silent where whole series
are held out, and comes where a few series have only their last part held out.
"""


@dataclass(frozen=True)
class CovariateRows:
    """Rows that hold static, known and impulse columns.

    Parameters
    ----------
    df : DataFrame
        The columns.
    ids : Index
        (row,), the series of each row.
    times : array of float
        (row,), NaN where there is none.
    """

    df: pd.DataFrame
    ids: pd.Index
    times: Floats


@dataclass(frozen=True)
class ResolvedQuery:
    """The series and times of the rows to predict, and the panel they are predicted from.

    Parameters
    ----------
    panel : Panel
        The observations and covariates. Series of the query without observations stand behind the others.
    series : array of int
        (row,), position of each row's series in the panel.
    times : array of float
        (row,), NaN where a row has no time.
    """

    panel: Panel
    series: Ints
    times: Floats


def ids_of(df: pd.DataFrame, state: FittedState) -> pd.Index:
    """The series of every row; 0 in a frame of one series, as in its panel."""
    ids = state.schema.ids_of(df)
    return pd.Index(np.zeros(len(df), dtype=np.int64)) if ids is None else ids


def times_of(df: pd.DataFrame, state: FittedState) -> Floats:
    """The time of every row on the axis of the fit."""
    return state.time_axis.to_float(state.schema.times_of(df)) if len(df) else np.empty(0)


def panel_of(df: pd.DataFrame, state: FittedState, name: str = "history") -> Panel:
    """The observations of a frame, read as in fit; a warning about its rows calls it by `name`."""
    panel, treatment = panel_from_frame(df, state.schema, state.time_axis, state.coding)
    refuse_unsupported(df, state.schema, state.model.config.likelihoods)
    sentences = treatment.sentences() + ([] if state.coding is None else state.coding.sentences(df))
    warn_data([f"in {name}: {s}" for s in sentences])
    return panel


def resolve_query(
    X: pd.DataFrame, state: FittedState, history: pd.DataFrame | None, covariates: pd.DataFrame | None = None
) -> ResolvedQuery:
    """Locate the rows of a frame in the panel, and add the covariates they hold.

    Parameters
    ----------
    X : DataFrame
        Ids and times to predict.
    state : FittedState
        The fitted forecaster.
    history : DataFrame, optional
        Observations that replace those of fit, for the series it holds.
    covariates : DataFrame, optional
        Rows that hold static, known and impulse columns; None for those of `X`.

    Raises
    ------
    DataError
        When `X` is not a frame, a column is missing, or a static column changes within a series.

    Warns
    -----
    DataWarning
        For series without observations, rows without a time or far in the future, and covariates that are missing.
    """
    if not isinstance(X, pd.DataFrame):
        raise DataError(f"expected a DataFrame of ids and times to predict at, got {type(X).__name__}")
    given = None if history is None else panel_of(history, state)
    panel = state.panel if given is None else _merged(state.panel, given)
    n_seen = panel.n_series - (0 if given is None else given.n_series)
    times, ids = times_of(X, state), ids_of(X, state)
    rows = CovariateRows(X, ids, times)
    if covariates is not None:
        rows = CovariateRows(covariates, ids_of(covariates, state), times_of(covariates, state))
    panel, series, sentences = _located(ids, panel, rows, state.coding, n_seen)
    query = ResolvedQuery(panel, series, times)
    of_coding = [] if state.coding is None else state.coding.sentences(rows.df)
    warn_data([*of_coding, *_sentences(query, ids, state, state.schema.ids_of(X) is None), *sentences])
    return query


def _sentences(query: ResolvedQuery, ids: pd.Index, state: FittedState, alone: bool) -> list[str]:
    """Warnings about the series and times of a query; `alone` for a frame of one series, which has no ids."""
    sentences = []
    n_without = int(np.isnan(query.times).sum())
    if n_without:
        sentences.append(f"{n_without} rows without a time: their prediction is NaN")
    known = query.panel.is_known(query.series)
    if not known.all():
        names = "of the frame" if alone else summary_of(pd.Index(ids[~known]).unique())
        sentences.append(
            f"no observations of series {names}: its prediction is that of the population; "
            "pass history= with its observations"
        )
    far = (query.times - query.panel.end_of(query.series)) / state.horizon
    if (far > FAR).any():
        sentences.append(
            f"{int((far > FAR).sum())} rows lie up to {np.nanmax(far):.3g} horizons after the end of a series; "
            f"training went {state.time_axis.duration_text(state.horizon)} ahead (horizon=), "
            "predictions far beyond are unreliable"
        )
    elif state.reached is not None and (far > 0).any():
        lead = float(np.nanmax(far))
        if share_reaching(lead / TIMES_FARTHER, state.reached) < RARE:
            usual = float(np.quantile(state.reached, 1 - RARE))
            sentences.append(
                f"rows lie up to {state.time_axis.duration_text(lead * state.horizon)} after the end of a series, but "
                f"{1 - RARE:.0%} of the held-out forecasts went no farther than "
                f"{state.time_axis.duration_text(usual * state.horizon)}: errors and intervals so far ahead are hardly "
                "tested; backtest can test them"
            )
    return sentences


def _merged(fitted: Panel, given: Panel) -> Panel:
    """The panel of fit, with the given series in place of its own."""
    kept = fitted.take(np.flatnonzero(given.ids.get_indexer(fitted.ids) < 0))
    return kept.append(given)


def _located(
    ids: pd.Index, panel: Panel, rows: CovariateRows, coding: Coding | None, n_seen: int
) -> tuple[Panel, Ints, list[str]]:
    """Find the series of some ids in a panel, and add the covariates of rows to it.

    Static columns of a row count where the panel has none for the series; known columns and amounts always count.
    `n_seen` is the number of series at the front of the panel that come from fit: for them a missing static column
    gives no warning.

    Returns
    -------
    panel : Panel
        With series without observations behind the others.
    series : array of int
        (len(ids),), positions in it.
    sentences : list of str
        What to warn of.
    """
    both = ids if rows.ids is ids else ids.append(rows.ids)
    places = panel.ids.get_indexer(both)
    new = places < 0
    codes, names = series_codes(both[new], int(new.sum()))
    places[new] = panel.n_series + np.where(codes < 0, len(names), codes)  # rows without an id are one series
    n_series = max(panel.n_series, int(places.max(initial=-1)) + 1)
    grown = Panel(
        pd.RangeIndex(n_series),
        np.concatenate([panel.offsets, np.full(n_series - panel.n_series, panel.offsets[-1])]),
        panel.times,
        panel.values,
        None if panel.covariates is None else panel.covariates.grown(n_series),
    )
    series = places[: len(ids)]
    if grown.covariates is None or coding is None:
        return grown, series, []
    of_rows = places[len(both) - len(rows.ids) :]
    _add_static(grown.covariates, rows, of_rows, coding)
    covariates, sentences = _with_rows(grown.covariates, rows, of_rows, coding)
    sentences += _missing_static(covariates, rows, series, ids, coding, n_seen)
    return replace(grown, covariates=covariates), series, sentences


def _add_static(covariates: Covariates, rows: CovariateRows, places: Ints, coding: Coding) -> None:
    """Write static features of rows into the covariates where those are missing."""
    codes, names = series_codes(rows.ids, len(rows.ids))
    where = np.empty(len(names), dtype=np.int64)
    where[codes[codes >= 0]] = places[codes >= 0]
    own, static = covariates.static[where], static_of_series(rows.df, coding, codes, names)
    covariates.static[where] = np.where(np.isnan(own), static, own)


def _missing_static(
    covariates: Covariates, rows: CovariateRows, series: Ints, ids: pd.Index, coding: Coding, n_seen: int
) -> list[str]:
    """Warnings about static columns that stand neither in the history nor in the rows."""
    sentences = []
    begin = 0
    for column in coding.static:
        features = slice(begin, begin := begin + column.n_features)
        missing = (series >= n_seen) & np.isnan(covariates.static[series, features]).any(axis=1)
        if column.name not in rows.df.columns and missing.any():
            sentences.append(
                f"neither the history nor the query rows hold {column.name!r} of series "
                f"{summary_of(ids[missing].unique())}: it is treated as unknown"
            )
    return sentences


def _with_rows(own: Covariates, rows: CovariateRows, places: Ints, coding: Coding) -> tuple[Covariates, list[str]]:
    """The covariates with the known columns and the amounts of rows at their times, and warnings about these."""
    features = coding.features(rows.df, coding.known)
    new = covariates_from_rows(own.static, places, rows.times, features, coding.amounts(rows.df))
    impulses = new.impulses
    with_amounts = own.impulses.with_rows(impulses.series_of_row, impulses.times, impulses.values)
    known, sentences = _with_known(own.known, new.known, features, rows, places, coding)
    return replace(own, known=known, impulses=with_amounts), sentences


def _with_known(
    own: TimedRows, new: TimedRows, features: NDArray[np.float32], rows: CovariateRows, places: Ints, coding: Coding
) -> tuple[TimedRows, list[str]]:
    """The known covariates with those of `new`, made of the features of rows, and warnings about these."""
    sentences = []
    missing = [c.name for c in coding.known if c.name not in rows.df.columns]
    if missing:
        sentences.append(
            f"the query rows lack {missing!r}: the last known value of each series is held; "
            "pass predict a frame with these columns to set them"
        )
    there = coding.there(rows.df, coding.known)
    if not there.any():
        return own, sentences
    timed = ~np.isnan(rows.times)
    if len(new.times) < timed.sum():
        other = (features != new.held(places, rows.times)) & ~np.isnan(features)
        n = int((other.any(axis=1) & timed).sum())
        if n:
            sentences.append(
                f"{n} query rows share their (series, time) and differ in {[c.name for c in coding.known]!r}: "
                "their average is used; query one scenario per call"
            )
    new.values[:, ~there] = own.held(new.series_of_row, new.times)[:, ~there]
    return own.with_rows(new.series_of_row, new.times, new.values), sentences
