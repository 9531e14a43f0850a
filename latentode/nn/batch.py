"""Inputs and outputs of a latent ODE as padded tensors."""

from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from functools import cached_property
from typing import Any

import torch
from torch import Tensor

__all__ = ["Batch", "LastTwo", "PickedRows", "Prediction"]


@dataclass(frozen=True)
class Batch:
    """Histories and queries of several series, padded.

    Times are relative to each series' origin (the end of its history) and in units of the model's span:
    the history lies at or below 0, a forecast above it.

    Parameters
    ----------
    times : Tensor
        (series, time), times of the history's rows; padding is 0.
    values : Tensor
        (series, time, channel), scaled values, 0 where not observed.
    mask : Tensor
        (series, time, channel), 1 where observed.
    lengths : Tensor
        (series,), rows of each history; 0 for a series of which nothing is known. Always on the CPU, where the order of
        the steps of a recurrent network is laid out.
    query_times : Tensor
        (series, query), padding is 0.
    given, query_given : Tensor or None
        (series, time, feature) and (series, query, feature), features of rows and queries that are known in advance:
        phases of the seasons, and known covariates. None if there are none.
    static : Tensor or None
        (series, feature), static features.
    knot_times, knots : Tensor or None
        (series, knot), inf where padded, and (series, knot, feature): known covariates as they change, each value
        holding until the next.
    impulse_times, impulses : Tensor or None
        (series, impulse), inf where padded, and (series, impulse, feature): amounts, each given at an instant.
    reach : int
        Spans of time, on both sides of the origin, within which every query lies.
    backward : bool
        Whether any query lies before its series' origin.
    targets, target_mask : Tensor or None
        (series, query, channel), the truth where it is known, and its weight as a target: 0 where it is none.
    response : Tensor or None
        (series, query, channel), the response to inputs that a model has subtracted from the history, and adds to its
        mean.
    weight : float
        Weight of its loss beside those of other processes, which train on the other series of the same step.
    """

    times: Tensor
    values: Tensor
    mask: Tensor
    lengths: Tensor
    query_times: Tensor
    reach: int = 1
    backward: bool = False
    targets: Tensor | None = None
    target_mask: Tensor | None = None
    given: Tensor | None = None
    query_given: Tensor | None = None
    static: Tensor | None = None
    knot_times: Tensor | None = None
    knots: Tensor | None = None
    impulse_times: Tensor | None = None
    impulses: Tensor | None = None
    response: Tensor | None = None
    weight: float = 1.0

    @cached_property
    def last_seen(self) -> Tensor:
        """Row of the last observation of each channel up to and including each row, -1 for none; of mask's shape."""
        return self._observed_rows(-1).cummax(2).values.mT

    @cached_property
    def next_seen(self) -> Tensor:
        """Row of the first observation of each channel from each row on, ``time`` for none; of mask's shape."""
        return self._observed_rows(self.mask.shape[1]).flip(2).cummin(2).values.flip(2).mT

    @cached_property
    def last_two(self) -> "LastTwo":
        """The last two observations of each channel."""
        rows = self.last_seen
        last = rows[:, -1:]
        before = torch.where(last > 0, rows.gather(1, (last - 1).clamp_min(0)), -1)
        one, two = PickedRows(self, last), PickedRows(self, before)
        there = ((rows >= 0).to(self.values.dtype) for rows in (last, before))
        return LastTwo(*(x[:, 0] for x in (one.value, one.time, two.value, two.time, *there)))

    def _observed_rows(self, none: int) -> Tensor:
        """The number of each row where a channel is observed, another number elsewhere: (series, channel, time).

        Side by side in memory, the rows of a channel are scanned several times faster.
        """
        rows = torch.arange(self.mask.shape[1], device=self.mask.device)
        return torch.where(self.mask.mT.contiguous() > 0, rows, none)

    def with_features(self, **features: Tensor | None) -> "Batch":
        """The batch with other values or features of its rows and queries; what was derived from the mask is kept."""
        parts: dict[str, Any] = features
        changed = replace(self, **parts)
        for name in ("last_seen", "next_seen"):  # seeking them again takes longer than reading all features
            if name in vars(self):
                vars(changed)[name] = vars(self)[name]
        return changed

    def to(self, device: torch.device) -> "Batch":
        """The same batch on another device; its lengths stay on the CPU."""
        return replace(self._each(lambda tensor: tensor.to(device)), lengths=self.lengths)

    def take(self, series: slice | Tensor) -> "Batch":
        """Some of the series."""
        return self._each(lambda tensor: tensor[series])

    def tile(self, n: int) -> "Batch":
        """The whole batch n times over, one copy after the other."""
        return self._each(lambda tensor: tensor.repeat(n, *[1] * (tensor.ndim - 1)))

    def _each(self, change: Callable[[Tensor], Tensor]) -> "Batch":
        parts: dict[str, Any] = {f.name: getattr(self, f.name) for f in fields(self)}
        changed: dict[str, Any] = {name: change(x) if isinstance(x, Tensor) else x for name, x in parts.items()}
        return replace(self, **changed)


@dataclass(frozen=True)
class Prediction:
    """A Gaussian for every query and channel, in scaled units.

    Parameters
    ----------
    mean, scale : Tensor
        (series, query, channel).
    """

    mean: Tensor
    scale: Tensor


class PickedRows:
    """Rows of a history, one per channel, and the values there; where there is none, any row will do.

    Parameters
    ----------
    batch : Batch
        The histories.
    rows : Tensor
        (series, any, channel)
    """

    def __init__(self, batch: Batch, rows: Tensor) -> None:
        n_series, n, n_channels = batch.mask.shape
        inside = rows.clamp(0, n - 1)
        begin = torch.arange(0, n_series * n, n, device=rows.device)[:, None, None]
        # Positions in the flattened tensor: gather along an inner dimension takes four times as long.
        self._place = ((begin + inside) * n_channels + torch.arange(n_channels, device=rows.device)).flatten()
        self.time = batch.times.gather(1, inside.flatten(1)).view_as(rows)
        self.value = self.of(batch.values)

    def of(self, x: Tensor) -> Tensor:
        """The entries of another tensor, (series, time, channel), at these rows."""
        return x.flatten().index_select(0, self._place).view_as(self.time)


@dataclass(frozen=True)
class LastTwo:
    """The last two observations of each channel, (series, channel); ``one``, ``two`` are 1 where they exist."""

    value: Tensor
    time: Tensor
    previous: Tensor
    previous_time: Tensor
    one: Tensor
    two: Tensor
