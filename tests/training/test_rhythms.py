"""Which data are said to have rhythms."""

import numpy as np

from latentode.training import RaggedSeries, TaskMaker, find_rhythm


def series_of(times, values):
    """Series of equal length: (series, time), (series, time, channel)."""
    offsets = np.arange(len(times) + 1) * times.shape[1]
    return RaggedSeries(offsets, times.ravel(), values.reshape(-1, values.shape[-1]).astype(np.float32))


def irregular(n_series=60, n_rows=20, seed=0):
    rng = np.random.default_rng(seed)
    return np.sort(rng.uniform(0, 10, (n_series, n_rows)), axis=1), rng


def found(times, values, span=10.0, seed=0):
    return find_rhythm(TaskMaker(series_of(times, values), span), np.random.default_rng(seed))


def test_series_with_periods_of_their_own_have_one():
    times, rng = irregular()
    frequency = rng.uniform(0.2, 0.4, (60, 1))
    rhythm = found(times, np.sin(2 * np.pi * frequency * times + rng.uniform(0, 6, (60, 1)))[..., None])
    likely = (rhythm.log_prior[1:].exp() * rhythm.frequencies).sum()
    assert 2.0 < likely < 4.0  # cycles in a span of 10


def test_random_walks_have_none():
    times, rng = irregular()
    steps = rng.normal(size=times.shape) * np.sqrt(np.diff(times, axis=1, prepend=0.0))
    assert found(times, steps.cumsum(axis=1)[..., None]) is None


def test_noise_has_none():
    times, rng = irregular()
    assert found(times, rng.normal(size=(*times.shape, 2))) is None


def test_times_that_are_all_one_have_none():
    times, rng = irregular()
    assert found(np.zeros_like(times), rng.normal(size=(*times.shape, 1))) is None


def test_series_too_short_have_none():
    times, rng = irregular(n_rows=3)
    assert found(times, rng.normal(size=(*times.shape, 1))) is None


def test_the_likeliest_frequencies_of_a_long_grid_are_kept():
    times, rng = irregular(n_series=30, n_rows=200)
    frequency = rng.uniform(0.2, 0.4, (30, 1))
    rhythm = found(times, np.sin(2 * np.pi * frequency * times)[..., None])
    assert len(rhythm.frequencies) == 256
    assert np.isclose(float(rhythm.log_prior.exp().sum()), 1.0, atol=1e-4)


def test_one_seed_finds_one_rhythm():
    times, rng = irregular()
    values = np.sin(times + rng.uniform(0, 6, (60, 1)))[..., None]
    one, again = (found(times, values, seed=3) for _ in range(2))
    assert all((a == b).all() for a, b in zip(one.buffers(), again.buffers(), strict=True))
