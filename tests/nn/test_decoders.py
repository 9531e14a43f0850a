from dataclasses import replace

import pytest
import torch

from latentode.nn import DECODERS, DecoderInputs, SkipDecoder
from latentode.nn.features import Neighbours
from tests.nn.batches import lively


def near(base, since=0.1, until=0.0, known=1.0, drift=0.0):
    """The same neighbours for two queries of one series with two channels."""
    ones = torch.ones(1, 2, 2)
    return Neighbours(
        base=ones * base,
        known=ones * known,
        since=ones * since,
        until=ones * until,
        has_left=ones * float(since > 0),
        has_right=ones * float(until > 0),
        drift=torch.ones(1, 2, 2, 2) * drift,
    )


def inputs(seed=0):
    rng = torch.Generator().manual_seed(seed)
    z = torch.randn(1, 1, 4, generator=rng).expand(1, 2, 4)
    return z, torch.randn(1, 3, generator=rng), torch.randn(1, 2, generator=rng)


SUMMARY = torch.linspace(-1.0, 1.0, 10).view(1, 2, 5)


def decoded(decoder, around, *given, summary=SUMMARY):
    z, context, level = given or inputs()
    return decoder(z, DecoderInputs(context, level, summary, around))


def test_the_mean_does_not_see_the_time_of_the_query():
    """With the same z and the same values around it, only the scale knows how far they are."""
    decoder = lively().decoder
    near_mean, near_scale = decoded(decoder, near(0.5, since=0.01))
    far_mean, far_scale = decoded(decoder, near(0.5, since=3.0))
    torch.testing.assert_close(near_mean, far_mean)
    assert (near_scale - far_scale).abs().min() > 1e-3


def test_the_mean_sees_z_the_context_the_level_and_the_base():
    decoder = lively().decoder
    z, context, level = inputs()
    mean, _ = decoded(decoder, near(0.5), z, context, level)
    for changed in (
        decoded(decoder, near(0.5), z + 0.5, context, level),
        decoded(decoder, near(0.5), z, context + 0.5, level),
        decoded(decoder, near(0.5), z, context, level + 0.5),
        decoded(decoder, near(1.0), z, context, level),
        decoded(decoder, near(0.5, drift=0.5), z, context, level),
    ):
        assert (changed[0] - mean).abs().max() > 1e-3


def test_queries_of_one_z_and_one_neighbourhood_get_one_answer():
    mean, scale = decoded(lively().decoder, near(0.5))
    torch.testing.assert_close(mean[:, 0], mean[:, 1])
    torch.testing.assert_close(scale[:, 0], scale[:, 1])


def test_the_scale_teaches_the_mean_nothing():
    decoder = lively().decoder
    z, context, level = (x.clone().requires_grad_() for x in inputs())
    _, log_scale = decoded(decoder, near(0.5), z, context, level)
    log_scale.sum().backward()
    assert z.grad is None or (z.grad == 0).all()
    for part in (decoder.trunk, decoder.to_mean):
        assert all(p.grad is None or (p.grad == 0).all() for p in part.parameters())
    assert all(p.grad is not None for p in decoder.to_scale.parameters())


def test_a_new_decoder_says_nearly_what_the_history_says():
    with torch.random.fork_rng():
        torch.manual_seed(0)
        decoder = SkipDecoder(2, 4, 3, 32, usual_gap=0.2)
    z, context, level = inputs()
    mean, log_scale = decoded(decoder, near(1.5), z, context, level)
    skip = level[:, None] + torch.sigmoid(torch.tensor(2.0)) * (1.5 - level[:, None])
    assert (mean - skip).abs().max() < 0.3
    assert (log_scale == 0).all()


def test_without_a_neighbour_the_base_is_the_level():
    decoder = lively().decoder
    unknown = near(0.0, since=0.0, known=0.0)
    z, context, level = inputs()
    same = replace(unknown, base=level[:, None].expand(1, 2, 2))
    torch.testing.assert_close(
        decoded(decoder, unknown, z, context, level)[0], decoded(decoder, same, z, context, level)[0]
    )
    other = replace(unknown, base=unknown.base + 5)
    torch.testing.assert_close(
        decoded(decoder, unknown, z, context, level)[0], decoded(decoder, other, z, context, level)[0]
    )


def test_scales_are_bounded():
    decoder = lively().decoder
    with torch.no_grad():
        decoder.to_scale[-1].bias.fill_(100.0)
    _, log_scale = decoded(decoder, near(0.5))
    assert log_scale.max() <= 5


@pytest.mark.parametrize("name", ["skip"])
def test_a_new_decoder_with_a_skip_begins_as_the_skip_alone(name):
    torch.manual_seed(0)
    decoder = DECODERS[name](2, 4, 3, 32, usual_gap=0.2)
    z, context, level = inputs()
    mean, log_scale = decoded(decoder, near(0.5), z, context, level)
    assert (mean - 0.5).abs().max() < 0.6
    assert log_scale.abs().max() < 1e-6


@pytest.mark.parametrize("name", ["skip"])
def test_of_a_large_state_a_skip_reads_the_logarithm(name):
    plain, tempered = (lively(decoder=name, log_beyond=beyond).decoder for beyond in (0.0, 4.0))
    tempered.load_state_dict(plain.state_dict())
    z, context, level = inputs()
    for size in (0.1, 1.0, 100.0, 1e4):
        ours = decoded(tempered, near(0.5), size * z, context, level)[0]
        reported = decoded(plain, near(0.5), 4 * torch.asinh(size * z / 4), context, level)[0]
        torch.testing.assert_close(ours, reported)
    far, farther = (decoded(tempered, near(0.5), size * z, context, level)[0] for size in (100.0, 200.0))
    assert (farther - far).abs().max() < 0.1 * (
        decoded(plain, near(0.5), 200.0 * z, context, level)[0] - far
    ).abs().max()
