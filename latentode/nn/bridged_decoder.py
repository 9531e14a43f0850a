"""The decoder of models saved in formats 3 to 6: it bends the line between neighbours, and is drawn to them.

On the sets of the league it was no more accurate than :class:`~latentode.nn.SkipDecoder`, so that no new model has it.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn

from latentode.nn.batch import Batch, PickedRows
from latentode.nn.decoders import SkipDecoder
from latentode.nn.features import DRIFT_BOUND, SHORTEST_GAP, Neighbours, adjacent_rows, neighbours, shifted

__all__ = ["BridgedDecoder"]

RELIABILITY, BEND = -1.0, -2.0
"""Initial reliability of an observation at its own time, and initial weight of the bow, before the sigmoid."""

REACH = math.log(0.25)
"""Initial logarithm of the number of typical gaps after which the weight of the neighbours is halved."""

LARGEST_REACH = 20.0
"""Bound of a learned logarithm: beyond it nothing changes, and quotients stay finite."""


@dataclass(frozen=True)
class BentNeighbours(Neighbours):
    """Neighbours, and how far the course between them may depart from their line.

    Parameters
    ----------
    bow : Tensor
        (series, query, channel), departure of the cubic through both neighbours, with the slopes there, from the line.
    nearness : Tensor
        (series, query, channel), 1 at an observation. Between two it is 1 / (1 + v), v the variance of a Brownian
        bridge between them in typical gaps; outside it falls to 0 within a tenth of the typical gap.
    """

    bow: Tensor
    nearness: Tensor


def bent_neighbours(batch: Batch, usual_gap: Tensor) -> BentNeighbours:
    """Find the observations nearest to each query, per channel, the line between them and its bow."""
    near = neighbours(batch, usual_gap)
    left, right = (PickedRows(batch, rows) for rows in adjacent_rows(batch))
    both, gap = near.has_left * near.has_right, near.since + near.until
    weight = torch.where(both > 0, near.since / gap.clamp_min(1e-12), near.has_right)
    bow = (_bow(left, right, weight, _slopes(batch, usual_gap)) * both).clamp(-DRIFT_BOUND, DRIFT_BOUND)
    outside = (1 - gap / (SHORTEST_GAP * usual_gap)).clamp_min(0) * near.known
    variance = weight * (1 - weight) * gap / usual_gap
    nearness = torch.where(both > 0, 1 / (1 + variance), outside)
    return BentNeighbours(**vars(near), bow=bow, nearness=nearness)


def _bow(left: PickedRows, right: PickedRows, weight: Tensor, slope: Tensor) -> Tensor:
    """A cubic Hermite polynomial less its chord (Catmull-Rom for irregular times)."""
    gap, chord = right.time - left.time, right.value - left.value
    back = 1 - weight
    return weight * back * (back * (gap * left.of(slope) - chord) - weight * (gap * right.of(slope) - chord))


def _slopes(batch: Batch, usual_gap: Tensor) -> Tensor:
    """Slope of each channel at each of its observations, (series, time, channel).

    The slope of the parabola through an observation and its two neighbours, or of the line to its only neighbour.
    """
    n = batch.times.shape[1]
    before_row, after_row = shifted(batch.last_seen), batch.next_seen
    after_row = torch.cat([after_row[:, 1:], after_row.new_full(after_row[:, :1].shape, n)], dim=1)
    before, after = PickedRows(batch, before_row), PickedRows(batch, after_row)
    time, shortest = batch.times[..., None], SHORTEST_GAP * usual_gap
    has_before, has_after = (before_row >= 0).to(time.dtype), (after_row < n).to(time.dtype)
    since, until = torch.maximum(time - before.time, shortest), torch.maximum(after.time - time, shortest)
    back, on = (batch.values - before.value) / since, (after.value - batch.values) / until
    both = (back * until + on * since) / (since + until)
    return torch.where(has_before * has_after > 0, both, has_before * back + has_after * on)


class BrownianBridge(nn.Module):
    """Pulls a mean towards the neighbouring observations of a query, the more the nearer they are.

    The weight of the neighbours is that of a Brownian bridge between them, combined with a mean of another, constant
    variance. Three parameters are learned per channel: how reliable an observation is, how fast its weight falls with
    distance, and how much of the bow is added to the line between the neighbours.

    Parameters
    ----------
    n_channels : int
        Channels.
    """

    def __init__(self, n_channels: int) -> None:
        super().__init__()
        self.reliability, self.reach, self.bend = (
            nn.Parameter(torch.full((n_channels,), begin)) for begin in (RELIABILITY, REACH, BEND)
        )

    def forward(self, mean: Tensor, base: Tensor, near: BentNeighbours) -> Tensor:
        """Pull a mean, (series, query, channel), towards base and bow."""
        reach = self.reach.clamp(-LARGEST_REACH, LARGEST_REACH).exp() * near.nearness
        weight = torch.sigmoid(self.reliability) * reach / (reach + 1 - near.nearness)
        return torch.lerp(mean, base + torch.sigmoid(self.bend) * near.bow, weight)


class BridgedDecoder(SkipDecoder):
    """A skip decoder with a gate for the bow, whose mean is drawn to the neighbours of a query."""

    n_gates: ClassVar[int] = 5

    def _build(self, n_channels: int, latent_dim: int, context_dim: int, hidden_dim: int, given_dim: int) -> None:
        super()._build(n_channels, latent_dim, context_dim, hidden_dim, given_dim)
        self.neighbour_bridge = BrownianBridge(n_channels)

    def neighbours(self, batch: Batch, usual_gap: Tensor) -> BentNeighbours:
        """Neighbours with bow and nearness."""
        return bent_neighbours(batch, usual_gap)

    def _mean(self, level: Tensor, base: Tensor, near: Neighbours, gates: Sequence[Tensor]) -> Tensor:
        assert isinstance(near, BentNeighbours)
        *gates, bend = gates
        mean = super()._mean(level, base, near, gates) + torch.sigmoid(bend) * near.bow
        bridged: Tensor = self.neighbour_bridge(mean, base, near)
        return bridged
