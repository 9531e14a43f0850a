import numpy as np
import pytest
import torch

from latentode.nn import LIKELIHOODS, Batch, LatentODE, LatentODEConfig, MixedLikelihood

KINDS = ["poisson", "gaussian", "poisson", "bernoulli"]
CENTER, UNIT = (5.0, 1.0, 2.0, 0.4), (3.0, 2.0, 1.5, 0.5)


def drawn():
    rng = torch.Generator().manual_seed(0)
    return [torch.randn(3, 4, 4, generator=rng) for _ in range(3)]


def alone(k):
    return LIKELIHOODS[KINDS[k]](1, CENTER[k : k + 1], UNIT[k : k + 1])


@pytest.mark.parametrize("k", range(4))
def test_every_channel_has_the_likelihood_of_its_kind(k):
    mixed, (mean, log_scale, targets) = MixedLikelihood(KINDS, CENTER, UNIT), drawn()
    mine = [x[..., k : k + 1] for x in (mean, log_scale, targets)]
    torch.testing.assert_close(mixed(mean, log_scale, targets)[..., k : k + 1], alone(k)(*mine))
    torch.testing.assert_close(mixed.location(mean)[..., k : k + 1], alone(k).location(mine[0]))
    torch.testing.assert_close(
        mixed.scale(mean, log_scale)[..., k : k + 1].detach(), alone(k).scale(*mine[:2]).detach()
    )
    levels = np.repeat(np.array([0.1, 0.5, 0.9])[:, None, None], 4, -1)
    location, scale = torch.rand(3, 4, 4) * 0.3, torch.ones(3, 4, 4)
    torch.testing.assert_close(
        mixed.quantiles(location, scale, levels)[..., k : k + 1],
        alone(k).quantiles(location[..., k : k + 1], scale[..., k : k + 1], levels[..., k : k + 1]),
    )
    arrays = location.numpy(), scale.numpy(), mean.numpy()
    np.testing.assert_allclose(
        mixed.drawn(*arrays)[..., k : k + 1], alone(k).drawn(*(x[..., k : k + 1] for x in arrays)), rtol=1e-6
    )


def test_possible_values_are_bounded_by_the_support_of_their_channel():
    mixed = MixedLikelihood(KINDS, CENTER, UNIT)
    values = np.array([[-3e-8, -0.3, 2.0000001, 1.0000001], [np.nan, 0.5, 0.4, 0.2]])
    np.testing.assert_array_equal(mixed.possible(values, whole=True), [[0, -0.3, 2, 1], [np.nan, 0.5, 0, 0]])
    np.testing.assert_array_equal(
        mixed.possible(values, whole=False), [[0, -0.3, 2.0000001, 1], [np.nan, 0.5, 0.4, 0.2]]
    )
    assert not np.signbit(mixed.possible(values, whole=True)[0, 0])


def test_a_model_takes_a_likelihood_for_each_channel():
    model = LatentODE(LatentODEConfig(n_channels=2, usual_gap=0.1, likelihood=("poisson", "gaussian")))
    batch = Batch(
        times=torch.tensor([[-0.5, 0.0]]),
        values=torch.zeros(1, 2, 2),
        mask=torch.ones(1, 2, 2),
        lengths=torch.tensor([2]),
        query_times=torch.tensor([[0.2, 0.9]]),
        targets=torch.ones(1, 2, 2),
        target_mask=torch.ones(1, 2, 2),
    )
    model.loss(batch, 1.0).total.backward()
    assert (model.predict(batch).mean[..., 0] > 0).all()
    assert all(p.grad is not None for p in model.likelihood.parts[0].parameters())
