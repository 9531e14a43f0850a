import numpy as np
import pandas as pd
import pytest

from latentode.data import DataError, Panel, Seasons, TimeAxis, find_seasons

NUMBERS = TimeAxis("number")
DATES = TimeAxis("datetime")
DAY, YEAR = 86_400.0, 365.2425 * 86_400.0


def panel_of(course, total, n_series=20, n_rows=100, noise=0.3, seed=0):
    """Series at random times, each at its own level."""
    rng = np.random.default_rng(seed)
    times = np.sort(rng.uniform(0, total, (n_series, n_rows)), axis=1)
    values = course(times) + rng.normal(size=(n_series, 1)) * 3 + noise * rng.normal(size=times.shape)
    offsets = np.arange(n_series + 1) * n_rows
    return Panel(pd.RangeIndex(n_series), offsets, times.ravel(), values.reshape(-1, 1))


def wave(period):
    return lambda t: np.sin(2 * np.pi * t / period + 1.0)


@pytest.mark.parametrize("period", [3.0, 11.0, 30.0])
def test_the_period_that_all_series_share_is_found(period):
    (found,) = find_seasons(panel_of(wave(period), 100.0), NUMBERS).periods
    assert found == pytest.approx(period, rel=0.02)


def test_neither_a_trend_nor_a_late_start_nor_a_sparse_channel_hides_it():
    panel = panel_of(lambda t: 2 * wave(11.0)(t) + 0.5 * t, 100.0)
    sparse = np.full_like(panel.values, np.nan)
    sparse[:5] = 1.0
    later = Panel(panel.ids, panel.offsets, panel.times + 1_000.0, np.hstack([sparse, panel.values]))
    (found,) = find_seasons(later, NUMBERS).periods
    assert found == pytest.approx(11.0, rel=0.02)


def test_it_must_explain_a_tenth_of_what_moves_around_the_means():
    assert find_seasons(panel_of(wave(11.0), 100.0, noise=1.9), NUMBERS).periods != ()  # an eighth
    assert find_seasons(panel_of(wave(11.0), 100.0, noise=3.0), NUMBERS).periods == ()  # a twentieth


def test_a_pulse_that_comes_back_is_found():
    (found,) = find_seasons(panel_of(lambda t: (np.remainder(t, 20.0) < 5) * 2.0, 200.0), NUMBERS).periods
    assert found == pytest.approx(20.0, rel=0.02)


def test_noise_trends_and_private_periods_are_no_season():
    rng = np.random.default_rng(1)
    private = rng.uniform(2, 20, (20, 1))
    for course in (lambda t: 0 * t, lambda t: t, lambda t: np.sqrt(t), lambda t: np.exp(-t), lambda t: (t > 50) * 3.0):
        assert find_seasons(panel_of(course, 100.0), NUMBERS).periods == ()
    assert find_seasons(panel_of(lambda t: np.sin(2 * np.pi * t / private), 100.0), NUMBERS).periods == ()


def test_two_rounds_could_be_chance_on_a_plain_axis():
    assert find_seasons(panel_of(wave(50.0), 100.0), NUMBERS).periods == ()


def test_the_calendar_is_known():
    both = panel_of(lambda t: wave(DAY)(t) + 2 * wave(YEAR)(t), 3 * YEAR, n_rows=400)
    assert find_seasons(both, DATES).periods == (DAY, YEAR)
    assert find_seasons(both, TimeAxis("period", freq="h")).periods == (DAY, YEAR)
    assert find_seasons(both, TimeAxis("timedelta")).periods == ()  # no calendar
    assert find_seasons(panel_of(wave(YEAR), 1.5 * YEAR), DATES).periods == ()  # gone round too seldom
    assert find_seasons(panel_of(lambda t: 0 * t, 3 * YEAR), DATES).periods == ()


def test_a_few_values_of_noise_have_no_year_though_waves_can_always_be_laid_through_them():
    found = [find_seasons(panel_of(lambda t: 0 * t, 3 * YEAR, 6, 10, seed=k), DATES).periods for k in range(20)]
    assert sum(YEAR in periods for periods in found) < 10


@pytest.mark.filterwarnings("error")
def test_little_data_has_no_season():
    for n_series, n_rows in ((0, 0), (1, 1), (1, 2), (30, 1), (2, 10)):
        panel = panel_of(wave(1.0), 10.0, n_series, n_rows)
        for axis in (NUMBERS, DATES, TimeAxis("timedelta"), TimeAxis("period", freq="D")):
            assert find_seasons(panel, axis).periods == ()
    constant = panel_of(lambda t: 0 * t, 10.0, noise=0.0)
    assert find_seasons(constant, NUMBERS).periods == ()
    empty = Panel(constant.ids, constant.offsets, constant.times, np.full_like(constant.values, np.nan))
    assert find_seasons(empty, NUMBERS).periods == ()


def test_periods_can_be_named_or_forbidden():
    panel = panel_of(wave(3.0), 100.0)
    assert find_seasons(panel, NUMBERS, None).periods == ()
    assert find_seasons(panel, NUMBERS, 7).periods == (7.0,)
    assert find_seasons(panel, DATES, ["1D", pd.Timedelta("7D")]).periods == (DAY, 7 * DAY)
    with pytest.raises(DataError, match="seasonality='1D': expected a number"):
        find_seasons(panel, NUMBERS, "1D")
    with pytest.raises(DataError, match="seasonality=-1 must be positive"):
        find_seasons(panel, NUMBERS, [-1])


