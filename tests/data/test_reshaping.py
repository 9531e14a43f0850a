"""Records and wide tables to long frames."""

import datetime as dt
import tracemalloc

import numpy as np
import pandas as pd
import pytest

from latentode.data import DataError, from_events, from_wide

EVENTS = pd.DataFrame(
    {
        "id": ["b", "a", "a", "a"],
        "time": pd.to_datetime(["2024-01-02", "2024-01-01", "2024-01-01", "2024-01-01"]),
        "variable": ["pulse", "pulse", "pulse", "temp"],
        "value": [80, 70, 72, 36.6],
    }
)
WIDE = pd.DataFrame({"a": [1.0, 2.0]}, index=[0.0, 1.0])


def test_records_of_one_time_share_a_row_and_repeats_are_averaged():
    wide = from_events(EVENTS)
    assert wide.columns.tolist() == ["id", "time", "pulse", "temp"]
    assert wide["id"].tolist() == ["a", "b"]
    np.testing.assert_array_equal(wide[["pulse", "temp"]], [[71, 36.6], [80, np.nan]])


def test_categories_make_no_rows_of_their_own():
    wide = from_events(EVENTS.astype({"id": pd.CategoricalDtype(["a", "b", "c"]), "variable": "category"}))
    assert len(wide) == 2
    wide = from_events(EVENTS.astype({"variable": pd.CategoricalDtype(["never", "pulse", "temp"])}))
    assert wide.columns.tolist() == ["id", "time", "pulse", "temp"]


def test_a_variable_without_a_single_value_is_a_column_and_a_record_without_one_no_row():
    wide = from_events(EVENTS.assign(value=[np.nan, 70, 72, np.nan]))
    assert wide.columns.tolist() == ["id", "time", "pulse", "temp"]
    np.testing.assert_array_equal(wide[["pulse", "temp"]], [[71, np.nan]])
    assert wide.dtypes[["pulse", "temp"]].tolist() == [float, float]


def test_a_record_takes_no_more_room_where_there_are_many_series_and_times():
    n = 20_000
    records = pd.DataFrame({"id": np.arange(n) % 500, "time": np.arange(n) / 7, "variable": "a", "value": 1})
    tracemalloc.start()
    wide = from_events(records)
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert len(wide) == n
    assert most < 1_000 * n  # ten million pairs of a series and a time would take 80,000,000 bytes and more


def test_the_order_of_records_does_not_matter():
    pd.testing.assert_frame_equal(from_events(EVENTS[::-1]), from_events(EVENTS))


@pytest.mark.parametrize(
    ("spoil", "match"),
    [
        (lambda d: d.drop(columns="value"), "no column 'value'"),
        (lambda d: d.assign(value="x"), "column 'value' holds .* not numbers"),
        (lambda d: d.assign(id=["b", None, "a", "a"]), "1 records lack .* the first in row 1"),
    ],
)
def test_what_cannot_be_reshaped_is_said(spoil, match):
    with pytest.raises(DataError, match=match):
        from_events(spoil(EVENTS))


def test_a_wide_table_becomes_long_and_only_what_was_observed():
    wide = pd.DataFrame({"a": [1.0, np.nan], "b": [3.0, 4.0]}, index=pd.date_range("2024", periods=2, name="day"))
    long = from_wide(wide, name="level")
    assert long.columns.tolist() == ["id", "day", "level"]
    assert long["id"].tolist() == ["a", "b", "b"]
    pd.testing.assert_frame_equal(from_wide(wide.reset_index(), "day", "level"), long)


def test_a_wide_table_of_many_series_is_in_order_of_series_and_times():
    wide = pd.DataFrame({"b": [2.0, 1.0], "a": [4.0, 3.0]}, index=[0.5, 0.0])
    long = from_wide(wide)
    assert long.columns.tolist() == ["id", "time", "value"]
    assert long["id"].tolist() == ["a", "a", "b", "b"]
    assert long["time"].tolist() == [0.0, 0.5, 0.0, 0.5]
    assert long["value"].tolist() == [3.0, 4.0, 1.0, 2.0]


def in_kind(df, kind):
    if kind == "pyarrow":
        return pytest.importorskip("pyarrow").Table.from_pandas(df, preserve_index=False)
    return pytest.importorskip("polars").from_pandas(df)


