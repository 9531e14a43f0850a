from dataclasses import replace

import torch

from latentode.nn import GaussianProcess, ProcessDraws
from latentode.nn.channel_series import by_channel
from latentode.nn.process_draws import N_CORRELATED
from tests.nn.test_gaussian_process import a_batch, a_process

N_DRAWS = 3


def a_mixture(n_channels: int = 2) -> tuple[ProcessDraws, list[GaussianProcess]]:
    """A process with draws, and one process for each of them."""
    wide = a_process(n_channels * N_DRAWS)
    drawn = ProcessDraws(n_channels, 1, usual_gap=0.1, duration=0.8, n_draws=N_DRAWS)
    drawn.load_state_dict(wide.state_dict())
    single = []
    for draw in range(N_DRAWS):
        one = GaussianProcess(n_channels, 1, usual_gap=0.1, duration=0.8)
        one.load_state_dict({name: x[draw::N_DRAWS] for name, x in wide.state_dict().items()})
        single.append(one)
    return drawn, single


def test_a_forecast_has_the_mean_and_variance_of_the_mixture():
    drawn, single = a_mixture()
    batch = a_batch()
    each = [process(batch) for process in single]
    means, scales = (torch.stack([getattr(one, name) for one in each]) for name in ("mean", "scale"))
    found = drawn(batch)
    torch.testing.assert_close(found.mean, means.mean(0))
    torch.testing.assert_close(found.scale, (scales.square().mean(0) + means.var(0, unbiased=False)).sqrt())


def test_correlations_are_those_of_the_mixture():
    """Covariances by the law of total covariance."""
    drawn, single = a_mixture()
    batch = a_batch()
    within, means = [], []
    for process in single:
        forecast = process(batch)
        scale, mean = (x.double().mT for x in (forecast.scale, forecast.mean))
        within.append(process.correlations(batch) * scale[..., None] * scale[..., None, :])
        means.append(mean)
    off = torch.stack(means) - torch.stack(means).mean(0)
    covariance = torch.stack(within).mean(0) + (off[..., None] * off[..., None, :]).mean(0)
    deviation = covariance.diagonal(dim1=2, dim2=3).sqrt()
    expected = covariance / (deviation[..., None] * deviation[..., None, :])
    torch.testing.assert_close(drawn.correlations(batch), expected, atol=1e-6, rtol=1e-5)


def test_correlations_of_many_draws_are_those_of_some_evenly_taken():
    wide = a_process(2 * 32)
    drawn = ProcessDraws.made_of(a_process(2), 32, torch.arange(2).repeat_interleave(32))
    drawn.load_state_dict(wide.state_dict())
    some = ProcessDraws(2, 1, usual_gap=0.1, duration=0.8, n_draws=N_CORRELATED)
    every = 32 // N_CORRELATED
    some.load_state_dict({name: x[::every] for name, x in wide.state_dict().items()})
    torch.testing.assert_close(drawn.correlations(a_batch()), some.correlations(a_batch()))


def test_every_draw_has_the_evidence_of_a_process_of_its_own():
    drawn, single = a_mixture()
    population = [by_channel(a_batch())]
    found = drawn.evidence(population).log_likelihood.detach()
    each = torch.stack([process.evidence(population).log_likelihood.detach() for process in single], dim=1)
    torch.testing.assert_close(found.reshape(2, N_DRAWS), each)


def test_a_forecast_depends_on_no_other_channel():
    drawn, _ = a_mixture()
    batch = a_batch()
    other = replace(batch, values=batch.values * torch.tensor([1.0, 2.0]))
    assert torch.equal(drawn(batch).mean[..., 0], drawn(other).mean[..., 0])
