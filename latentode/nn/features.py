"""Features of a history that need no learning: last values, ages, neighbours of a query."""

from dataclasses import dataclass

import torch
from torch import Tensor

from latentode.nn.batch import Batch, PickedRows

__all__ = [
    "DRIFT_BOUND",
    "INPUT_BOUND",
    "N_SUMMARIES",
    "SHORTEST_GAP",
    "Neighbours",
    "Summary",
    "TypicalScales",
    "adjacent_rows",
    "log_gap",
    "neighbours",
    "row_features",
    "shifted",
    "summary_of",
]

INPUT_BOUND = 8.0
"""Scaled values are clipped here as inputs: an outlier stays the largest value but does not dominate."""

RATE_BOUND = 4.0
RECENT_GAPS = 3.0
"""Typical gaps over which the weight of an observation in the recent slope falls by e."""

DRIFT_BOUND = 4.0
SHORTEST_GAP = 0.1
"""Gaps below this fraction of the typical one count as this fraction, so that no rate explodes."""


def log_gap(gap: Tensor, typical: Tensor) -> Tensor:
    """Gaps over orders of magnitude as numbers of order one: ``log(1 + gap / typical)``."""
    return torch.log1p(gap.clamp_min(0) / typical)


def shifted(rows: Tensor) -> Tensor:
    """Row indices shifted by one row: strictly before each row."""
    return torch.cat([rows.new_full(rows[:, :1].shape, -1), rows[:, :-1]], dim=1)


@dataclass(frozen=True)
class TypicalScales:
    """Typical scales of the data, the units of features.

    Parameters
    ----------
    gap : Tensor
        (), the median gap between rows, in spans.
    change : Tensor
        (channel,), typical change of a channel over such a gap, in scaled units.
    """

    gap: Tensor
    change: Tensor


def _rate(change: Tensor, gap: Tensor, scales: TypicalScales) -> Tensor:
    rate = change / scales.change / (gap / scales.gap).clamp_min(SHORTEST_GAP)
    return rate.clamp(-RATE_BOUND, RATE_BOUND)


def row_features(batch: Batch, scales: TypicalScales, rows: Tensor) -> Tensor:
    """Inputs of the recurrent encoder.

    Parameters
    ----------
    batch : Batch
        The histories.
    scales : TypicalScales
        Typical scales of the data.
    rows : Tensor
        (row,), positions of the rows in the flattened (series * time), without padding.

    Returns
    -------
    Tensor
        (row, 5 * channel + 2 + given): value, mask, last value before, time since then and rate of change since then
        for each channel; gap to the row before and time to the origin; features of its time.
    """
    n = batch.times.shape[1]
    values, mask, before = (x.flatten(0, 1)[rows] for x in (batch.values, batch.mask, shifted(batch.last_seen)))
    times, seen = batch.times.flatten()[rows, None], (before >= 0).to(batch.values.dtype)
    begin = rows.div(n, rounding_mode="floor")[:, None] * n
    place = begin + before.clamp_min(0)  # any row will do where there is none
    last = batch.values.flatten(0, 1).gather(0, place)
    since = (times - batch.times.flatten()[place]) * seen
    gap = times - batch.times.flatten()[torch.maximum(rows[:, None] - 1, begin)]
    parts = [
        values.clamp(-INPUT_BOUND, INPUT_BOUND),
        mask,
        (last * seen).clamp(-INPUT_BOUND, INPUT_BOUND),
        log_gap(since, scales.gap) * seen,
        _rate((values - last) * (seen * mask), since, scales),
        log_gap(gap, scales.gap),
        log_gap(-times, scales.gap),
    ]
    if batch.given is not None:
        parts.append(batch.given.flatten(0, 1)[rows])
    return torch.cat(parts, dim=-1)


N_SUMMARIES = 5
"""Features of each channel in a :class:`Summary`."""


@dataclass(frozen=True)
class Summary:
    """A history summarised at its end, whatever its length.

    Parameters
    ----------
    channels : Tensor
        (series, channel, 5): last value, mean, age of the last value, number of observations, last rate of change.
    series : Tensor
        (series, 1 + given): length of the history; features of the time of its last row.
    mean : Tensor
        (series, channel), the mean, shrunk towards the population's (0) as if 0 had been observed once.
    """

    channels: Tensor
    series: Tensor
    mean: Tensor

    @property
    def features(self) -> Tensor:
        """All of them, (series, 5 * channel + 1 + given)."""
        return torch.cat([self.channels.mT.flatten(1), self.series], dim=-1)


def summary_of(batch: Batch, scales: TypicalScales) -> Summary:
    """Summarise the histories of a batch."""
    count = batch.mask.sum(1)
    mean = (batch.values * batch.mask).sum(1) / (count + 1)
    here = () if batch.given is None else (_at_end(batch.given, batch.lengths),)
    last = batch.last_two
    channels = [
        (last.value * last.one).clamp(-INPUT_BOUND, INPUT_BOUND),
        mean.clamp(-INPUT_BOUND, INPUT_BOUND),
        log_gap(-last.time, scales.gap) * last.one,
        torch.log1p(count),
        _rate((last.value - last.previous) * last.two, (last.time - last.previous_time) * last.two, scales),
    ]
    length = log_gap(-batch.times[:, :1], scales.gap)
    return Summary(torch.stack(channels, dim=-1), torch.cat([length, *here], dim=-1), mean)


