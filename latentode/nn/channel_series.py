"""The values of single channels: a batch of series taken apart, each channel with its own observations alone."""

import itertools
from collections.abc import Iterator
from dataclasses import dataclass, fields
from typing import Self

import numpy as np
import torch
from torch import Tensor

from latentode.nn.batch import Batch
from latentode.nn.features import INPUT_BOUND

__all__ = ["ChannelSeries", "Points", "by_channel", "queries_by_channel"]

CALLS = 10_000
"""Entries of matrices that take as long as the operator calls for one more chunk."""


@dataclass(frozen=True)
class Points:
    """Instants of single channels of single series, in double precision.

    Parameters
    ----------
    channel : Tensor
        (pair,), the channel of each pair of a series and a channel.
    times : Tensor
        (pair, point), relative to the forecast origin, in spans.
    since : Tensor
        (pair, point), time since the first row of the history.
    given : Tensor
        (pair, point, feature), seasons, known covariates and static features.
    """

    channel: Tensor
    times: Tensor
    since: Tensor
    given: Tensor

    def take(self, which: Tensor) -> Self:
        """Some of the pairs."""
        return type(self)(**{f.name: getattr(self, f.name)[which] for f in fields(self)})


@dataclass(frozen=True)
class ChannelSeries(Points):
    """Observations of single channels, the earliest first; the rest of each row is padding.

    Parameters
    ----------
    values : Tensor
        (pair, point), scaled.
    observed : Tensor
        (pair, point), bool, False for padding.
    """

    values: Tensor
    observed: Tensor

    @property
    def counts(self) -> Tensor:
        """(pair,), observations of each pair."""
        return self.observed.sum(1)

    def shortened(self) -> "ChannelSeries":
        """Without points that are padding in every pair."""
        return self.window(torch.zeros_like(self.channel), max(int(self.counts.max()), 1))

    def window(self, begins: Tensor, n_points: int) -> "ChannelSeries":
        """A stretch of each pair, (pair,) being its first point."""
        at = begins[:, None] + torch.arange(n_points)
        inside = at < self.observed.shape[1]
        at = at.clamp(max=self.observed.shape[1] - 1)
        rows = torch.arange(len(at))[:, None]
        parts = {f.name: getattr(self, f.name)[rows, at] for f in fields(self) if f.name != "channel"}
        return ChannelSeries(self.channel, **{**parts, "observed": parts["observed"] & inside})

    def repeated(self, n: int) -> "ChannelSeries":
        """Every channel n times, as channels of their own: those of one channel stand together."""
        parts = {f.name: getattr(self, f.name).repeat_interleave(n, 0) for f in fields(self) if f.name != "channel"}
        return ChannelSeries((self.channel[:, None] * n + torch.arange(n)).flatten(), **parts)

    def chunks(self, cells: int, least: int = 1) -> Iterator[tuple[Tensor, "ChannelSeries"]]:
        """Pairs of about the same length, with the numbers of them; a chunk's matrices have so many cells at most.

        Matrices are square, of the longest pair or of `least` rows.
        """
        order = torch.argsort(self.counts)
        for group in _of_about_one_length(self.counts[order].clamp(min=least), order):
            most = max(cells // max(int(self.counts[group].amax()), least) ** 2, 1)
            for which in torch.split(group, most):
                yield which, self.take(which).shortened()


def _of_about_one_length(lengths: Tensor, order: Tensor) -> Iterator[Tensor]:
    """Divide pairs, the shortest first, so that matrices as large as the longest of each group take the least time.

    Without that, most of the entries are padding: a laboratory measures a few things often and the others seldom.
    """
    sizes, counts = torch.unique_consecutive(lengths, return_counts=True)
    sizes, before = sizes.numpy(), np.concatenate([[0], counts.cumsum(0).numpy()])
    costs, begins = np.zeros(len(before)), np.zeros(len(before), dtype=int)
    for end, size in enumerate(sizes, 1):  # the cheapest division of the shorter ones is known by then
        total = costs[:end] + CALLS + (before[end] - before[:end]) * float(size) ** 2
        begins[end], costs[end] = total.argmin(), total.min()
    bounds = [len(sizes)]
    while bounds[-1]:
        bounds.append(int(begins[bounds[-1]]))
    for begin, end in itertools.pairwise(reversed(bounds)):
        yield order[before[begin] : before[end]]


def by_channel(batch: Batch) -> ChannelSeries:
    """The histories of a batch, (series * channel, point): the pairs of one series stand together."""
    n_channels = batch.mask.shape[2]
    observed = batch.mask.mT.flatten(0, 1) > 0
    n_points = max(int(observed.sum(1).max()), 1)
    # A stable sort puts the observed rows in front, still in the order of time.
    rows = torch.argsort((~observed).to(torch.int8), dim=1, stable=True)[:, :n_points]

    def at_rows(x: Tensor) -> Tensor:  # (series, time) -> (pair, point)
        return x.double().repeat_interleave(n_channels, 0).gather(1, rows)

    given = _features(batch, batch.given, batch.times).repeat_interleave(n_channels, 0)
    values = batch.values.clamp(-INPUT_BOUND, INPUT_BOUND)
    return ChannelSeries(
        channel=torch.arange(n_channels).repeat(len(batch.times)),
        times=at_rows(batch.times),
        since=at_rows(batch.times - _start(batch)),
        given=given.gather(1, rows[..., None].expand(-1, -1, given.shape[2])),
        values=values.mT.flatten(0, 1).double().gather(1, rows),
        observed=observed.gather(1, rows),
    )


def queries_by_channel(batch: Batch) -> Points:
    """The queries of a batch, (series * channel, query), as in :func:`by_channel`."""
    n_channels = batch.mask.shape[2]

    def repeated(x: Tensor) -> Tensor:
        return x.double().repeat_interleave(n_channels, 0)

    return Points(
        channel=torch.arange(n_channels).repeat(len(batch.times)),
        times=repeated(batch.query_times),
        since=repeated(batch.query_times - _start(batch)),
        given=repeated(_features(batch, batch.query_given, batch.query_times)),
    )


def _start(batch: Batch) -> Tensor:
    """(series, 1), the first row of each history; the origin where there is none."""
    return torch.where(batch.lengths > 0, batch.times[:, 0], 0.0)[:, None]


def _features(batch: Batch, given: Tensor | None, times: Tensor) -> Tensor:
    """(series, time, feature), what is known beforehand of some times and of their series."""
    parts = [] if given is None else [given]
    if batch.static is not None:
        parts.append(batch.static[:, None].expand(-1, times.shape[1], -1))
    return torch.cat(parts, -1).double() if parts else times.new_zeros(*times.shape, 0, dtype=torch.float64)
