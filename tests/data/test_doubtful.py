import re

import numpy as np
import pandas as pd
import pytest

from latentode.data import TimeAxis, infer_schema, panel_from_frame
from latentode.data.doubtful import constant_channels, dates_as_numbers, left_out

SECONDS = np.array([1_700_000_000, 1_700_086_400])


@pytest.mark.parametrize(
    ("values", "how"),
    [
        ([20240131, 20240201], "format='%Y%m%d'"),
        ([20240131.0, np.nan, 20240201.0], "format='%Y%m%d'"),
        ([202401, 202402], "format='%Y%m'"),
        (SECONDS, "unit='s'"),
        (SECONDS * 10**3, "unit='ms'"),
        (SECONDS * 10**6, "unit='us'"),
        (SECONDS * 10**9, "unit='ns'"),
    ],
)
@pytest.mark.parametrize("dtype", ["int64", "Int64", "float64", "Float64"])
def test_numbers_that_read_as_dates_are_said_with_how_to_parse_them(values, how, dtype):
    whole = dtype == "int64"
    df = pd.DataFrame({"day": pd.Series([v for v in values if v == v] if whole else values, dtype=dtype)})
    (sentence,) = dates_as_numbers(df["day"])
    assert "in column 'day' are numbers such as" in sentence
    parse = re.search(r"pd\.to_datetime\(.*\)$", sentence).group()
    assert parse.endswith(f", {how})")
    parsed = eval(parse, {"pd": pd, "df": df})  # the advice, as a user would run it
    assert parsed.isna().sum() == df["day"].isna().sum()
    assert parsed.dropna().dt.year.between(2023, 2024).all()


def test_an_index_of_such_numbers_is_called_the_index():
    (sentence,) = dates_as_numbers(pd.Series([20240131, 20240201]))
    assert "the times in the index" in sentence
    assert "pd.to_datetime(df.index.astype(str), " in sentence


@pytest.mark.parametrize(
    "values",
    [
        np.arange(10.0),
        np.arange(1990, 2020),
        [202398, 202399, 202400],
        np.arange(200_000, 200_100),
        [20240131, 20240132],
        [20240131.5, 20240201.0],
        [20240131, 20240131],
        [86_400, 172_800],
        [True, False],
        pd.to_datetime(["2024-01-31", "2024-02-01"]),
    ],
    ids=str,
)
def test_other_numbers_are_times_as_they_are(values):
    assert dates_as_numbers(pd.Series(values)) == []


FRAME = pd.DataFrame(
    {
        "id": np.repeat(["a", "b", "c"], 3),
        "time": np.tile([0.0, 1.0, 2.0], 3),
        "y": np.arange(9.0),
        "age": np.repeat([60.0, 70.0, 80.0], 3),
    }
)


def constant(df):
    schema = infer_schema(df)
    return constant_channels(panel_from_frame(df, schema, TimeAxis.from_times(df["time"]))[0], schema)


def test_a_number_that_never_changes_within_a_series_is_said():
    (sentence,) = constant(FRAME)
    assert "channels 'age' never change within a series" in sentence
    assert "static_cols=['age']" in sentence
    assert constant(FRAME.assign(age=FRAME["age"].where(FRAME["time"] != 1))) == [sentence]


@pytest.mark.parametrize(
    "age",
    [
        5.0,  # the same in all series
        [60, 60, 60, 70, 70, 70, 80, 80, 81],
        [60, np.nan, np.nan, 70, np.nan, np.nan, 80, 80, 80],  # too few series have two values
        np.nan,
    ],
    ids=["everywhere", "changes", "sparse", "empty"],
)
def test_a_channel_that_may_well_change_is_not_said(age):
    assert constant(FRAME.assign(age=age)) == []


def test_the_only_channel_is_not_said():
    assert constant(FRAME.drop(columns="y")) == []
    assert constant(FRAME[FRAME["id"] == "a"]) == []


def test_columns_without_numbers_are_said_with_the_roles_they_may_have():
    df = FRAME.assign(sex=np.repeat(["f", "m", "f"], 3), seen=pd.Timestamp("2024-01-01"), drug="x", flag=True)
    schema = infer_schema(df, static_cols=["drug"])
    text, dates = left_out(df, schema)
    assert text.startswith("columns 'sex' hold no numbers and are not used; pass static_cols=['sex']")
    assert dates.startswith("columns 'seen' hold dates")
    assert left_out(FRAME, infer_schema(FRAME)) == []
