import math

import pytest
import torch
from torch.distributions import Normal

from latentode.nn import GaussianLikelihood

HALF_LOG_2PI = 0.5 * math.log(2 * math.pi)


def drawn(seed=0):
    rng = torch.Generator().manual_seed(seed)
    return (torch.randn(3, 4, 2, generator=rng) for _ in range(3))


def likelihood_of(*log_scale):
    likelihood = GaussianLikelihood(len(log_scale))
    with torch.no_grad():
        likelihood.log_scale.copy_(torch.tensor(log_scale))
    return likelihood


def test_the_scale_is_the_channels_own_times_the_relative_one():
    scale = likelihood_of(math.log(2.0), math.log(0.5)).scale(torch.tensor([[[0.0, math.log(3.0)]]]))
    torch.testing.assert_close(scale, torch.tensor([[[2.0, 1.5]]]))


def test_a_scale_is_never_nothing():
    assert likelihood_of(-20.0).scale(torch.tensor([-20.0])).item() == pytest.approx(1e-4)


def test_with_the_channels_own_scale_it_is_the_normal_log_density_twice():
    mean, _, targets = drawn()
    likelihood = likelihood_of(0.3, -0.7)
    found = likelihood(mean, torch.zeros_like(mean), targets)
    expected = -Normal(mean, likelihood.log_scale.exp()).log_prob(targets) - HALF_LOG_2PI
    torch.testing.assert_close(found, 2 * expected)


def test_the_relative_scale_learns_by_the_normal_log_density():
    mean, log_scale, targets = drawn()
    log_scale = log_scale.requires_grad_()
    likelihood = likelihood_of(0.3, -0.7)
    (found,) = torch.autograd.grad(likelihood(mean, log_scale, targets).sum(), log_scale)
    density = -Normal(mean, torch.exp(likelihood.log_scale.detach() + log_scale)).log_prob(targets)
    (expected,) = torch.autograd.grad(density.sum(), log_scale)
    torch.testing.assert_close(found, expected)


def test_the_channels_own_scale_learns_by_the_normal_log_density_once():
    mean, _, targets = drawn()
    likelihood = likelihood_of(0.3, -0.7)
    (at_zero,) = torch.autograd.grad(likelihood(mean, torch.zeros_like(mean), targets).sum(), likelihood.log_scale)
    density = -Normal(mean, likelihood.log_scale.exp()).log_prob(targets)
    (expected,) = torch.autograd.grad(density.sum(), likelihood.log_scale)
    torch.testing.assert_close(at_zero, expected)


def test_the_mean_is_pulled_to_the_target_however_large_the_relative_scale():
    """A point may count less, but is never given up: the pull falls by ten at most."""
    targets, mean = torch.ones(1, 1, 1), torch.zeros(1, 1, 1, requires_grad=True)
    likelihood = likelihood_of(0.0)
    pulls = {}
    for log_scale in (-5.0, 0.0, 5.0):
        loss = likelihood(mean, torch.full((1, 1, 1), log_scale), targets).sum()
        (gradient,) = torch.autograd.grad(loss, mean)
        pulls[log_scale] = -gradient.item()
    assert pulls[0.0] == pytest.approx(1.0)
    assert pulls[-5.0] >= pulls[0.0] >= pulls[5.0] >= 0.1 - 1e-6


def test_the_best_mean_is_the_targets_own():
    _, log_scale, targets = drawn()
    likelihood = likelihood_of(0.3, -0.7)
    best = likelihood(targets, log_scale, targets)
    assert (likelihood(targets + 0.1, log_scale, targets) > best).all()
    assert (likelihood(targets - 0.1, log_scale, targets) > best).all()
