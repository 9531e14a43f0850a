import datetime as dt

import numpy as np
import pandas as pd
import pytest

from latentode.data import DataError, infer_keys, infer_schema
from tests.data.frames import VALUES, frame, roles


@pytest.mark.parametrize("id_name", ["unique_id", "item_id", "id"])
@pytest.mark.parametrize("time_name", ["ds", "timestamp", "time"])
def test_the_usual_names_are_recognised_in_any_combination(id_name, time_name):
    df = frame(**{id_name: ["a", "b"], time_name: [0, 1]})
    assert roles(infer_schema(df)) == (id_name, time_name, ("hr", "spo2"), "columns")


def test_a_nixtla_frame_needs_no_argument():
    df = pd.DataFrame({"unique_id": ["a"], "ds": [pd.Timestamp("2024")], "y": [1.0]})
    assert roles(infer_schema(df)) == ("unique_id", "ds", ("y",), "columns")


def test_channels_keep_the_order_of_the_columns():
    df = frame(id=["a", "b"], time=[0, 1])[["spo2", "time", "hr", "id"]]
    assert infer_schema(df).target_cols == ("spo2", "hr")


def test_a_two_level_index_holds_series_and_time():
    df = frame(patient=["a", "b"], day=[0, 1]).set_index(["patient", "day"])
    assert roles(infer_schema(df)) == ("patient", "day", ("hr", "spo2"), "multiindex")


def test_given_names_decide_the_levels_of_an_index():
    df = frame(day=[0, 1], patient=[4, 5]).set_index(["day", "patient"])
    assert roles(infer_schema(df, id_col="patient"))[:2] == ("patient", "day")
    assert roles(infer_schema(df, time_col="day"))[:2] == ("patient", "day")


@pytest.mark.parametrize(
    ("levels", "expected"),
    [
        (["time", "patient"], ("patient", "time")),
        (["day", "item_id"], ("item_id", "day")),
        ([None, "day"], (None, "day")),
        (["patient", None], ("patient", None)),
    ],
)
def test_one_level_with_a_usual_name_says_what_the_other_is_and_one_without_a_name_says_nothing(levels, expected):
    df = frame(a=[0, 1], b=[4, 5]).set_index(["a", "b"]).rename_axis(levels)
    assert roles(infer_schema(df))[:2] == expected


def test_names_given_go_before_the_usual_ones():
    df = frame(id=[0, 1], patient=["a", "b"], time=[0, 1], ds=[4, 5])
    assert roles(infer_schema(df, id_col="patient", time_col="ds"))[:3] == ("patient", "ds", ("id", "time", *VALUES))
    assert roles(infer_schema(df.drop(columns="id"), id_col="time", target_cols="hr"))[:2] == ("time", "ds")


def test_series_that_are_called_by_a_date_leave_the_only_other_date_to_the_time():
    df = frame(born=pd.to_datetime(["1960", "1970"]), visited=pd.to_datetime(["2024", "2025"]))
    assert roles(infer_schema(df, id_col="born"))[:2] == ("born", "visited")


def test_text_beside_levels_without_names_is_no_question_of_the_series():
    df = frame(a=["x", "y"], b=[0, 1]).assign(note=["p", "q"]).set_index(["a", "b"]).rename_axis([None, None])
    assert roles(infer_schema(df)) == (None, None, ("hr", "spo2"), "multiindex")


def test_series_and_times_alone_are_no_channels():
    schema = infer_keys(frame(id=["a", "b"], time=[0, 1]))
    assert (roles(schema), schema.channels) == (("id", "time", (), "columns"), ())


def test_dates_in_the_first_level_of_an_index_without_names_are_refused():
    df = frame(day=pd.to_datetime(["2024", "2025"]), patient=[4, 5]).set_index(["day", "patient"])
    with pytest.raises(DataError, match=r"^the first level .* dates: the series come first; use df\.swaplevel\(\)$"):
        infer_schema(df.rename_axis([None, None]))
    both = frame(born=pd.to_datetime(["1960", "1970"]), day=pd.to_datetime(["2024", "2025"])).set_index(["born", "day"])
    assert roles(infer_schema(both))[:2] == ("born", "day")


