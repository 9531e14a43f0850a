from dataclasses import replace

import numpy as np
import pytest
import torch

from latentode.data import Covariates
from latentode.data.timed_rows import TimedRows
from latentode.training.gaussian_process import fit_gaussian_process, with_effects_of
from latentode.training.tasks import RaggedSeries, query_batch


def series_of(curves, n_rows: int, n_series: int, seed: int = 0) -> RaggedSeries:
    """Series at random times in [0, 1], each a curve drawn by ``curves(rng)``."""
    rng = np.random.default_rng(seed)
    times = np.sort(rng.random((n_series, n_rows)), axis=1)
    values = np.stack([curves(rng)(t) for t in times]).astype(np.float32)
    return RaggedSeries(np.arange(n_series + 1) * n_rows, times.ravel(), values.reshape(-1, 1))


def forecasts(process, series: RaggedSeries, n_known: int):
    """Mean and scale of the rows after the first `n_known` of each series, and the truth."""
    starts = series.offsets[:-1]
    stops = starts + n_known
    n_rows = series.lengths[0]
    times = series.times.reshape(-1, n_rows)
    which = np.arange(len(starts))
    batch = query_batch(series, starts, stops, times[:, n_known - 1], times[:, n_known:], 1.0, which)
    found = process(batch)
    return found.mean[..., 0].numpy(), found.scale[..., 0].numpy(), series.values.reshape(-1, n_rows)[:, n_known:]


def rotation(cycles):
    def draw(rng):
        phase, size = 2 * np.pi * rng.random(), 0.5 + rng.random()
        return lambda t: size * np.sin(2 * np.pi * cycles * t + phase) + 0.02 * rng.standard_normal(len(t))

    return draw


@pytest.mark.parametrize("cycles", [2, 3, 10])
def test_a_period_that_series_share_is_found_and_each_keeps_its_phase(cycles):
    process = fit_gaussian_process(series_of(rotation(cycles), 60, 60), 1.0, 0.017, np.random.default_rng(0))
    mean, _, truth = forecasts(process, series_of(rotation(cycles), 60, 20, seed=1), 30)
    assert np.square(mean - truth).mean() < 0.02 * truth.var()
    assert float(process.log_lengths["period"].detach().exp()) == pytest.approx(1 / cycles, rel=0.05)


def test_a_random_walk_keeps_its_last_value_and_spreads():
    def walk(rng):
        return lambda t: np.cumsum(np.sqrt(np.diff(t, prepend=0)) * rng.standard_normal(len(t)))

    series = series_of(walk, 40, 60)
    process = fit_gaussian_process(series, 1.0, 0.025, np.random.default_rng(0))
    mean, scale, truth = forecasts(process, series_of(walk, 40, 200, seed=1), 20)
    new = series_of(walk, 40, 200, seed=1).values.reshape(-1, 40)
    last = new[:, 19:20]
    assert np.square(mean - truth).mean() < 1.1 * np.square(last - truth).mean()
    assert 0.8 < (np.abs(truth - mean) < 1.645 * scale).mean() < 0.97
    assert (scale[:, -1] > 1.5 * scale[:, 0]).mean() > 0.9


def test_the_course_of_the_population_is_known_where_a_series_says_nothing_yet():
    def growth(rng):
        level = 0.2 * rng.standard_normal()
        return lambda t: level + 3 * t**2 + 0.05 * rng.standard_normal(len(t))

    process = fit_gaussian_process(series_of(growth, 20, 50), 1.0, 0.05, np.random.default_rng(0))
    mean, _, truth = forecasts(process, series_of(growth, 20, 50, seed=1), 2)
    assert np.square(mean - truth).mean() < 0.15


def test_effects_of_other_series_replace_the_fixed_ones_alone():
    low = series_of(lambda rng: lambda t: 0 * t + 0.1 * rng.standard_normal(len(t)), 20, 30)
    high = RaggedSeries(low.offsets, low.times, low.values + 4)
    process = fit_gaussian_process(low, 1.0, 0.05, np.random.default_rng(0))
    moved = with_effects_of(process, high, 1.0, np.random.default_rng(0))
    mean, _, _ = forecasts(moved, low, 1)
    before, _, _ = forecasts(process, low, 1)
    assert mean.mean() > before.mean() + 1
    for name, value in process.named_parameters():
        assert torch.equal(value, dict(moved.named_parameters())[name])


def test_one_seed_gives_one_process():
    series = series_of(rotation(2), 100, 400)
    first, second = (fit_gaussian_process(series, 1.0, 0.01, np.random.default_rng(3)) for _ in range(2))
    for one, other in zip(first.state_dict().values(), second.state_dict().values(), strict=True):
        assert torch.equal(one, other)


@pytest.mark.parametrize(("n_rows", "n_series"), [(1, 1), (1, 5), (2, 1), (400, 1)])
def test_hardly_any_data_and_long_series_are_taken(n_rows, n_series):
    process = fit_gaussian_process(series_of(rotation(1), n_rows, n_series), 1.0, 0.05, np.random.default_rng(0))
    assert all(torch.isfinite(value).all() for value in process.state_dict().values())


def doses(n_series: int, seed: int, spread: float = 0.0) -> RaggedSeries:
    """Series that only respond to six impulses, each with a size of its own."""
    rng = np.random.default_rng(seed)
    given, amounts = np.sort(rng.random((n_series, 6)), axis=1), rng.uniform(0.5, 2, (n_series, 6))
    courses = zip(given, amounts, np.exp(spread * rng.standard_normal(n_series)), strict=True)

    def response(_):
        at, sizes, factor = next(courses)

        def course(t):
            since = t[:, None] - at
            left = (sizes * np.exp(-4 * np.maximum(since, 0)) * (since > 0)).sum(1)
            return factor * left + 0.02 * rng.standard_normal(len(t))

        return course

    series = series_of(response, 12, n_series, seed)
    rows = TimedRows(np.arange(n_series + 1) * 6, given.ravel(), amounts.reshape(-1, 1).astype(np.float32))
    static = np.empty((n_series, 0), np.float32)
    return replace(series, covariates=Covariates(static, TimedRows.empty(n_series), rows))


def test_the_response_to_impulses_is_known_ahead_and_not_before_they_are_given():
    process = fit_gaussian_process(doses(60, 0), 1.0, 0.08, np.random.default_rng(0), impulse_gap=0.15)
    new = doses(40, 1)
    mean, _, truth = forecasts(process, new, 3)
    assert np.square(mean - truth).mean() < 0.05 * truth.var()
    later = replace(new.covariates.impulses, times=new.covariates.impulses.times + 2.0)
    without, _, _ = forecasts(process, replace(new, covariates=replace(new.covariates, impulses=later)), 3)
    assert np.square(without - truth).mean() > 0.5 * truth.var()


def test_the_first_observations_tell_how_large_the_response_of_a_series_is():
    series = doses(60, 0, spread=0.5)
    process = fit_gaussian_process(series, 1.0, 0.08, np.random.default_rng(0), impulse_gap=0.15)
    assert float(process.log_variances["size"].detach().exp()) > 0.05
    mean, scale, truth = forecasts(process, doses(60, 1, spread=0.5), 4)
    assert (np.abs(truth - mean) < 1.645 * scale).mean() > 0.85
    with torch.no_grad():
        process.log_variances["size"].fill_(-20.0)
        process.log_variances["given"].fill_(-20.0)
    alike, _, _ = forecasts(process, doses(60, 1, spread=0.5), 4)
    assert np.square(mean - truth).mean() < 0.8 * np.square(alike - truth).mean()
