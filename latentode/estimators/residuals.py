"""The residuals of trained models on held-out data, and how far ahead they reach."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import torch
from numpy.typing import NDArray

from latentode.estimators.trained import Extent, Trained
from latentode.nn import mixture_spread
from latentode.persistence.calibration import REACHED

__all__ = ["COVERAGE", "Residuals", "held_out_residuals", "reached_by"]

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

COVERAGE = 0.9
"""Coverage at which widths are measured."""

ROWS_PER_RESIDUAL = 5.0
"""Where the last parts of a few series are held out, so many of their rows count as one independent residual: the ends
of one to seven series do not show how much they differ from each other and from what follows them."""

SHORTEST = 1e-9
"""Lead time, in spans, that a shorter one is taken for where stretches are counted."""

DRAWS = 8
"""Draws of the latent state behind the spread of a prediction."""

SEED = 0


@dataclass(frozen=True)
class Residuals:
    """Standardised residuals on held-out data.

    Parameters
    ----------
    values : array of float
        (query, channel), errors of the mean over the predicted standard deviation; NaN without a target, and for
        channels of counts, which are not calibrated.
    leads : array of float
        (query,), lead times in spans.
    series : array of int
        (query,), numbers of the series.
    n_rows : array of int
        (query,), rows of the history.
    counts : array of bool
        (channel,), which channels hold counts.
    extent : Extent, optional
        How much the series show where the last parts of a few are held out.
    share : float
        Of all residuals these are such a part.
    """

    values: Floats
    leads: Floats
    series: Ints
    n_rows: Ints
    counts: NDArray[np.bool_]
    extent: Extent | None = None
    share: float = 1.0

    @cached_property
    def known(self) -> NDArray[np.bool_]:
        """(query, channel), where there is a residual."""
        return ~np.isnan(self.values)

    @cached_property
    def design_effect(self) -> float:
        """How many of them hold as much information as an independent one."""
        most = max(self.share * float(self.most_at(0.0)), SHORTEST)
        return max(_design_effect(self.values, self.series), float(self.known.sum()) / most)

    def over(self, widths: Floats) -> "Residuals":
        """They in units of other widths, (query, channel) or what broadcasts to it."""
        return replace(self, values=self.values / widths)

    def where(self, keep: NDArray[np.bool_]) -> "Residuals":
        """Those of some queries."""
        return replace(
            self,
            values=self.values[keep],
            leads=self.leads[keep],
            series=self.series[keep],
            n_rows=self.n_rows[keep],
            share=self.share * float(keep.mean()),
        )

    def most_at(self, leads: Floats | float) -> Floats:
        """To how many independent residuals all those at some lead times, in spans, amount at most.

        A few series hold so many stretches of that length; and see ``ROWS_PER_RESIDUAL``.
        """
        if self.extent is None:
            return np.full(np.shape(leads), np.inf)
        stretches = self.extent.n_spans / np.maximum(leads, SHORTEST)
        return np.minimum(self.extent.n_rows / ROWS_PER_RESIDUAL, stretches)


def held_out_residuals(trained: Sequence[Trained]) -> Residuals:
    """The residuals of all models of a fit, each on its own held-out data (cross-conformal prediction).

    Parameters
    ----------
    trained : sequence of Trained
        The models of the ensemble.
    """
    found = zip(*(_residuals(one) for one in trained), strict=True)
    values, leads, series, n_rows = (np.concatenate(of_models) for of_models in found)
    counts = trained[0].model.likelihood.of_counts
    values[:, counts] = np.nan
    return Residuals(values, leads, series, n_rows, counts, trained[0].extent)


def reached_by(trained: Sequence[Trained]) -> Floats | None:
    """How far ahead the held-out forecasts go, each to its last target: quantiles at ``REACHED``, in spans.

    Parameters
    ----------
    trained : sequence of Trained
        The models of the ensemble, each with its own held-out data.

    Returns
    -------
    array of float or None
        (level,), 0 for a forecast without a target after its origin; None without any held-out data.
    """
    batches = [batch for one in trained for batch in one.held_out if batch.target_mask is not None]
    if not batches:
        return None
    farthest = []
    for batch in batches:
        assert batch.target_mask is not None
        targets = (batch.target_mask > 0).any(-1)
        farthest.append(torch.where(targets, batch.query_times, 0.0).amax(1).clamp(min=0.0).double().numpy())
    found: Floats = np.quantile(np.concatenate(farthest), REACHED, method="inverted_cdf")
    return found


def _residuals(one: Trained) -> tuple[Floats, Floats, Ints, Ints]:
    """Residuals over the predicted standard deviation, (query, channel), NaN without a target.

    Then of each query the lead time, the number of the series, and the rows of its history.
    """
    model = one.model
    found, leads, series, n_rows = [], [], [], []
    rng = torch.Generator().manual_seed(SEED)
    for batch, of_rows, center in zip(one.held_out, one.series_of_batches, one.of_model, strict=True):
        assert batch.targets is not None  # tasks always carry targets
        assert batch.target_mask is not None
        with torch.no_grad():
            noise = torch.randn(
                DRAWS, len(batch.lengths), model.config.latent_dim, generator=rng, dtype=batch.values.dtype
            )
            drawn = model.sample(batch, noise) if model.config.variational else None
        spread = center.scale if drawn is None else mixture_spread(drawn.mean, drawn.scale, center.mean)
        residual = torch.where(batch.target_mask > 0, (batch.targets - center.mean) / spread, torch.nan)
        found.append(residual.flatten(0, 1).double().numpy())
        leads.append(batch.query_times.flatten().double().numpy())
        series.append(np.repeat(of_rows, residual.shape[1]))
        n_rows.append(np.repeat(batch.lengths.numpy(), residual.shape[1]))
    return np.concatenate(found), np.concatenate(leads), np.concatenate(series), np.concatenate(n_rows)


def _design_effect(residuals: Floats, series: Ints) -> float:
    """How many residuals hold as much information as an independent one, at least 1.

    It is the variance of the share of residuals beyond their width, estimated from the sums of whole series, over that
    of independent residuals.
    """
    known = ~np.isnan(residuals)
    sizes = np.abs(residuals[known])
    beyond = sizes > np.quantile(sizes, COVERAGE)
    part = beyond.mean()
    of_series = np.broadcast_to(series[:, None], residuals.shape)[known]
    n_series = len(np.unique(of_series))
    if n_series < 2 or not 0 < part < 1:
        return 1.0
    excess = np.bincount(of_series, beyond - part)
    variance = np.square(excess).sum() * n_series / (n_series - 1)
    return max(float(variance / (len(sizes) * part * (1 - part))), 1.0)
