import datetime as dt

import numpy as np
import pandas as pd
import pytest

from latentode.data import DataError, TimeAxis

DATES = pd.Series(pd.to_datetime(["2024-05-01 12:00", "2024-05-01 12:30", "2024-05-03 00:00"]), name="when")
SECONDS = [0.0, 1800.0, 129600.0]


def axis_and_floats(times):
    axis = TimeAxis.from_times(times)
    return axis, axis.to_float(times)


@pytest.mark.parametrize("unit", ["s", "ms", "us", "ns"])
def test_dates_of_every_unit_become_the_same_seconds(unit):
    _, floats = axis_and_floats(DATES.astype(f"datetime64[{unit}]"))
    assert floats.tolist() == SECONDS


def test_units_may_differ_between_fit_and_query():
    axis = TimeAxis.from_times(DATES.astype("datetime64[s]"))
    assert axis.to_float(DATES.astype("datetime64[ns]")).tolist() == SECONDS


def test_a_nanosecond_survives_beside_a_century():
    start = np.datetime64("1924-01-01T00:00:00.000000000")
    times = pd.Series([start, start + np.timedelta64(1, "ns"), np.datetime64("2024-01-01", "ns")])
    _, floats = axis_and_floats(times)
    assert floats[1] == 1e-9
    assert floats[2] == (np.datetime64("2024-01-01") - np.datetime64("1924-01-01")) / np.timedelta64(1, "s")


def test_a_microsecond_survives_at_the_far_end_of_a_century():
    late = np.datetime64("2024-01-01", "us")
    times = pd.Series([np.datetime64("1924-01-01", "us"), late, late + np.timedelta64(1, "us")])
    axis, floats = axis_and_floats(times)
    assert floats[2] > floats[1]
    assert axis.from_float(floats).tolist() == times.tolist()


def test_a_microsecond_survives_in_the_year_9000():
    times = pd.Series(np.array(["9000-01-01T00:00:00.000001", "9000-01-01T00:00:01.999999"], dtype="datetime64[us]"))
    axis, floats = axis_and_floats(times)
    assert axis.from_float(floats).tolist() == times.tolist()


def test_dates_that_nanoseconds_cannot_hold_are_read():
    times = pd.Series(np.array(["0001-01-01", "9999-12-31"], dtype="datetime64[s]"))
    axis, floats = axis_and_floats(times)
    assert floats[0] == 0
    assert axis.from_float(floats).tolist() == times.tolist()


def test_fractions_before_1970_are_not_lost():
    times = pd.Series(np.array(["1960-01-01T00:00:00.25", "1960-01-01T00:00:01.75"], dtype="datetime64[ms]"))
    _, floats = axis_and_floats(times)
    assert floats.tolist() == [0.25, 1.75]


def test_zones_are_one_instant_whatever_their_name():
    paris = DATES.dt.tz_localize("Europe/Paris")
    axis, floats = axis_and_floats(paris)
    assert floats.tolist() == SECONDS
    assert axis.to_float(paris.dt.tz_convert("Asia/Tokyo")).tolist() == SECONDS
    assert axis.from_float(floats).tolist() == paris.tolist()
    assert str(axis.from_float(floats).dt.tz) == "Europe/Paris"


def test_an_hour_lost_to_summer_time_is_no_hour():
    paris = pd.Series(pd.to_datetime(["2024-03-31 01:30", "2024-03-31 03:30"])).dt.tz_localize("Europe/Paris")
    assert axis_and_floats(paris)[1].tolist() == [0.0, 3600.0]


@pytest.mark.parametrize("zone", ["+02:00", dt.timezone(dt.timedelta(hours=-3)), "Asia/Kathmandu", "UTC"])
def test_zones_of_every_make_go_there_and_back(zone):
    times = DATES.dt.tz_localize(zone)
    axis, floats = axis_and_floats(times)
    assert axis.from_float(floats).tolist() == times.tolist()


def test_time_differences_are_seconds_of_either_sign():
    times = pd.Series(pd.to_timedelta(["-1h", "0s", "1h 0.5s", None]))
    axis, floats = axis_and_floats(times)
    assert floats[:3].tolist() == [-3600.0, 0.0, 3600.5]
    assert np.isnan(floats[3])
    assert axis.from_float(floats[:3]).tolist() == times[:3].tolist()


@pytest.mark.parametrize("freq", ["M", "Q", "Q-JAN", "W-TUE", "D", "h", "2M", "Y"])
def test_periods_go_there_and_back(freq):
    times = pd.Series(pd.period_range("2024-01", periods=5, freq=freq))
    axis, floats = axis_and_floats(times)
    assert floats[0] >= 0
    assert axis.from_float(floats).tolist() == times.tolist()
    assert axis.from_float(floats).dtype == times.dtype


