import numpy as np
import pytest
import torch
from torch.distributions import Categorical, MixtureSameFamily, Normal

from latentode.nn.mixture import mixture_quantiles

QUANTILES = np.array([0.001, 0.05, 0.3, 0.5, 0.7, 0.95, 0.999])


def test_one_component_is_a_normal():
    mean, scale = torch.tensor([[1.0, -2.0]]), torch.tensor([[0.5, 3.0]])
    found = mixture_quantiles(mean, scale, QUANTILES)
    expected = Normal(mean[0], scale[0]).icdf(torch.tensor(QUANTILES, dtype=torch.float32)[:, None])
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-5)


def test_components_that_agree_are_one():
    mean, scale = torch.full((8, 3), 2.0), torch.full((8, 3), 0.5)
    torch.testing.assert_close(
        mixture_quantiles(mean, scale, QUANTILES), mixture_quantiles(mean[:1], scale[:1], QUANTILES), atol=1e-5, rtol=0
    )


@pytest.mark.parametrize("apart", [0.0, 1.0, 30.0])
def test_the_distribution_function_at_a_quantile_is_its_level(apart):
    rng = torch.Generator().manual_seed(0)
    mean = torch.randn(5, 4, generator=rng) + apart * torch.arange(5.0)[:, None]
    scale = torch.rand(5, 4, generator=rng) + 0.05
    found = mixture_quantiles(mean, scale, QUANTILES)
    mixture = MixtureSameFamily(Categorical(torch.ones(4, 5)), Normal(mean.T, scale.T))
    levels = torch.tensor(QUANTILES, dtype=torch.float32)[:, None].expand(-1, 4)
    torch.testing.assert_close(mixture.cdf(found), levels, atol=1e-4, rtol=0)


def test_quantiles_cannot_cross():
    rng = torch.Generator().manual_seed(1)
    mean, scale = 5 * torch.randn(16, 50, generator=rng), torch.rand(16, 50, generator=rng) + 1e-3
    found = mixture_quantiles(mean, scale, np.linspace(0.01, 0.99, 99))
    assert (found.diff(dim=0) >= 0).all()


def test_shapes_of_any_rank_are_kept():
    assert mixture_quantiles(torch.zeros(4, 2, 3), torch.ones(4, 2, 3), QUANTILES).shape == (7, 2, 3)
    assert mixture_quantiles(torch.zeros(4, 0, 3), torch.ones(4, 0, 3), QUANTILES).shape == (7, 0, 3)
