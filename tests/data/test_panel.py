import tracemalloc
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from latentode.data import (
    ChannelScaler,
    Covariates,
    DataError,
    Panel,
    TimeAxis,
    TimedRows,
    infer_keys,
    infer_schema,
    panel_from_frame,
    series_codes,
    values_of,
)


def read(df, **names):
    schema = infer_schema(df, **names)
    return panel_from_frame(df, schema, TimeAxis.from_times(schema.times_of(df)))


def long_frame():
    return pd.DataFrame(
        {
            "id": ["b", "a", "b", "a", "c"],
            "time": [2.0, 5.0, 1.0, 3.0, 0.0],
            "x": [20.0, 50.0, 10.0, np.nan, 7.0],
            "y": [np.nan, 5.0, 1.0, 3.0, np.nan],
        }
    )


def assert_same(left, right):
    assert left.ids.equals(right.ids)
    for name in ("offsets", "times", "values"):
        np.testing.assert_array_equal(getattr(left, name), getattr(right, name))


def test_rows_stand_together_by_series_and_in_time_order():
    panel, treatment = read(long_frame())
    assert panel.ids.tolist() == ["a", "b", "c"]
    assert panel.offsets.tolist() == [0, 2, 4, 5]
    assert panel.times.tolist() == [3, 5, 1, 2, 0]
    np.testing.assert_array_equal(panel.values, [[np.nan, 3], [50, 5], [10, 1], [20, np.nan], [7, np.nan]])
    assert treatment.sentences() == []


def test_the_order_of_rows_changes_not_a_bit():
    df, rng = long_frame(), np.random.default_rng(0)
    for _ in range(5):
        assert_same(read(df)[0], read(df.iloc[rng.permutation(len(df))])[0])


def test_series_are_whole_numbers_in_ascending_order_of_their_names():
    codes, ids = series_codes(pd.Index(["b", "a", None, "b"]), 4)
    assert (codes.tolist(), ids.tolist()) == ([1, 0, -1, 1], ["a", "b"])
    alone, _ = series_codes(None, 2)
    assert (alone.tolist(), alone.dtype) == ([0, 0], codes.dtype)


def test_lengths_and_edges_are_per_series():
    panel, _ = read(long_frame())
    assert panel.lengths.tolist() == [2, 2, 1]
    assert panel.first_times.tolist() == [3, 1, 0]
    assert panel.last_times.tolist() == [5, 2, 0]
    assert panel.series_of_row.tolist() == [0, 0, 1, 1, 2]


def test_taking_series_keeps_their_rows():
    taken = read(long_frame())[0].take(np.array([2, 0]))
    assert taken.ids.tolist() == ["c", "a"]
    assert taken.times.tolist() == [0, 3, 5]
    assert taken.offsets.tolist() == [0, 1, 3]


def test_series_are_appended_with_their_rows():
    panel, _ = read(long_frame())
    both = panel.take(np.array([1])).append(panel.take(np.array([2, 0])))
    assert both.ids.tolist() == ["b", "c", "a"]
    assert both.offsets.tolist() == [0, 2, 3, 5]
    assert both.times.tolist() == [1, 2, 0, 3, 5]
    np.testing.assert_array_equal(both.values[:, 0], [10, 20, 7, np.nan, 50])
    again = panel.take(np.array([2, 0])).append(panel.take(np.array([1])))
    assert again.offsets.tolist() == [0, 1, 3, 5]


def panel_of(ids, codes, times, values):
    offsets = np.searchsorted(codes, np.arange(len(ids) + 1)).astype(np.int64)
    return Panel(pd.Index(ids), offsets, np.array(times, dtype=float), np.array(values, dtype=float))


