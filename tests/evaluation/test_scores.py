import numpy as np
import pandas as pd
import pytest

from latentode.evaluation import crps_quantiles, score_table

NAN = float("nan")
TRUTH = pd.DataFrame({"a": [0.0, 2.0], "b": [10.0, NAN]}, index=[7, 3])
POINTS = pd.DataFrame({"b": [14.0, 0.0], "a": [1.0, 1.0]}, index=[7, 3])
BANDS = pd.DataFrame(
    {
        "a-q0.95": [3.0, 1.5],
        "a-q0.05": [-1.0, 0.5],
        "a-q0.5": [1.0, 1.0],
        "b-q0.05": [9.0, 0.0],
        "b-q0.5": [14.0, 0.0],
        "b-q0.95": [19.0, 0.0],
    },
    index=[7, 3],
)
SPREAD = {"a": 2.0, "b": 8.0}


def row(table, forecaster, channel):
    found = table[(table["forecaster"] == forecaster) & (table["channel"] == channel)]
    assert len(found) == 1
    return found.iloc[0]


def test_channels_are_scored_in_their_own_units():
    table = score_table(TRUTH, {"flat": POINTS}, {"flat": BANDS}, spread=SPREAD)
    a = row(table, "flat", "a")
    assert (a["n"], a["mae"], a["rmse"], a["coverage"], a["width"]) == (2, 1.0, 1.0, 0.5, 2.5)
    assert a["crps"] == crps_quantiles([0, 2], [[-1, 1, 3], [0.5, 1, 1.5]], [0.05, 0.5, 0.95])
    b = row(table, "flat", "b")
    assert (b["n"], b["mae"], b["coverage"], b["width"]) == (1, 4.0, 1.0, 10.0)


def test_the_mean_weighs_channels_alike_in_units_of_their_spread():
    table = score_table(TRUTH, {"flat": POINTS}, {"flat": BANDS}, spread=SPREAD)
    mean = row(table, "flat", "mean")
    assert mean["n"] == 3
    assert mean["mae"] == pytest.approx((1 / 2 + 4 / 8) / 2)
    assert mean["width"] == pytest.approx((2.5 / 2 + 10 / 8) / 2)
    assert mean["coverage"] == pytest.approx((0.5 + 1.0) / 2)
    crps = [row(table, "flat", channel)["crps"] for channel in "ab"]
    assert mean["crps"] == pytest.approx((crps[0] / 2 + crps[1] / 8) / 2)


def test_rows_come_in_the_order_given_and_forecasters_without_quantiles_keep_their_errors():
    table = score_table(TRUTH, {"z": POINTS, "flat": POINTS}, {"flat": BANDS}, spread=pd.Series(SPREAD))
    assert table["forecaster"].tolist() == ["z"] * 3 + ["flat"] * 3
    assert table["channel"].tolist() == ["a", "b", "mean"] * 2
    assert list(table.columns) == ["forecaster", "channel", "n", "mae", "rmse", "crps", "coverage", "width"]
    assert table.loc[table["forecaster"] == "z", ["crps", "coverage", "width"]].isna().all(axis=None)
    assert table["mae"].notna().all()


def test_a_channel_never_scored_is_left_out_of_the_mean():
    table = score_table(TRUTH.assign(b=NAN), {"flat": POINTS}, spread=SPREAD)
    assert np.isnan(row(table, "flat", "b")["mae"])
    assert row(table, "flat", "mean")["mae"] == 0.5


def test_channels_whose_names_begin_alike_do_not_mix():
    truth = pd.DataFrame({"a": [0.0], "a-q0": [5.0]})
    band = pd.DataFrame({"a-q0.05": [-1.0], "a-q0.95": [1.0], "a-q0-q0.05": [4.0], "a-q0-q0.95": [6.0]})
    table = score_table(truth, {"f": truth}, {"f": band}, spread={"a": 1, "a-q0": 1})
    assert row(table, "f", "a")["width"] == 2.0
    assert row(table, "f", "a-q0")["coverage"] == 1.0


def test_another_level_reads_other_bounds():
    band = BANDS.rename(columns=lambda name: name.replace("0.05", "0.1").replace("0.95", "0.9"))
    assert score_table(TRUTH, {"f": POINTS}, {"f": band}, spread=SPREAD, level=80)["width"].notna().all()
    with pytest.raises(ValueError, match=r"no column 'a-q0.05'.*\[0.1, 0.5, 0.9\]"):
        score_table(TRUTH, {"f": POINTS}, {"f": band}, spread=SPREAD)


def test_other_rows_than_those_scored_are_refused():
    with pytest.raises(ValueError, match=r"predictions\['f'\] has other rows"):
        score_table(TRUTH, {"f": POINTS.iloc[::-1]}, spread=SPREAD)
    with pytest.raises(ValueError, match=r"quantiles\['f'\] has other rows"):
        score_table(TRUTH, {"f": POINTS}, {"f": BANDS.iloc[:1]}, spread=SPREAD)


def test_missing_channels_quantiles_and_names_are_refused():
    with pytest.raises(ValueError, match="no column 'b'"):
        score_table(TRUTH, {"f": POINTS[["a"]]}, spread=SPREAD)
    with pytest.raises(ValueError, match=r"no column b-q"):
        score_table(TRUTH, {"f": POINTS}, {"f": BANDS.filter(like="a-")}, spread=SPREAD)
    with pytest.raises(ValueError, match=r"quantiles name \['g'\]"):
        score_table(TRUTH, {"f": POINTS}, {"g": BANDS}, spread=SPREAD)


@pytest.mark.parametrize("spread", [{"a": 1.0}, {"a": 1.0, "b": 0.0}, {"a": 1.0, "b": NAN}])
def test_every_channel_needs_a_positive_spread(spread):
    with pytest.raises(ValueError, match=r"spread has no positive number for \['b'\]"):
        score_table(TRUTH, {"f": POINTS}, spread=spread)


def test_a_channel_named_mean_is_refused():
    truth = pd.DataFrame({"mean": [1.0]})
    with pytest.raises(ValueError, match="rename"):
        score_table(truth, {"f": truth}, spread={"mean": 1.0})


def test_a_nan_answer_is_refused():
    with pytest.raises(ValueError, match="NaN for 1 of 2"):
        score_table(TRUTH, {"f": POINTS.assign(a=[NAN, 1.0])}, spread=SPREAD)
