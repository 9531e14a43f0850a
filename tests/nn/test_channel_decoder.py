from dataclasses import replace

import torch

from latentode.nn import DecoderInputs
from latentode.nn.channel_decoder import ChannelDecoder
from latentode.nn.features import N_SUMMARIES
from tests.nn.batches import lively
from tests.nn.test_decoders import near


def inputs(seed=0, base=0.5):
    """Two queries of one z, one series with two channels."""
    rng = torch.Generator().manual_seed(seed)
    z = torch.randn(1, 1, 4, generator=rng).expand(1, 2, 4)
    context, level, summary = (torch.randn(1, *size, generator=rng) for size in ((3,), (2,), (2, N_SUMMARIES)))
    return z, DecoderInputs(context, level, summary, near(base))


def decoder():
    found = lively(decoder="channels").decoder
    assert isinstance(found, ChannelDecoder)
    return found


def test_the_mean_sees_what_the_history_of_each_channel_says():
    z, known = inputs()
    mean, _ = decoder()(z, known)
    for channel in range(2):
        summary = known.summary.clone()
        summary[:, channel] += 0.5
        changed, _ = decoder()(z, replace(known, summary=summary))
        assert ((changed - mean).abs() > 1e-5).all()  # of the other channel too


def test_the_mean_sees_z_the_context_the_level_and_the_base_of_its_channel_alone():
    z, known = inputs()
    mean, _ = decoder()(z, known)
    changes = (
        (z + 0.5, known),
        (z, replace(known, context=known.context + 0.5)),
        (z, replace(known, level=known.level + 0.5)),
        (z, replace(known, near=near(1.0))),
    )
    for changed in changes:
        assert (decoder()(*changed)[0] - mean).abs().max() > 1e-3
    other = replace(known.near, base=known.near.base + torch.tensor([0.0, 1.0]))
    moved = (decoder()(z, replace(known, near=other))[0] - mean).abs()
    assert (moved[..., 0] == 0).all()
    assert (moved[..., 1] > 1e-3).all()


def test_a_new_one_says_nearly_what_the_history_says():
    with torch.random.fork_rng():
        torch.manual_seed(0)
        new = ChannelDecoder(2, 4, 3, 32, usual_gap=0.2)
    z, known = inputs(base=1.5)
    mean, log_scale = new(z, known)
    level = known.level[:, None]
    assert (mean - (level + torch.sigmoid(torch.tensor(2.0)) * (1.5 - level))).abs().max() < 0.5
    assert (log_scale == 0).all()
