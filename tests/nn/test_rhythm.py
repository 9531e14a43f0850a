"""Rhythms beside what linear algebra and the multivariate normal distribution say."""

import math
from dataclasses import replace

import pytest
import torch

from latentode.nn import Rhythm, learn_priors
from latentode.nn.sinusoids import PRIORS, turns, wave_sums
from tests.nn.batches import NAN, batch_of, random_batch

FREQUENCIES = [0.5, 1.1, 2.0, 3.7]
GRID = [0.25 * k for k in range(1, 13)]


def rhythm_of(frequencies=FREQUENCIES, shared=False, n_channels=2):
    """With priors that differ between channels, in double precision."""
    rhythm = Rhythm(n_channels, frequencies, 0.6, shared).double()
    rhythm.noise.copy_(torch.tensor([0.1, 0.4])[:n_channels])
    rhythm.level.copy_(torch.tensor([1.5, 0.3])[:n_channels])
    rhythm.amplitude.copy_(torch.tensor([0.7, 0.2])[:n_channels])
    return rhythm


def double(batch):
    return replace(batch, **{k: getattr(batch, k).double() for k in ("times", "values", "mask", "query_times")})


def waves(n_series=40, n_rows=12, frequency=(1.0, 2.0), noise=0.05, n_channels=1, shared=True, seed=0):
    """Sinusoids around levels, irregularly seen, asked up to one span ahead; and the truth there."""
    rng = torch.Generator().manual_seed(seed)

    def uniform(low, high, *shape):
        return low + (high - low) * torch.rand(*shape, generator=rng)

    times = -torch.rand(n_series, n_rows, generator=rng).sort(descending=True).values
    queries = torch.linspace(0.0, 1.0, 9).expand(n_series, -1)
    f = uniform(*frequency, n_series, 1, 1 if shared else n_channels)
    phase, level = uniform(0, 6.28, n_series, 1, n_channels), uniform(-0.5, 0.5, n_series, 1, n_channels)

    def value(t):
        return level + torch.sin(2 * math.pi * f * t[..., None] + phase)

    values = value(times) + noise * torch.randn(n_series, n_rows, n_channels, generator=rng)
    batch = batch_of([(0.0, *[0.0] * n_channels)])
    whole = torch.ones_like(values)
    lengths = torch.full((n_series,), n_rows)
    batch = replace(batch, times=times, values=values, mask=whole, lengths=lengths, query_times=queries)
    return batch, value(queries)


@pytest.mark.parametrize("k", range(len(FREQUENCIES)))
def test_level_amplitudes_and_evidence_are_those_of_a_bayesian_regression(k):
    batch, rhythm = double(random_batch(n_series=3, n_rows=8)), rhythm_of()
    channels = rhythm.channels(batch)
    fit = channels.fit(wave_sums(channels, rhythm.frequencies))
    for series in range(3):
        for channel in range(2):
            seen = batch.mask[series, :, channel] > 0
            t, y = batch.times[series, seen], batch.values[series, seen, channel]
            angle = 2 * math.pi * rhythm.frequencies[k] * t
            phi = torch.stack([torch.ones_like(t), torch.cos(angle), torch.sin(angle)], 1)
            prior = torch.stack([rhythm.level[channel], *[rhythm.amplitude[channel]] * 2])
            precision = phi.T @ phi / rhythm.noise[channel] + torch.diag(1 / prior)
            expected = torch.linalg.solve(precision, phi.T @ y / rhythm.noise[channel])
            found = torch.stack(
                [fit.level[series, channel, k + 1], fit.cos[series, channel, k], fit.sin[series, channel, k]]
            )
            torch.testing.assert_close(found, expected)

            def evidence(phi, prior, y=y, noise=rhythm.noise[channel]):
                covariance = noise * torch.eye(len(y), dtype=y.dtype) + phi @ torch.diag(prior) @ phi.T
                return torch.distributions.MultivariateNormal(torch.zeros_like(y), covariance).log_prob(y)

            gain = evidence(phi, prior) - evidence(phi[:, :1], prior[:1])
            told = fit.evidence[series, channel]
            power, amplitude = found[1:].square().sum(), rhythm.amplitude[channel]
            usual = torch.distributions.LogNormal(rhythm.power[channel], rhythm.power_spread[channel])
            gaussian = torch.distributions.Exponential(1 / (2 * amplitude))
            gain = gain + usual.log_prob(power) - gaussian.log_prob(power)
            torch.testing.assert_close(told[k + 1] - told[0], gain)


