"""Inputs and outputs of a latent ODE as padded tensors."""

from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from functools import cached_property
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor

__all__ = ["Batch", "Prediction"]


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
        rows = self._observed_rows(-1)
        for before, here in pairwise(rows.unbind(1)):  # several times faster than cummax
            torch.maximum(before, here, out=here)
        return rows

    @cached_property
    def next_seen(self) -> Tensor:
        """Row of the first observation of each channel from each row on, ``time`` for none; of mask's shape."""
        rows = self._observed_rows(self.mask.shape[1])
        for after, here in pairwise(reversed(rows.unbind(1))):
            torch.minimum(after, here, out=here)
        return rows

    def _observed_rows(self, none: int) -> Tensor:
        """The number of each row where a channel is observed, another number elsewhere."""
        rows = torch.arange(self.mask.shape[1], device=self.mask.device)[None, :, None]
        return torch.where(self.mask > 0, rows, none)

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
