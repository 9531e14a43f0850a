import numpy as np
import pandas as pd
import pytest

from latentode import LatentODEForecaster
from latentode.comparison import NAIVE, OURS, compare, last_part, table_of
from latentode.datasets import make_spirals


def frame(*rows):
    return pd.DataFrame(rows, columns=["id", "time"])


def test_the_last_part_is_a_third_in_time_whatever_the_order_of_rows():
    df = frame(*[("a", t) for t in (5, 0, 3, 1, 4, 2)])
    assert df.loc[last_part(df, "id", "time"), "time"].tolist() == [5, 4]


def test_the_last_part_is_at_least_one_row_and_never_the_only_one():
    df = frame(("a", 0), ("a", 1), ("b", 7))
    assert last_part(df, "id", "time").tolist() == [False, True, False]


def test_rows_of_one_time_are_hidden_together_or_not_at_all():
    df = frame(("a", 0), ("a", 1), ("a", 1), ("b", 2), ("b", 2))
    assert last_part(df, "id", "time").tolist() == [False, True, True, False, False]


def test_dates_have_a_last_part_too():
    df = frame(("a", pd.Timestamp("2024-02-01")), ("a", pd.Timestamp("2024-01-01")))
    assert last_part(df, "id", "time").tolist() == [True, False]


@pytest.fixture(scope="module")
def compared():
    df = make_spirals(n_series=10, n_points=12, random_state=0).rename(columns={"id": "who", "time": "when"})
    df["flat"] = 1.0
    hidden = last_part(df, "who", "when")
    known, queried = df[~hidden], df[hidden]
    forecaster = LatentODEForecaster("who", "when", max_steps=5, n_models=1, random_state=0, verbose=False).fit(known)
    return forecaster, known, queried, compare(forecaster, known, queried)


def test_every_forecaster_is_scored_on_the_same_questions_and_every_channel(compared):
    *_, queried, scores = compared
    assert list(scores["forecaster"].unique()) == [OURS, *NAIVE]
    assert (scores.groupby("forecaster")["channel"].agg(list).map(tuple) == ("x", "y", "flat", "mean")).all()
    assert (scores.loc[scores["channel"] == "x", "n"] == len(queried)).all()
    assert np.isfinite(scores[["mae", "rmse", "crps", "coverage"]]).all(axis=None)


def test_ours_is_what_predict_says_and_the_last_value_is_the_last_value(compared):
    forecaster, known, queried, scores = compared
    found = scores[scores["channel"] == "x"].set_index("forecaster")["mae"]
    assert found[OURS] == pytest.approx((forecaster.predict(queried)["x"] - queried["x"]).abs().mean())
    last = known.groupby("who")["x"].last()
    assert found["last value"] == pytest.approx((queried["who"].map(last) - queried["x"]).abs().mean())


def test_the_average_is_in_units_of_each_channels_spread_in_what_was_fitted(compared):
    _, known, _, scores = compared
    ours = scores[scores["forecaster"] == OURS].set_index("channel")["mae"]
    expected = np.mean([ours["x"] / known["x"].std(), ours["y"] / known["y"].std(), ours["flat"]])
    assert ours["mean"] == pytest.approx(expected)


def test_unseen_series_are_predicted_from_the_history_given_by_all(compared):
    forecaster, known, queried, _ = compared
    history, strange = known.assign(who=known["who"] + 100), queried.assign(who=queried["who"] + 100)
    scores = compare(forecaster, known, strange, history)
    pd.testing.assert_frame_equal(scores, compare(forecaster, known, queried), atol=1e-4)


SCORES = pd.DataFrame(
    [
        ("latentode", "bili", 0.5, 1.0, 0.25, 0.9),
        ("latentode", "mean", 0.1, 0.2, 0.05, 0.9),
        ("naive", "bili", 12.0, 0.75, np.nan, np.nan),
        ("naive", "mean", 0.3, 0.15, np.nan, np.nan),
    ],
    columns=["forecaster", "channel", "mae", "rmse", "crps", "coverage"],
)


def test_the_table_has_the_average_first_and_stars_the_best_error_of_a_row():
    text = table_of(SCORES, "lab", {"bili": "bilirubin (mg/dl)"})
    lines = [line.split() for line in text.splitlines()]
    assert lines[0] == ["latentode", "naive"]
    assert "average over labs" in text.splitlines()[1]
    assert lines[2] == ["MAE", "0.100*", "0.300"]
    assert lines[3] == ["RMSE", "0.200", "0.150*"]
    assert ["bilirubin", "(mg/dl)", "0.500*", "12.000"] in lines
    assert ["90", "%", "coverage", "90", "%", "-"] in lines


def test_every_line_of_the_table_has_its_columns_under_their_names():
    text = table_of(SCORES)
    head, first = text.splitlines()[0], text.splitlines()[2]
    assert head.index("latentode") + len("latentode") == first.index("0.100*") + len("0.100")
