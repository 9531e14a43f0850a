import pytest
import torch

from latentode.nn.channel_mixer import ChannelMixer
from latentode.nn.features import N_SUMMARIES


def mixer(n_channels=6, dim=8):
    with torch.random.fork_rng():
        torch.manual_seed(0)
        found = ChannelMixer(n_channels, dim)
        with torch.no_grad():
            for p in found.parameters():
                p.add_(0.3 * torch.randn_like(p))
    return found


def summaries(n_series=3, n_channels=6):
    return torch.randn(n_series, n_channels, N_SUMMARIES, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("n_channels", [1, 2, 40])
def test_each_channel_has_a_vector(n_channels):
    assert mixer(n_channels)(summaries(n_channels=n_channels)).shape == (3, n_channels, 8)


def test_a_vector_depends_on_the_history_of_every_channel_of_its_own_series():
    given = summaries()
    changed = given.clone()
    changed[1, 4] += 1.0
    moved = (mixer()(changed) - mixer()(given)).abs().amax(-1)
    assert (moved[1] > 1e-4).all()
    assert (moved[[0, 2]] == 0).all()


def test_channels_with_one_history_have_vectors_of_their_own():
    found = mixer()(summaries()[:, :1].expand(-1, 6, -1))
    assert (found[:, 0] - found[:, 1]).abs().max() > 1e-3
