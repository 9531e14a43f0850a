"""Frames of other libraries, read and given back."""

import datetime as dt

import pandas as pd
import pytest

from latentode.data import DataError, native
from latentode.data.native import as_given, as_pandas

pa = pytest.importorskip("pyarrow")

HELD = {
    "name": ["a", None, "b"],
    "day": [dt.date(2024, 1, 1), None, dt.date(2024, 1, 3)],
    "count": [1, None, 3],
    "listed": [[1], [2, 3], None],
}


def arrow():
    types = {"name": pa.string(), "day": pa.date32(), "count": pa.int32(), "listed": pa.list_(pa.int8())}
    kind = pa.array(HELD["name"], pa.string()).cast(pa.dictionary(pa.int8(), pa.string()))
    return pa.table(HELD, pa.schema(types)).append_column("kind", kind)


def polars():
    pl = pytest.importorskip("polars")
    types = {"name": pl.String, "day": pl.Date, "count": pl.Int32, "listed": pl.List(pl.Int8)}
    return pl.DataFrame(HELD, types).with_columns(kind=pl.col("name").cast(pl.Enum(["a", "b"])))


KINDS = pytest.mark.parametrize("make", [arrow, polars], ids=["pyarrow", "polars"])


def dtypes(frame):
    if isinstance(frame, pa.Table):
        return dict(zip(frame.column_names, frame.schema.types, strict=True))
    return dict(frame.schema)


@KINDS
def test_what_is_not_touched_comes_back_as_it_was(make):
    given = as_given(make())
    assert given.back(given.frame.copy()).equals(make())
    found = given.back(given.frame.assign(count=[1.0, 2.5, 3.0], more="x"))
    kept = ["name", "day", "listed", "kind"]
    assert found.select(kept).equals(make().select(kept))
    assert found.to_pandas()["count"].tolist() == [1.0, 2.5, 3.0]


@KINDS
def test_keys_have_the_dtype_they_came_with_as_long_as_no_value_changes(make):
    given, keys = as_given(make()), ["name", "day", "count", "kind"]
    twice = pd.concat([given.frame[keys]] * 2)
    assert dtypes(given.back(twice, keys)) == dtypes(make().select(keys))
    noon = given.back(twice.assign(day=pd.Timestamp("2024-01-01 12:00"), count=0.5), keys).to_pandas()
    assert (noon["day"] == pd.Timestamp("2024-01-01 12:00")).all()
    assert (noon["count"] == 0.5).all()


@KINDS
def test_columns_without_rows_keep_their_dtypes(make):
    given = as_given(make()).emptied()
    assert (len(given.frame), len(given.native)) == (0, 0)
    found = given.back(pd.DataFrame({"name": pd.Series(dtype=object), "x": pd.Series(dtype=float)}), ["name"])
    assert dtypes(found)["name"] == dtypes(make())["name"]
    assert found.to_pandas()["x"].dtype == float


def test_what_is_no_frame_is_left_alone_and_pandas_are_given_back_as_they_are():
    df = pd.DataFrame({"a": [1]})
    for x in (df["a"], "path", None, [1]):
        assert as_pandas(x) is x
    pd.testing.assert_frame_equal(as_pandas(df), df)
    assert as_given(df).back(df) is df
    pd.testing.assert_frame_equal(as_given(df).emptied().frame, df.iloc[:0])


def test_a_lazy_frame_is_refused_with_the_way_out(monkeypatch):
    said = r"^expected a DataFrame, got a lazy LazyFrame of polars, whose rows are not there yet: give frame\.{}\("
    with pytest.raises(DataError, match=said.format("collect")):
        as_given(polars().lazy())
    monkeypatch.setitem(native._HOW_TO_COLLECT, "polars", "compute")
    with pytest.raises(DataError, match=said.format("compute")):
        as_given(polars().lazy())


@KINDS
def test_a_column_of_another_library_is_read_as_one_of_pandas(make):
    assert as_pandas(make()["name"]).tolist() == make().to_pandas()["name"].tolist()
    assert isinstance(as_pandas(make()["count"]), pd.Series)


def test_a_frame_caught_in_the_middle_of_a_change_is_looked_at_again():
    class Torn(pd.DataFrame):
        def items(self):
            raise IndexError

    class Changing(pd.DataFrame):
        moments = iter([True, False])

        def copy(self, deep=True):
            return Torn() if next(self.moments, True) else pd.DataFrame(self)

    df = Changing({"x": [1.0, 2.0]})
    assert as_pandas(df)["x"].tolist() == [1.0, 2.0]
    with pytest.raises(DataError, match=r"^the frame was changed by another thread again and again .* a copy of it$"):
        as_given(df)
