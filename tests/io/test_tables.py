import concurrent.futures
import gzip
import os
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from latentode.data import DataError, DataWarning
from latentode.io.tables import read_table, write_table
from tests.io.full_disk import little_room


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


def test_the_time_column_is_found_by_its_name_or_given(tmp_path):
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
        read_table(write(tmp_path / "a.xls", ""))
    with pytest.raises(DataError, match=r"a\.csv cannot be read as a table"):
        read_table(write(tmp_path / "a.csv", ""))


def ids_of(path, *ids):
    rows = "".join(f"{name},{k},1\n" for k, name in enumerate(ids))
    return read_table(write(path / "a.csv", f"id,time,x\n{rows}"))["id"].tolist()


@pytest.mark.parametrize(
    "ids",
    [
        ["1", "01", "001", "0001"],
        ["1e5", "100000"],
        ["1", "2.5"],
        ["+1", "1"],
        ["12345678901234567890123", "12345678901234567890124"],
        ["0.1234567890123456789", "0.12345678901234568"],
        ["True", "true"],
        ["1", "a"],
    ],
)
def test_ids_that_are_no_numbers_as_they_stand_stay_what_they_are(tmp_path, ids):
    assert ids_of(tmp_path, *ids) == ids


@pytest.mark.parametrize(
    ("ids", "numbers"),
    [
        (["1", "2"], [1, 2]),
        (["-3", "0"], [-3, 0]),
        (["1.5", "2.0"], [1.5, 2.0]),
        (["18446744073709551615"], [2**64 - 1]),
    ],
)
def test_ids_that_print_as_they_stand_are_numbers(tmp_path, ids, numbers):
    found = ids_of(tmp_path, *ids)
    assert found == numbers
    assert all(type(a) is type(b) for a, b in zip(found, numbers, strict=True))


def test_an_id_that_is_not_there_changes_none_of_the_others(tmp_path):
    df = read_table(write(tmp_path / "a.csv", "id,time,x\n1,0,1\n,1,1\n"))
    assert df["id"].isna().tolist() == [False, True]
    assert df["id"].iloc[0] == "1"


def test_the_column_of_ids_may_be_given_and_others_are_read_as_before(tmp_path):
    path = write(tmp_path / "a.csv", "ward,time,x\n01,0,01\n1,1,02\n")
    assert read_table(path, id_col="ward")["ward"].tolist() == ["01", "1"]
    assert read_table(path)["ward"].tolist() == [1, 1]
    assert read_table(path, id_col="ward")["x"].tolist() == [1, 2]


@pytest.mark.parametrize("head", ["id,time,x,y", "id,time,x,y,"])
def test_a_comma_at_the_end_of_rows_shifts_no_column(tmp_path, head):
    df = read_table(write(tmp_path / "a.csv", f"{head}\n7,0,1,2,\n7,1,3,4,\n"))
    assert df.to_dict("list") == {"id": [7, 7], "time": [0, 1], "x": [1, 3], "y": [2, 4]}


@pytest.mark.parametrize("rows", ["7,0,1,2\n", "7,0,1,\n7,0,1,2\n", "7,0,1,,\n"])
def test_more_cells_than_names_are_refused(tmp_path, rows):
    with pytest.raises(DataError, match=r"rows hold more cells than its first line names columns \(3\)"):
        read_table(write(tmp_path / "a.csv", f"id,time,x\n{rows}"))


@pytest.mark.parametrize("head", ["id,time,x,x", '"id","time",x,"x"', "x,id,time,x.1,x"])
def test_a_name_twice_is_refused(tmp_path, head):
    path = write(tmp_path / "a.csv", f"{head}\n{','.join('1' for _ in head.split(','))}\n")
    with pytest.raises(DataError, match="more than one column named 'x'"):
        read_table(path)


@pytest.mark.parametrize(("name", "first"), [("", 0), ("", 1), ("Unnamed: 0", 0)])
def test_nameless_row_numbers_are_left_out_with_a_warning(tmp_path, name, first):
    path = write(tmp_path / "a.csv", f"{name},id,time,x\n{first},a,0,1\n{first + 1},a,1,2\n")
    with pytest.warns(DataWarning, match=r"a\.csv: column 1 has no name and numbers the rows"):
        assert read_table(path).columns.tolist() == ["id", "time", "x"]


def test_other_numbers_without_a_name_are_refused_and_text_without_a_name_stays(tmp_path):
    path = write(tmp_path / "a.csv", "id,time,x,\na,0,1,5\na,1,2,7\n")
    with pytest.raises(DataError, match="column 4 holds numbers and no name"):
        read_table(path)
    path = write(tmp_path / "a.csv", "id,time,x,\na,0,1,good\na,1,2,bad\n")
    assert read_table(path).iloc[:, 3].tolist() == ["good", "bad"]


def test_parquet_goes_there_and_back_and_an_index_becomes_columns(tmp_path):
    df = pd.DataFrame({"id": ["a", "a"], "time": pd.to_datetime(["2024-01-01", "2024-01-02"]), "x": [1.0, 2.5]})
    df.set_index(["id", "time"]).to_parquet(tmp_path / "a.parquet")
    back = read_table(tmp_path / "a.parquet")
    assert back.columns.tolist() == ["id", "time", "x"]
    write_table(back, tmp_path / "b.parquet")
    pd.testing.assert_frame_equal(read_table(tmp_path / "b.parquet"), back)


def test_the_error_without_pyarrow_names_what_to_install(tmp_path, monkeypatch):
    def without(*_, **__):
        raise ImportError("no engine")

    monkeypatch.setattr(pd, "read_parquet", without)
    with pytest.raises(ImportError, match=r"pip install latentode\[parquet\]"):
        read_table(write(tmp_path / "a.parquet", ""))


