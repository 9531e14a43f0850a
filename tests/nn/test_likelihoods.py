import math

import numpy as np
import pytest
import torch
from torch.distributions import Normal

from latentode.nn import (
    LIKELIHOODS,
    BernoulliLikelihood,
    FixedLikelihood,
    GaussianLikelihood,
    NegativeBinomialLikelihood,
    PoissonLikelihood,
)

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
    relative = torch.tensor([[[0.0, math.log(3.0)]]])
    scale = likelihood_of(math.log(2.0), math.log(0.5)).scale(torch.zeros_like(relative), relative)
    torch.testing.assert_close(scale, torch.tensor([[[2.0, 1.5]]]))


def test_a_scale_is_never_nothing():
    assert likelihood_of(-20.0).scale(torch.zeros(1), torch.tensor([-20.0])).item() == pytest.approx(1e-4)


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


# ------------------------------------------------------------------------------------------------ the others


def test_a_fixed_likelihood_is_a_squared_error_for_the_mean():
    mean, log_scale, targets = drawn()
    mean.requires_grad_()
    (pull,) = torch.autograd.grad(FixedLikelihood(2, std=0.1)(mean, log_scale, targets).sum(), mean)
    torch.testing.assert_close(pull, (mean.detach() - targets) / 0.01)


@pytest.mark.parametrize("kind", [PoissonLikelihood, NegativeBinomialLikelihood])
def test_counts_are_taught_by_their_own_log_probability(kind):
    likelihood = kind(1, center=(3.0,), unit=(2.0,))
    counts = torch.tensor([0.0, 1.0, 7.0]).reshape(3, 1, 1)
    mean = torch.randn(3, 1, 1, generator=torch.Generator().manual_seed(0))
    rate = 3.0 + 2.0 * likelihood.location(mean)
    size = likelihood.log_scale.exp() ** -2
    expected = (
        torch.distributions.Poisson(rate).log_prob(counts) + torch.lgamma(counts + 1)
        if kind is PoissonLikelihood
        else torch.distributions.NegativeBinomial(size, logits=torch.log(rate / size)).log_prob(counts)
    )
    found = likelihood(mean, torch.zeros_like(mean), (counts - 3.0) / 2.0)
    torch.testing.assert_close(found, -expected, atol=1e-4, rtol=1e-4)
    variance = (2.0 * likelihood.scale(mean, mean)) ** 2
    torch.testing.assert_close(variance, rate if kind is PoissonLikelihood else rate + rate**2 / size)


def test_a_bernoulli_predicts_a_probability():
    likelihood = BernoulliLikelihood(1, center=(0.3,), unit=(0.45,))
    mean = torch.linspace(-50, 50, 11).reshape(-1, 1, 1)
    probability = 0.3 + 0.45 * likelihood.location(mean)
    assert ((probability >= 0) & (probability <= 1)).all()
    mean = torch.tensor([-2.0, 0.0, 2.0]).reshape(3, 1, 1)
    probability = 0.3 + 0.45 * likelihood.location(mean)
    for value in (0.0, 1.0):
        found = likelihood(mean, mean, torch.full((3, 1, 1), (value - 0.3) / 0.45))
        torch.testing.assert_close(
            found, -torch.distributions.Bernoulli(probability).log_prob(torch.tensor(value)), atol=1e-3, rtol=1e-3
        )


@pytest.mark.parametrize("name", ["poisson", "negative_binomial", "bernoulli"])
def test_quantiles_and_draws_of_counts_are_counts(name):
    center, unit = (0.4, 0.5) if name == "bernoulli" else (5.0, 3.0)
    likelihood = LIKELIHOODS[name](1, (center,), (unit,))
    location, scale = torch.rand(4, 6, 1) * 0.3, torch.full((4, 6, 1), 1.0)
    found = center + unit * likelihood.quantiles(location, scale, np.array([0.1, 0.5, 0.9, 0.99]))
    torch.testing.assert_close(found, found.round(), atol=1e-4, rtol=0)
    assert (found.diff(dim=0) >= -1e-6).all()
    drawn = center + unit * likelihood.drawn(
        location.numpy(), scale.numpy(), np.random.default_rng(0).normal(size=(4, 6, 1))
    )
    np.testing.assert_allclose(drawn, drawn.round(), atol=1e-4)
    assert (drawn > -1e-3).all()


@pytest.mark.parametrize("kind", [PoissonLikelihood, NegativeBinomialLikelihood])
@pytest.mark.parametrize("rate", [3.0, 9e5, 1.1e6, 1e9, 1e15, 1e30])
def test_quantiles_of_counts_of_any_size_are_counts_around_their_mean(kind, rate):
    levels = np.array([0.05, 0.5, 0.95])[:, None]
    for relative in (1e-3, 0.3):
        variance = np.array([[max(rate, (relative * rate) ** 2)]])
        found = kind._ppf(levels, np.array([[rate]]), variance).ravel()
        spread = np.sqrt(variance.item())
        assert (found == np.round(found)).all()
        assert found[1] == pytest.approx(rate, abs=0.1 * spread + 1)
        assert (np.diff(found) >= np.array([1.3, 1.3]) * spread - 1 - 1e-12 * rate).all()
        assert (np.diff(found) <= np.array([2.0, 2.2]) * spread + 1 + 1e-12 * rate).all()