def test_new_rows_and_series_join_the_old_and_a_value_takes_the_place_of_one_of_its_time():
    nan = np.nan
    old = panel_of(["a", "b"], [0, 0, 1], [1, 3, 2], [[1, 10], [3, nan], [2, 20]])
    new = panel_of(["c", "a"], [0, 1, 1], [9, 2, 3], [[9, nan], [5, 50], [nan, 30]])
    both = old.updated(new)
    assert both.ids.tolist() == ["a", "b", "c"]
    assert both.offsets.tolist() == [0, 3, 4, 5]
    assert both.times.tolist() == [1, 2, 3, 2, 9]
    np.testing.assert_array_equal(both.values, [[1, 10], [5, 50], [3, 30], [2, 20], [9, nan]])
    assert both.covariates is None


def test_covariates_are_updated_with_their_panel_where_both_have_them():
    def given(static, offsets, times):
        known = np.array(times, dtype=np.float32)[:, None]
        rows = TimedRows(np.array(offsets), np.array(times, dtype=float), known)
        return Covariates(np.array(static, dtype=np.float32), rows, TimedRows.empty(len(static)))

    old = replace(
        panel_of(["a", "b"], [0, 1], [1, 2], [[1], [2]]), covariates=given([[1, 0], [0, 1]], [0, 1, 2], [1, 2])
    )
    new = replace(
        panel_of(["c", "a", "b"], [0, 1, 2], [9, 3, 4], [[9], [3], [4]]),
        covariates=given([[1, 1], [0, 1], [np.nan, np.nan]], [0, 1, 2, 3], [9, 3, 4]),
    )
    both = old.updated(new).covariates
    np.testing.assert_array_equal(both.static, [[0, 1], [0, 1], [1, 1]])  # b: nothing new is said of it
    assert both.static.dtype == np.float32
    assert both.known.offsets.tolist() == [0, 2, 4, 5]
    assert both.known.times.tolist() == [1, 3, 2, 4, 9]
    without = panel_of(["a"], [0], [5], [[5]])
    assert old.updated(without).covariates is old.covariates
    assert without.updated(old).covariates is None


def test_whether_there_is_a_row_of_a_series_and_time():
    panel = panel_of(["a", "b"], [0, 0, 1], [1, 3, 2], [[1], [3], [2]])
    queried = pd.Index(["a", "a", "b", "b", "c"]), np.array([3.0, 2.0, 2.0, 3.0, 1.0])
    assert panel.holds(*queried).tolist() == [True, False, True, False, False]


def test_what_is_known_of_a_series_is_reported_by_its_place():
    panel = panel_of(["a", "b", "c"], [0, 0, 2], [1, 3, 2], [[1], [3], [2]])
    series = np.array([0, 1, 2, -1])
    np.testing.assert_array_equal(panel.is_known(series), [True, False, True, False])
    np.testing.assert_array_equal(panel.end_of(series), [3, np.nan, 2, np.nan])


def test_a_series_that_loses_all_its_rows_stays_as_an_empty_one():
    panel, _ = read(long_frame())
    left = panel.where(panel.times > 2.5)
    assert left.lengths.tolist() == [2, 0, 0]
    np.testing.assert_array_equal(left.values, panel.values[:2])
    assert np.isnan(left.last_times).tolist() == [False, True, True]
    assert np.isnan(left.first_times).tolist() == [False, True, True]


def test_repeated_rows_are_averaged_channel_by_channel_and_counted():
    df = pd.DataFrame(
        {"id": "a", "time": [1.0, 0.0, 1.0, 1.0], "x": [2.0, 9.0, 4.0, np.nan], "y": [np.nan] * 3 + [6.0]}
    )
    panel, treatment = read(df)
    assert panel.times.tolist() == [0, 1]
    np.testing.assert_array_equal(panel.values, [[9, np.nan], [3, 6]])
    assert treatment.merged_rows == 2
    (sentence,) = treatment.sentences()
    assert "2 rows repeat a (series, time)" in sentence
    assert "series 'a', time 1.0" in sentence


