import threading

import pytest
import torch
from torch import nn

from latentode.nn import (
    DECODERS,
    DYNAMICS,
    ENCODERS,
    LIKELIHOODS,
    Dropout,
    InitialisedFrom,
    LatentODE,
    LatentODEConfig,
    drawing_from,
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


def test_dropout_drops_what_torchs_would():
    x = torch.randn(40, 6, generator=seeded())
    torch.manual_seed(3)
    expected = nn.Dropout(0.3)(x)
    with drawing_from(seeded(3)):
        found = Dropout(0.3)(x)
    torch.testing.assert_close(found, expected)
    torch.manual_seed(3)
    torch.testing.assert_close(Dropout(0.3)(x), expected)


def test_dropout_lets_gradients_through_where_it_lets_values_through():
    x = torch.ones(50, requires_grad=True)
    with drawing_from(seeded()):
        y = Dropout(0.5)(x)
    y.sum().backward()
    assert torch.equal(x.grad, y.detach())
    assert set(y.tolist()) == {0.0, 2.0}


def test_dropout_of_everything_leaves_nothing_and_no_nan():
    assert torch.equal(Dropout(1.0)(torch.ones(4)), torch.zeros(4))


def test_no_dropout_in_evaluation():
    x = torch.ones(9)
    assert Dropout(0.5).eval()(x) is x


def test_another_thread_draws_from_elsewhere():
    x, drawn = torch.ones(64), {}

    def other():
        drawn["other"] = Dropout(0.5)(x)

    torch.manual_seed(11)
    expected = nn.Dropout(0.5)(x)
    torch.manual_seed(11)
    with drawing_from(seeded(4)):
        thread = threading.Thread(target=other)
        thread.start()
        thread.join()
        drawn["own"] = Dropout(0.5)(x)
    torch.testing.assert_close(drawn["other"], expected)
    assert not torch.equal(drawn["own"], drawn["other"])