@pytest.mark.parametrize("kind", ["pyarrow", "polars"])
def test_frames_of_other_libraries_are_reshaped_in_kind(kind):
    events = in_kind(EVENTS, kind)
    found = from_events(events)
    assert type(found) is type(events)
    pd.testing.assert_frame_equal(found.to_pandas(), from_events(EVENTS))
    wide = EVENTS.drop_duplicates("time")[["time", "value"]]
    found = from_wide(in_kind(wide, kind), "time", "level")
    assert type(found) is type(events)
    pd.testing.assert_frame_equal(found.to_pandas(), from_wide(wide, "time", "level"))
    with pytest.raises(DataError, match="pass time_col="):
        from_wide(in_kind(wide, kind))


@pytest.mark.parametrize("kind", ["pyarrow", "polars"])
def test_series_and_times_of_other_libraries_keep_their_dtypes(kind):
    small = pd.DataFrame({"id": [1, 1], "time": [0, 3], "variable": "a", "value": [1.0, 2.0]})
    small = small.astype({"id": np.int8, "time": np.int16})

    def kept(frame):
        return frame.to_pandas().dtypes[["id", "time"]].tolist()

    assert kept(from_events(in_kind(small, kind))) == [np.int8, np.int16]
    wide = in_kind(small[["time", "value"]], kind)
    assert from_wide(wide, "time", "level").to_pandas()["time"].dtype == np.int16


@pytest.mark.parametrize("kind", ["pyarrow", "polars"])
def test_dates_without_a_time_stay_dates(kind):
    days = [dt.date(2024, 1, 3), dt.date(2024, 1, 1), dt.date(2024, 1, 3)]
    events = in_kind(pd.DataFrame({"id": 1, "day": days, "variable": ["a", "a", "b"], "value": 1.0}), kind)
    wide = in_kind(pd.DataFrame({"day": days[:2], "a": 1.0, "b": 2.0}), kind)
    if kind == "pyarrow":
        events = events.set_column(1, "day", events["day"].cast("date64"))
        wide = wide.set_column(0, "day", wide["day"].cast("date64"))

    def kept(frame):
        return (frame if kind == "pyarrow" else frame.to_arrow()).schema.field("day").type

    assert kept(from_events(events, time_col="day")) == kept(events)
    assert kept(from_wide(wide, "day")) == kept(wide)


def test_names_of_series_of_several_types_are_taken():
    long = from_wide(pd.DataFrame({"b": [2.0, 1.0], 7: [4.0, 3.0], "a": [0.0, np.nan]}, index=[0.5, 0.0]))
    assert long["id"].tolist() == [7, 7, "a", "b", "b"]
    assert long["value"].tolist() == [3.0, 4.0, 0.0, 1.0, 2.0]


def test_rows_of_one_time_stay_in_their_order():
    times = np.tile([1.0, 0.0], 50)
    long = from_wide(pd.DataFrame({"a": np.arange(100.0)}, index=times))
    assert long["value"].tolist() == [*range(1, 100, 2), *range(0, 100, 2)]


def test_a_value_without_a_time_is_not_lost():
    long = from_wide(pd.DataFrame({"a": [2.0, 1.0]}, index=[0.5, np.nan]))
    assert long["value"].tolist() == [2.0, 1.0]


def test_a_series_may_be_named_like_the_channel():
    assert from_wide(pd.DataFrame({"value": [2.0]}, index=[0.5]))["id"].tolist() == ["value"]


@pytest.mark.parametrize(
    ("reshape", "match"),
    [
        (
            lambda: from_events(EVENTS.assign(variable="id")),
            "a variable 'id', as the column of series .* and pass id_col=$",
        ),
        (
            lambda: from_events(EVENTS.assign(variable="time")),
            "a variable 'time', as the column of times .* and pass time_col=$",
        ),
        (lambda: from_events([1, 2]), "expected a DataFrame, got list"),
        (lambda: from_wide(WIDE.rename_axis("id")), r"the times are named 'id'.* df\.rename_axis\('time'\)"),
        (lambda: from_wide(WIDE, name="time"), "name='time' is the name of another column"),
        (lambda: from_wide(WIDE, name="id"), "name='id' is the name of another column"),
        (lambda: from_wide(WIDE, "day"), "no column 'day'"),
        (lambda: from_wide(WIDE[[]]), r"no column beside the times: expected one for every series$"),
        (
            lambda: from_wide(WIDE.set_axis(pd.MultiIndex.from_tuples([("a", 1)]), axis=1)),
            r"have 2 levels.*for c in df\.columns\]$",
        ),
        (
            lambda: from_wide(WIDE.set_index("a", append=True)),
            r"^the times are not in an index .* which column holds them$",
        ),
    ],
)
def test_names_that_meet_and_shapes_that_are_others_are_said(reshape, match):
    with pytest.raises(DataError, match=match):
        reshape()
