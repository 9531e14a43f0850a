"""How much a forecast follows the network and how much the Gaussian process: learned on held-out series."""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from latentode.estimators.trained import Trained
from latentode.nn import Batch, GaussianProcess, Prediction, Stacked, Stacking, StackingConfig
from latentode.nn.stacking import ONE_THIRD, StackingWeights, combined
from latentode.training import gaussian_crps, one_thread

__all__ = ["Forecast", "Prior", "fitted_weights", "forecasts_of", "prior_of", "stack", "taken"]

SHRINKAGE = 30.0
"""Held-out series that weigh as much as the prior of the weights, up to a constant."""

MOST_ITERATIONS = 60
"""Of L-BFGS, for a handful of parameters."""

Forecast = tuple[Batch, Prediction, Prediction]
"""Held-out data, and the forecasts of the network and of the process for it."""


class Prior(NamedTuple):
    """The weights without data, and how stiff they are: see :meth:`StackingWeights.penalty`."""

    intercept: float
    stiffness: float


OF_MANY, OF_FEW = Prior(0.0, 0.01), Prior(math.log(0.8 / 0.2) - ONE_THIRD, 0.1)
"""One third; and, where only the last parts of a few series are held out, four fifths. A network that has seen one to
seven series continues them badly, and their ends do not show it: on twenty single series the CRPS was 13 % higher with
one third."""

OF_SINGLE_ROWS = Prior(10.0, 1e3)
"""The process alone, where every series has one row: a network trained without a history would not know what to do with
one, and the process does."""


def stack(trained: Sequence[Trained], process: GaussianProcess | None) -> tuple[list[Trained], Stacking | None]:
    """Combine trained models with the Gaussian process, by weights with the least CRPS on held-out data.

    Each model forecasts what was held out of it, and so does a process whose fixed effects do not know it either.

    Parameters
    ----------
    trained : sequence of Trained
        The models, each with its own held-out data and process.
    process : GaussianProcess or None
        The process of all series; None for networks alone.

    Returns
    -------
    trained : list of Trained
        With stacked models, for calibration.
    stacking : Stacking or None
        The process and its weight.

    References
    ----------
    Yao et al. (2018), Using stacking to average Bayesian predictive distributions.
    """
    if process is None:
        return list(trained), None
    sizes = StackingConfig(
        trained[0].model.config.n_channels,
        process.n_given,
        process.usual_gap,
        process.duration,
        process.n_impulses,
        process.impulse_gap,
        process.n_frequencies,
        process.n_draws,
    )
    forecasts = [forecast for one in trained for forecast in forecasts_of(one)]
    weights = fitted_weights(forecasts, process, _n_series(trained), prior_of(trained))

    def with_process(own: GaussianProcess) -> Stacking:
        stacking = Stacking(sizes)
        stacking.process, stacking.weights = own, weights
        return stacking.eval()

    stacked = [
        one.with_model(Stacked(one.network, with_process(one.process))) for one in trained if one.process is not None
    ]
    return stacked, with_process(process)


def forecasts_of(one: Trained) -> list[Forecast]:
    """What a network and its process forecast of its held-out data.

    Parameters
    ----------
    one : Trained
        With a process.
    """
    return list(zip(one.held_out, one.of_network, one.of_process, strict=True))


def taken(forecast: Forecast, rows: Tensor) -> Forecast:
    """A forecast of some series of its batch.

    Parameters
    ----------
    forecast : Forecast
        Of a whole batch.
    rows : Tensor of int
        (series,), which ones.
    """
    batch, *both = forecast
    network, process = (Prediction(one.mean[rows], one.scale[rows]) for one in both)
    return batch.take(rows), network, process


def prior_of(trained: Sequence[Trained]) -> Prior:
    """The weights without data, by what was held out.

    Parameters
    ----------
    trained : sequence of Trained
        The models, each with its own held-out data.
    """
    held_out = [batch for one in trained for batch in one.held_out]
    if held_out and not any(bool(batch.lengths.any()) for batch in held_out):
        return OF_SINGLE_ROWS
    return OF_MANY if trained[0].extent is None else OF_FEW


def fitted_weights(
    forecasts: Sequence[Forecast], process: GaussianProcess, n_series: int, prior: Prior
) -> StackingWeights:
    """The weights with the least CRPS on held-out data.

    Parameters
    ----------
    forecasts : sequence of Forecast
        Of the held-out data.
    process : GaussianProcess
        Its sizes are read.
    n_series : int
        Held-out series: with few, the weights stay near the prior.
    prior : Prior
        The weights without data.
    """
    weights = StackingWeights(process.n_channels, process.usual_gap)
    nn.init.constant_(weights.intercept, prior.intercept)
    with one_thread():
        _fit(weights, forecasts, n_series, prior)
    return weights.requires_grad_(requires_grad=False)


def _n_series(trained: Sequence[Trained]) -> int:
    return len(np.unique(np.concatenate([one.series for one in trained])))


def _fit(weights: StackingWeights, forecasts: Sequence[Forecast], n_series: int, prior: Prior) -> None:
    """Minimise the CRPS over that of the weights without data, plus a penalty that fades with the number of series.

    Queries inside the history and after it count the same: there are few of the former in held-out data, and the
    process, which knows both sides of a gap, is often right there where the network is right ahead.
    """
    before = _crps(weights, forecasts).detach()
    if not bool((before > 0).any() & before.isfinite().all()):  # nothing was held out, or the network has diverged
        return
    # Relative to the weights without data: the penalty then weighs the same whether the data are easy or hard.
    share = torch.where(before > 0, 1 / before, 0.0) / (before > 0).sum()
    optimiser = torch.optim.LBFGS(weights.parameters(), max_iter=MOST_ITERATIONS, line_search_fn="strong_wolfe")

    def loss() -> Tensor:
        optimiser.zero_grad()
        misfit = (share * _crps(weights, forecasts)).sum()
        value = misfit + 0.1 * SHRINKAGE / n_series * weights.penalty(prior.intercept, prior.stiffness)
        value.backward()  # type: ignore[no-untyped-call]
        return value

    optimiser.step(loss)  # type: ignore[no-untyped-call]


def _crps(weights: StackingWeights, forecasts: Sequence[Forecast]) -> Tensor:
    """The mean CRPS of Gaussians over the targets after the histories and inside them, (2,); 0 where there are none."""
    total, n = torch.zeros(2), torch.zeros(2)
    for batch, network, process in forecasts:
        assert batch.targets is not None  # tasks always carry targets
        assert batch.target_mask is not None
        both = combined(network, process, weights(batch))
        score = gaussian_crps(both.mean, both.scale, batch.targets)
        # In units of the scales at hand: otherwise the farthest lead times would decide for the near ones.
        score = score / (network.scale * process.scale).sqrt()
        inside = (batch.query_times <= 0)[..., None]
        for k, queried in enumerate((~inside, inside)):
            queried = queried & (batch.target_mask > 0)
            total[k], n[k] = total[k] + score[queried].sum(), n[k] + queried.sum()
    return total / n.clamp(min=1.0)
