import numpy as np
import pandas as pd
import pytest

from latentode.data import DataError
from tests.estimators.tiny import dated, quick, waves


def ends_of(df):
    return df.dropna(subset=["x", "y"], how="all").groupby("id")["time"].max()


def test_a_forecast_is_tidy_ids_times_channels_and_bands(fitted, df):
    future = fitted.forecast(horizon=2.0, freq=0.5, level=(80, 95))
    bands = [f"{c}-{s}-{v}" for c in "xy" for v in (80, 95) for s in ("lo", "hi")]
    assert future.columns.tolist() == ["id", "time", "x", "y", *bands]
    assert future.index.equals(pd.RangeIndex(24 * 4))
    assert future.notna().all(axis=None)
    for series, rows in future.groupby("id"):
        np.testing.assert_allclose(rows["time"] - ends_of(df)[series], [0.5, 1.0, 1.5, 2.0])


def test_a_forecast_equals_predict_at_its_times(fitted):
    future = fitted.forecast(level=(90,))
    query = future[["id", "time"]]
    pd.testing.assert_frame_equal(future[["x", "y"]], fitted.predict(query), atol=1e-6)
    bands = fitted.predict_interval(query, 90)
    pd.testing.assert_frame_equal(future[bands.columns], bands, atol=1e-5)


def test_without_a_word_the_horizon_is_that_of_the_fit_in_ten_steps(fitted, df):
    rows = fitted.forecast().query("id == 's05'")
    np.testing.assert_allclose(rows["time"] - ends_of(df)["s05"], fitted.horizon_ * np.arange(1, 11) / 10)


def test_only_the_series_named_are_forecast_in_their_order(fitted, df):
    future = fitted.forecast(ids=["s05", "s01", "s05"])
    whole = fitted.forecast()
    wanted = pd.concat([whole[whole["id"] == name] for name in ("s05", "s01")], ignore_index=True)
    pd.testing.assert_frame_equal(future, wanted, atol=1e-6)
    assert set(fitted.forecast(history=df.assign(id="new" + df["id"]), ids="news03")["id"]) == {"news03"}


@pytest.mark.parametrize(("ids", "said"), [(["s01", "x"], "ids='x': no such series"), ([], "ids= names no series")])
def test_series_that_are_not_there_are_named(fitted, ids, said):
    with pytest.raises(DataError, match=said):
        fitted.forecast(ids=ids)


def test_bands_can_be_left_out(fitted):
    assert fitted.forecast(level=()).columns.tolist() == ["id", "time", "x", "y"]
    assert fitted.forecast(level=[]).columns.tolist() == ["id", "time", "x", "y"]


def test_the_last_step_is_not_lost_to_rounding(fitted):
    assert len(fitted.forecast(horizon=0.7, freq=0.1, level=())) == 24 * 7


def test_a_horizon_that_is_no_multiple_of_the_step_ends_before_it(fitted):
    assert len(fitted.forecast(horizon=1.0, freq=0.4, level=())) == 24 * 2


def test_the_forecast_of_a_history_is_of_its_series_only(fitted, df):
    history = df[df["id"].isin(["s01", "s02"])].assign(id=lambda d: "new" + d["id"])
    future = fitted.forecast(horizon=2.0, freq=1.0, history=history)
    assert future["id"].unique().tolist() == ["news01", "news02"]
    known = fitted.forecast(horizon=2.0, freq=1.0).query("id in ['s01', 's02']")
    np.testing.assert_allclose(future.drop(columns="id"), known.drop(columns="id"), atol=1e-4)


def test_dates_are_forecast_from_each_series_end(fitted_on_dates, dates):
    future = fitted_on_dates.forecast(horizon="2D", freq="12h", level=())
    assert future["time"].dtype == dates["time"].dtype
    for series, rows in future.groupby("id"):
        steps = (rows["time"] - ends_of(dates)[series]) / pd.Timedelta("12h")
        np.testing.assert_allclose(steps, [1, 2, 3, 4])


@pytest.mark.parametrize("freq", ["MS", pd.offsets.MonthBegin()])
def test_a_calendar_frequency_steps_by_the_calendar(fitted_on_dates, dates, freq):
    future = fitted_on_dates.forecast(horizon="100D", freq=freq, level=())
    for series, rows in future.groupby("id"):
        assert (rows["time"].dt.day == 1).all()
        assert rows["time"].dt.month.tolist() == [4, 5, 6]
        assert (rows["time"] > ends_of(dates)[series]).all()


def test_every_second_month_is_every_second_month(fitted_on_dates):
    future = fitted_on_dates.forecast(horizon="100D", freq="2MS", level=())
    for _, rows in future.groupby("id"):
        assert rows["time"].dt.month.tolist() == [4, 6]


def test_a_frequency_without_a_unit_is_refused(fitted_on_dates):
    with pytest.raises(DataError, match=r"freq='30' has no unit; write '30D'"):
        fitted_on_dates.forecast(horizon="100D", freq="30")


def test_calendar_steps_keep_the_zone_and_the_hour_over_summer_time():
    df = dated(waves(2, 8), zone="Europe/Paris")
    future = quick().fit(df).forecast(horizon="70D", freq="MS", level=())
    assert str(future["time"].dt.tz) == "Europe/Paris"
    for series, rows in future.groupby("id"):
        assert (rows["time"].dt.hour == ends_of(df)[series].hour).all()


def test_time_differences_are_forecast_by_durations_only():
    df = waves(2, 8).assign(time=lambda d: pd.to_timedelta(d["time"], unit="h"))
    forecaster = quick().fit(df)
    future = forecaster.forecast(horizon="2h", freq="1h", level=())
    assert future["time"].dtype.kind == "m"
    with pytest.raises(DataError, match=r"no calendar.*duration such as '1D'"):
        forecaster.forecast(horizon="100D", freq="MS")