def test_the_same_time_in_two_series_is_no_repetition():
    df = pd.DataFrame({"id": ["a", "b"], "time": [1.0, 1.0], "x": [1.0, 2.0]})
    panel, treatment = read(df)
    assert panel.lengths.tolist() == [1, 1]
    assert treatment.merged_rows == 0


@pytest.mark.parametrize("zone", [None, "Europe/Paris"])
def test_times_too_near_for_float64_are_not_said_to_repeat_another(zone):
    late = pd.Timestamp("2000-01-01")
    times = [pd.Timestamp("1900-01-01"), pd.Timestamp("1990-01-01"), late, late + pd.Timedelta(1, "ns")]
    df = pd.DataFrame({"id": "a", "time": pd.Series(times).dt.tz_localize(zone), "x": [1.0, 2.0, 3.0, 4.0]})
    panel, treatment = read(df)
    assert panel.values.ravel().tolist() == [1.0, 2.0, 3.5]
    (sentence,) = treatment.sentences()
    assert sentence.startswith("1 rows repeat a (series, time) of another row, or are too close to it for float64")
    (exact,) = read(pd.concat([df.iloc[:3], df.iloc[:1]]))[1].sentences()
    assert exact.startswith("1 rows repeat a (series, time) of another row and were averaged with it")


def test_a_few_repeated_times_of_one_series_are_averaged():
    df = pd.DataFrame({"time": [0, 1, 2, 3, 4, 5, 6, 7, 8, 8], "x": np.arange(10.0)})
    panel, treatment = read(df)
    assert (treatment.merged_rows, panel.values[-1, 0]) == (1, 8.5)
    assert treatment.example == "for one, time 8"
    assert panel.ids.tolist() == [0]


def test_repeated_times_of_series_that_an_index_names_are_averaged_however_many():
    df = pd.DataFrame({"a": ["x", "x", "y"], "b": [0.0, 0.0, 1.0], "n": [1.0, 3.0, 5.0]})
    panel, treatment = read(df.set_index(["a", "b"]).rename_axis([None, None]))
    assert panel.ids.tolist() == ["x", "y"]
    assert (treatment.merged_rows, panel.values.ravel().tolist()) == (1, [2.0, 5.0])


def test_a_fifth_of_repeated_times_is_still_one_series():
    panel, _ = read(pd.DataFrame({"time": [0, 1, 2, 3, 3], "x": np.arange(5.0)}))
    assert panel.values.ravel().tolist() == [0, 1, 2, 3.5]


def test_every_row_knows_which_of_the_frame_it_was():
    df = pd.concat([long_frame(), long_frame().iloc[:1]])
    panel, treatment = read(df)
    assert treatment.rows.tolist() == [3, 1, 2, 0, 4]
    assert treatment.example == "for one, series 'b', time 2.0"
    assert panel.values[3].tolist()[0] == 20


def test_many_repeated_times_without_an_id_mean_that_the_id_is_missing():
    df = pd.DataFrame({"time": [0, 1, 2] * 4, "x": np.arange(12.0)})
    with pytest.raises(
        DataError, match=r"9 of 12 rows share their time.*several series; pass id_col= to say which column names them$"
    ):
        read(df)


def test_infinite_values_are_missing_and_counted():
    panel, treatment = read(long_frame().assign(x=[np.inf, -np.inf, 10.0, 1.0, 7.0], y=1.0))
    assert np.isnan(panel.values[:, 0]).sum() == 2
    assert treatment.sentences() == ["2 infinite values were taken as missing"]


