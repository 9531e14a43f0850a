import csv
import gzip
import io

import numpy as np
import pandas as pd
import pytest

from latentode.data import DataError, DataWarning
from latentode.io.dialects import TextFormat
from latentode.io.tables import read_table


def read(path, text, **given):
    (path / "a.csv").write_text(text, encoding="utf-8", newline="")
    return read_table(path / "a.csv", text_format=TextFormat(**given))


@pytest.mark.parametrize(("sep", "words"), [(";", "semicolons"), ("\t", "tabs")])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_separators_are_found_and_noted_once(tmp_path, sep, words, end):
    with pytest.warns(DataWarning, match=f"{words} between columns") as noted:
        df = read(tmp_path, end.join([f"\ufeffid{sep}time{sep}x", f"NA{sep}1{sep}0.5", f"007{sep}2{sep}NA", ""]))
    assert len(noted) == 1
    assert df["id"].tolist() == ["NA", "007"]
    assert df["time"].tolist() == [1, 2]
    np.testing.assert_equal(df["x"].to_numpy(), [0.5, np.nan])


def test_a_compressed_file_is_found_too(tmp_path):
    (tmp_path / "a.csv.gz").write_bytes(gzip.compress(b"id;time;x\na;1;0,5\n"))
    with pytest.warns(DataWarning, match="semicolons"):
        assert read_table(tmp_path / "a.csv.gz")["x"].tolist() == [0.5]


@pytest.mark.parametrize(
    "text",
    [
        "id,time,x;y,note\na;b,1,2,1;5\n",
        '"id;a",time,x\na,1,2.5\n',
        'id,time,x,note\na,1,2,"1,5"\n',
        'id,time,x\na,1,"1,234"\n',
        "id,time,x\n1.234,1,1.234\n",
    ],
)
def test_what_reads_with_commas_is_read_as_before_without_a_note(tmp_path, text):
    df = read(tmp_path, text)  # a warning would be an error
    pd.testing.assert_frame_equal(df, pd.read_csv(io.StringIO(text)))


@pytest.mark.parametrize("name", ["level, m", '"level, m"', '"level, m; ""at noon"""'])
def test_a_name_with_a_comma_hides_no_semicolons_if_they_part_the_name_of_the_times(tmp_path, name):
    with pytest.warns(DataWarning, match="semicolons"):
        df = read(tmp_path, f"id;time;{name}\na;1;0,5\n")
    assert df.iloc[0].tolist() == ["a", 1, 0.5]


def test_a_separator_that_is_given_is_used_without_a_note(tmp_path):
    assert read(tmp_path, "id|time|x\na|1|0,5\n", sep="|", decimal=",")["x"].tolist() == [0.5]
    assert read(tmp_path, 'id,time,x\na,1,"0,5"\n', decimal=",")["x"].tolist() == [0.5]


@pytest.mark.filterwarnings("ignore::latentode.data.DataWarning")
def test_quoted_separators_and_text_with_commas_stay(tmp_path):
    df = read(tmp_path, 'id;time;"x; y";note;day;v\n"a;b";1;0,5;"q;r, s";1.2.2024;1.2.3\n1,5;2;1,5;NA;2.2.2024;1.2.4\n')
    assert df.to_dict("list") == {
        "id": ["a;b", "1,5"],
        "time": [1, 2],
        "x; y": [0.5, 1.5],
        "note": ["q;r, s", "NA"],
        "day": ["1.2.2024", "2.2.2024"],
        "v": ["1.2.3", "1.2.4"],
    }


@pytest.mark.filterwarnings("ignore::latentode.data.DataWarning")
def test_numbers_with_decimal_commas_are_those_with_dots(tmp_path):
    numbers = np.random.default_rng(0).normal(size=200) * 10.0 ** np.arange(-100, 100)
    text = pd.DataFrame({"id": "a", "time": range(200), "x": numbers}).to_csv(sep=";", decimal=",", index=False)
    np.testing.assert_array_equal(read(tmp_path, text)["x"], numbers)


@pytest.mark.filterwarnings("ignore::latentode.data.DataWarning")
@pytest.mark.parametrize(
    ("cells", "numbers"),
    [
        (["1.234,5", "2.345", "-7"], [1234.5, 2345, -7]),
        (["1.234.567", "2.345", "0,5"], [1234567, 2345, 0.5]),
        (["1,234.5", "2,345", "7"], [1234.5, 2345, 7]),
        (["1234,567", "70,125", "1,5e3"], [1234.567, 70.125, 1500]),
        (["0.125", "70.125", ".5"], [0.125, 70.125, 0.5]),
    ],
)
def test_thousands_are_grouped_where_a_number_of_the_column_shows_it(tmp_path, cells, numbers):
    assert read(tmp_path, "id;time;x\n" + "".join(f"a;{k};{c}\n" for k, c in enumerate(cells)))["x"].tolist() == numbers