def test_a_sinusoid_is_carried_on_in_phase():
    batch, truth = waves(noise=0.0)
    rhythm = Rhythm(1, GRID, 0.25)
    learn_priors(rhythm, batch)
    wave = rhythm(batch)
    assert (wave.value - truth).square().mean() < 0.03
    assert truth.var() > 0.4
    assert wave.explained.min() > 0.9


@pytest.mark.parametrize("n_rows", [5, 10])
def test_a_few_frequencies_say_what_all_of_a_fine_grid_would(n_rows):
    """Where there is hardly any noise, the peaks of the evidence are far narrower than the grid's cells."""
    batch, truth = waves(n_series=200, n_rows=n_rows, noise=0.005)
    rhythm, parts = Rhythm(1, GRID, 0.25), 60
    learn_priors(rhythm, batch)
    fine = Rhythm(1, [0.25 * (k - 0.5 + (part + 0.5) / parts) for k in range(1, 13) for part in range(parts)], 0.0)
    for name in PRIORS:
        getattr(fine, name).copy_(getattr(rhythm, name))
    none, *there = (rhythm.log_prior - torch.tensor([0.0, *[math.log(parts)] * len(GRID)])).split(1)
    fine.log_prior.copy_(torch.cat([none, torch.cat(there).repeat_interleave(parts)]))
    channels = fine.channels(batch).doubled()
    fit = channels.fit(wave_sums(channels, fine.frequencies))
    at_queries = (x.double() for x in turns(batch.query_times, fine.frequencies))
    expected, _, _ = fit.told(fit.odds(fine.log_prior), *at_queries)
    assert (rhythm(batch).value - expected).square().mean() < 2e-4
    assert (expected - truth).square().mean() < 0.03  # of a half


def test_a_frequency_within_a_cell_misses_what_blurring_adds():
    batch, _ = waves(n_series=1, n_rows=2000, frequency=(2.0, 2.0))
    rhythm, width = Rhythm(1, GRID, 0.25), 0.25
    channels = rhythm.channels(batch)
    blurred, times = channels.blurred(width), batch.times[0] - batch.times[0].mean()
    rng = torch.Generator().manual_seed(0)
    wrong = width * (torch.rand(2000, 1, generator=rng) - 0.5)
    cos, sin = rhythm.amplitude.sqrt() * torch.randn(2, 2000, 1, generator=rng)

    def wave(frequency):
        angle = 2 * math.pi * frequency * times
        return cos * torch.cos(angle) + sin * torch.sin(angle)

    missed = (wave(2.0 + wrong) - wave(2.0)).square().mean()
    torch.testing.assert_close(blurred.noise[0, 0, 0] - rhythm.noise[0], missed, rtol=0.1, atol=0)


@pytest.mark.parametrize(("n_channels", "shared"), [(1, False), (2, False), (2, True)])
def test_the_phase_is_the_angle_since_the_crest(n_channels, shared):
    batch, _ = waves(frequency=(2.0, 2.0), noise=0.0, n_channels=n_channels)  # queries a quarter of a turn apart
    rhythm = Rhythm(n_channels, GRID, 0.25, shared)
    learn_priors(rhythm, batch)
    wave = rhythm(batch)
    cos, sin = wave.phase.unbind(-1)
    torch.testing.assert_close(cos, wave.value - wave.now[:, None, :n_channels], atol=0.15, rtol=0)  # of amplitude one
    torch.testing.assert_close(sin[:, 1:], cos[:, :-1], atol=0.15, rtol=0)
    assert (cos.square() + sin.square()).max() < 1 + 1e-4


def test_where_frequencies_disagree_the_phase_fades():
    batch, _ = waves(n_rows=5, noise=0.3)
    far = replace(batch, query_times=batch.query_times + 50.0)
    rhythm = Rhythm(1, GRID, 0.25)
    near, late = (rhythm(b).phase.norm(dim=-1).mean() for b in (batch, far))
    assert late < 0.8 * near


def test_what_is_known_of_other_series_tells_frequencies_apart():
    """Five values fit many frequencies; the ones that the series have make the answer."""
    batch, truth = waves(n_series=200, n_rows=5, frequency=(1.4, 1.6), noise=0.02)
    ignorant = Rhythm(1, GRID, 0.25)
    ignorant.noise.fill_(0.02**2)
    before = (ignorant(batch).value - truth).square().mean()
    learn_priors(ignorant, batch)
    after = (ignorant(batch).value - truth).square().mean()
    assert after < 0.5 * before
    likeliest = ignorant.frequencies[ignorant.log_prior[1:].argmax()]
    assert 1.3 < likeliest < 1.7


