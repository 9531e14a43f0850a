import pandas as pd
import pytest

from latentode.data import DataError, DataWarning
from latentode.io.dialects import TextFormat
from latentode.io.tables import read_table


def read(path, *times, **given):
    rows = "".join(f'a,"{time}",1\n' for time in times)
    (path / "a.csv").write_text(f"id,time,x\n{rows}")
    return read_table(path / "a.csv", text_format=TextFormat(**given))["time"].tolist()


def dates(*texts):
    return [pd.Timestamp(text) for text in texts]


@pytest.mark.parametrize("mark", [".", "/", "-"])
def test_days_come_first_where_one_can_be_nothing_else(tmp_path, mark):
    with pytest.warns(DataWarning, match=r"dates that begin with the day \(--dayfirst\)") as noted:
        found = read(
            tmp_path, f"01{mark}05{mark}2024", f"31{mark}12{mark}2024 23:30", "", f"2{mark}1{mark}2025 0:15:30,5"
        )
    assert len(noted) == 1
    expected = dates("2024-05-01", "2024-12-31 23:30", "NaT", "2025-01-02 00:15:30.5")
    assert [str(t) for t in found] == [str(t) for t in expected]


def test_months_come_first_where_a_day_can_be_nothing_else(tmp_path):
    with pytest.warns(DataWarning, match="begin with the month"):
        assert read(tmp_path, "01/05/2024", "12/31/2024") == dates("2024-01-05", "2024-12-31")


def test_dates_that_can_be_read_in_two_ways_are_refused_until_it_is_said(tmp_path):
    texts = ("01/05/2024", "02/05/2024")
    with pytest.raises(DataError, match=r"row 1 .*give --dayfirst, --no-dayfirst or --date-format"):
        read(tmp_path, *texts)
    assert read(tmp_path, *texts, dayfirst=True) == dates("2024-05-01", "2024-05-02")
    assert read(tmp_path, *texts, dayfirst=False) == dates("2024-01-05", "2024-02-05")
    assert read(tmp_path, *texts, date_format="%d/%m/%Y") == dates("2024-05-01", "2024-05-02")


@pytest.mark.parametrize("dayfirst", [None, True, False])
def test_iso_dates_are_iso_dates_whatever_is_said(tmp_path, dayfirst):
    texts = ("2024-05-01", "2024-05-02 12:30", "2024/05/03")
    assert read(tmp_path, *texts, dayfirst=dayfirst) == dates("2024-05-01", "2024-05-02 12:30", "2024-05-03")


def test_iso_dates_may_have_commas_before_parts_of_seconds(tmp_path):
    assert read(tmp_path, "2024-05-01 12:00:00,25", "2024-05-01") == dates("2024-05-01 12:00:00.25", "2024-05-01")


@pytest.mark.filterwarnings("ignore::latentode.data.DataWarning")
def test_zones_become_utc(tmp_path):
    assert read(tmp_path, "31.05.2024 12:00+02:00") == [pd.Timestamp("2024-05-31 10:00", tz="UTC")]
    assert read(tmp_path, "31.05.2024 12:00+0200", date_format="%d.%m.%Y %H:%M%z") == [
        pd.Timestamp("2024-05-31 10:00", tz="UTC")
    ]
    with pytest.raises(DataError, match="some times have a zone"):
        read(tmp_path, "31.05.2024 12:00+02:00", "31.05.2024 12:00")


@pytest.mark.parametrize(
    ("texts", "said"),
    [
        (("31/01/2024", "30/05/2024", "2024-01-01"), r"row 3 .*'2024-01-01' .* otherwise than '31/01/2024'"),
        (("31/01/2024", "30.05.2024"), "row 2 .* otherwise than"),
        (("31/01/2024", "05/30/2024", "01/01/2024"), "row 2 .*has the day elsewhere than the rows before"),
        (("31/01/2024", "31/02/2024"), "row 2 .*'31/02/2024' .* is no date of the calendar"),
        (("31/01/2024", "30/01/2024 25:00"), "row 2 .* is no date of the calendar"),
        (("31.12.24", "30.12.24"), r"row 1 .*two digits: give --date-format"),
        (("12/31/2024 1:30 PM",), "row 1 .* is no number and no ISO date .* give --date-format"),
    ],
)
def test_what_is_mixed_or_no_date_is_refused_with_its_row(tmp_path, texts, said):
    with pytest.raises(DataError, match=said):
        read(tmp_path, *texts)


def test_an_order_that_is_given_and_wrong_is_refused(tmp_path):
    with pytest.raises(DataError, match=r"row 1 .* is no date of the calendar"):
        read(tmp_path, "31/01/2024", dayfirst=False)


def test_dates_in_a_given_format_are_text_until_they_are_read(tmp_path):
    assert read(tmp_path, "01052024", "11052024", date_format="%d%m%Y") == dates("2024-05-01", "2024-05-11")
    assert read(tmp_path, "31.12.24", date_format="%d.%m.%y") == dates("2024-12-31")
    assert read(tmp_path, "12/31/2024 1:30 PM", date_format="%m/%d/%Y %I:%M %p") == dates("2024-12-31 13:30")
    with pytest.raises(DataError, match=r"row 2 .*'1105' .* is no date in --date-format '%d\.%m\.%Y'"):
        read(tmp_path, "01.05.2024", "1105", date_format="%d.%m.%Y")
    with pytest.raises(DataError, match="--date-format '%Q': 'Q' is a bad directive"):
        read(tmp_path, "01.05.2024", date_format="%Q")


def test_what_many_rows_hold_is_read_once(tmp_path, monkeypatch):
    lengths = []

    def counted(function):
        def count(texts, *args, **options):
            lengths.append(len(texts))
            return function(texts, *args, **options)

        return count

    for name in ("to_numeric", "to_datetime"):
        monkeypatch.setattr(pd, name, counted(getattr(pd, name)))
    rows = "".join(f"{i},2024-01-{day:02d},1\n" for i in range(50) for day in range(1, 31))
    (tmp_path / "a.csv").write_text(f"id,time,x\n{rows}")
    df = read_table(tmp_path / "a.csv")
    assert sorted(lengths) == [30, 50]  # of 1500 rows
    assert df["time"].iloc[-1] == pd.Timestamp("2024-01-30")
    assert df["id"].iloc[-1] == 49