@pytest.mark.parametrize("name", ["a.csv", "a.csv.gz", "a.CSV", "a.parquet", "a.xlsx"])
def test_what_is_written_reads_back_the_same(tmp_path, name):
    if name.endswith(".xlsx"):
        pytest.importorskip("openpyxl")
    close = 1e6 + np.array([-0.3, 0.0, 0.3]) + 1 / 3  # a mean and its interval, which six digits make one number
    df = pd.DataFrame({"id": ["NA", "007", "=1"], "time": [0.1, 1e-17, 5.0], "x": close})
    write_table(df, tmp_path / name)
    rtol = 1e-15 if name.endswith(".xlsx") else 0  # a sheet holds sixteen digits
    pd.testing.assert_frame_equal(read_table(tmp_path / name), df, rtol=rtol, atol=0, check_dtype=False)
    if name == "a.csv.gz":
        assert gzip.decompress((tmp_path / name).read_bytes()).startswith(b"id,time,x\n")


@pytest.mark.parametrize("name", ["a.xls", "a.json", "a.feather", "a.tsv", "a", "a.csv.zip", "csv"])
def test_a_format_that_is_not_known_is_neither_written_nor_read(tmp_path, name):
    with pytest.raises(DataError, match=r"expected a file ending in \.csv, \.csv\.gz, \.parquet or \.xlsx"):
        write_table(pd.DataFrame({"x": [1.0]}), tmp_path / name)
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(DataError, match=r"expected a file ending in"):
        read_table(write(tmp_path / name, "x\n1\n"))


@pytest.mark.parametrize(("name", "package"), [("a.xlsx", "openpyxl"), ("a.parquet", "pyarrow")])
def test_a_format_whose_package_is_not_installed_is_refused_with_what_to_install(tmp_path, monkeypatch, name, package):
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    with pytest.raises(ImportError, match=rf"writing .* needs {package}: pip install latentode\["):
        write_table(pd.DataFrame({"x": [1.0]}), tmp_path / name)
    assert list(tmp_path.iterdir()) == []


WORDS = ["NA", "null", "None", "nan", "n/a", "NULL", "NaN", "#N/A", "<NA>", "N/A", "-nan", "007", "1e5"]


def test_words_for_missing_values_are_names_among_ids_and_text_and_missing_among_numbers(tmp_path):
    kinds = [*WORDS[:-2], "north", "south"]  # words and numbers alone would be a column of numbers
    numbers = ["NA" if k == 3 else "null" if k == 5 else str(k) for k in range(len(WORDS))]
    rows = "".join(f"{i},{k},{kinds[k]},{numbers[k]}\n" for k, i in enumerate(WORDS))
    df = read_table(write(tmp_path / "a.csv", f"id,time,kind,x\n{rows},99,,1\n"))
    assert df["id"].tolist()[:-1] == WORDS
    assert df["kind"].tolist()[:-1] == kinds
    assert df[["id", "kind"]].iloc[-1].isna().all()
    assert np.flatnonzero(df["x"].isna()).tolist() == [3, 5]


def test_a_column_and_an_id_column_may_be_named_by_such_a_word(tmp_path):
    path = write(tmp_path / "a.csv", "NA,time,null\nnan,0,1.5\nb,1,NA\n")
    df = read_table(path, id_col="NA")
    assert df.columns.tolist() == ["NA", "time", "null"]
    assert df["NA"].tolist() == ["nan", "b"]
    assert df["null"].isna().tolist() == [False, True]


def test_a_time_that_is_missing_by_a_word_is_missing(tmp_path):
    df = read_table(write(tmp_path / "a.csv", "id,time,x\na,2024-05-01,1\na,NA,2\n"))
    assert df["time"].isna().tolist() == [False, True]


@pytest.mark.parametrize("name", ["a.csv", "a.parquet"])
def test_a_full_disk_leaves_the_table_that_was_there(tmp_path, name):
    path = write(tmp_path / name, "as it was")
    with little_room(), pytest.raises(OSError, match="could not be written; no existing file was changed"):
        write_table(pd.DataFrame({"id": range(1000), "x": 1.0}), path)
    assert [p.name for p in tmp_path.iterdir()] == [name]
    assert path.read_text() == "as it was"


@pytest.mark.skipif(sys.platform == "win32", reason="there are no pipes with names, and links need rights")
def test_links_are_followed_and_pipes_are_written_into(tmp_path):
    df = pd.DataFrame({"x": [1.0]})
    write(tmp_path / "file.csv", "before")
    (tmp_path / "link.csv").symlink_to("file.csv")
    write_table(df, tmp_path / "link.csv")
    assert (tmp_path / "link.csv").is_symlink()
    assert (tmp_path / "file.csv").read_text() == "x\n1.0\n"
    os.mkfifo(tmp_path / "pipe.csv")
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        read = pool.submit((tmp_path / "pipe.csv").read_text)
        write_table(df, tmp_path / "pipe.csv")
        assert read.result(10) == "x\n1.0\n"


@pytest.mark.parametrize("name", ["=1+1", "+a", "-b", "@c", "=HYPERLINK(1)"])
def test_names_that_a_spreadsheet_takes_for_formulas_are_written_as_they_came_which_the_docs_tell(name, tmp_path):
    write_table(pd.DataFrame({"id": [name], "x": [1.0]}), tmp_path / "a.csv")
    assert read_table(tmp_path / "a.csv")["id"].tolist() == [name]
    assert "for a formula" in (Path(__file__).parents[2] / "docs" / "faq.md").read_text("utf-8")
