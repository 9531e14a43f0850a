import itertools

import numpy as np
import pandas as pd
import pytest

from latentode.data import DataError, TimeAxis
from latentode.estimators.clock import clock_times
from tests.estimators.tiny import dated, quick, waves


def on_clock(ends, length, step=None, offset=None):
    """Times by series, as the dates they are."""
    ends = pd.Series(ends)
    axis = TimeAxis.from_times(ends)
    offset = None if offset is None else pd.tseries.frequencies.to_offset(offset)
    seconds = axis.length_of(step, "freq") if step is not None else 0.0
    lengths, times = clock_times(axis, axis.to_float(ends), axis.length_of(length, "horizon"), seconds, offset)
    found, stops = axis.from_float(times).tolist(), np.cumsum(lengths).tolist()
    return [found[a:b] for a, b in itertools.pairwise([0, *stops])]


def stamps(*texts, tz=None):
    return [pd.Timestamp(text, tz=tz) for text in texts]


def test_multiples_of_a_number_are_counted_from_zero_and_after_the_end():
    assert on_clock([0.9, 1.0, -2.2], 2.0, 1.0) == [[1, 2], [2, 3], [-2, -1]]
    np.testing.assert_allclose(on_clock([0.3, 0.1 + 0.2], 0.3, 0.1), [[0.4, 0.5, 0.6]] * 2)
    assert on_clock([1_700_000_000_123], 3, 1) == [[1_700_000_000_124, 1_700_000_000_125, 1_700_000_000_126]]
    assert on_clock([0.2, 0.9], 0.3, 1.0) == [[], [1.0]]


def test_a_duration_falls_on_full_hours_and_midnights():
    ends = stamps("2024-05-01 10:20", "2024-05-01 11:00", "1969-12-31 22:59:59.999999")
    assert on_clock(ends, "2h", "1h") == [
        stamps("2024-05-01 11:00", "2024-05-01 12:00"),
        stamps("2024-05-01 12:00", "2024-05-01 13:00"),
        stamps("1969-12-31 23:00", "1970-01-01 00:00"),
    ]
    assert on_clock(ends[:2], "1D", "1D") == [stamps("2024-05-02")] * 2
    assert on_clock(pd.to_timedelta(["90min", "2h"]), "1h", "30min") == [
        [pd.Timedelta("2h"), pd.Timedelta("2.5h")],
        [pd.Timedelta("2.5h"), pd.Timedelta("3h")],
    ]


@pytest.mark.parametrize("offset", ["MS", "ME", "2MS", "2ME", "QS", "YS", "W-MON", "B", pd.DateOffset(months=1)])
@pytest.mark.parametrize("zone", [None, "Europe/Paris"])
def test_dates_of_the_calendar_are_the_same_for_every_series_and_at_midnight(offset, zone):
    ends = stamps("2024-01-31 10:20", "2024-02-29", "1951-05-05 07:00", tz=zone)
    found = on_clock(ends, "500D", offset=offset)
    for end, times in zip(ends, found, strict=True):
        assert all(end < time <= end + pd.Timedelta("500D") for time in times)
        assert all(time == time.normalize() for time in times)
        assert all((pd.tseries.frequencies.to_offset(offset) * 1).is_on_offset(t) for t in times)
    assert [t for t in found[0] if t > found[1][0]] == [t for t in found[1][1:] if t <= found[0][-1]]
    one = on_clock(ends[2:], "35000D", offset=offset)[0]
    assert set(found[0]) < set(one)


def test_every_second_month_is_counted_from_1970():
    ends = stamps("2024-01-31", "2024-03-05", "1969-10-05")
    months = [[t.month for t in times] for times in on_clock(ends, "130D", offset="2MS")]
    assert months == [[3, 5], [5, 7], [11, 1]]


def test_days_begin_at_midnight_where_clocks_change():
    ends = stamps("2024-03-30 10:00", "2024-10-26 10:00", tz="Europe/Paris")
    for times in on_clock(ends, "3D", "1D"):
        assert [t.hour for t in times] == [0, 0, 0]
    assert [t.hour for t in on_clock(ends, "1D", "6h")[1]] == [12, 18, 0, 6]


def test_an_hour_that_is_skipped_is_left_out_and_one_that_is_there_twice_counts_twice():
    ends = stamps("2024-03-31 00:10", "2024-10-27 00:10", tz="Europe/Paris")
    spring, autumn = on_clock(ends, "4h", "1h")
    assert [t.hour for t in spring] == [1, 3, 4, 5]
    assert [t.hour for t in autumn] == [1, 2, 2, 3]
    assert set(np.diff([t.timestamp() for t in spring + autumn])) >= {3600.0}
    assert [t.hour for t in on_clock(ends, "6h", "2h")[1]] == [2, 4]
    second = [pd.Timestamp("2024-10-27 00:40", tz="UTC").tz_convert("Europe/Paris")]  # 02:40 for the first time
    assert [t.isoformat() for t in on_clock(second, "1h", "1h")[0]] == ["2024-10-27T02:00:00+01:00"]