@pytest.mark.parametrize(("decimal", "x"), [(",", 70.125), (".", 70125)])
def test_three_digits_after_the_only_mark_are_refused_until_it_is_given(tmp_path, decimal, x):
    text = "id;time;x\na;1;70,125\na;2;71,250\n"
    with pytest.raises(DataError, match=r"'70,125' in column 'x', row 1 .* give --decimal , or --decimal \."):
        read(tmp_path, text)
    assert read(tmp_path, text, sep=";", decimal=decimal)["x"].iloc[0] == x


def test_dots_of_another_column_are_thousands_only_if_the_decimal_mark_is_given(tmp_path):
    text = "id;time;x;y\na;1;0,5;1.234\n"
    with pytest.raises(DataError, match=r"'1\.234' in column 'y', row 1 .* for thousands or for decimals"):
        read(tmp_path, text)
    assert read(tmp_path, text, sep=";", decimal=",")["y"].tolist() == [1234]


def test_mixed_marks_are_refused_with_their_rows(tmp_path):
    with pytest.raises(DataError, match=r"mixed: '1\.5' in column 'y', row 2 .* and '0,5' in column 'x', row 1"):
        read(tmp_path, "id;time;x;y\na;1;0,5;1\na;2;1;1.5\n")
    with pytest.raises(DataError, match=r"'1\.5' in column 'y', row 2 .* is no number with the decimal mark ','"):
        read(tmp_path, "id;time;x;y\na;1;0,5;1\na;2;1;1.5\n", decimal=",")


@pytest.mark.filterwarnings("ignore::latentode.data.DataWarning")
def test_rows_of_other_lengths_and_names_twice_are_as_with_commas(tmp_path):
    assert read(tmp_path, "id;time;x;\na;1;0,5;\nb;2;0,7;\n").columns.tolist() == ["id", "time", "x"]
    with pytest.raises(DataError, match="rows hold more cells"):
        read(tmp_path, "id;time;x\na;1;0,5;3\n")
    with pytest.raises(DataError, match="more than one column named 'x'"):
        read(tmp_path, "id;time;x;x\na;1;2;3\n")


@pytest.mark.parametrize("text", ["id;time;wärme\na;1;2\n", "id,time,x\n" + "a,1,2\n" * 5000 + "ä,1,2\n"])
@pytest.mark.parametrize("encoding", ["latin-1", "utf-16"])
def test_a_file_in_another_encoding_is_refused_with_what_to_do(tmp_path, text, encoding):
    (tmp_path / "a.csv").write_bytes(text.encode(encoding))
    with pytest.raises(DataError, match="is not in UTF-8: save it again"):
        read_table(tmp_path / "a.csv")


def test_a_quote_that_is_never_closed_is_refused(tmp_path):
    with pytest.raises(DataError, match="cannot be read as a table: unexpected end of data"):
        read(tmp_path, 'id;time;x\na;1;0,5\n"a;2;0,5\na;3;0,5\n')


@pytest.mark.filterwarnings("ignore::latentode.data.DataWarning")
@pytest.mark.parametrize("end", ["\r", "\n", "\r\n"])
def test_lines_within_a_cell_stay_there(tmp_path, end):
    assert read(tmp_path, f'id;time;x{end}"a{end}b";1;0,5{end}')["id"].tolist() == [f"a{end}b"]


def test_a_cell_too_large_for_a_csv_is_a_sentence(tmp_path):
    with pytest.raises(DataError, match="cannot be read as a table: field larger"):
        read(tmp_path, f"id;time;x\n{'a' * (csv.field_size_limit() + 1)};1;2\n")


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"sep": ";;"}, "one character"),
        ({"sep": "a"}, "one character"),
        ({"decimal": "'"}, r"expected '\.' or ','"),
        ({"date_format": "dd.mm.yyyy"}, "has no codes"),
        ({"date_format": "%d.%m.%Y", "dayfirst": True}, "leave out --dayfirst"),
    ],
)
def test_a_format_that_cannot_be_is_refused(given, said):
    with pytest.raises(DataError, match=said):
        TextFormat(**given)


@pytest.mark.parametrize("given", [{"sep": ";"}, {"decimal": ","}])
def test_separators_of_files_that_are_no_text_are_refused(tmp_path, given):
    pd.DataFrame({"x": [1.0]}).to_parquet(tmp_path / "a.parquet")
    with pytest.raises(DataError, match=r"are for \.csv files"):
        read_table(tmp_path / "a.parquet", text_format=TextFormat(**given))
