import pytest
import torch

from latentode.nn import DECODERS, MODEL_DECODERS
from tests.nn.batches import lively
from tests.nn.test_decoders import decoded, near


def test_a_model_may_have_every_decoder_a_user_chooses_and_two_more():
    assert set(MODEL_DECODERS) == {*DECODERS, "channels", "bridged"}


@pytest.mark.parametrize("name", [*DECODERS, "channels"])
def test_no_decoder_sees_the_time_of_the_query_in_its_mean(name):
    decoder = lively(decoder=name).decoder
    near_mean, _ = decoded(decoder, near(0.5, since=0.01))
    far_mean, _ = decoded(decoder, near(0.5, since=3.0))
    torch.testing.assert_close(near_mean, far_mean)


@pytest.mark.parametrize("name", ["skip", "mlp", "channels"])
def test_nothing_flows_from_the_scale_into_the_mean(name):
    decoder = lively(decoder=name).decoder
    z = torch.randn(1, 2, 4, generator=torch.Generator().manual_seed(0)).requires_grad_()
    _, log_scale = decoded(decoder, near(0.5), z, torch.ones(1, 3), torch.ones(1, 2))
    assert torch.autograd.grad(log_scale.sum(), z, allow_unused=True)[0] is None