def test_a_midnight_that_is_skipped_is_the_first_time_of_the_day():
    (times,) = on_clock(stamps("2018-11-02 12:00", tz="America/Sao_Paulo"), "3D", "1D")
    assert [t.isoformat() for t in times] == [
        "2018-11-03T00:00:00-03:00",
        "2018-11-04T01:00:00-02:00",
        "2018-11-05T00:00:00-02:00",
    ]


ZONES = ["Australia/Lord_Howe", "Asia/Kolkata", "Europe/Athens", "America/St_Johns"]


@pytest.mark.parametrize(
    ("step", "zone"),
    [
        # A year has many quarters of an hour: of these the default suite has the zone that moves by half an hour.
        pytest.param(step, zone, marks=[pytest.mark.slow] if step == "15min" and zone != ZONES[0] else [])
        for step in ("15min", "1h", "3h", "1D")
        for zone in ZONES
    ],
)
def test_all_times_of_a_year_are_multiples_on_the_clock_and_none_is_left_out(zone, step):
    (times,) = on_clock(stamps("2024-01-01 00:00:01", tz=zone), "366D", step)
    walls = pd.DatetimeIndex(times).tz_localize(None)
    assert (walls == walls.floor(step)).all()
    gaps = pd.Series(times).diff().dropna()
    assert (gaps > pd.Timedelta(0)).all()
    assert (gaps <= max(2 * pd.Timedelta(step), pd.Timedelta(step) + pd.Timedelta("1h"))).all()
    expected = pd.Timedelta("366D") / pd.Timedelta(step)
    assert abs(len(times) - expected) <= 8


def test_too_many_times_and_parts_of_microseconds_are_refused():
    with pytest.raises(DataError, match="are too many; choose a longer freq"):
        on_clock(stamps("2024-01-01"), "900D", "1us")
    with pytest.raises(DataError, match="are too many"):
        on_clock([1.0], 1.0, 1e-300)
    with pytest.raises(DataError, match="is not a whole number of microseconds"):
        on_clock(stamps("2024-01-01"), "1D", pd.Timedelta(500, "ns"))


# ------------------------------------------------------------------------------------------- a fitted forecaster


def test_a_forecast_on_the_clock_equals_predict_at_its_times(fitted):
    future = fitted.forecast(horizon=2.0, freq=0.5, align="clock", level=())
    np.testing.assert_allclose(future["time"] % 0.5, 0)
    pd.testing.assert_frame_equal(future[["x", "y"]], fitted.predict(future[["id", "time"]]), atol=1e-6)


def test_dates_keep_their_zone_and_days_are_midnights():
    df = dated(waves(2, 8), zone="Europe/Paris")
    forecaster = quick().fit(df)
    for freq in ("1D", "D", pd.Timedelta("1D")):
        future = forecaster.forecast(horizon="3D", freq=freq, align="clock", level=())
        assert future["time"].dtype == df["time"].dtype
        assert (future["time"] == future["time"].dt.normalize()).all()
        assert future.groupby("id").size().tolist() == [3, 3]


def test_periods_are_forecast_at_multiples_of_their_frequency():
    df = waves(2, 8, missing=0).assign(time=[*pd.period_range("2024-01", periods=8, freq="M")] * 2)
    forecaster = quick().fit(df.assign(time=[*df["time"][:8], *(df["time"][8:] + 1)]))
    future = forecaster.forecast(horizon="200D", freq="2M", align="clock", level=())
    assert future["time"].astype(str).tolist()[:2] == ["2024-09", "2024-11"]
    assert set(future["time"].astype(str)) == {"2024-09", "2024-11", "2025-01", "2025-03"}
    assert len(forecaster.forecast(align="clock", level=())) == len(forecaster.forecast(level=()))


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ({}, "align='clock' needs freq="),
        ({"freq": 50.0, "horizon": 0.1}, r"no multiple of freq=50\.0 lies within the horizon"),
        ({"freq": "1h"}, "expected a number"),
    ],
)
def test_what_gives_no_times_on_the_clock_is_refused(fitted, arguments, sentence):
    with pytest.raises(DataError, match=sentence):
        fitted.forecast(align="clock", **arguments)


def test_another_alignment_is_refused(fitted):
    with pytest.raises(ValueError, match="align='first' must be 'last' or 'clock'"):
        fitted.forecast(align="first")