def test_an_index_of_three_levels_is_refused():
    df = frame(ward=[1, 1], id=["a", "b"], time=[0, 1]).set_index(["ward", "id", "time"])
    with pytest.raises(DataError, match=r"3 levels.*reset_index"):
        infer_schema(df)


def test_an_id_column_beside_a_two_level_index_is_refused_rather_than_forecast():
    df = frame(ward=[1, 1], time=[0, 1], patient=[7, 8]).set_index(["ward", "time"])
    way_out = (
        r", but the frame has an index of 2 levels \['ward', 'time'\]; use df\.reset_index\(\) to choose among columns$"
    )
    with pytest.raises(DataError, match="^id_col='patient' is a column" + way_out):
        infer_schema(df, id_col="patient")


def test_a_column_of_times_beside_a_two_level_index_is_refused_unless_the_series_are_a_column_too():
    df = frame(patient=["a", "b"], visit=[0, 1]).assign(day=[0.0, 3.0], who=["a", "b"]).set_index(["patient", "visit"])
    with pytest.raises(DataError, match=r"^time_col='day' is a column, .*\['patient', 'visit'\]; use df"):
        infer_schema(df.drop(columns="who"), time_col="day")
    with pytest.raises(DataError, match="index of 3 levels"):
        infer_schema(df.set_index("who", append=True), time_col="day")
    assert roles(infer_schema(df, id_col="who", time_col="day")) == ("who", "day", ("hr", "spo2"), "columns")


@pytest.mark.parametrize("id_col", [None, "id"])
def test_ids_in_the_index_of_the_rows_are_not_overlooked(id_col):
    df = frame(id=["a", "b"], time=[0, 1]).set_index("id")
    with pytest.raises(DataError, match=r"'id'.*stand in the index.*reset_index"):
        infer_schema(df, id_col=id_col)


def test_numbers_in_the_index_are_times_when_said_so():
    df = frame().set_index(pd.Index([0.5, 1.5], name="hours"))
    assert roles(infer_schema(df, time_col="hours")) == (None, "hours", ("hr", "spo2"), "index")


def test_a_column_of_numbers_that_is_said_to_be_the_time_is_no_channel():
    df = frame(id=["a", "b"], hours=[0.5, 1.5])
    assert roles(infer_schema(df, time_col="hours")) == ("id", "hours", ("hr", "spo2"), "columns")


def test_the_only_column_of_dates_is_the_time():
    df = frame(id=["a", "b"], visited=pd.to_datetime(["2024", "2025"]))
    assert roles(infer_schema(df)) == ("id", "visited", ("hr", "spo2"), "columns")


def test_two_columns_of_dates_need_a_word():
    df = frame(id=["a", "b"], born=pd.to_datetime(["1960", "1970"]), visited=pd.to_datetime(["2024", "2025"]))
    with pytest.raises(DataError, match=r"'born', 'visited' are all dates.*time_col="):
        infer_schema(df)
    assert infer_schema(df, time_col="visited").target_cols == ("hr", "spo2")


def test_two_columns_that_could_name_the_series_need_a_word():
    df = frame(unique_id=["a", "b"], id=[1, 2], time=[0, 1])
    with pytest.raises(DataError, match=r"'unique_id', 'id' could each name the series.*id_col="):
        infer_schema(df)


@pytest.mark.parametrize("name", ["subject_id", "stayId", "ID", "station-id"])
def test_a_number_that_is_called_an_id_is_no_channel_by_itself(name):
    df = pd.DataFrame({name: [7, 7, 9], "time": [0.0, 1.0, 2.0], "hr": [1.0, 2.0, 3.0]})
    with pytest.raises(DataError, match=f"column '{name}' seems to name the series: pass id_col='{name}', or target_"):
        infer_schema(df)
    assert infer_schema(df, target_cols=[name, "hr"]).target_cols == (name, "hr")
    assert infer_schema(df, id_col=name).target_cols == ("hr",)


