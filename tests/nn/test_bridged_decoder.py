import math
from dataclasses import replace

import torch

from latentode.nn import DecoderInputs
from latentode.nn.bridged_decoder import BentNeighbours, BridgedDecoder, BrownianBridge, bent_neighbours
from tests.nn.batches import NAN, batch_of, lively

GAP = torch.tensor(0.5)
HISTORY = [(-1.0, 1.0, NAN), (-0.5, 3.0, 10.0), (0.0, 2.0, NAN)]


def near(history, queries):
    found = bent_neighbours(batch_of(history, queries=[queries]), GAP)
    return {name: getattr(found, name)[0] for name in vars(found)}


def assert_close(found, expected):
    torch.testing.assert_close(found, torch.tensor(expected), atol=1e-6, rtol=1e-6)


# --------------------------------------------------------------------------------------------- bow


def test_line_and_bow_together_are_the_parabola_that_the_values_lie_on():
    def parabola(t):
        return 2 * t**2 - t + 0.5

    times, queries = [-1.0, -0.8, -0.6, -0.5, 0.0], [-0.75, -0.6, -0.55]
    found = near([(t, parabola(t)) for t in times], queries)
    assert_close((found["base"] + found["bow"])[:, 0], [parabola(q) for q in queries])


def test_there_is_no_bow_at_an_observation_outside_the_history_or_between_two_values_alone():
    assert_close(near(HISTORY, [-1.3, -1.0, -0.5, 0.0, 0.6])["bow"][:, 0], [0.0] * 5)
    assert_close(near([(-1.0, 1.0), (0.0, 3.0)], [-0.4])["bow"][:, 0], [0.0])


def test_two_values_taken_together_do_not_make_a_bow_of_any_size():
    found = near([(-1.0, 0.0), (-0.5, 1.0), (-0.5 + 1e-6, -1.0), (0.0, 0.0)], [-0.75, -0.25])
    assert found["bow"].abs().max() <= 4


# --------------------------------------------------------------------------------------------- nearness


def test_a_query_is_the_nearer_the_smaller_the_variance_of_a_brownian_bridge_there():
    gap = float(GAP)
    for apart in (0.5, 1.0, 4.0):
        found = near([(-apart * gap, 1.0), (0.0, 3.0)], [-at * apart * gap for at in (1.0, 0.75, 0.5, 0.25, 0.0)])
        variance = [at * (1 - at) * apart for at in (1.0, 0.75, 0.5, 0.25, 0.0)]
        assert_close(found["nearness"][:, 0], [1 / (1 + v) for v in variance])


def test_outside_nearness_falls_to_nothing_within_a_tenth_of_the_usual_gap():
    tenth = 0.1 * float(GAP)
    found = near([(-1.0, 1.0), (0.0, 3.0)], [-1.0 - 2 * tenth, -1.0 - tenth / 2, tenth / 2, 2 * tenth])
    assert_close(found["nearness"][:, 0], [0.0, 0.5, 0.5, 0.0])


def test_a_channel_never_seen_is_near_to_nothing():
    assert_close(near([(-1.0, math.nan)], [-1.0])["nearness"][:, 0], [0.0])


# --------------------------------------------------------------------------------------------- decoder


def between(base, bow=0.0, nearness=0.0):
    """The same neighbours for two queries of one series with two channels."""
    ones = torch.ones(1, 2, 2)
    drift = torch.zeros(1, 2, 2, 2)
    return BentNeighbours(ones * base, ones, ones * 0.1, ones * 0.1, ones, ones, drift, ones * bow, ones * nearness)


def decoded(decoder, around):
    rng = torch.Generator().manual_seed(0)
    z = torch.randn(1, 1, 4, generator=rng).expand(1, 2, 4)
    context, level = torch.randn(1, 3, generator=rng), torch.randn(1, 2, generator=rng)
    return decoder(z, DecoderInputs(context, level, torch.zeros(1, 2, 5), around))[0]


def test_the_bow_bends_the_mean():
    decoder = lively(decoder="bridged").decoder
    assert isinstance(decoder, BridgedDecoder)
    straight, bent = (decoded(decoder, between(0.5, bow=b)) for b in (0.0, 0.5))
    assert (bent - straight).abs().max() > 1e-3


def test_an_observation_is_met_as_far_as_the_channel_is_reliable():
    decoder = lively(decoder="bridged").decoder
    away, there = (decoded(decoder, between(0.5, nearness=n)) for n in (0.0, 1.0))
    reliability = torch.sigmoid(decoder.neighbour_bridge.reliability)
    torch.testing.assert_close(there, torch.lerp(away, torch.full_like(away, 0.5), reliability))
    assert (there - away).abs().min() > 1e-3


def test_neighbours_are_believed_half_as_much_at_the_distance_a_channel_reaches():
    bridge = BrownianBridge(2)
    with torch.no_grad():
        bridge.reach.copy_(torch.log(torch.tensor([0.5, 4.0])))
    ones = torch.ones(1, 1, 2)
    reliability = torch.sigmoid(bridge.reliability)
    for variance, part in ((0.0, [1.0, 1.0]), (0.5, [1 / 2, 8 / 9]), (4.0, [1 / 9, 1 / 2])):
        at = between(1.0, nearness=1 / (1 + variance))
        at = replace(at, bow=torch.zeros_like(ones), nearness=at.nearness[:, :1])
        torch.testing.assert_close(bridge(0 * ones, ones, at), ones * reliability * torch.tensor(part))


def test_a_bridge_bends_with_the_bow_and_leaves_what_has_no_neighbour():
    bridge = BrownianBridge(2)
    zeros, ones = torch.zeros(1, 2, 2), torch.ones(1, 2, 2)
    bent = bridge(zeros, zeros, between(0.0, bow=1.0, nearness=1.0))
    torch.testing.assert_close(bent, ones * torch.sigmoid(bridge.reliability) * torch.sigmoid(bridge.bend))
    torch.testing.assert_close(bridge(ones, zeros, between(0.0, bow=1.0)), ones)
