"""How far the mean of a channel in logarithms is put above its median: chosen on held-out series."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from latentode.data import ChannelScaler
from latentode.estimators.trained import Trained
from latentode.persistence.calibration import Calibration, log_of_mean_over_median

__all__ = ["variance_shares"]

Floats = NDArray[np.float64]

SHARES = np.arange(0, 21) / 20
"""Shares of the variance that are compared."""

FEWEST_SERIES = 5
"""Held-out series with fewer of which the median stays."""


def variance_shares(trained: Sequence[Trained], calibration: Calibration, scaler: ChannelScaler) -> Floats:
    """Choose the share of the variance of each channel in logarithms that raises its mean above its median.

    The mean of a lognormal, ``exp(m + s^2 / 2)``, has the least squared error if s is right; few data estimate it
    badly. So the share with the least squared error of ``exp(m + share * s^2 / 2)`` on held-out series is taken, and
    shrunk to 0 by ``g^2 / (g^2 + e^2)``: g is the mean over the series of what their errors fall by against the
    median's, e its standard error. Few series, or one that decides everything, leave the mean near the median.

    Parameters
    ----------
    trained : sequence of Trained
        The models, each with its own held-out data.
    calibration : Calibration
        The widths of their prediction intervals.
    scaler : ChannelScaler
        The scaling of the channels.

    Returns
    -------
    array of float
        (channel,), between 0 and 1.
    """
    in_logs = ~np.isnan(scaler.log_floor)
    shares = np.zeros(len(in_logs))
    if not in_logs.any():
        return shares
    gains: dict[int, Floats] = {}
    for one in trained:
        for row, gain in _gains(one, calibration, scaler):
            gains[row] = gains.get(row, np.zeros_like(gain)) + gain
    if len(gains) < FEWEST_SERIES:
        return shares
    of_series = np.stack([*gains.values()])  # (series, share, channel)
    best = of_series.mean(0).argmax(0)
    gain = np.take_along_axis(of_series, best[None, None], 1)[:, 0]
    mean, error = gain.mean(0), gain.std(0, ddof=1) / np.sqrt(len(gain))
    # A gain within its standard error may be chance, and the best of many shares seems too good: it is shrunk.
    certain = mean**2 / np.maximum(mean**2 + error**2, np.finfo(float).tiny)
    return np.where(in_logs, SHARES[best] * certain, 0.0)


def _gains(one: Trained, calibration: Calibration, scaler: ChannelScaler) -> list[tuple[int, Floats]]:
    """By how much the squared errors of each held-out series fall, (share, channel), with the number of the series."""
    found = []
    for batch, of_rows, prediction in zip(one.held_out, one.series_of_batches, one.of_model, strict=True):
        assert batch.targets is not None  # tasks always carry targets
        assert batch.target_mask is not None
        shape = prediction.mean.shape
        leads, n_rows = batch.query_times.flatten().double().numpy(), batch.lengths.numpy().repeat(shape[1])
        factors = calibration.factors(leads, n_rows).reshape(shape)
        deviation = factors * prediction.scale.double().numpy() * scaler.scale
        median = scaler.inverse(prediction.mean.double().numpy()) / scaler.spread
        truth = scaler.inverse(batch.targets.double().numpy()) / scaler.spread
        known = batch.target_mask.numpy() > 0
        before = np.square(truth - median)
        gain = np.empty((len(SHARES), shape[0], shape[2]))
        with np.errstate(over="ignore", invalid="ignore"):
            for k, share in enumerate(SHARES):
                mean = median * np.exp(log_of_mean_over_median(deviation, np.full(shape[2], share)))
                gain[k] = np.where(known, before - np.square(truth - mean), 0.0).sum(1)
        gain = np.nan_to_num(gain, nan=-1e100, posinf=-1e100, neginf=-1e100)
        found += [(int(number), gain[:, row]) for row, number in enumerate(of_rows)]
    return found
