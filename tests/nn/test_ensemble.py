import pytest
import torch

from latentode.nn import Ensemble, LatentODE, LatentODEConfig, members_of, model_from
from tests.nn.batches import lively, random_batch


def together(n=3, **options):
    return Ensemble([lively(seed=seed, **options) for seed in range(n)])


def noise(n, n_series=4, seed=0):
    return torch.randn(n, n_series, 4, generator=torch.Generator().manual_seed(seed))


def test_its_answer_is_the_mean_of_its_members():
    ensemble, batch = together(), random_batch()
    found, each = ensemble.predict(batch), [m.predict(batch) for m in ensemble.members]
    torch.testing.assert_close(found.mean, sum(e.mean for e in each) / 3)
    torch.testing.assert_close(found.scale, sum(e.scale for e in each) / 3)


def test_members_take_the_samples_in_turn_about_the_common_mean():
    ensemble, batch, draws = together(), random_batch(), noise(7)
    found, center = ensemble.sample(batch, draws), ensemble.predict(batch).mean
    for k in range(7):
        member = ensemble.members[k % 3]
        alone = member.sample(batch, draws[k : k + 1])
        torch.testing.assert_close(found.mean[k] - center, alone.mean[0] - member.predict(batch).mean)
        torch.testing.assert_close(found.scale[k], alone.scale[0])


def test_counts_are_drawn_from_the_members_as_they_are():
    ensemble = together(likelihood="poisson", center=(3.0, 3.0), unit=(2.0, 2.0))
    batch, draws = random_batch(), noise(3)
    found = ensemble.sample(batch, draws).mean
    for k, member in enumerate(ensemble.members):
        torch.testing.assert_close(found[k], member.sample(batch, draws[k : k + 1]).mean[0])


def test_fewer_samples_than_members_are_of_the_first_ones():
    ensemble, batch, draws = together(), random_batch(), noise(6)
    torch.testing.assert_close(ensemble.sample(batch, draws[:2]).mean, ensemble.sample(batch, draws).mean[:2])


@pytest.mark.parametrize("n", [1, 3])
def test_a_model_is_made_from_its_config_and_read_again_from_its_weights(n):
    config = LatentODEConfig(n_channels=2, usual_gap=0.2, latent_dim=4, hidden_dim=8, n_models=n)
    one, other = model_from(config), model_from(config)
    assert isinstance(one, LatentODE if n == 1 else Ensemble)
    assert one.config == config
    assert len(members_of(one)) == n
    other.load_state_dict(one.state_dict())
    batch = random_batch()
    torch.testing.assert_close(other.predict(batch).mean, one.predict(batch).mean, rtol=0, atol=0)


def test_members_differ_from_the_beginning():
    first, second = members_of(model_from(LatentODEConfig(n_channels=2, usual_gap=0.2, n_models=2)))
    assert first.config.n_models == 1
    assert any(not torch.equal(a, b) for a, b in zip(first.parameters(), second.parameters(), strict=True))
