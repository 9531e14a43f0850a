"""What makes the league fair: nothing queried is known, halves do not mix, and scores are what they say."""

import numpy as np
import pandas as pd
import pytest

from tests.benchmarks.league.boosting import LagBoosting
from tests.benchmarks.league.contest import Contest, first_rows_known, interpolation, later_rows, new_series
from tests.benchmarks.league.running import contest_of
from tests.benchmarks.league.scoring import QUANTILES, scores
from tests.benchmarks.league.sets import CHOOSING_SOURCES, SETS, UNTOUCHED_SOURCES


def cells(df, channels):
    """Every value of a frame by series, time and channel."""
    reported = df.melt(["id", "time"], channels).dropna(subset="value")
    return set(zip(reported["id"], reported["time"], reported["variable"], strict=True))


def frame(n_series=9, n_rows=8):
    times = np.tile(np.arange(float(n_rows)), n_series)
    ids = np.repeat([f"s{i}" for i in range(n_series)], n_rows)
    return pd.DataFrame({"id": ids, "time": times, "x": np.arange(n_series * n_rows, dtype=float)})


@pytest.mark.parametrize(
    "name", ["pbc", "storms, later", "damped rotations", "relaxations, gaps", "reservoir", "motion"]
)
def test_nothing_that_is_queried_is_known(name):
    contest = contest_of(name, 0, quick=True)
    queried = cells(contest.queried, contest.channels)
    assert queried
    assert not queried & cells(contest.known, contest.channels)
    assert not queried & cells(contest.train, contest.channels)
    if contest.history is not None:
        assert not set(contest.train["id"]) & set(contest.queried["id"])


def test_a_set_is_drawn_by_its_seed_alone():
    first, same, other = (contest_of("logistic growth", seed, quick=True).train for seed in (0, 0, 1))
    pd.testing.assert_frame_equal(first, same)
    assert not first.equals(other)


def test_every_kind_of_data_stands_in_both_halves_and_no_source_in_two():
    halves = [{one.kind for one in SETS.values() if one.choosing == half} for half in (True, False)]
    assert halves[0] == halves[1]
    sources = [{(s.package, s.item) for s in half.values()} for half in (CHOOSING_SOURCES, UNTOUCHED_SOURCES)]
    assert not sources[0] & sources[1]
    assert len(SETS) >= 50


def test_protocols_ask_what_they_say():
    df, rng = frame(), np.random.default_rng(0)
    new = new_series(df, rng, part=0.5)
    assert new.history["time"].max() <= 3.5 < new.queried["time"].min()
    assert new.queried["id"].nunique() == 3
    near = new_series(df, rng, part=0.5, horizon=2.0)
    assert near.queried["time"].max() <= 5.5
    first = first_rows_known(df, rng, 3)
    assert first.history.groupby("id").size().eq(3).all()
    later = later_rows(df, 0.75)
    assert later.history is None
    assert later.queried["time"].min() == 6.0
    gaps = interpolation(df, rng, 0.3)
    assert len(gaps.queried) + len(gaps.history) == 24


def test_scores_are_in_spreads_and_a_perfect_answer_has_none():
    df = frame()
    contest = Contest(df, None, df.assign(x=[np.nan, *df["x"][1:]]))
    truth, spread = contest.queried[["x"]].to_numpy(), df["x"].std()
    bands = np.repeat(np.nan_to_num(truth)[None], len(QUANTILES), 0)
    perfect = scores(contest, truth, bands, samples=bands)
    assert perfect == {"mse": 0.0, "mae": 0.0, "crps": 0.0, "coverage": 1.0, "energy": 0.0}
    off = scores(contest, truth + 2 * spread, bands + 2 * spread)
    assert (off["mse"], off["mae"], off["crps"], off["coverage"]) == pytest.approx((4.0, 2.0, 2.0, 0.0))


def test_the_energy_of_a_path_that_keeps_together_is_lower_than_of_one_that_does_not():
    rng = np.random.default_rng(0)
    df = frame(60, 10).assign(x=np.repeat(rng.standard_normal(60), 10))
    contest = Contest(df, None, df)
    together = np.repeat(rng.standard_normal((64, 60)), 10, axis=1)[..., None]
    apart = rng.standard_normal((64, 600, 1))
    means, bands = np.zeros((600, 1)), np.zeros((len(QUANTILES), 600, 1))
    assert scores(contest, means, bands, together)["energy"] < scores(contest, means, bands, apart)["energy"]


def test_boosting_reads_what_is_known_and_no_more():
    contest = contest_of("reservoir", 0, quick=True)
    boosting = LagBoosting(contest.channels, contest.known_cols, None, (0.5,)).fit(contest.train)
    queried = contest.queried.head(40)
    first, _ = boosting.predict(contest.known, queried)
    changed, _ = boosting.predict(contest.known, queried.assign(c0=1e6))
    np.testing.assert_array_equal(first, changed)
    wetter, _ = boosting.predict(contest.known, queried.assign(rain=queried["rain"] + 1))
    assert wetter.mean() > first.mean()