def test_date_objects_are_dates():
    times = pd.Series([dt.date(2024, 5, 1), None, dt.date(2024, 5, 3)])
    _, floats = axis_and_floats(times)
    assert floats[[0, 2]].tolist() == [0.0, 172800.0]
    assert np.isnan(floats[1])


@pytest.mark.parametrize("dtype", ["int8", "int64", "uint32", "float32", "float64", "Int64", "Float64"])
def test_numbers_stay_what_they_are(dtype):
    assert axis_and_floats(pd.Series([3, 1, 7], dtype=dtype))[1].tolist() == [3.0, 1.0, 7.0]


def test_missing_and_infinite_numbers_are_no_times():
    nullable = pd.array([1, None, 3], dtype="Int64")
    assert np.isnan(axis_and_floats(pd.Series(nullable))[1]).tolist() == [False, True, False]
    assert np.isnan(axis_and_floats(pd.Series([1.0, np.inf, -np.inf]))[1]).tolist() == [False, True, True]


@pytest.mark.parametrize("zone", [None, "Europe/Paris"])
def test_arrow_dates_are_read_as_the_dates_they_are(zone):
    arrow = pytest.importorskip("pyarrow", exc_type=ImportError)
    times = pd.concat([DATES, pd.Series([pd.NaT])], ignore_index=True).dt.tz_localize(zone)
    axis, floats = axis_and_floats(times.astype(pd.ArrowDtype(arrow.timestamp("us", tz=zone))))
    assert floats[:3].tolist() == SECONDS
    assert np.isnan(floats[3])
    assert axis == TimeAxis.from_times(times)


def test_arrow_durations_and_days_are_read():
    arrow = pytest.importorskip("pyarrow", exc_type=ImportError)
    differences = (DATES - DATES[0]).astype(pd.ArrowDtype(arrow.duration("us")))
    assert axis_and_floats(differences)[1].tolist() == SECONDS
    days = pd.Series([dt.date(2024, 5, 1), dt.date(2024, 5, 2)]).astype(pd.ArrowDtype(arrow.date32()))
    assert axis_and_floats(days)[1].tolist() == [0.0, 86400.0]


def test_text_is_refused_with_the_row_and_the_cure():
    times = pd.Series([None, "2024-05-01"], name="when", index=[7, 8])
    with pytest.raises(DataError, match=r"column 'when' holds text \('2024-05-01' in row 8\).*pd\.to_datetime\(df\["):
        TimeAxis.from_times(times)


@pytest.mark.parametrize("text", ["2024-03-31T04:00:00+02:00", "2024-03-31 04:00Z", "2024-03-31 04:00:00+0200"])
def test_text_with_offsets_is_refused_with_the_cure_for_offsets_that_change(text):
    with pytest.raises(DataError, match=r"pd\.to_datetime\(df\['when'\], utc=True\)"):
        TimeAxis.from_times(pd.Series([text], name="when"))


def test_an_index_of_text_is_called_the_index():
    with pytest.raises(DataError, match=r"^the index holds text.*pd\.to_datetime\(df\.index\)"):
        TimeAxis.from_times(pd.Series(["2024-05-01"]))


def test_other_objects_are_not_called_text():
    with pytest.raises(DataError, match=r"holds objects of type float \(0\.5 in row 0\)"):
        TimeAxis.from_times(pd.Series([0.5, 1.5], dtype=object, name="when"))


def test_objects_of_several_zones_are_refused_with_the_cure():
    mixed = pd.Series([pd.Timestamp("2024", tz="UTC"), pd.Timestamp("2024", tz="Asia/Tokyo")], dtype=object, name="t")
    with pytest.raises(DataError, match=r"column 't'.*utc=True"):
        TimeAxis.from_times(mixed)


@pytest.mark.parametrize("values", [[True, False], [1j, 2j]])
def test_truth_and_complex_numbers_are_no_times(values):
    with pytest.raises(DataError, match=r"expected dates or numbers"):
        TimeAxis.from_times(pd.Series(values, name="t"))


def test_a_column_without_any_time_has_no_axis():
    with pytest.raises(DataError, match=r"'t' holds no time at all"):
        TimeAxis.from_times(pd.Series([pd.NaT, pd.NaT], name="t"))
    with pytest.raises(DataError, match=r"'t' is empty"):
        TimeAxis.from_times(pd.Series([None, None], name="t", dtype=object))


def test_a_query_without_any_time_is_all_missing():
    axis = TimeAxis.from_times(DATES)
    assert np.isnan(axis.to_float(pd.Series([pd.NaT, pd.NaT]))).all()
    assert len(axis.to_float(DATES.iloc[:0])) == 0


