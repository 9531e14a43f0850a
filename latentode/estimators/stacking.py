"""How much a forecast follows the network and how much the Gaussian process: learned on held-out series."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from latentode.estimators.calibration import Trained
from latentode.nn import Batch, GaussianProcess, Prediction, Stacked, Stacking, StackingConfig
from latentode.nn.stacking import StackingWeights, combined
from latentode.training import one_thread

__all__ = ["stack"]

SHRINKAGE = 30.0
"""Held-out series that weigh as much as the prior of the weights, up to a constant."""

MOST_ITERATIONS = 60
"""Of L-BFGS, for a handful of parameters."""

Forecasts = list[tuple[Batch, Prediction, Prediction]]


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
    config = trained[0].model.config
    n_given = process.n_given
    sizes = StackingConfig(config.n_channels, n_given, process.usual_gap, process.duration)
    weights = StackingWeights(config.n_channels, process.usual_gap)
    with one_thread():
        _fit(weights, [forecast for one in trained for forecast in _forecasts(one)], _n_series(trained))

    weights.requires_grad_(requires_grad=False)

    def with_process(own: GaussianProcess) -> Stacking:
        stacking = Stacking(sizes)
        stacking.process, stacking.weights = own, weights
        return stacking.eval()

    stacked = [
        replace(one, model=Stacked(one.network, with_process(one.process)))
        for one in trained
        if one.process is not None
    ]
    return stacked, with_process(process)


def _forecasts(one: Trained) -> Forecasts:
    """What the network and the process forecast of the held-out data."""
    assert one.process is not None
    with torch.no_grad():
        return [(batch, one.network.predict(batch), one.process(batch)) for batch in one.held_out]


def _n_series(trained: Sequence[Trained]) -> int:
    return len(np.unique(np.concatenate([one.series for one in trained])))


def _fit(weights: StackingWeights, forecasts: Forecasts, n_series: int) -> None:
    """Minimise the mean CRPS over that of equal weights, plus a penalty that fades with the number of series."""
    before = float(_crps(weights, forecasts).detach())
    if not np.isfinite(before) or before <= 0:  # nothing was held out, or the network has diverged
        return
    optimiser = torch.optim.LBFGS(weights.parameters(), max_iter=MOST_ITERATIONS, line_search_fn="strong_wolfe")

    def loss() -> Tensor:
        optimiser.zero_grad()
        value = _crps(weights, forecasts) / before + 0.1 * SHRINKAGE / n_series * weights.penalty()
        value.backward()  # type: ignore[no-untyped-call]
        return value

    optimiser.step(loss)  # type: ignore[no-untyped-call]


def _crps(weights: StackingWeights, forecasts: Forecasts) -> Tensor:
    """The mean CRPS of Gaussians over the targets (Gneiting & Raftery 2007, equation 21)."""
    total, n = torch.zeros(()), torch.zeros(())
    for batch, network, process in forecasts:
        assert batch.targets is not None  # tasks always carry targets
        assert batch.target_mask is not None
        both = combined(network, process, weights(batch))
        z = (batch.targets - both.mean) / both.scale
        density = torch.exp(-0.5 * z.square()) / np.sqrt(2 * np.pi)
        score = both.scale * (z * torch.erf(z / np.sqrt(2)) + 2 * density - 1 / np.sqrt(np.pi))
        # In units of the scales at hand: otherwise the farthest lead times would decide for the near ones.
        score = score / (network.scale * process.scale).sqrt()
        queried = (batch.target_mask > 0).float()
        total, n = total + (score * queried).sum(), n + queried.sum()
    return total / n.clamp(min=1.0)