def test_a_number_that_is_called_an_id_is_a_channel_where_the_series_have_names():
    df = pd.DataFrame({"id": [7, 7, 9], "time": [0.0, 1.0, 0.0], "stay_id": [1, 2, 3]})
    assert infer_schema(df).target_cols == ("stay_id",)
    assert infer_schema(df.set_index(["id", "time"]).rename_axis([None, None])).target_cols == ("stay_id",)


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("n", [[1, 2, 3, 4, 5, 6], [1.5, 2.5, 3.5, 4.5, 5.5, 6.5]])
@pytest.mark.parametrize(
    "time",
    [
        [0, 5, 9, 1, 4, 8],
        pd.to_timedelta([0, 5, 9, 1, 4, 8], unit="D"),
        np.longdouble(10) ** np.array([0, 5, 400, 1, 4, 8]),
        [0, 5, 5, 1, 4, 8],
    ],
)
def test_a_number_at_whose_changes_and_only_there_time_goes_back_names_the_series(time, n):
    df = pd.DataFrame({"n": n, "patient": [7, 7, 7, 3, 3, 3], "time": time})
    with pytest.raises(DataError, match="column 'patient' seems to name the series"):
        infer_schema(df)
    for other in (
        df.sort_values("time"),  # nothing tells
        df.assign(patient=[7, 3, 3, 3, 7, 7]),
        df.assign(patient=[7, 7, 7, 3, 3, 7]),
        df.assign(patient=df["patient"] / 2),
    ):
        assert infer_schema(other).target_cols == ("n", "patient")


def test_two_rows_of_a_series_are_enough_to_see_that_time_goes_back():
    with pytest.raises(DataError, match="column 'patient' seems to name the series"):
        infer_schema(pd.DataFrame({"patient": [7, 7, 3, 3], "time": [0, 5, 1, 4]}))


def test_times_that_nothing_can_rank_are_left_to_those_who_read_them():
    df = pd.DataFrame({"n": [1, 2], "time": pd.Series([dt.date(2024, 1, 1), 2.5], dtype=object)})
    assert infer_schema(df).target_cols == ("n",)


@pytest.mark.parametrize("name", ["variable", "parameter"])
def test_one_measurement_a_row_is_no_channel_and_the_way_out_is_reported(name):
    df = pd.DataFrame({"id": list("aab"), "time": [0, 1, 2], name: ["hr", "temp", "hr"], "value": [71.0, 36.6, 80.0]})
    ways_out = (
        r"a row per \(series, time\) with latentode\.data\.from_events\(df, \.\.\.\), or pass target_cols=\['value'\]"
    )
    with pytest.raises(DataError, match=rf"2 kinds named in column '{name}': make it {ways_out} to take .*$"):
        infer_schema(df)
    assert infer_schema(df, target_cols="value").target_cols == ("value",)
    assert infer_schema(df.assign(**{name: "hr"})).target_cols == ("value",)


def test_two_columns_that_could_be_the_time_need_a_word():
    df = frame(id=["a", "b"], ds=[0, 1], time=[0, 1])
    with pytest.raises(DataError, match=r"'ds', 'time' could each be the time.*time_col="):
        infer_schema(df)


def test_a_frame_without_a_time_lists_its_columns():
    names = r"\(or name it one of ds, timestamp, time\)$"
    with pytest.raises(DataError, match=r"no time column.*'id', 'hr', 'spo2': pass time_col= " + names):
        infer_schema(frame(id=["a", "b"]))
    with pytest.raises(DataError, match=r"no time column found among \(none\): "):
        infer_schema(pd.DataFrame())


@pytest.mark.parametrize("argument", ["id_col", "time_col"])
def test_a_column_that_is_not_there_is_named_with_those_that_are(argument):
    with pytest.raises(DataError, match=rf"{argument}='patiant'.*no such column.*'id', 'time', 'hr', 'spo2'"):
        infer_schema(frame(id=["a", "b"], time=[0, 1]), **{argument: "patiant"})


def test_unknown_channels_are_named_with_the_columns_there_are():
    for role in ("target_cols", "static_cols", "known_cols", "past_cols"):
        with pytest.raises(DataError, match=rf"^{role}: no column 'bp'.*'hr', 'spo2'"):
            infer_schema(frame(id=["a", "b"], time=[0, 1]), **{role: ["hr", "bp"]})


