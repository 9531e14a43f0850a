"""What the rows of a frame say beside their question, added to what is known: static and known columns."""

from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from latentode.data import Coding, Covariates, Panel, covariates_from_rows, series_codes, static_of_series
from latentode.estimators.frames import summary_of

__all__ = ["Asked", "Told", "asked_of"]

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Told:
    """Rows that say static and known columns.

    Parameters
    ----------
    df : DataFrame
        Their columns.
    ids : Index
        (row,), their series.
    times : array of float
        (row,), NaN where there is none.
    """

    df: pd.DataFrame
    ids: pd.Index
    times: Floats


@dataclass(frozen=True)
class Asked:
    """Where the rows asked stand, and the panel that answers them.

    Parameters
    ----------
    panel : Panel
        What is known; behind its series those of which nothing is known, as series without observations.
    series : array of int
        (row,), position of every row's series in the panel.
    said : list of str
        What is to be said of static and known columns, a sentence each.
    """

    panel: Panel
    series: Ints
    said: list[str]


def asked_of(ids: pd.Index, panel: Panel, told: Told, coding: Coding | None, n_seen: int) -> Asked:
    """Find the series of rows in a panel, and add to the panel what is told of series and times.

    Parameters
    ----------
    ids : Index
        (row,), the series asked about.
    panel : Panel
        What is known.
    told : Told
        What is to be added: of a series' static columns those that the panel does not know, of known columns all.
    coding : Coding, optional
        How they become features; None where there are none.
    n_seen : int
        So many series of the panel, the first, are those of fit: what is missing there is no news.

    Raises
    ------
    DataError
        When a static column changes within a series.
    """
    both = ids if told.ids is ids else ids.append(told.ids)
    places = panel.ids.get_indexer(both)
    strangers = places < 0
    codes, names = series_codes(both[strangers], int(strangers.sum()))
    places[strangers] = panel.n_series + np.where(codes < 0, len(names), codes)  # those without an id are one
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
        return Asked(grown, series, [])
    of_rows = places[len(both) - len(told.ids) :]
    _tell_static(grown.covariates, told, of_rows, coding)
    covariates, said = _with_known(grown.covariates, told, of_rows, coding)
    begin = 0
    for column in coding.static:
        features = slice(begin, begin := begin + column.n_features)
        unsaid = (series >= n_seen) & np.isnan(covariates.static[series, features]).any(axis=1)
        if column.name not in told.df.columns and unsaid.any():
            said.append(
                f"neither the history nor the rows asked say {column.name!r} of series "
                f"{summary_of(ids[unsaid].unique())}: it is taken as unknown"
            )
    return Asked(replace(grown, covariates=covariates), series, said)


def _tell_static(covariates: Covariates, told: Told, places: Ints, coding: Coding) -> None:
    """Write into the static features of the covariates what they do not know yet."""
    codes, names = series_codes(told.ids, len(told.ids))
    where = np.empty(len(names), dtype=np.int64)
    where[codes[codes >= 0]] = places[codes >= 0]
    own, static = covariates.static[where], static_of_series(told.df, coding, codes, names)
    covariates.static[where] = np.where(np.isnan(own), static, own)


def _with_known(own: Covariates, told: Told, places: Ints, coding: Coding) -> tuple[Covariates, list[str]]:
    """The covariates with what the rows say of their times, and what is to be said of that."""
    said = []
    missing = [c.name for c in coding.known if c.name not in told.df.columns]
    if missing:
        said.append(
            f"the rows asked do not say {missing!r}: what was last known of each series is held; "
            "give predict a frame with these columns to say otherwise"
        )
    there = coding.there(told.df, coding.known)
    if not there.any():
        return own, said
    features = coding.features(told.df, coding.known)
    new = covariates_from_rows(own.static, places, told.times, features)
    timed = ~np.isnan(told.times)
    if len(new.times) < timed.sum():
        other = (features != new.held(places, told.times)) & ~np.isnan(features)
        n = int((other.any(axis=1) & timed).sum())
        if n:
            said.append(
                f"{n} rows asked share their (series, time) and differ in {[c.name for c in coding.known]!r}: "
                "their average is taken; ask about one plan in one call"
            )
    new.known[:, ~there] = own.held(new.series_of_row, new.times)[:, ~there]
    return own.with_rows(new.series_of_row, new.times, new.known), said