def test_features_repeat_and_have_a_size_even_without_times():
    seasons = Seasons((7.0, 30.0))
    times = np.linspace(0, 100, 41)
    assert seasons.features(times).shape == (41, seasons.n_features)
    np.testing.assert_allclose(seasons.features(times), seasons.features(times + 210.0), atol=1e-5)
    assert Seasons().features(times).shape == (41, 0)
    assert Seasons().features(times).dtype == seasons.features(times).dtype == np.float32
    assert seasons.features(np.empty((2, 0))).shape == (2, 0, seasons.n_features)


def test_features_are_sines_and_cosines_of_the_phase_and_its_double():
    times = np.array([0.0, 1.0, 3.0, 15.0])
    phase = 2 * np.pi * times / 12.0
    expected = np.stack([np.sin(phase), np.cos(phase), np.sin(2 * phase), np.cos(2 * phase)], axis=1)
    np.testing.assert_allclose(Seasons((12.0,)).features(times), expected, atol=1e-6)


def test_fifty_values_are_the_fewest_that_show_a_year():
    found = [find_seasons(panel_of(wave(YEAR), 3 * YEAR, 1, n, noise=0.0), DATES).periods for n in (49, 50)]
    assert found == [(), (YEAR,)]


def test_series_of_two_values_say_something_of_a_period_and_those_of_one_say_nothing():
    pairs = panel_of(wave(11.0), 100.0, 150, 2, noise=0.0)
    assert find_seasons(pairs, NUMBERS).periods == pytest.approx((11.0,), rel=0.02)
    few = pairs.take(np.arange(95))
    single = Panel(pd.RangeIndex(500, 600), np.arange(101), np.linspace(0, 100, 100), np.ones((100, 1)))
    assert find_seasons(few.append(single), NUMBERS).periods == ()


def test_of_very_many_values_some_are_looked_at(monkeypatch):
    monkeypatch.setattr("latentode.data.seasons.MOST_VALUES", 500)
    assert find_seasons(panel_of(wave(11.0), 100.0), NUMBERS).periods == pytest.approx((11.0,), rel=0.02)


def test_the_unit_of_time_makes_no_difference_to_a_period():
    panel = panel_of(wave(11.0), 100.0)
    quick = Panel(panel.ids, panel.offsets, panel.times / 1000, panel.values)
    assert find_seasons(quick, NUMBERS).periods == pytest.approx((0.011,), rel=0.02)


@pytest.mark.parametrize("absurd", [-1e9, 1e9])
def test_an_absurd_value_does_not_hide_a_period(absurd):
    panel = panel_of(wave(11.0), 100.0)
    panel.values[7] = absurd
    assert find_seasons(panel, NUMBERS).periods == pytest.approx((11.0,), rel=0.02)


@pytest.mark.parametrize("unit", [1e-3, 1.0, 1e3])
def test_a_wave_much_lower_in_the_second_half_is_no_season_in_any_unit(unit):
    panel = panel_of(lambda t: np.where(t < 50, 1.0, 0.4) * wave(11.0)(t), 100.0)
    assert find_seasons(Panel(panel.ids, panel.offsets, panel.times, unit * panel.values), NUMBERS).periods == ()


@pytest.mark.filterwarnings("error")
def test_where_most_values_are_of_one_time_there_are_no_halves_to_compare():
    panel = panel_of(wave(11.0), 100.0, 100, 5)
    panel.times.reshape(100, 5)[:, :3] = 0.0
    assert find_seasons(panel, NUMBERS).periods == ()


def test_a_wave_that_is_three_times_as_high_in_the_second_half_is_no_season():
    panel = panel_of(lambda t: np.where(t < 50, 1, 3) * wave(11.0)(t), 100.0)
    assert find_seasons(panel, NUMBERS).periods == ()


def test_a_wave_that_is_noisy_in_one_half_is_a_season_still():
    noise = np.random.default_rng(1).normal(size=(20, 100))
    panel = panel_of(lambda t: wave(11.0)(t) + (t < 50) * 1.3 * noise, 100.0, noise=0.1)
    assert find_seasons(panel, NUMBERS).periods == pytest.approx((11.0,), rel=0.02)


def yearly(course, seed, missing=0.3, n_series=20, n_years=71):
    """Series of whole years, some of whose rows are missing."""
    rng = np.random.default_rng(seed)
    there = rng.random((n_series, n_years)) > missing
    series, years = np.nonzero(there)
    times = 1950.0 + years
    values = course(times) + rng.normal(size=n_series)[series] + 0.3 * rng.normal(size=len(times))
    offsets = np.concatenate([[0], np.cumsum(there.sum(1))])
    return Panel(pd.RangeIndex(n_series), offsets, times, values.reshape(-1, 1))


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("period", [2.4, 5.5, 11.0])
def test_no_period_is_shorter_than_two_steps_of_a_grid(period, seed):
    panel = yearly(wave(period), seed)
    assert find_seasons(panel, NUMBERS).periods == pytest.approx((period,), rel=0.03)
    months = Panel(panel.ids, panel.offsets, panel.times / 12, panel.values)  # a grid that floats do not hit exactly
    assert find_seasons(months, NUMBERS).periods == pytest.approx((period / 12,), rel=0.03)


def test_a_period_between_irregular_times_may_be_shorter_than_their_gaps():
    sparse = panel_of(wave(1.2), 200.0, n_series=1, n_rows=300, noise=0.1)  # 2/3 between two times
    assert find_seasons(sparse, NUMBERS).periods == pytest.approx((1.2,), rel=0.03)