def test_values_and_times_too_large_to_reckon_with_are_left_out_and_counted():
    df = long_frame().assign(time=[2.0, 1e300, 1.0, 3.0, 0.0], x=[20.0, 50.0, -1e300, np.nan, 7.0])
    panel, treatment = read(df)
    assert panel.times.tolist() == [3, 1, 2, 0]
    assert np.isnan(panel.values[1, 0])
    assert treatment.sentences() == [
        "1 rows with a time beyond 1e+100 were left out",
        "1 values beyond 1e+100 were taken as missing",
    ]
    least = long_frame().assign(time=[2.0, 1e100, 1.0, 3.0, 0.0], x=[20.0, 50.0, -1e100, np.nan, 7.0])
    panel, treatment = read(least)
    assert (panel.times.max(), panel.values[2, 0]) == (1e100, -1e100)
    assert treatment.sentences() == []


@pytest.mark.filterwarnings("error")
def test_values_beyond_float64_are_infinite_ones():
    with np.errstate(over="ignore"):  # where longdouble is no more than float64
        farther = np.array([1.0, 2.0], dtype=np.longdouble) * [1, np.longdouble(10) ** 400]
    panel, treatment = read(pd.DataFrame({"id": "a", "time": [0.0, 1.0], "x": farther}))
    assert panel.values.tolist() == [[1.0]]
    assert treatment.infinite_values == 1


def test_rows_without_a_time_or_an_id_are_left_out_and_counted():
    df = long_frame()
    df.loc[0, "time"] = np.nan
    df.loc[[0, 4], "id"] = None
    panel, treatment = read(df)
    assert panel.ids.tolist() == ["a", "b"]
    assert len(panel.times) == 3
    assert (treatment.rows_without_time, treatment.rows_without_id) == (1, 1)
    assert [s.split(" were")[0] for s in treatment.sentences()] == [
        "1 rows without a time",
        "1 rows without a series id",
    ]


@pytest.mark.parametrize("dtype", [object, "str", "category"])
def test_text_ids_of_every_type_are_one(dtype):
    df = long_frame()
    expected, _ = read(df)
    panel, _ = read(df.assign(id=df["id"].astype(dtype)))
    assert panel.ids.tolist() == expected.ids.tolist()
    np.testing.assert_array_equal(panel.times, expected.times)


def test_categories_that_do_not_occur_are_no_series():
    df = long_frame().assign(id=pd.Categorical([*"babaa"], categories=["z", "b", "a"]))
    panel, _ = read(df)
    assert sorted(panel.ids) == ["a", "b"]


def test_the_order_of_rows_changes_not_a_bit_for_categories():
    df = long_frame().assign(id=lambda d: d["id"].astype("category"))
    assert_same(read(df)[0], read(df.iloc[::-1])[0])


def test_categories_of_numbers_may_be_missing():
    df = long_frame().assign(id=pd.Categorical([2, 1, 2, None, None]))
    panel, treatment = read(df)
    assert panel.ids.tolist() == [1, 2]
    assert panel.offsets.tolist() == [0, 1, 3]
    assert panel.times.tolist() == [5, 1, 2]
    assert treatment.rows_without_id == 2


@pytest.mark.parametrize("dtype", ["Int64", "int8", "Float64"])
def test_nullable_ids_are_read(dtype):
    df = long_frame().assign(id=pd.array([2, 1, 2, 1, 3], dtype=dtype))
    assert read(df)[0].ids.tolist() == [1, 2, 3]


def test_ids_of_mixed_types_have_one_order_whatever_the_rows():
    df = long_frame().assign(id=pd.Series([1, "1", (2, 3), 1, "x"], dtype=object))
    panel, _ = read(df)
    assert panel.ids.tolist() == [1, "1", "x", (2, 3)]  # by type, then as they are written
    assert_same(panel, read(df.iloc[::-1])[0])


def test_values_may_be_nullable_or_of_any_size():
    df = long_frame().assign(x=pd.array([1, None, 3, 4, 5], dtype="Int64"), y=np.float32(2))
    panel, _ = read(df)
    assert panel.values.dtype == np.float64
    assert np.isnan(panel.values[:, 0]).sum() == 1
    assert read(long_frame()[["id", "time", "x"]].astype({"x": np.float32}))[0].values.dtype == np.float64


