from pathlib import Path

import pandas as pd
import pytest

from latentode.data import DataError
from latentode.tables import read_table, write_table


def write(path, text):
    path.write_text(text)
    return path


def test_iso_dates_become_dates(tmp_path):
    df = read_table(
        write(tmp_path / "a.csv", "id,time,x\na,2024-05-01,1\na,2024-05-01T12:30,2\na,2024-05-02 06:00:30,\n")
    )
    assert df["time"].tolist() == [
        pd.Timestamp("2024-05-01"),
        pd.Timestamp("2024-05-01 12:30"),
        pd.Timestamp("2024-05-02 06:00:30"),
    ]
    assert df["x"].isna().tolist() == [False, False, True]


def test_the_time_column_is_found_by_its_name_or_told(tmp_path):
    path = write(tmp_path / "a.csv", "id,when,x\na,2024-05-01,1\n")
    assert read_table(path, "when")["when"].iloc[0] == pd.Timestamp("2024-05-01")
    assert read_table(path)["when"].iloc[0] == "2024-05-01"


def test_numbers_stay_numbers(tmp_path):
    assert read_table(write(tmp_path / "a.csv", "id,time,x\na,20240501,1\n"))["time"].tolist() == [20240501]


@pytest.mark.parametrize("text", ["2024-05-01T12:00:00Z", "2024-05-01T14:00:00+02:00", "2024-05-01 07:00-0500"])
def test_times_with_a_zone_become_utc(tmp_path, text):
    df = read_table(write(tmp_path / "a.csv", f"id,time,x\na,{text},1\n"))
    assert df["time"].iloc[0] == pd.Timestamp("2024-05-01 12:00", tz="UTC")


def test_some_times_with_a_zone_and_some_without_are_refused(tmp_path):
    path = write(tmp_path / "a.csv", "id,time,x\na,2024-05-01T12:00Z,1\na,2024-05-01T13:00,1\n")
    with pytest.raises(DataError, match="some times have a zone and some have none"):
        read_table(path)


def test_the_first_row_that_is_no_date_is_named(tmp_path):
    path = write(tmp_path / "a.csv", "id,time,x\na,2024-05-01,1\na,,2\na,01/05/2024,3\na,soon,3\n")
    with pytest.raises(DataError, match=r"a\.csv: row 3 below the header: '01/05/2024' in column 'time' is no number"):
        read_table(path)


def test_among_numbers_the_row_that_is_none_is_named(tmp_path):
    path = write(tmp_path / "a.csv", "id,time,x\na,1.5,1\na,2.5,2\na,soon,3\n")
    with pytest.raises(DataError, match="row 3 below the header: 'soon' in column 'time' is no number as the others"):
        read_table(path)


def test_a_file_that_is_not_there_or_no_table_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"no such file: .*nope\.csv"):
        read_table(tmp_path / "nope.csv")
    with pytest.raises(DataError, match=r"expected a file ending in \.csv"):
        read_table(write(tmp_path / "a.xlsx", ""))
    with pytest.raises(DataError, match=r"a\.csv cannot be read as a table"):
        read_table(write(tmp_path / "a.csv", ""))


def test_parquet_goes_there_and_back_and_an_index_becomes_columns(tmp_path):
    df = pd.DataFrame({"id": ["a", "a"], "time": pd.to_datetime(["2024-01-01", "2024-01-02"]), "x": [1.0, 2.5]})
    df.set_index(["id", "time"]).to_parquet(tmp_path / "a.parquet")
    back = read_table(tmp_path / "a.parquet")
    assert back.columns.tolist() == ["id", "time", "x"]
    write_table(back, tmp_path / "b.parquet", ["x"])
    pd.testing.assert_frame_equal(read_table(tmp_path / "b.parquet"), back)


def test_parquet_without_pyarrow_says_what_to_install(tmp_path, monkeypatch):
    def without(*_, **__):
        raise ImportError("no engine")

    monkeypatch.setattr(pd, "read_parquet", without)
    with pytest.raises(ImportError, match=r"pip install latentode\[parquet\]"):
        read_table(write(tmp_path / "a.parquet", ""))


def test_values_are_written_to_six_digits_and_times_whole(tmp_path):
    df = pd.DataFrame({"time": [1234567.875], "x": [0.123456789], "y": [1234567.0]})
    write_table(df, tmp_path / "a.csv", ["x"])
    assert (tmp_path / "a.csv").read_text() == "time,x,y\n1234567.875,0.123457,1234567.0\n"


@pytest.mark.parametrize("name", ["=1+1", "+a", "-b", "@c", "=HYPERLINK(1)"])
def test_names_that_a_spreadsheet_takes_for_formulas_are_written_as_they_came_which_the_docs_tell(name, tmp_path):
    write_table(pd.DataFrame({"id": [name], "x": [1.0]}), tmp_path / "a.csv", ["x"])
    assert read_table(tmp_path / "a.csv")["id"].tolist() == [name]
    assert "for a formula" in (Path(__file__).parents[1] / "docs" / "faq.md").read_text("utf-8")