def _at_end(rows: Tensor, lengths: Tensor) -> Tensor:
    """The last row of each series, (series, feature)."""
    last = (lengths - 1).clamp_min(0).to(rows.device)[:, None, None].expand(-1, 1, rows.shape[-1])
    return rows.gather(1, last)[:, 0]


@dataclass(frozen=True)
class Neighbours:
    """The observations nearest to each query, per channel.

    Parameters
    ----------
    base : Tensor
        (series, query, channel): the line between the neighbours; the one there is, if there is one; else 0.
    known : Tensor
        1 where there is a neighbour at all.
    since, until : Tensor
        Time since the left and until the right neighbour, 0 where there is none.
    has_left, has_right : Tensor
        1 where there is one.
    drift : Tensor
        (series, query, channel, 2): change since the last value at the last rate of change, and at the slope of a
        line through recent values; 0 inside the history.
    """

    base: Tensor
    known: Tensor
    since: Tensor
    until: Tensor
    has_left: Tensor
    has_right: Tensor
    drift: Tensor


def adjacent_rows(batch: Batch) -> tuple[Tensor, Tensor]:
    """Rows of the observations left and right of each query, (series, query, channel); -1 and n where there is none."""
    n = batch.times.shape[1]
    steps = torch.arange(n, device=batch.times.device)
    # Padded rows have the time of the origin; at infinity they stay behind all others, as a binary search needs.
    padded = torch.where(steps < batch.lengths.to(steps.device)[:, None], batch.times, torch.inf)
    position = torch.searchsorted(padded, batch.query_times.contiguous(), right=True)
    left_row = torch.where(position[..., None] > 0, _rows_at(batch.last_seen, position - 1), -1)
    right_row = torch.where(position[..., None] < n, _rows_at(batch.next_seen, position), n)
    return left_row, right_row


def neighbours(batch: Batch, usual_gap: Tensor) -> Neighbours:
    """Find the observations nearest to each query, per channel, and the line between them."""
    left_row, right_row = adjacent_rows(batch)
    has_left = (left_row >= 0).to(batch.values.dtype)
    has_right = (right_row < batch.times.shape[1]).to(batch.values.dtype)
    left, right = PickedRows(batch, left_row), PickedRows(batch, right_row)
    query = batch.query_times[..., None]
    since, until = (query - left.time) * has_left, (right.time - query) * has_right
    both = has_left * has_right
    weight = torch.where(both > 0, since / (since + until).clamp_min(1e-12), has_right)
    known = torch.maximum(has_left, has_right)
    base = torch.lerp(left.value, right.value, weight) * known
    beyond = since * has_left * (1 - has_right)
    slopes = torch.stack([_last_slope(batch, usual_gap), _recent_slope(batch, usual_gap)], dim=-1)
    drift = (beyond[..., None] * slopes[:, None]).clamp(-DRIFT_BOUND, DRIFT_BOUND)
    return Neighbours(base, known, since, until, has_left, has_right, drift)


def _rows_at(x: Tensor, rows: Tensor) -> Tensor:
    """Whole rows, (series, query, channel), of x, (series, time, channel); any row stands for one outside."""
    n_series, n, _ = x.shape
    begin = torch.arange(0, n_series * n, n, device=x.device)[:, None]
    return x.flatten(0, 1)[begin + rows.clamp(0, n - 1)]


def _last_slope(batch: Batch, usual_gap: Tensor) -> Tensor:
    """Slope between the last two observations of each channel, (series, channel); 0 for fewer than two."""
    last = batch.last_two
    gap = torch.maximum(last.time - last.previous_time, SHORTEST_GAP * usual_gap)
    return (last.value - last.previous) / gap * last.two


def _recent_slope(batch: Batch, usual_gap: Tensor) -> Tensor:
    """Slope of the least-squares line through each channel, later values counting more, (series, channel)."""
    age = (-batch.times[..., None] / (RECENT_GAPS * usual_gap)).expand_as(batch.mask)
    age = torch.where(batch.mask > 0, age, torch.inf)
    youngest = age.amin(1, keepdim=True)
    # Relative to the youngest value: where the last one is old, all weights would otherwise vanish.
    weight = torch.exp(torch.where(youngest < torch.inf, youngest, 0.0) - age)  # exp(-inf) is 0
    total = weight.sum(1, keepdim=True).clamp_min(1e-12)
    time = batch.times[..., None] - (weight * batch.times[..., None]).sum(1, keepdim=True) / total
    value = batch.values - (weight * batch.values).sum(1, keepdim=True) / total
    # A ridge of one shortest gap: two values close in time must not give a steep slope.
    ridge = (SHORTEST_GAP * usual_gap).square() * total[:, 0]
    return (weight * time * value).sum(1) / ((weight * time.square()).sum(1) + ridge)
