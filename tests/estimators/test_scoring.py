"""The score: never on rows the encoder saw."""

import numpy as np
import pandas as pd
import pytest

from latentode.data import DataError, DataWarning
from tests.estimators.tiny import quick, single, waves


@pytest.fixture
def new():
    """Series that fit has not seen."""
    return waves(5, 9, seed=7).assign(id=lambda d: "new" + d["id"]).reset_index(drop=True)


@pytest.fixture
def queried(fitted, monkeypatch):
    """What a score queried, and with what history."""
    calls = []
    predict = fitted.predict

    def spy(X, history=None):
        calls.append((X, history, predict(X, history)))
        return calls[-1][2]

    monkeypatch.setattr(fitted, "predict", spy, raising=False)
    return calls


def keys(frame):
    return set(map(tuple, frame[["id", "time"]].to_numpy()))


def test_rows_the_encoder_saw_are_never_scored(fitted, df):
    with pytest.raises(DataError, match="no row to score"):
        fitted.score(df)


def test_of_a_seen_series_the_rows_after_its_end_are_scored(fitted, df, queried):
    later = df.assign(time=lambda d: d["time"] + 5)
    with pytest.warns(DataWarning, match="29 rows lie before or between"):
        fitted.score(pd.concat([df, later], ignore_index=True))
    ((queries, history, _),) = queried
    ends = df.dropna(subset=["x", "y"], how="all").groupby("id")["time"].max()
    assert history is None
    assert (queries["time"].to_numpy() > queries["id"].map(ends).to_numpy()).all()
    expected = later[(later["time"] > later["id"].map(ends)) & later[["x", "y"]].notna().any(axis=1)]
    assert keys(queries) == keys(expected)


def test_of_an_unseen_series_the_last_third_is_scored_given_the_rest(fitted, new, queried):
    fitted.score(new)
    ((queries, history, _),) = queried
    assert queries.groupby("id").size().max() <= 3
    assert not keys(queries) & keys(history)
    assert keys(queries) | keys(history) <= keys(new)
    first_queried = queries.groupby("id")["time"].min()
    assert (history["time"] < history["id"].map(first_queried)).all()


def test_scored_rows_are_not_read(fitted, new, queried):
    """Other values in the query rows change the score, never the prediction."""
    fitted.score(new)
    rows = new.merge(queried[0][0][["id", "time"]].assign(hit=True), how="left")["hit"].notna().to_numpy()
    changed = new.copy()
    changed.loc[rows, ["x", "y"]] += 100
    assert fitted.score(changed) < -100
    pd.testing.assert_frame_equal(queried[0][2], queried[1][2], check_exact=True)


def test_the_other_rows_are_read(fitted, new, queried):
    fitted.score(new)
    rows = new.merge(queried[0][0][["id", "time"]].assign(hit=True), how="left")["hit"].isna().to_numpy()
    changed = new.copy()
    changed.loc[rows, "y"] += 3
    fitted.score(changed)
    assert (queried[1][2]["y"] - queried[0][2]["y"]).min() > 0.5


def test_a_scored_row_that_is_repeated_is_not_in_the_history(fitted, queried):
    """Two rows of one time, on either side of the last third."""
    new = waves(1, 6, missing=0).assign(id="new")
    new.loc[3, "time"] = new.loc[4, "time"]
    fitted.score(new)
    ((queries, history, _),) = queried
    assert not keys(queries) & keys(history)


def test_the_score_is_minus_the_mean_square_in_units_of_each_channels_spread(fitted, new, queried):
    score = fitted.score(new)
    ((queries, _, predicted),) = queried
    error = ((predicted - queries[["x", "y"]]) / fitted.scaler_.spread).to_numpy()
    assert score == pytest.approx(-np.nanmean(error**2), rel=1e-6)


def test_the_unit_of_a_channel_does_not_change_the_score(df, new):
    metres = quick().fit(df).score(new)
    to_mm = {"y": lambda d: d["y"] * 1024}
    assert quick().fit(df.assign(**to_mm)).score(new.assign(**to_mm)) == pytest.approx(metres, rel=1e-3)


def test_a_better_prediction_scores_higher(fitted, new, queried):
    plain = fitted.score(new)
    rows = new.merge(queried[0][0][["id", "time"]].assign(hit=True), how="left")["hit"].notna().to_numpy()
    perfect = new.copy()
    perfect.loc[rows, ["x", "y"]] = fitted.predict(queried[0][0], queried[0][1]).to_numpy()
    assert plain < 0
    assert fitted.score(perfect) == pytest.approx(0, abs=1e-9)


def test_weights_choose_what_counts(fitted, new, queried):
    whole = fitted.score(new)
    rows = new.merge(queried[0][0][["id", "time"]].assign(hit=True), how="left")["hit"].notna().to_numpy()
    assert fitted.score(new, sample_weight=np.full(len(new), 3.0)) == pytest.approx(whole)
    assert fitted.score(new, sample_weight=list(np.ones(len(new)))) == pytest.approx(whole)
    one = np.flatnonzero(rows)[0]
    alone = fitted.score(new, sample_weight=np.arange(len(new)) == one)
    error = (queried[0][2].iloc[0] - new.loc[one, ["x", "y"]].astype(float)) / fitted.scaler_.spread
    assert alone == pytest.approx(-np.nanmean(error**2), rel=1e-5)


def test_weights_of_another_length_are_refused(fitted, new):
    with pytest.raises(ValueError, match="sample_weight"):
        fitted.score(new, sample_weight=[1.0, 2.0])


def test_targets_apart_score_as_targets_inside(fitted, new):
    inside = fitted.score(new)
    assert fitted.score(new[["id", "time"]], new[["x", "y"]]) == inside
    assert fitted.score(new.assign(x=0.0), new[["x", "y"]]) == inside


def test_the_order_of_rows_does_not_change_the_score(fitted, new):
    assert fitted.score(new.sample(frac=1, random_state=0)) == pytest.approx(fitted.score(new), rel=1e-6)


def test_a_series_of_one_row_is_scored_without_history(fitted, new):
    assert np.isfinite(fitted.score(new.dropna().groupby("id").head(1)))


def test_known_and_unseen_series_are_scored_together(fitted, df, new):
    later = df.assign(time=lambda d: d["time"] + 10).groupby("id").head(2)
    assert np.isfinite(fitted.score(pd.concat([later, new], ignore_index=True)))


def test_one_series_is_scored_on_its_future(one):
    forecaster = quick().fit(one.head(20))
    assert np.isfinite(forecaster.score(one))
    changed = one.copy()
    changed.loc[:19, ["x", "y"]] = 1e6
    assert forecaster.score(changed) == forecaster.score(one)


def test_rows_without_any_observed_value_are_not_scored(fitted, new, queried):
    blank = new.copy()
    blank.loc[blank.groupby("id")["time"].idxmax(), ["x", "y"]] = np.nan
    fitted.score(blank)
    assert queried[0][0][["x", "y"]].notna().any(axis=1).all()


def test_a_score_without_the_channels_is_refused(fitted, new):
    with pytest.raises(DataError, match=r"no column 'x'.*seen in fit"):
        fitted.score(new[["id", "time"]])


def test_a_forecaster_saved_without_its_history_scores_with_the_given_one(one, tmp_path):
    from latentode import load

    quick().fit(single(waves(n_points=30))).save(tmp_path, include_history=False)
    assert np.isfinite(load(tmp_path).score(one))