def test_one_channel_may_be_given_as_its_name_alone():
    df = frame(id=["a", "b"], time=[0, 1]).rename(columns={"spo2": 7})
    assert infer_schema(df, target_cols="hr").target_cols == ("hr",)
    assert infer_schema(df, target_cols=7).target_cols == (7,)


@pytest.mark.parametrize("targets", [["hr", "hr"], ["hr", "id"], ["time"]])
def test_a_channel_named_twice_or_in_another_role_is_refused(targets):
    with pytest.raises(DataError, match=r"repeats a column, or names one with another role"):
        infer_schema(frame(id=[1, 2], time=[0, 1]), target_cols=targets)


def test_no_channels_are_refused():
    with pytest.raises(DataError, match=r"^target_cols is empty; name at least one column to forecast$"):
        infer_schema(frame(id=["a", "b"], time=[0, 1]), target_cols=[])


def test_repeated_column_names_are_refused():
    df = frame(id=["a", "b"], time=[0, 1])
    with pytest.raises(DataError, match=r"more than one column named 'hr'.*rename or drop"):
        infer_schema(pd.concat([df, df[["hr"]]], axis=1))


def test_an_array_is_refused_with_the_way_to_build_a_frame():
    build = r"from arrays, build one with pd\.DataFrame\({'id': \.\.\., 'time': \.\.\., 'value': \.\.\.}\); "
    step = r"a step of scikit-learn gives one after its set_output\(transform='pandas'\)$"
    with pytest.raises(DataError, match=rf"expected a pandas DataFrame.*got ndarray; {build}{step}"):
        infer_schema(np.zeros((3, 3)))


def test_columns_of_several_levels_are_refused_with_the_way_to_one():
    df = frame(id=["a", "b"], time=[0, 1])
    joined = r"df\.columns = \['-'\.join\(map\(str, c\)\) for c in df\.columns\]$"
    with pytest.raises(
        DataError, match=f"columns have 2 levels; give each column one name, for instance with {joined}"
    ):
        infer_schema(df.set_axis(pd.MultiIndex.from_product([df.columns, ["x"]]), axis=1))


def test_a_text_column_without_an_id_is_queried_about():
    df = frame(patient=["a", "b"], time=[0, 1])
    way_out = r"or target_cols=\[\.\.\.\] to say which columns to forecast$"
    with pytest.raises(DataError, match=rf"column 'patient' holds text: pass id_col='patient' .*, {way_out}"):
        infer_schema(df)


def test_a_frame_without_numbers_has_nothing_to_forecast():
    with pytest.raises(DataError, match=r"no numeric column to forecast among 'note'"):
        infer_schema(pd.DataFrame({"id": ["a"], "time": [0], "note": ["x"]}))


def test_nullable_and_small_number_types_are_channels():
    df = pd.DataFrame({"id": ["a"], "time": [0]}).assign(
        a=pd.array([1], dtype="Int8"), b=pd.array([1.5], dtype="Float32"), c=np.float16(1), d=[True]
    )
    assert infer_schema(df).target_cols == ("a", "b", "c", "d")


@pytest.mark.parametrize(
    "dates",
    [pd.to_timedelta([1, 2], "D"), pd.period_range("2024-01", periods=2, freq="M"), pd.to_datetime(["2024", "2025"])],
    ids=["timedelta", "period", "datetime"],
)
def test_dates_of_every_kind_are_no_channel(dates):
    df = pd.DataFrame({"id": [0, 0], "time": [0.0, 1.0], "y": [1.0, 2.0], "seen": dates})
    with pytest.raises(DataError, match="'seen' holds dates"):
        infer_schema(df, time_col="time", target_cols=["y", "seen"])


def test_what_is_read_only_is_numbers_too():
    df = pd.DataFrame({"id": list("aa"), "time": [0, 1], "y": [1.0, 2.0], "note": ["x", "y"]})
    with pytest.raises(DataError, match="'note' should hold numbers but row 0 holds 'x'"):
        infer_schema(df, past_cols="note")
