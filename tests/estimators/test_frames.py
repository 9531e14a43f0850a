import numpy as np
import pandas as pd
import pytest

from latentode.data import DataError
from latentode.estimators.frames import as_dtype, filled_column, summary_of
from tests.estimators.tiny import quick, waves


def test_names_are_listed_up_to_a_few():
    assert summary_of(pd.Index(["a", "b"])) == "'a', 'b'"
    assert summary_of(pd.Index(range(9)), most=2) == "0, 1, ... (9 in all)"


def whole(df, dtype="int64"):
    """The frame at whole times, five in each unit of its own."""
    return df.assign(time=(5 * df["time"]).round().astype(dtype)).drop_duplicates(["id", "time"])


@pytest.mark.parametrize(
    "name",
    [
        lambda ids: pd.Categorical(ids, sorted(set(ids), reverse=True), ordered=True),
        lambda ids: pd.Categorical(ids.str[1:].astype(int)),
        lambda ids: ids.astype("string"),
        lambda ids: ids.str[1:].astype("Int16"),
    ],
    ids=["ordered category", "category of numbers", "string", "Int16"],
)
def test_ids_come_back_in_their_own_dtype(name):
    df = waves(3, 8)
    df["id"] = name(df["id"])
    forecaster = quick().fit(df)
    for history in (None, df):
        assert forecaster.forecast(history=history)["id"].dtype == df["id"].dtype
        assert forecaster.encode(history).index.dtype == df["id"].dtype
    pd.testing.assert_series_equal(forecaster.sample(df, 1)["id"], df["id"])
    two_levels = quick().fit(df.set_index(["id", "time"]))
    assert two_levels.forecast()["id"].dtype == df["id"].dtype
    assert two_levels.sample(df.set_index(["id", "time"]), 1)["id"].dtype == df["id"].dtype


def test_a_series_that_came_later_is_one_more_category():
    df = waves(3, 8).astype({"id": "category"})
    forecaster = quick().fit(df).update(df.assign(id="new").tail(8))
    ids = forecaster.forecast()["id"]
    assert ids.cat.categories.tolist() == ["s00", "s01", "s02", "new"]
    assert "new" in set(ids)


@pytest.mark.parametrize("dtype", ["int64", "int32", "Int64"])
def test_whole_times_stay_whole_where_the_step_is(dtype):
    df = whole(waves(), dtype)
    forecaster = quick().fit(df)
    for history in (None, df):
        future = forecaster.forecast(horizon=6, freq=2, history=history)
        assert future["time"].dtype == df["time"].dtype
        assert forecaster.forecast(horizon=6, freq=1.5, history=history)["time"].dtype == float
    ends = df.groupby("id")["time"].max()
    assert (future.groupby("id")["time"].min() == ends + 2).all()


def test_times_beyond_a_small_dtype_are_kept_in_a_larger():
    assert as_dtype(pd.Series([126.0, 128.0]), np.dtype("int8")).tolist() == [126, 128]
    assert as_dtype(pd.Series([126.0, 128.0]), np.dtype("int8")).dtype == np.int64


@pytest.mark.parametrize(
    ("dtype", "expected"),
    [
        ("Int64", "Float64"),
        ("Int8", "Float64"),
        ("boolean", "Float64"),
        ("Float32", "Float32"),
        ("float32", "float32"),
        ("int64[pyarrow]", "double[pyarrow]"),
        ("float[pyarrow]", "float[pyarrow]"),
    ],
)
def test_a_column_with_holes_is_filled_in_its_own_kind(dtype, expected):
    if "pyarrow" in dtype:
        pytest.importorskip("pyarrow")
    found = filled_column(pd.Series([1, None], dtype=dtype), np.array([1.0, 0.25]))
    assert found.dtype == expected
    assert list(found) == [1.0, 0.25]
    assert pd.isna(filled_column(pd.Series([1, None], dtype=dtype), np.array([1.0, np.nan]))[1])


def test_a_channel_named_like_a_column_of_ours_is_refused(df):
    with pytest.raises(DataError, match=r"channel 'sample_id' has the name of .* rename it"):
        quick().fit(df.rename(columns={"x": "sample_id"}))
    forecaster = quick(id_col="sample_id").fit(df.rename(columns={"id": "sample_id"}))
    with pytest.raises(DataError, match="for instance 'sample_id'"):
        forecaster.sample(df.rename(columns={"id": "sample_id"}), 2)


def test_intervals_named_like_a_channel_are_refused_where_they_meet(df):
    named = df.rename(columns={"x": "level", "y": "level-lo-80"})
    forecaster = quick().fit(named)
    with pytest.raises(DataError, match="for instance 'level-lo-80'"):
        forecaster.forecast(level=80)
    assert forecaster.forecast(level=90).columns.is_unique
    with pytest.raises(DataError, match="each level or quantile once"):
        forecaster.predict_quantiles(named, (0.5, 0.5))