def test_another_kind_of_times_than_in_fit_is_refused():
    kinds = {
        "dates": DATES,
        "numbers": pd.Series([1.0, 2.0], name="when"),
        "time differences": (DATES - DATES[0]).rename("when"),
        "periods": pd.Series(pd.period_range("2024", periods=2, freq="D"), name="when"),
    }
    for fitted, fit_times in kinds.items():
        for queried, times in kinds.items():
            if fitted != queried:
                with pytest.raises(DataError, match=rf"times are {queried} here but were {fitted} in fit.*'when'"):
                    TimeAxis.from_times(fit_times).to_float(times)


def test_a_zone_on_one_side_only_is_refused_with_both_cures():
    aware = DATES.dt.tz_localize("UTC")
    cure = r"add one with \.dt\.tz_localize\(zone\) or drop it with \.dt\.tz_localize\(None\)$"
    with pytest.raises(DataError, match=r"'when' has a time zone here but had none in fit; " + cure):
        TimeAxis.from_times(DATES).to_float(aware)
    with pytest.raises(DataError, match=r"'when' has no time zone here but had the zone UTC in fit; " + cure):
        TimeAxis.from_times(aware).to_float(DATES)


@pytest.mark.parametrize("duration", ["1D", pd.Timedelta("1D"), dt.timedelta(days=1), np.timedelta64(1, "D")])
def test_durations_of_every_kind_are_seconds_for_dates(duration):
    assert TimeAxis.from_times(DATES).length_of(duration, "horizon") == 86400.0


@pytest.mark.parametrize("duration", [3, 3.5, "soon", None])
def test_a_number_is_no_duration_of_dates(duration):
    with pytest.raises(DataError, match=r"horizon=.*expected a duration such as '30D'"):
        TimeAxis.from_times(DATES).length_of(duration, "horizon")


@pytest.mark.parametrize("duration", ["3MS", "1MS", " 12 MS"])
def test_starts_of_months_are_no_milliseconds(duration):
    with pytest.raises(DataError, match=r"horizon=.*names starts of months.*'30D', or write 'ms' for milliseconds$"):
        TimeAxis.from_times(DATES).length_of(duration, "horizon")
    assert TimeAxis.from_times(DATES).length_of("3ms", "horizon") == 0.003


@pytest.mark.parametrize("duration", ["30", " 30", "+30"])
def test_digits_without_a_unit_are_no_nanoseconds(duration):
    with pytest.raises(DataError, match=r"horizon=.*30' has no unit; write '\+?30D' for days, '\+?30h' for hours"):
        TimeAxis.from_times(DATES).length_of(duration, "horizon")


def test_a_duration_is_no_length_of_numbers():
    axis = TimeAxis("number")
    assert axis.length_of(np.int64(3), "horizon") == 3.0
    with pytest.raises(DataError, match=r"horizon='3D': expected a number"):
        axis.length_of("3D", "horizon")


@pytest.mark.parametrize("length", [0, -1, np.nan, np.inf])
def test_lengths_are_positive_and_finite(length):
    with pytest.raises(DataError, match=r"freq=.* must be positive"):
        TimeAxis("number").length_of(length, "freq")


@pytest.mark.parametrize("length", [5e-324, 1e-310, 1e200])
def test_lengths_that_no_quotient_could_hold_are_refused(length):
    with pytest.raises(DataError, match=r"horizon=.* must be between 1e-300 and 1e\+100"):
        TimeAxis("number").length_of(length, "horizon")


class FiveAhead(dt.tzinfo):
    """A zone made by hand, five hours ahead of UTC all the year."""

    def utcoffset(self, when):
        return dt.timedelta(hours=5)

    def dst(self, when):
        return dt.timedelta(0)


def test_a_zone_without_a_name_comes_back_as_the_same_instants_in_utc():
    class Nameless(FiveAhead):
        def tzname(self, when):
            return "somewhere"

    times = DATES.dt.tz_localize(Nameless())
    axis, floats = axis_and_floats(times)
    assert floats.tolist() == SECONDS
    assert axis.tz == "UTC"
    assert axis.from_float(floats).tolist() == times.tolist()


def test_lengths_below_one_are_lengths():
    assert TimeAxis("number").length_of(0.25, "horizon") == 0.25
    assert TimeAxis("datetime").length_of("250ms", "horizon") == 0.25
    for end in (1e-300, 1e100):
        assert TimeAxis("number").length_of(end, "horizon") == end