def test_learning_makes_the_data_likelier():
    batch, _ = waves(n_channels=2, shared=False)
    for shared in (False, True):
        rhythm = Rhythm(2, FREQUENCIES, 0.6, shared)
        first, *_, last = (learn_priors(rhythm, batch, rounds=1) for _ in range(8))
        assert last > first + 10


def test_the_noise_found_is_that_of_the_data():
    batch, _ = waves(n_series=300, n_rows=30, noise=0.2)
    rhythm = Rhythm(1, GRID, 0.25)
    learn_priors(rhythm, batch, rounds=30)
    assert float(rhythm.noise.sqrt()) == pytest.approx(0.2, rel=0.15)


def test_channels_share_a_frequency_where_that_is_likelier():
    together, _ = waves(n_channels=2, n_rows=8)
    apart, _ = waves(n_channels=2, n_rows=8, shared=False)
    evidence = {
        (name, shared): learn_priors(Rhythm(2, GRID, 0.25, shared), batch)
        for name, batch in (("together", together), ("apart", apart))
        for shared in (False, True)
    }
    assert evidence["together", True] > evidence["together", False]
    assert evidence["apart", False] > evidence["apart", True]


def test_of_a_series_without_observations_nothing_is_said():
    wave = rhythm_of().float()(batch_of([], [(-0.2, NAN, 1.0), (0.0, NAN, 2.0)], queries=[[0.3], [0.3]]))
    assert wave.value[0].abs().max() == 0  # of which nothing is known
    assert wave.value[1, 0, 0] == 0
    assert wave.value[1, 0, 1] > 0
    assert all(torch.isfinite(x).all() for x in vars(wave).values())


def test_padding_changes_nothing():
    history = [(-0.7, 1.0, NAN), (-0.2, 2.0, 1.0), (0.0, NAN, 2.0)]
    alone, padded = (rhythm_of().float()(batch_of(history, queries=[[0.3]], pad=pad)) for pad in (0, 4))
    torch.testing.assert_close(padded.value, alone.value)


def test_nothing_flows_back():
    wave = rhythm_of().float()(random_batch())
    assert not wave.value.requires_grad
    assert not list(rhythm_of().parameters())


def test_a_tiled_wave_repeats_itself():
    wave = rhythm_of().float()(random_batch(n_series=3))
    tiled = wave.tile(2)
    torch.testing.assert_close(tiled.value[3:], wave.value)
    torch.testing.assert_close(tiled.pitch[:3], wave.pitch)


@pytest.mark.parametrize("shared", [False, True])
def test_doubt_is_the_spread_over_frequencies(shared):
    batch, rhythm = double(random_batch(n_series=3, n_rows=5, n_queries=4)), rhythm_of(shared=shared)
    wave = rhythm(batch)
    channels = rhythm.channels(batch)
    frequencies, log_prior = rhythm.closer(channels)
    channels = channels if shared else channels.apart()
    fit = channels.fit(wave_sums(channels, frequencies))
    odds = fit.odds(log_prior)
    row = 1 if shared else 2  # of channel 0 of series 1, which has a row of its own where channels are apart
    angle = 2 * math.pi * batch.query_times[1][:, None] * frequencies[row]
    told = fit.level[row, 0, 1:] + fit.cos[row, 0] * torch.cos(angle) + fit.sin[row, 0] * torch.sin(angle)
    told = torch.cat([fit.level[row, 0, :1].expand(len(told), 1), told], 1)
    mean = (odds[row, 0] * told).sum(1)
    variance = (odds[row, 0] * (told - mean[:, None]).square()).sum(1)
    torch.testing.assert_close(wave.value[1, :, 0], mean)
    torch.testing.assert_close(wave.doubt[1, :, 0], 0.5 * (variance + rhythm.noise[0]).log())


@pytest.mark.parametrize("shared", [False, True])
def test_a_few_series_at_a_time_are_read_as_all_at_once(shared, monkeypatch):
    batch, rhythm = random_batch(n_series=5), rhythm_of(shared=shared).float()
    whole = rhythm(batch)
    monkeypatch.setattr("latentode.nn.rhythm.NUMBERS_AT_ONCE", 1)
    for name, value in vars(rhythm(batch)).items():
        torch.testing.assert_close(value, getattr(whole, name))
