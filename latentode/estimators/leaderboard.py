"""Scores of the stacked forecast, of its two parts and of naive forecasts on the held-out series of a fit."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass, fields

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.special import ndtri
from torch import Tensor

from latentode.data import ChannelScaler
from latentode.estimators.calibration import calibrate
from latentode.estimators.residuals import Residuals
from latentode.estimators.stacking import Forecast, Prior, fitted_weights, forecasts_of, prior_of, taken
from latentode.estimators.trained import Extent, Trained
from latentode.evaluation.metrics import coverage, crps_quantiles, mae, rmse
from latentode.nn import Batch, GaussianProcess, Model, Prediction
from latentode.nn.stacking import combined
from latentode.persistence.calibration import Calibration, log_of_mean_over_median
from latentode.persistence.leaderboard import CANDIDATES, SCORES, leaderboard_frame

__all__ = ["leaderboard_of", "report_idle_network"]

LOGGER = logging.getLogger("latentode")

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

N_FOLDS = 2
"""Parts of the held-out series: weights and calibration are learned on the others. More parts take more time."""

QUANTILES = np.arange(1, 20) / 20
"""Levels over which the CRPS is summed."""


@dataclass(frozen=True)
class _Queries:
    """The queries of held-out data with a target, flat, and what the candidates say there.

    Parameters
    ----------
    truth : array of float
        (query, channel), scaled; NaN where unknown.
    leads : array of float
        (query,), in spans.
    series, fold : array of int
        (query,), the series' number, and the part of the held-out series it belongs to.
    n_rows : array of int
        (query,), rows of the history.
    found : dict of Prediction
        (query, channel), scaled, of the candidates with a distribution.
    naive : dict of array
        (query, channel), in the channels' own units, of those without.
    extent : Extent, optional
        As in :class:`~latentode.estimators.residuals.Residuals`.
    """

    truth: Floats
    leads: Floats
    series: Ints
    fold: Ints
    n_rows: Ints
    found: dict[str, Prediction]
    naive: dict[str, Floats]
    extent: Extent | None


def leaderboard_of(
    trained: Sequence[Trained], model: Model, calibration: Calibration, scaler: ChannelScaler, values: Floats
) -> Floats | None:
    """Score the candidates on forecasts of held-out series.

    The weights of the stacking and the calibration of a series are learned on the others, by two-fold cross-validation
    over series; with a single held-out series they are learned on it. The network and the process are each calibrated
    in the same way. What is left of optimism: the shares of variance, and that early stopping used the same series.

    Parameters
    ----------
    trained : sequence of Trained
        The networks, each with its held-out data and, if there is one, its process.
    model : LatentODE or Ensemble
        Their likelihood is read.
    calibration : Calibration
        Its shares of variance are used.
    scaler : ChannelScaler
        The scaling of the channels.
    values : array of float
        (row, channel), all observations of the fit, for their mean.

    Returns
    -------
    array of float or None
        (candidate, channel, score); None where nothing was held out.

    References
    ----------
    Stone (1974), Cross-validatory choice and assessment of statistical predictions.
    """
    n_known = (~np.isnan(values)).sum(0)
    overall = np.nansum(values, 0) / np.maximum(n_known, 1)
    queries = _queries(trained, model.likelihood.of_counts, scaler, overall)
    if queries is None or not (queries.leads > 0).any():  # of series with one row no forecast is held out
        return None
    scores = np.full((len(CANDIDATES), len(overall), len(SCORES)), np.nan)
    for name, predicted in queries.found.items():
        scores[CANDIDATES.index(name)] = _scores(predicted, queries, model, calibration.variance_share, scaler, name)
    ahead = queries.leads > 0
    truth = scaler.inverse(queries.truth[ahead])
    for name, points in queries.naive.items():
        for k, column in enumerate(points[ahead].T):
            scores[CANDIDATES.index(name), k] = _scores_of_points(truth[:, k], column)
    return np.where(np.isfinite(scores), scores, np.nan)


def report_idle_network(scores: Floats | None, spread: Floats) -> None:
    """Write to the log, at level INFO, that the Gaussian process alone forecasts as well, if it does.

    Parameters
    ----------
    scores : array of float or None
        (candidate, channel, score), of the channels that are forecast.
    spread : array of float
        (channel,), the units in which channels are averaged.
    """
    if scores is None or not LOGGER.isEnabledFor(logging.INFO):
        return
    crps = leaderboard_frame(scores, spread, range(scores.shape[1]))["crps"]
    if crps.get("Gaussian process", np.inf) <= crps["latentode"]:
        LOGGER.info(
            "on held-out series the Gaussian process alone is as good as the stacked forecast (CRPS %.4g and %.4g, in "
            "units of each channel's spread): the network adds nothing; see leaderboard()",
            crps["Gaussian process"],
            crps["latentode"],
        )


def _queries(
    trained: Sequence[Trained], counts: NDArray[np.bool_], scaler: ChannelScaler, overall: Floats
) -> _Queries | None:
    rows = [pair for one in trained for pair in zip(one.held_out, one.series_of_batches, strict=True)]
    here = [~_truth(batch).isnan().all(-1) for batch, _ in rows]
    if not any(at.any() for at in here):  # all that is held out may lie beyond the horizon
        return None
    every = np.unique(np.concatenate([series for _, series in rows]))
    part = np.random.default_rng(0).permutation(len(every)) % min(N_FOLDS, len(every))
    folds = [part[np.searchsorted(every, series)] for _, series in rows]
    predicted = _predicted(trained, folds, counts, max(len(every) - len(every) // N_FOLDS, 1))

    def flat(tensors: Sequence[Tensor]) -> Floats:
        return torch.cat([x[at] for x, at in zip(tensors, here, strict=True)]).double().numpy()

    def repeated(numbers: Sequence[Ints]) -> Ints:
        return np.concatenate([np.repeat(x, at.sum(1).numpy()) for x, at in zip(numbers, here, strict=True)])

    naive = [_naive(batch, scaler, overall) for batch, _ in rows]
    return _Queries(
        truth=flat([_truth(batch) for batch, _ in rows]),
        leads=flat([batch.query_times for batch, _ in rows]),
        series=repeated([series for _, series in rows]),
        n_rows=repeated([batch.lengths.numpy() for batch, _ in rows]),
        fold=repeated(folds),
        found={
            name: Prediction(*(torch.from_numpy(flat([getattr(p, x) for p in each])) for x in ("mean", "scale")))
            for name, each in predicted.items()
        },
        naive={
            name: np.concatenate([np.repeat(x[name], at.sum(1).numpy(), 0) for x, at in zip(naive, here, strict=True)])
            for name in naive[0]
        },
        extent=trained[0].extent,
    )


def _predicted(
    trained: Sequence[Trained], folds: Sequence[Ints], counts: NDArray[np.bool_], n_series: int
) -> dict[str, list[Prediction]]:
    """Predictions of the held-out batches by the candidates with a distribution."""
    process = trained[0].process
    if process is None:
        return {"latentode": [prediction for one in trained for prediction in one.of_network]}
    forecasts = [forecast for one in trained for forecast in forecasts_of(one)]
    return {
        "latentode": _stacked(forecasts, process, folds, counts, n_series, prior_of(trained)),
        "network": [network for _, network, _ in forecasts],
        "Gaussian process": [of_process for _, _, of_process in forecasts],
    }


def _truth(batch: Batch) -> Tensor:
    """(series, query, channel), scaled; NaN where there is no target."""
    assert batch.targets is not None  # tasks always carry targets
    assert batch.target_mask is not None
    return torch.where(batch.target_mask > 0, batch.targets, torch.nan)


def _stacked(
    forecasts: Sequence[Forecast],
    process: GaussianProcess,
    folds: Sequence[Ints],
    counts: NDArray[np.bool_],
    n_series: int,
    prior: Prior,
) -> list[Prediction]:
    """Network and process, combined by weights that were learned on the other part of the held-out series."""
    found = [Prediction(network.mean.clone(), network.scale.clone()) for _, network, _ in forecasts]
    numbers = np.unique(np.concatenate(folds))
    for number in numbers:
        own = [torch.from_numpy(np.flatnonzero(fold == number)) for fold in folds]
        others = own if len(numbers) == 1 else [torch.from_numpy(np.flatnonzero(fold != number)) for fold in folds]
        weights = fitted_weights(
            [taken(forecast, rows) for forecast, rows in zip(forecasts, others, strict=True)],
            process,
            n_series,
            prior,
        )
        for both, forecast, rows in zip(found, forecasts, own, strict=True):
            batch, network, of_process = taken(forecast, rows)
            with torch.no_grad():
                weight = weights(batch) * torch.from_numpy(~counts)
            moved = combined(network, of_process, weight)
            # Where the caller's default is double precision, so are the weights.
            both.mean[rows], both.scale[rows] = moved.mean.to(both.mean.dtype), moved.scale.to(both.scale.dtype)
    return found


def _naive(batch: Batch, scaler: ChannelScaler, overall: Floats) -> dict[str, Floats]:
    """Forecasts of naive candidates, (series, channel), the same for every query of a series."""
    known = batch.mask.numpy() > 0
    values = np.where(known, scaler.inverse(batch.values.double().numpy()), 0.0)
    counts = known.sum(1)
    mean = values.sum(1) / np.maximum(counts, 1)
    n_rows = known.shape[1]
    last = np.where(known, np.arange(n_rows)[:, None], 0).max(1, initial=0)
    last_value = np.take_along_axis(values, last[:, None], 1)[:, 0] if n_rows else mean
    return {
        "last value": np.where(counts > 0, last_value, overall),
        "series' mean": np.where(counts > 0, mean, overall),
        "overall mean": np.broadcast_to(overall, mean.shape),
    }


def _scores(
    predicted: Prediction, queries: _Queries, model: Model, share: Floats, scaler: ChannelScaler, name: str
) -> Floats:
    """(channel, score) of a candidate with a distribution, calibrated on the other part of the held-out series."""
    mean, scale = predicted.mean.numpy(), predicted.scale.numpy()
    counts = model.likelihood.of_counts
    residuals = np.where(counts, np.nan, (queries.truth - mean) / scale)
    numbers = np.unique(queries.fold)
    factor, deviations = np.ones_like(mean), []
    for number in numbers:
        own = queries.fold == number
        others = own if len(numbers) == 1 else ~own
        of_all = Residuals(residuals, queries.leads, queries.series, queries.n_rows, counts, queries.extent)
        fitted = calibrate(of_all.where(others))
        factor[own] = fitted.factors(queries.leads[own], queries.n_rows[own])
        deviations.append(fitted.deviations(ndtri(QUANTILES)[:, None]))
    ahead = queries.leads > 0
    mean, width, fold = mean[ahead], (factor * scale)[ahead], np.searchsorted(numbers, queries.fold[ahead])
    truth = scaler.inverse(queries.truth[ahead])
    with np.errstate(over="ignore"):
        points = scaler.inverse(mean + log_of_mean_over_median(width * scaler.scale, share) / scaler.scale)
    points = model.likelihood.possible(points, whole=False)
    scores = np.full((mean.shape[1], len(SCORES)), np.nan)
    for k in range(mean.shape[1]):
        scores[k] = _scores_of_points(truth[:, k], points[:, k])
        if counts[k] and name != "Gaussian process":
            continue  # filled below
        inner = mean[:, k, None] + width[:, k, None] * np.stack(deviations)[:, :, k][fold]
        bands = _channel(scaler, k).inverse(inner[..., None])[..., 0]
        scores[k, SCORES.index("crps") :] = _scores_of_bands(truth[:, k], bands)
    if counts.any() and name != "Gaussian process":
        location, spread = (torch.from_numpy(x.astype(np.float32))[None] for x in (mean, scale[ahead]))
        levels = np.broadcast_to(QUANTILES[:, None, None], (len(QUANTILES), 1, len(counts)))
        every = scaler.inverse(model.likelihood.quantiles(location, spread, levels).double().numpy())
        every = model.likelihood.possible(every, whole=True)
        for channel in np.flatnonzero(counts):
            scores[channel, SCORES.index("crps") :] = _scores_of_bands(truth[:, channel], every[..., channel].T)
    return scores


def _channel(scaler: ChannelScaler, k: int) -> ChannelScaler:
    """The scaling of one channel."""
    return ChannelScaler(**{field.name: getattr(scaler, field.name)[[k]] for field in fields(ChannelScaler)})


def _scores_of_points(truth: Floats, points: Floats) -> list[float]:
    n = int((~np.isnan(truth)).sum())
    if not np.isfinite(points[~np.isnan(truth)]).all():
        return [n, np.nan, np.nan, np.nan, np.nan]
    with np.errstate(over="ignore"):
        return [n, mae(truth, points), rmse(truth, points), np.nan, np.nan]


def _scores_of_bands(truth: Floats, bands: Floats) -> list[float]:
    """CRPS, and the coverage of the 90 % interval."""
    if not np.isfinite(bands[~np.isnan(truth)]).all():
        return [np.nan, np.nan]
    return [crps_quantiles(truth, bands, QUANTILES), coverage(truth, bands[:, 0], bands[:, -1])]