def test_the_frame_is_left_as_it_was():
    df = long_frame()
    before = df.copy(deep=True)
    read(df)
    pd.testing.assert_frame_equal(df, before)


def test_a_repeated_index_does_no_harm():
    df = long_frame()
    assert_same(read(df)[0], read(df.set_index(pd.Index([0] * 5)))[0])


def test_a_frame_without_rows_is_an_empty_panel():
    schema = infer_schema(long_frame())
    panel, _ = panel_from_frame(long_frame().iloc[:0], schema, TimeAxis("number"))
    assert (panel.n_series, panel.values.shape) == (0, (0, 2))


def test_a_channel_that_is_gone_is_named_with_those_of_fit():
    schema = infer_schema(long_frame())
    with pytest.raises(DataError, match=r"no column 'y', one of the channels \['x', 'y'\] seen in fit"):
        values_of(long_frame()[["id", "time", "x"]], schema)


def test_a_channel_that_is_words_all_of_a_sudden_is_refused_with_the_first_of_them():
    schema = infer_schema(long_frame())
    with pytest.raises(DataError, match="column 'x' should hold numbers but row 0 holds 'low'"):
        values_of(long_frame().assign(x="low"), schema)


def test_a_channel_that_is_there_twice_is_refused():
    schema = infer_schema(long_frame())
    with pytest.raises(DataError, match=r"more than one column named 'x'"):
        values_of(pd.concat([long_frame(), long_frame()[["x"]]], axis=1), schema)


def test_an_array_in_place_of_a_frame_is_refused():
    with pytest.raises(DataError, match=r"expected a DataFrame.*got ndarray"):
        values_of(long_frame().to_numpy(), infer_schema(long_frame()))


def test_rows_without_any_value_say_nothing():
    df = long_frame()
    empty = pd.DataFrame({"id": ["a", "b", "d"], "time": [9.0, 1.0, 0.0], "x": np.nan, "y": [np.nan, np.nan, np.inf]})
    panel, treatment = read(pd.concat([df, empty], ignore_index=True))
    expected, _ = read(df)
    assert panel.ids.tolist() == ["a", "b", "c", "d"]
    assert panel.lengths.tolist() == [*expected.lengths, 0]
    np.testing.assert_array_equal(panel.times, expected.times)
    assert treatment.merged_rows == 0


def test_a_frame_becomes_scaled_arrays_within_three_times_its_memory():
    rng = np.random.default_rng(0)
    n = 100_000
    df = pd.DataFrame({"id": rng.integers(0, 2_000, n), "time": rng.uniform(0, 100, n)})
    df = df.join(pd.DataFrame(np.where(rng.random((n, 6)) < 0.5, np.nan, 1.0), columns=list("abcdef")))
    schema = infer_schema(df)
    for frame in (df, pd.concat([df[::2], df[::2]])):  # none and all of the rows merged with another
        tracemalloc.start()
        try:
            panel, _ = panel_from_frame(frame, schema, TimeAxis("number"))
            ChannelScaler.from_values(panel.values).transform(panel.values).astype(np.float32)
            peak = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
        assert peak < 3 * frame.memory_usage(deep=True).sum()


def test_a_frame_read_for_its_series_and_times_alone_has_no_channels():
    assert values_of(long_frame(), infer_keys(long_frame())).shape == (5, 0)


@pytest.mark.parametrize("indexed", [False, True])
@pytest.mark.parametrize("name", ["\ud800", "ward \udc80"])
def test_an_id_that_holds_half_a_character_is_refused_with_its_row(name, indexed):
    df = long_frame()
    df["id"] = df["id"].astype(object).where(df.index != 3, name)
    df = df.set_index(["id", "time"]) if indexed else df
    with pytest.raises(DataError, match=r"the id '.*\\ud.*' in row 4 holds half a character.* rename the series"):
        read(df)
