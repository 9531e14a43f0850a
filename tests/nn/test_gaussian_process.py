"""The Gaussian process against dense linear algebra written out with NumPy."""

import numpy as np
import pytest
import torch
from scipy.stats import multivariate_normal

from latentode.nn import Batch, GaussianProcess
from latentode.nn.channel_series import by_channel
from latentode.nn.gaussian_process import BEYOND, JITTER, N_KNOTS, VAGUE
from tests.nn.batches import batch_of


def a_batch(n_series: int = 3, n_rows: int = 5, n_channels: int = 2, n_given: int = 1, seed: int = 0) -> Batch:
    rng = torch.Generator().manual_seed(seed)
    mask = (torch.rand(n_series, n_rows, n_channels, generator=rng) < 0.7).float()
    return Batch(
        times=-torch.rand(n_series, n_rows, generator=rng).sort(1, descending=True).values,
        values=torch.randn(n_series, n_rows, n_channels, generator=rng) * mask,
        mask=mask,
        lengths=torch.full((n_series,), n_rows),
        query_times=torch.rand(n_series, 4, generator=rng),
        given=torch.randn(n_series, n_rows, n_given, generator=rng),
        query_given=torch.randn(n_series, 4, n_given, generator=rng),
    )


def a_process(n_channels: int = 2, n_given: int = 1) -> GaussianProcess:
    process = GaussianProcess(n_channels, n_given, usual_gap=0.1, duration=0.8)
    rng = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for parameter in process.parameters():
            parameter += 0.3 * torch.randn(parameter.shape, generator=rng)
        process.effects.copy_(torch.randn(process.effects.shape, generator=rng))
        root = 0.1 * torch.randn(process.effects_covariance.shape, generator=rng)
        process.effects_covariance.copy_(root @ root.mT)
    return process


class Written:
    """One channel of a process, in NumPy."""

    def __init__(self, process: GaussianProcess, channel: int) -> None:
        self.v = {k: float(p[channel].detach().double().exp()) for k, p in process.log_variances.items()}
        self.l = {k: float(p[channel].detach().double().exp()) for k, p in process.log_lengths.items()}
        self.duration = process.duration
        self.n_given = process.n_given
        self.effects = process.effects[channel].double().numpy()
        self.effects_covariance = process.effects_covariance[channel].double().numpy()

    def covariance(self, t, s, g, t2, s2, g2):
        d = np.abs(t[:, None] - t2)
        slope, slope2 = ((np.clip(x / self.duration, -BEYOND, 1 + BEYOND) - 0.5) for x in (s, s2))
        q = np.sqrt(3) * d / self.l["smooth"]
        return (
            self.v["level"]
            + self.v["slope"] * np.outer(slope, slope2)
            + self.v["given"] * g @ g2.T
            + self.v["walk"] * np.minimum(s[:, None], s2) / self.duration
            + self.v["drift"] * np.exp(-d / self.l["drift"])
            + self.v["smooth"] * (1 + q) * np.exp(-q)
            + self.v["rotation"] * np.cos(2 * np.pi * d / self.l["period"]) * np.exp(-d / self.l["rotation"])
        )

    def design(self, s, g):
        knots = np.linspace(0, self.duration, N_KNOTS)
        hats = [np.interp(s, knots, row) for row in np.eye(N_KNOTS)]
        return np.column_stack([np.ones_like(s), *hats, g])

    def prior(self):
        given = [self.v["population_given"]] * self.n_given
        return np.array([VAGUE, *[self.v["population_curve"]] * N_KNOTS, *given])


def observed(batch: Batch, i: int, k: int):
    seen = batch.mask[i, :, k].numpy() > 0
    t = batch.times[i].double().numpy()
    return (
        t[seen],
        (t - t[0])[seen],
        batch.given[i].double().numpy()[seen],
        batch.values[i, :, k].double().numpy()[seen],
    )


@pytest.mark.parametrize("channel", [0, 1])
def test_mean_variance_and_correlations_are_those_of_conditioned_gaussians(channel):
    batch, process = a_batch(), a_process()
    written, found = Written(process, channel), process(batch)
    for i in range(len(batch.times)):
        t, s, g, y = observed(batch, i, channel)
        qt = batch.query_times[i].double().numpy()
        qs, qg = qt - float(batch.times[i, 0]), batch.query_given[i].double().numpy()
        noise = written.v["noise"] + JITTER
        design, query_design = written.design(s, g), written.design(qs, qg)
        # The uncertain effects are one more covariance; their mean is subtracted.
        effects = written.effects_covariance
        inner = written.covariance(t, s, g, t, s, g) + noise * np.eye(len(t))
        between = written.covariance(qt, qs, qg, t, s, g)
        weights = np.linalg.solve(inner, between.T).T
        mean = query_design @ written.effects + weights @ (y - design @ written.effects)
        rest = query_design - weights @ design
        spread = written.covariance(qt, qs, qg, qt, qs, qg) - weights @ between.T + rest @ effects @ rest.T
        np.testing.assert_allclose(found.mean[i, :, channel], mean, atol=1e-5)
        np.testing.assert_allclose(found.scale[i, :, channel].square(), np.diag(spread) + noise, rtol=1e-4)
        whole = spread + noise * np.eye(len(qt))
        deviation = np.sqrt(np.diag(whole))
        expected = whole / np.outer(deviation, deviation)
        np.testing.assert_allclose(process.correlations(batch)[i, channel], expected, atol=1e-5)


