import numpy as np
import pandas as pd

from latentode.persistence.leaderboard import CANDIDATES, SCORES, leaderboard_frame


def scores_of(**by_candidate):
    """Scores of some candidates, a row of n, mae, rmse, crps and coverage for each channel."""
    scores = np.full((len(CANDIDATES), 2, len(SCORES)), np.nan)
    for name, rows in by_candidate.items():
        scores[CANDIDATES.index(name.replace("_", " "))] = rows
    return scores


BOTH = scores_of(
    latentode=[[10, 1.0, 2.0, 0.5, 0.9], [5, 30.0, 40.0, 20.0, 0.8]],
    last_value=[[10, 0.5, 1.0, np.nan, np.nan], [5, 20.0, 30.0, np.nan, np.nan]],
)


def test_channels_are_averaged_in_units_of_their_spread_and_the_best_is_first():
    found = leaderboard_frame(BOTH, np.array([1.0, 10.0]), ["x", "y"])
    assert found.index.tolist() == ["last value", "latentode"]
    np.testing.assert_allclose(found.loc["latentode"], [15, 2.0, 3.0, 1.25, 0.85])
    assert found.loc["last value", ["n", "mae", "rmse"]].tolist() == [15, 1.25, 2.0]
    assert found.loc["last value", ["crps", "coverage"]].isna().all()


def test_by_channel_errors_are_in_its_own_unit():
    found = leaderboard_frame(BOTH, np.array([1.0, 10.0]), ["x", ("y", 1)], by_channel=True)
    assert found.index.names == ["channel", "forecast"]
    assert found.index.tolist() == [(c, f) for c in ("x", ("y", 1)) for f in ("last value", "latentode")]
    assert found["mae"].tolist() == [0.5, 1.0, 20.0, 30.0]
    assert found["n"].dtype == np.int64


def test_a_channel_without_a_scored_value_counts_nowhere():
    scores = scores_of(latentode=[[10, 1.0, 2.0, 0.5, 0.9], [0, np.nan, np.nan, np.nan, np.nan]])
    found = leaderboard_frame(scores, np.ones(2), ["x", "y"])
    pd.testing.assert_series_equal(
        found.loc["latentode"], pd.Series([10, 1.0, 2.0, 0.5, 0.9], list(SCORES), name="latentode")
    )
