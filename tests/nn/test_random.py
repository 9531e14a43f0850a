import pytest
import torch
from torch import nn

from latentode.nn import (
    DECODERS,
    DYNAMICS,
    ENCODERS,
    LIKELIHOODS,
    InitialisedFrom,
    LatentODE,
    LatentODEConfig,
)

CHOICES = [
    *({"encoder": name} for name in ENCODERS),
    *({"dynamics": name} for name in DYNAMICS),
    *({"decoder": name} for name in DECODERS),
    *({"likelihood": name} for name in LIKELIHOODS),
]


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def built(seed=0, **choice):
    config = LatentODEConfig(n_channels=2, usual_gap=0.1, latent_dim=8, context_dim=2, hidden_dim=8, **choice)
    with InitialisedFrom(seeded(seed)):
        return LatentODE(config).state_dict()


@pytest.mark.parametrize("choice", CHOICES, ids=lambda c: "-".join(*c.items()))
def test_a_model_of_any_choice_is_initialised_from_the_generator_alone(choice):
    torch.manual_seed(1)
    before = torch.get_rng_state()
    first = built(**choice)
    assert torch.equal(torch.get_rng_state(), before)
    torch.manual_seed(2)
    again = built(**choice)
    assert all(torch.equal(first[k], again[k]) for k in first)
    other = built(seed=1, **choice)
    assert not all(torch.equal(first[k], other[k]) for k in first)


def test_the_first_weights_are_those_that_torch_would_draw():
    torch.manual_seed(7)
    expected = nn.Linear(5, 3)
    with InitialisedFrom(seeded(7)):
        found = nn.Linear(5, 3)
    assert torch.equal(found.weight, expected.weight)
    assert torch.equal(found.bias, expected.bias)


def test_a_generator_that_is_given_is_kept_to():
    with InitialisedFrom(seeded(0)):
        drawn = torch.randn(3, generator=seeded(5))
    assert torch.equal(drawn, torch.randn(3, generator=seeded(5)))