def test_numbers_and_dates_without_a_zone_go_there_and_back():
    numbers = pd.Series([0.5, -3.0])
    pd.testing.assert_series_equal(TimeAxis("number").from_float(numbers.to_numpy()), numbers)
    dates = pd.Series(pd.to_datetime(["2024-05-01 12:00:00.25", "1969-01-01 00:00:00.00"]))
    axis = TimeAxis.from_times(dates)
    back = axis.from_float(axis.to_float(dates))
    assert back.dt.tz is None
    assert (back == dates).all()


def test_a_duration_is_reported_in_the_unit_of_the_axis_and_none_becomes_nothing():
    assert TimeAxis("number").duration_text(1234.567) == "1235"
    assert TimeAxis("datetime").duration_text(0.02) == "0.02 s"
    assert TimeAxis("timedelta").duration_text(59.0) == "59 s"
    assert TimeAxis("datetime").duration_text(60.0) == TimeAxis("datetime").duration_text(60.4) == "0 days 00:01:00"
    assert TimeAxis("datetime").duration_text(1e15) == "3.169e+07 years"
    assert TimeAxis("period", freq="D").duration_text(3 * 86_400.0) == "3 days 00:00:00"


@pytest.mark.parametrize(
    ("axis", "seconds", "message"),
    [
        (TimeAxis("datetime", 10**9), 1e15, r"about the year 3\.16\d*e\+07, beyond what dates can hold"),
        (TimeAxis("datetime", 2**62), 0.0, r"beyond what dates can hold; choose a shorter horizon"),
        (TimeAxis("datetime", 0), -1e13, r"about the year -31491\d"),
        (TimeAxis("datetime", 0, "Europe/Paris"), 1e12, r"about the year 33658\.\d, beyond what dates with a zone can"),
        (TimeAxis("datetime", 0, "UTC"), -7e10, r"beyond what dates with a zone can hold"),
        (TimeAxis("period", 0, None, "M"), 1e13, r"beyond what dates can hold"),
        pytest.param(
            *(TimeAxis("period", 0, None, "ns"), 1e10, r"periods of freq='ns' cannot hold 2286-11-20"),
            marks=pytest.mark.xfail(int(pd.__version__[0]) < 3, reason="pandas before 3 lets nanoseconds overflow"),
        ),
        (TimeAxis("timedelta"), 1e13, r"at 316887 years, beyond what time differences can hold"),
    ],
)
def test_times_that_no_calendar_holds_are_refused(axis, seconds, message):
    with pytest.raises(DataError, match=message):
        axis.from_float(np.array([0.0, seconds]) if axis.origin < 2**60 else np.array([seconds]))


@pytest.mark.parametrize("zone", [None, "Europe/Paris", "UTC"])
def test_the_ends_of_the_calendar_are_held(zone):
    times = pd.Series(np.array(["0001-01-03", "9999-12-29"], dtype="datetime64[s]"))
    times = times if zone is None else times.dt.tz_localize("UTC").dt.tz_convert(zone)
    axis, floats = axis_and_floats(times)
    days = axis.from_float(floats).dt.strftime("%Y-%m-%d")
    assert days.str.zfill(10).tolist() == ["0001-01-03", "9999-12-29"]  # pandas before 3 writes the year 1


def test_dates_before_and_after_any_calendar_of_years_are_reported_by_their_microseconds():
    times = pd.Series(np.array([-9_000_000_000_000_000_000, 9_000_000_000_000_000_000]).view("datetime64[us]"))
    axis, floats = axis_and_floats(times)
    assert axis.from_float(floats).to_numpy().view(np.int64).tolist() == times.to_numpy().view(np.int64).tolist()


def test_a_zone_that_only_sounds_like_one_comes_back_in_utc_too():
    class Mars(FiveAhead):
        def __str__(self):
            return "Mars/Olympus"

    times = DATES.dt.tz_localize(Mars())
    axis, floats = axis_and_floats(times)
    assert axis.tz == "UTC"
    assert axis.from_float(floats).tolist() == times.tolist()


def test_a_kind_of_times_that_is_none_is_refused_with_those_there_are():
    with pytest.raises(ValueError, match=r"^kind='days' is none of datetime, timedelta, period, number$"):
        TimeAxis("days")


@pytest.mark.filterwarnings("error")
def test_numbers_of_any_precision_are_times_and_those_beyond_float64_none():
    with np.errstate(over="ignore"):  # where longdouble is no more than float64
        farther = np.array([1.0, 2.0], dtype=np.longdouble) * [1, np.longdouble(10) ** 400]
    for dtype in (np.float16, np.float32, np.longdouble):
        assert axis_and_floats(pd.Series([0.5, 2.0], dtype=dtype))[1].dtype == np.float64
    np.testing.assert_array_equal(axis_and_floats(pd.Series(farther))[1], [1.0, np.nan])
