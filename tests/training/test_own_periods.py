import numpy as np
import pytest

from latentode.training import own_periods
from latentode.training.gaussian_process import fit_gaussian_process
from tests.training.test_gaussian_process import forecasts, series_of


def own_rotation(rng):
    phase, cycles = 2 * np.pi * rng.random(), rng.uniform(2, 5)
    return lambda t: np.sin(2 * np.pi * cycles * t + phase) + 0.02 * rng.standard_normal(len(t))


def fitted(draw, n_rows: int, n_series: int):
    return fit_gaussian_process(series_of(draw, n_rows, n_series), 1.0, 1 / n_rows, np.random.default_rng(0))


def test_a_period_of_each_series_own_is_found_and_followed():
    process = fitted(own_rotation, 20, 60)
    assert process.periods is not None
    cycles = process.periods.frequencies[0] * process.duration
    prior = process.periods.prior[0]
    assert prior[0] < 0.1
    assert prior[1:][(cycles > 1.5) & (cycles < 5.5)].sum() > 0.9
    new = series_of(own_rotation, 40, 30, seed=1)
    mean, scale, truth = forecasts(process, new, 20)
    assert np.square(mean - truth).mean() < 0.1 * truth.var()
    assert (np.abs(truth - mean) < 1.645 * scale).mean() > 0.85


def test_a_history_too_short_to_know_the_period_is_forecast_with_all_that_are_possible():
    process = fitted(own_rotation, 20, 60)
    mean, scale, truth = forecasts(process, series_of(own_rotation, 40, 60, seed=1), 2)
    far = slice(20, None)
    assert np.square(mean - truth)[:, far].mean() < 1.2 * np.square(truth[:, far]).mean()
    assert (np.abs(truth - mean)[:, far] < 1.645 * scale[:, far]).mean() > 0.8


@pytest.mark.parametrize("n_series", [4, 50])
def test_no_sinusoid_is_seen_in_walks_and_noise_nor_in_too_few_series(n_series):
    def walk(rng):
        return lambda t: np.cumsum(np.sqrt(np.diff(t, prepend=0)) * rng.standard_normal(len(t)))

    def noise(rng):
        return lambda t: rng.standard_normal(len(t))

    for draw in (walk, noise, own_rotation if n_series < 5 else noise):
        assert fitted(draw, 20, n_series).periods is None


@pytest.mark.parametrize("cycles", [2.6, 3.15])
def test_a_period_that_all_series_have_in_common_is_left_to_the_rotation(cycles):
    def common(rng):
        phase = 2 * np.pi * rng.random()
        return lambda t: np.sin(2 * np.pi * cycles * t + phase) + 0.05 * rng.standard_normal(len(t))

    process = fitted(common, 20, 60)
    assert process.periods is None
    mean, _, truth = forecasts(process, series_of(common, 40, 30, seed=1), 20)
    assert np.square(mean - truth).mean() < 0.02 * truth.var()


@pytest.mark.parametrize(("n_rows", "sought"), [(3, False), (4, True)])
def test_periods_are_sought_only_where_series_have_enough_observations(n_rows, sought, monkeypatch):
    grids = []
    make = own_periods._with_grid
    monkeypatch.setattr(own_periods, "_with_grid", lambda started: grids.append(started) or make(started))
    fitted(own_rotation, n_rows, 20)
    assert bool(grids) == sought