def test_evidence_is_the_density_of_all_observations_with_the_effects_integrated_out():
    batch, process = a_batch(), a_process()
    log_likelihood = 0.0
    for k in range(2):
        written = Written(process, k)
        parts = [observed(batch, i, k) for i in range(3)]
        y = np.concatenate([p[3] for p in parts])
        design = np.concatenate([written.design(p[1], p[2]) for p in parts])
        inner = np.zeros((len(y), len(y)))
        at = 0
        for t, s, g, _ in parts:
            here = slice(at, at + len(t))
            inner[here, here] = written.covariance(t, s, g, t, s, g) + (written.v["noise"] + JITTER) * np.eye(len(t))
            at += len(t)
        whole = inner + design @ np.diag(written.prior()) @ design.T
        log_likelihood += multivariate_normal(np.zeros(len(y)), whole).logpdf(y)
    found = process.evidence([by_channel(batch)])
    assert found.n_values == int(batch.mask.sum())
    np.testing.assert_allclose(float(found.log_likelihood.detach().sum()), log_likelihood, rtol=1e-6)


def test_chunks_do_not_change_the_evidence():
    series, process = by_channel(a_batch(n_series=7)), a_process()
    together = process.evidence([series])
    apart = process.evidence([chunk for _, chunk in series.chunks(30)])
    torch.testing.assert_close(apart.log_likelihood, together.log_likelihood)
    torch.testing.assert_close(apart.shift, together.shift)


def test_known_effects_are_the_posterior_mean_of_a_regression():
    batch, process = a_batch(n_series=40, n_rows=8), a_process()
    evidence = process.evidence([by_channel(batch)])
    process.know_effects(evidence)
    found = torch.linalg.solve(evidence.precision, evidence.shift[..., None])[..., 0]
    torch.testing.assert_close(process.effects, found.float(), atol=1e-4, rtol=1e-4)


def test_a_series_without_history_gets_the_population_and_its_spread():
    process = a_process(n_channels=1, n_given=0)
    unknown = Batch(
        times=torch.zeros(1, 1),
        values=torch.zeros(1, 1, 1),
        mask=torch.zeros(1, 1, 1),
        lengths=torch.tensor([0]),
        query_times=torch.tensor([[0.0, 0.4]]),
    )
    found, written = process(unknown), Written(process, 0)
    at = np.array([0.0, 0.4])
    np.testing.assert_allclose(found.mean[0, :, 0], written.design(at, np.zeros((2, 0))) @ written.effects, atol=1e-5)
    nothing = np.zeros((2, 0))
    variance = np.diag(written.covariance(at, at, nothing, at, at, nothing)) + written.v["noise"]
    assert (found.scale[0, :, 0].square().numpy() >= variance - 1e-4).all()


def test_a_prediction_depends_on_no_other_query_series_or_channel():
    batch, process = a_batch(n_series=4), a_process()
    whole = process(batch)
    alone = process(batch.take(slice(2, 3)))
    torch.testing.assert_close(alone.mean[0], whole.mean[2], atol=1e-6, rtol=1e-6)
    fewer = process(batch.with_features(query_times=batch.query_times[:, :1], query_given=batch.query_given[:, :1]))
    torch.testing.assert_close(fewer.mean[:, 0], whole.mean[:, 0], atol=1e-6, rtol=1e-6)
    other = batch.values.clone()
    other[..., 1] += 100
    torch.testing.assert_close(process(batch.with_features(values=other)).mean[..., 0], whole.mean[..., 0])


def test_a_time_that_is_queried_twice_has_one_value():
    batch = a_batch(n_series=1, n_given=0).with_features(given=None, query_given=None)
    twice = batch.with_features(query_times=torch.tensor([[0.3, 0.3, 0.7]]))
    found = a_process(n_given=0).correlations(twice)[0, 0]
    np.testing.assert_allclose(found[0, 1], 1.0, atol=1e-6)
    assert 0 < float(found[0, 2]) < 1


def test_far_outside_the_data_a_prediction_stays_within_reach():
    process = a_process(n_channels=1, n_given=0)
    far = a_batch(n_channels=1, n_given=0)
    far = far.with_features(query_times=torch.tensor([[1.0, 24.0, -24.0]] * 3), given=None, query_given=None)
    found = process(far)
    assert torch.isfinite(found.mean).all()
    assert (found.scale > 0).all()
    assert float(found.mean.abs().max()) < 20


def test_parameters_beyond_all_reason_leave_an_answer():
    """As flipped bits of a saved model make them."""
    process = GaussianProcess(n_channels=1, n_given=0, usual_gap=0.1, duration=1.0)
    with torch.no_grad():
        process.log_variances["level"].fill_(60.0)
        process.log_variances["noise"].fill_(-60.0)
        process.log_lengths["drift"].fill_(-900.0)
        process.log_lengths["smooth"].fill_(900.0)
    batch = batch_of([(-0.5, 1.0), (-0.2, 1.1), (0.0, 0.9)], queries=[[0.5]])
    found = process(batch)
    assert found.mean.isfinite().all()
    assert found.scale.isfinite().all()
