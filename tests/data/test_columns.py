import numpy as np
import pandas as pd
import pytest

from latentode.data import DataError, infer_schema
from tests.data.frames import frame


@pytest.mark.parametrize(("n_columns", "more"), [(12, False), (13, True)])
def test_a_dozen_columns_are_listed_and_more_are_counted(n_columns, more):
    df = pd.DataFrame(0.0, index=[0], columns=["id", "time", *(f"c{k}" for k in range(n_columns - 2))])
    with pytest.raises(DataError, match="no such column") as reported:
        infer_schema(df, id_col="nobody")
    assert (", ... (13 in all)" in str(reported.value)) == ("in all" in str(reported.value)) == more
    assert "'c9'" in str(reported.value)
    assert "'c10'" not in str(reported.value)


@pytest.mark.parametrize("named", [np.array(["x"]), np.array(["x"], dtype=object), pd.Index(["x"]), pd.Series(["x"])])
def test_columns_are_named_by_arrays_as_by_lists(named):
    df = pd.DataFrame({"id": ["a"], "time": [0.0], "x": [1.0], "y": [2.0]})
    assert infer_schema(df, target_cols=named) == infer_schema(df, target_cols=["x"])
    assert infer_schema(df, target_cols="y", static_cols=named).static_cols == ("x",)


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.longdouble])
def test_series_may_be_named_by_numbers_of_any_precision(dtype):
    df = frame(id=np.array([0.5, 2.0], dtype=dtype), time=[0, 1])
    assert infer_schema(df).ids_of(df).tolist() == [0.5, 2.0]


def test_ids_that_cannot_be_reported_apart_are_refused_with_the_first_of_them():
    df = pd.DataFrame({"id": pd.Series(["a", [1], {}], dtype=object), "time": [0, 1, 2], "hr": [1.0, 2.0, 3.0]})
    with pytest.raises(DataError, match=r"column 'id' names the series, but row 1 holds \[1\], which is no name"):
        infer_schema(df).ids_of(df)


def test_text_among_numbers_names_its_column_and_first_row():
    df = pd.DataFrame({"id": list("aaa"), "time": [0, 1, 2], "hr": ["71", "n/a", "72"]}, index=[10, 11, 12])
    leave_out = r".*or leave it out with target_cols=\[\.\.\.\]$"
    with pytest.raises(
        DataError, match=r"column 'hr' should hold numbers but row 11 holds 'n/a'.*pd\.to_numeric" + leave_out
    ):
        infer_schema(df)
    halves = df.assign(hr=["71", "n/a", "72"]).iloc[:2]
    with pytest.raises(DataError, match="no numeric column to forecast"):
        infer_schema(halves)


def test_text_named_as_a_channel_is_refused_however_little_of_it_is_a_number():
    df = pd.DataFrame({"id": list("aaa"), "time": [0, 1, 2], "hr": [1.0, 2.0, 3.0], "note": ["x", "y", "3"]})
    assert infer_schema(df).target_cols == ("hr",)
    with pytest.raises(DataError, match=r"'note' should hold numbers but row 0 holds 'x'"):
        infer_schema(df, target_cols=["note"])
    with pytest.raises(DataError, match=r"'hr' should hold numbers but its dtype is category, not numeric"):
        infer_schema(df.astype({"hr": "category"}), target_cols=["hr"])


def test_whole_numbers_beyond_those_with_a_point_are_numbers_still():
    df = pd.DataFrame({"id": list("aaa"), "time": [0, 1, 2], "hr": pd.Series([10**400, "x", 3], dtype=object)})
    with pytest.raises(DataError, match="'hr' should hold numbers but row 0 holds 1000"):
        infer_schema(df, target_cols=["hr"])
    with pytest.raises(DataError, match="'hr' should hold numbers but row 1 holds 1000"):
        infer_schema(df.assign(hr=pd.Series([3, 10**400, "4"], dtype=object)), target_cols=["hr"])


def test_complex_numbers_are_refused():
    with pytest.raises(DataError, match=r"'z' holds complex numbers"):
        infer_schema(frame(id=["a", "b"], time=[0, 1]).assign(z=[1j, 2.0]))


def test_dates_as_a_channel_are_refused():
    df = frame(id=["a", "b"], time=[0, 1], seen=pd.to_datetime(["2024", "2025"]))
    with pytest.raises(DataError, match=r"'seen' holds dates"):
        infer_schema(df, target_cols=["seen"])


def test_numbers_with_a_comma_are_meant_as_numbers():
    df = pd.DataFrame({"id": list("aaa"), "time": [0, 1, 2], "hr": ["71,5", "-3", "80,0"], "n": [1, 2, 3]})
    with pytest.raises(DataError, match=r"column 'hr' should hold numbers but row 0 holds '71,5'.*decimal=','"):
        infer_schema(df)