@pytest.mark.parametrize("freq", ["M", "Q", "W-TUE", "h"])
def test_periods_are_forecast_one_after_the_other(freq):
    periods = pd.period_range("2024-01", periods=8, freq=freq)
    df = waves(2, 8, missing=0).assign(time=[*periods, *(periods + 3)])
    future = quick().fit(df).forecast(level=())
    assert future["time"].dtype == df["time"].dtype
    for shift, (_, rows) in zip((0, 3), future.groupby("id"), strict=True):
        expected = pd.period_range(periods[-1] + shift + 1, periods=len(rows), freq=freq)
        assert rows["time"].tolist() == expected.tolist()
        assert 5 <= len(rows) <= 9


def test_periods_are_forecast_at_a_coarser_frequency():
    df = waves(2, 8, missing=0).assign(time=[*pd.period_range("2024-01", periods=8, freq="M")] * 2)
    forecaster = quick().fit(df)
    assert forecaster.forecast(horizon="365D", freq="2M", level=())["time"].astype(str)[:3].tolist() == [
        "2024-10",
        "2024-12",
        "2025-02",
    ]
    with pytest.raises(DataError, match=r"freq='MS' is not a frequency.*'M'"):
        forecaster.forecast(freq="MS")


def test_dates_in_the_index_come_back_as_a_column(dates):
    df = dates[dates["id"] == "s00"].set_index("time")[["x", "y"]]
    for name in ("time", "when", None):
        forecaster = quick().fit(df.rename_axis(name))
        future = forecaster.forecast(horizon="2D", freq="1D", level=())
        assert future.columns.tolist() == [name or "time", "x", "y"]
        np.testing.assert_allclose(forecaster.predict(future), future[["x", "y"]], atol=1e-6)


def test_a_two_level_index_comes_back_as_columns(df):
    levels = df.set_index(["id", "time"])
    for names in (["patient", "hour"], [None, None]):
        forecaster = quick().fit(levels.rename_axis(names))
        future = forecaster.forecast(horizon=2.0, freq=1.0, level=())
        assert future.columns.tolist() == [names[0] or "id", names[1] or "time", "x", "y"]
        np.testing.assert_allclose(forecaster.predict(future), future[["x", "y"]], atol=1e-6)
        assert (
            forecaster.sample(levels.rename_axis(names).head(2), 2).columns[:2].tolist() == future.columns[:2].tolist()
        )


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ({"horizon": "1D", "freq": "2D"}, r"freq='2D' is longer than horizon='1D'"),
        ({"horizon": "1D", "freq": "MS"}, r"no date of freq='MS' lies within the horizon"),
        ({"freq": "fortnightly"}, r"freq='fortnightly' is not a frequency.*'1D', '6h' or 'MS'"),
        ({"freq": 3}, r"freq=3: expected a duration"),
        ({"horizon": 3}, r"horizon=3: expected a duration"),
        ({"horizon": "-3D"}, r"horizon='-3D' must be positive"),
        ({"horizon": "900D", "freq": "1us"}, r"too many; choose a longer freq"),
    ],
    ids=str,
)
def test_steps_that_make_no_sense_are_refused(fitted_on_dates, arguments, sentence):
    with pytest.raises(DataError, match=sentence):
        fitted_on_dates.forecast(**arguments)


def test_a_history_without_observations_has_no_end_to_forecast_from(fitted, df):
    with pytest.raises(DataError, match=r"no series has observations.*pass history="):
        fitted.forecast(history=df.iloc[:0])


@pytest.mark.parametrize(("horizon", "freq"), [(1.0, 1e-300), (1e100, 1e-5)])
def test_more_steps_than_any_number_of_them_are_too_many(fitted, horizon, freq):
    with pytest.raises(DataError, match=r"times for each of 24 series are too many; choose a longer freq"):
        fitted.forecast(horizon=horizon, freq=freq)


@pytest.mark.parametrize("freq", [None, "MS"])
def test_a_horizon_beyond_every_calendar_is_refused(fitted_on_dates, freq):
    with pytest.raises(DataError, match=r"beyond what dates can hold; choose a shorter horizon"):
        fitted_on_dates.forecast(horizon=np.timedelta64(10**15, "s"), freq=freq)


@pytest.mark.parametrize(
    ("horizon", "days"),
    [
        ("12M", 365),
        ("1 year", 365),
        ("2Y", 730),
        ("6 months", 183),
        ("QE", 91),
        (pd.DateOffset(months=3), 90),
        (pd.offsets.MonthEnd(2), 58),
    ],
)
def test_a_step_of_the_calendar_is_no_horizon_and_the_days_to_give_are_named(fitted_on_dates, horizon, days):
    with pytest.raises(DataError, match=rf"^horizon=.* step of the calendar, whose length varies.*'{days}D'$"):
        fitted_on_dates.forecast(horizon)
    with pytest.raises(DataError, match=r"^horizon=.* step of the calendar"):
        quick(horizon=horizon).fit(dated(waves(3, 6)))


def test_the_name_of_a_series_in_place_of_the_horizon_is_recognised(fitted, fitted_on_dates):
    for forecaster in (fitted, fitted_on_dates):
        with pytest.raises(DataError, match=r"horizon='s05', the first argument of forecast, is the name of a series"):
            forecaster.forecast("s05")


def test_a_frame_in_place_of_the_horizon_is_recognised(fitted, df):
    with pytest.raises(DataError, match=r"first argument of forecast, is a DataFrame: give observations as history="):
        fitted.forecast(df)


def test_true_is_no_horizon(fitted):
    with pytest.raises(DataError, match="horizon=True: expected a number"):
        fitted.forecast(True)
