"""One contest: what is learned from, what is known of the series queried, and the queries of them."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

__all__ = ["Contest", "LeagueSet", "capped", "first_rows_known", "interpolation", "later_rows", "new_series"]

Generator = np.random.Generator


@dataclass(frozen=True)
class Contest:
    """What every forecaster gets.

    Parameters
    ----------
    train : DataFrame
        The rows to fit on: ``id``, ``time``, channels, known covariates; NaN where a channel was not measured.
    history : DataFrame or None
        What is known of series that are not in `train`; None where the series queried are those fitted.
    queried : DataFrame
        The rows to answer, with the truth in the channels.
    horizon : number, Timedelta or None
        How far ahead is queried, where a user would say it.
    known_cols : tuple of str
        Columns known at the query rows too.
    """

    train: pd.DataFrame
    history: pd.DataFrame | None
    queried: pd.DataFrame
    horizon: Any = None
    known_cols: tuple[str, ...] = ()

    @property
    def channels(self) -> list[str]:
        """The columns to forecast."""
        return [c for c in self.train.columns if c not in ("id", "time", *self.known_cols)]

    @property
    def known(self) -> pd.DataFrame:
        """All that is known of the series queried."""
        return self.train if self.history is None else self.history


@dataclass(frozen=True)
class LeagueSet:
    """A set of the league.

    Parameters
    ----------
    name : str
        Unique.
    kind : str
        Of data: "real", "real, few series", "generated", "shared".
    choosing : bool
        Whether defaults are chosen by it. The other half is only looked at when an issue ends.
    make : callable
        ``make(rng, quick)`` draws the contest: data or split, by the seed.
    """

    name: str
    kind: str
    choosing: bool
    make: Callable[[Generator, bool], Contest]


def capped(df: pd.DataFrame, most: int, rng: Generator) -> pd.DataFrame:
    """At most so many series."""
    ids = df["id"].unique()
    return df if len(ids) <= most else df[df["id"].isin(rng.choice(ids, most, replace=False))].reset_index(drop=True)


def new_series(
    df: pd.DataFrame,
    rng: Generator,
    part: float = 0.5,
    horizon: Any = None,
    known_cols: tuple[str, ...] = (),
    n_learned: int | None = None,
) -> Contest:
    """A third of the series (or all but `n_learned`) are new: their first part in time is known, the rest queried."""
    train, test = _divided(df, rng, n_learned)
    begin, end = (test.groupby("id")["time"].transform(how) for how in ("min", "max"))
    cut = begin + part * (end - begin)
    later = test["time"] > cut
    queried = test[later if horizon is None else later & (test["time"] <= cut + horizon)]
    return Contest(train, test[~later], queried, horizon, known_cols)


def first_rows_known(df: pd.DataFrame, rng: Generator, n_rows: int) -> Contest:
    """A third of the series are new: their first rows are known, all later ones queried."""
    train, test = _divided(df, rng)
    known = test.groupby("id").cumcount() < n_rows
    return Contest(train, test[known], test[~known])


def later_rows(df: pd.DataFrame, part: float = 0.75, horizon: Any = None) -> Contest:
    """The last rows of every series are queried, all before are learned from."""
    place = df.groupby("id").cumcount()
    size = df.groupby("id")["time"].transform("size")
    later = place >= np.maximum((part * size).astype(int), 2)
    queried = df[later]
    if horizon is not None:
        last = df[~later].groupby("id")["time"].max()
        queried = queried[queried["time"] <= queried["id"].map(last) + horizon]
    return Contest(df[~later], None, queried, horizon)


def interpolation(df: pd.DataFrame, rng: Generator, hidden: float = 0.3) -> Contest:
    """A third of the series are new; some of their rows, anywhere, are queried given all the others."""
    train, test = _divided(df, rng)
    gone = rng.random(len(test)) < hidden
    return Contest(train, test[~gone], test[gone])


def _divided(df: pd.DataFrame, rng: Generator, n_learned: int | None = None) -> tuple[pd.DataFrame, pd.DataFrame]:
    df = df.sort_values(["id", "time"], kind="stable").reset_index(drop=True)
    ids = rng.permutation(df["id"].unique())
    learned = min(len(ids) - len(ids) // 3 if n_learned is None else n_learned, len(ids) - 3)
    test = df["id"].isin(ids[learned:])
    return df[~test], df[test]
