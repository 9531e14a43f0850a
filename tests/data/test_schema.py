import pandas as pd
import pytest

from latentode.data import DataError, infer_schema
from tests.data.frames import frame, roles


def test_a_two_level_index_is_read_by_its_names_when_time_comes_first():
    df = frame(id=[4, 5], time=[0, 1]).set_index(["time", "id"])
    schema = infer_schema(df)
    assert roles(schema) == ("id", "time", ("hr", "spo2"), "multiindex")
    assert list(schema.ids_of(df)) == [4, 5]
    assert list(schema.times_of(df)) == [0, 1]


def test_levels_are_found_by_their_names_in_later_frames_in_whatever_order_they_stand():
    df = pd.DataFrame({"id": ["a", "b"], "time": [1.0, 2.0], "y": [0.0, 1.0]}).set_index(["id", "time"])
    schema = infer_schema(df)
    for later in (df, df.swaplevel()):
        assert schema.ids_of(later).tolist() == ["a", "b"]
        assert schema.times_of(later).tolist() == [1.0, 2.0]
    nameless = df.rename_axis(index=[None, None])
    for fitted in (schema, infer_schema(nameless)):
        assert fitted.ids_of(nameless).tolist() == ["a", "b"]
        assert fitted.times_of(nameless).tolist() == [1.0, 2.0]
    with pytest.raises(DataError, match="the index has 3 levels; expected two"):
        schema.times_of(df.set_index("y", append=True))


@pytest.mark.parametrize(
    "index",
    [
        pd.to_datetime(["2024-01-01", "2024-01-02"]),
        pd.to_timedelta(["1D", "2D"]),
        pd.period_range("2024-01", periods=2, freq="M"),
    ],
)
@pytest.mark.parametrize("name", ["day", None])
def test_a_frame_of_one_series_may_hold_its_times_in_the_index(index, name):
    df = frame().set_index(index.rename(name))
    schema = infer_schema(df)
    assert roles(schema) == (None, name, ("hr", "spo2"), "index")
    assert schema.ids_of(df) is None
    assert schema.times_of(df).tolist() == index.tolist()


def test_a_column_named_as_the_index_of_times_is_not_read_in_its_place():
    days = pd.to_datetime(["2024-01-01", "2024-01-02"])
    with pytest.raises(DataError, match=r"^the index of times and a column are both named 'hr'; rename one of them$"):
        infer_schema(frame().set_index(days.rename("hr")))
    both = frame(day=days).set_index("day", drop=False)
    assert infer_schema(both).times_of(both).tolist() == days.tolist()
    assert roles(infer_schema(frame(hours=[0.5, 1.5]).set_index(days.rename("hours")), time_col="hours"))[1] == "hours"


def test_times_without_a_name_are_called_time_in_frames_that_go_out_and_found_again():
    df = frame().set_index(pd.to_datetime(["2024-01-01", "2024-01-02"]))
    schema = infer_schema(df)
    assert schema.time_name == "time"
    assert schema.times_of(df.rename_axis("time").reset_index()).tolist() == df.index.tolist()


def test_levels_without_names_are_called_id_and_time_and_found_again():
    df = frame(a=["x", "y"], b=[0, 1]).set_index(["a", "b"]).rename_axis([None, None])
    schema = infer_schema(df)
    flat = df.rename_axis(["id", "time"]).reset_index()
    assert (schema.id_name, schema.time_name) == ("id", "time")
    assert list(schema.ids_of(flat)) == ["x", "y"]
    assert list(schema.times_of(flat)) == [0, 1]


def test_a_query_must_say_its_series_when_the_levels_had_no_names():
    df = frame(a=["x", "y"], b=[0, 1]).set_index(["a", "b"]).rename_axis([None, None])
    with pytest.raises(DataError, match=r"no column 'id' \(id_col\); its columns are"):
        infer_schema(df).ids_of(df.reset_index())
    with pytest.raises(DataError, match=r"no column 'time' \(time_col\); its columns are"):
        infer_schema(df).times_of(df.reset_index())


def test_a_query_that_names_its_series_twice_is_refused():
    df = frame(id=["a", "b"], time=[0, 1])
    with pytest.raises(DataError, match=r"^the frame has more than one column named 'id'; rename or drop the others$"):
        infer_schema(df).ids_of(pd.concat([df, df[["id"]]], axis=1))


def test_times_keep_the_index_of_the_frame():
    plain = pd.DataFrame({"id": ["a", "b"], "time": [1.0, 2.0], "y": [0.0, 1.0]}, index=[7, 9])
    dated = pd.DataFrame({"y": [0.0, 1.0]}, index=pd.date_range("2024", periods=2, name="day"))
    for df in (plain, plain.set_index(["id", "time"]), dated):
        pd.testing.assert_index_equal(infer_schema(df).times_of(df).index, df.index)
