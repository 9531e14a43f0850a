"""Sinusoids with a period of each series' own against mixtures of normal distributions written out with NumPy."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy.special import logsumexp
from scipy.stats import multivariate_normal

from latentode.nn import Batch, GaussianProcess
from latentode.nn.channel_series import by_channel
from latentode.nn.gaussian_process import JITTER
from latentode.nn.own_periods import WhiteHistory

FREQUENCIES = np.array([1.5, 2.0, 4.0])
PRIOR = np.array([0.4, 0.1, 0.3, 0.2])


def a_process() -> GaussianProcess:
    process = GaussianProcess(1, 0, usual_gap=0.1, duration=0.8, n_frequencies=len(FREQUENCIES))
    process.periods.frequencies[:] = torch.from_numpy(FREQUENCIES).float()
    process.periods.prior[:] = torch.from_numpy(PRIOR).float()
    with torch.no_grad():
        process.effects[0, 0] = 0.5
    return process.requires_grad_(requires_grad=False)


def a_batch(n_rows: int = 5, n_queries: int = 4, n_series: int = 2) -> Batch:
    rng = torch.Generator().manual_seed(3)
    return Batch(
        times=-torch.rand(n_series, n_rows, generator=rng).sort(1, descending=True).values,
        values=torch.randn(n_series, n_rows, 1, generator=rng),
        mask=torch.ones(n_series, n_rows, 1),
        lengths=torch.full((n_series,), n_rows),
        query_times=torch.rand(n_series, n_queries, generator=rng),
    )


def waves(times: np.ndarray, frequency: float, centre: float, width: float) -> np.ndarray:
    angles = 2 * np.pi * np.outer(times - centre, [frequency - width, frequency + width])
    return np.concatenate([np.cos(angles), np.sin(angles)], axis=1) / np.sqrt(2)


def written_out(process: GaussianProcess, batch: Batch, i: int):
    """Log evidence, and mean and covariance of the queries, of one series by a mixture over the frequencies."""
    plain = GaussianProcess(1, 0, usual_gap=0.1, duration=0.8).requires_grad_(requires_grad=False)
    plain.load_state_dict({k: v for k, v in process.state_dict().items() if k in plain.state_dict()})
    times = np.concatenate([batch.times[i].double().numpy(), batch.query_times[i].double().numpy()])
    n = batch.times.shape[1]
    everywhere = Batch(
        times=torch.from_numpy(times)[None],
        values=torch.zeros(1, len(times), 1),
        mask=torch.ones(1, len(times), 1),
        lengths=torch.tensor([len(times)]),
        query_times=torch.zeros(1, 1),
    )
    points = by_channel(everywhere)
    base = plain._covariance(points, points)[0].numpy()
    design = plain._design(points)[0].numpy()
    noise = float(process.log_variances["noise"].double().exp()) + JITTER
    base = base + noise * np.eye(len(times))
    mean = design @ process.effects[0].double().numpy()
    variance = float(process.log_variances["sinusoid"].double().exp())
    y = batch.values[i, :, 0].double().numpy()
    logs, means, covariances = [], [], []
    for k in range(len(PRIOR)):
        whole = base.copy()
        if k:
            w = waves(times, FREQUENCIES[k - 1], times[:n].mean(), process.periods.width)
            whole += variance * w @ w.T
        logs.append(np.log(PRIOR[k]) + multivariate_normal(mean[:n], whole[:n, :n]).logpdf(y))
        weights = np.linalg.solve(whole[:n, :n], whole[:n, n:])
        means.append(mean[n:] + weights.T @ (y - mean[:n]))
        covariances.append(whole[n:, n:] - whole[n:, :n] @ weights)
    share = np.exp(logs - logsumexp(logs))
    mixed = share @ np.array(means)
    spread = sum(s * (c + np.outer(m - mixed, m - mixed)) for s, c, m in zip(share, covariances, means, strict=True))
    base_log = multivariate_normal(mean[:n], base[:n, :n]).logpdf(y)
    return logsumexp(logs) - base_log, share, mixed, spread


@pytest.mark.parametrize("n_rows", [1, 5])
def test_forecasts_are_the_mixture_over_the_frequencies(n_rows):
    process, batch = a_process(), a_batch(n_rows)
    found = process(batch)
    together = process.correlations(batch)
    for i in range(2):
        _, _, mean, spread = written_out(process, batch, i)
        np.testing.assert_allclose(found.mean[i, :, 0], mean, atol=1e-5)
        np.testing.assert_allclose(found.scale[i, :, 0].square(), np.diag(spread), rtol=1e-4)
        deviation = np.sqrt(np.diag(spread))
        np.testing.assert_allclose(together[i, 0], spread / np.outer(deviation, deviation), atol=1e-5)


def test_evidence_is_what_the_mixture_adds_and_counts_the_frequencies(monkeypatch):
    process, batch = a_process(), a_batch(n_series=6)
    series = by_channel(batch)
    lower = process._cholesky(series)
    rest = series.values - (process._design(series) @ process.effects[0].double()[:, None])[..., 0]
    white = torch.linalg.solve_triangular(lower, rest[..., None], upper=False)[..., 0]
    history = WhiteHistory(series, lower, white, process.log_variances["sinusoid"].double().exp().expand(6))
    added, shares = process.periods.evidence(history)
    expected = [written_out(process, batch, i)[:2] for i in range(6)]
    np.testing.assert_allclose(added, [e[0] for e in expected], rtol=1e-6)
    np.testing.assert_allclose(shares, [e[1] for e in expected], rtol=1e-6)
    np.testing.assert_allclose(process.evidence([series]).counts[0], shares.sum(0), rtol=1e-6)
    monkeypatch.setattr("latentode.nn.own_periods.CELLS", 1)  # a pair at a time
    torch.testing.assert_close(process.periods.evidence(history)[0], added)


def test_a_channel_without_sinusoids_is_as_without_the_part():
    batch, process = a_batch(), a_process()
    plain = GaussianProcess(1, 0, usual_gap=0.1, duration=0.8).requires_grad_(requires_grad=False)
    plain.load_state_dict({k: v for k, v in process.state_dict().items() if k in plain.state_dict()})
    process.periods.prior[:] = torch.tensor([1.0, 0, 0, 0])
    torch.testing.assert_close(process(batch).mean, plain(batch).mean)
    torch.testing.assert_close(process(batch).scale, plain(batch).scale)


def test_forecasts_far_ahead_are_no_larger_than_the_sinusoid():
    process, batch = a_process(), a_batch(n_rows=25)
    for name, variance in process.log_variances.items():
        variance.fill_(np.log(0.5 if name == "sinusoid" else 1e-3))
    wave = (2 * np.pi * (FREQUENCIES[1] + 0.04) * batch.times).sin()[..., None]  # between two frequencies of a grid
    far = replace(batch, values=0.5 + wave, query_times=torch.linspace(0, 20, 300).expand(2, -1))
    assert float((process(far).mean - 0.5).abs().max()) < 1.5


def test_a_sinusoid_that_is_impossible_is_not_found_however_well_it_fits():
    process, batch = a_process(), a_batch(n_rows=60)
    process.periods.prior[:] = torch.tensor([1.0, 0, 0, 0])
    for variance in process.log_variances.values():
        variance.fill_(np.log(1e-6))
    process.log_variances["sinusoid"].fill_(0.0)
    series = by_channel(replace(batch, values=(2 * np.pi * FREQUENCIES[1] * batch.times).sin()[..., None]))
    assert process.evidence([series]).counts[0].tolist() == [2, 0, 0, 0]


@pytest.mark.parametrize("kept", [0, 10**6])
def test_the_gradient_of_what_sinusoids_add_is_that_of_finite_differences(kept, monkeypatch):
    monkeypatch.setattr("latentode.nn.own_periods.FEW_CELLS", kept)
    process, series = a_process(), by_channel(a_batch())
    lower = process._cholesky(series).requires_grad_()
    white = series.values.clone().requires_grad_()
    variance = torch.full((2,), 0.3, dtype=torch.float64, requires_grad=True)

    def added(lower, white, variance):
        return process.periods.evidence(WhiteHistory(series, lower.tril(), white, variance))[0]

    assert torch.autograd.gradcheck(added, (lower, white, variance))


def test_one_step_of_em_after_another_leads_to_the_effects_of_the_highest_density():
    process, series = a_process(), [by_channel(a_batch(n_series=6))]
    for _ in range(100):
        process.know_effects(process.evidence(series))
    best = float(process.evidence(series).log_likelihood)
    effects = process.effects.clone()
    process.know_effects(process.evidence(series))
    torch.testing.assert_close(process.effects, effects, atol=1e-4, rtol=1e-3)
    for k in range(4):
        for step in (-0.1, 0.1):
            process.effects.copy_(effects)
            process.effects[0, k] += step
            density, prior = _density_at_effects(process, series[0]), process._prior_variances()[0]
            moved = density - float((0.5 * process.effects[0].double().square() / prior).sum())
            process.effects.copy_(effects)
            kept = _density_at_effects(process, series[0]) - float((0.5 * effects[0].double().square() / prior).sum())
            assert moved < kept
    assert np.isfinite(best)


def _density_at_effects(process: GaussianProcess, series) -> float:
    lower = process._cholesky(series)
    rest = series.values - (process._design(series) @ process.effects[0].double()[:, None])[..., 0]
    white = torch.linalg.solve_triangular(lower, rest[..., None], upper=False)[..., 0]
    variance = process.log_variances["sinusoid"].double().exp().expand(len(rest))
    added, _ = process.periods.evidence(WhiteHistory(series, lower, white, variance))
    return float((added - 0.5 * white.square().sum(1)).sum())
