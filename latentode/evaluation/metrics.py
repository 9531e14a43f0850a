"""Scores of point and probabilistic forecasts, over the values whose truth is known.

NaN in the truth means unknown: the entry counts nowhere. NaN in a forecast where the truth is known is an error,
because dropping it would reward a forecaster for silence. Where no truth is known, a score is NaN.
"""

from collections.abc import Hashable, Sequence

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from latentode.data import infer_schema
from latentode.evaluation.known import Floats, check_levels, known_values, mean_or_nan

__all__ = [
    "coverage",
    "crps_quantiles",
    "crps_samples",
    "interval_width",
    "log_score_quantiles",
    "mae",
    "mase",
    "naive_error",
    "rmse",
]


def mae(y_true: ArrayLike, y_pred: ArrayLike) -> float:
    """Mean absolute error over the known values.

    Parameters
    ----------
    y_true : array_like
        The truth, of any shape; NaN where unknown.
    y_pred : array_like
        The forecast, of the same shape. If both are pandas objects, their labels must agree.

    Returns
    -------
    float
        The mean, or NaN if no truth is known.

    Raises
    ------
    ValueError
        If shapes or labels differ, or a known value was not predicted.

    Examples
    --------
    >>> from latentode.evaluation import mae
    >>> mae([1.0, float("nan"), 4.0], [2.0, 9.0, 4.0])
    0.5
    """
    truth, forecast = known_values(y_true, y_pred=y_pred)
    return mean_or_nan(np.abs(truth - forecast))


def rmse(y_true: ArrayLike, y_pred: ArrayLike) -> float:
    """Root of the mean squared error over the known values.

    Parameters, returns and errors are those of :func:`mae`.

    Examples
    --------
    >>> from latentode.evaluation import rmse
    >>> rmse([0.0, 0.0], [3.0, -3.0])
    3.0
    """
    truth, forecast = known_values(y_true, y_pred=y_pred)
    return float(np.sqrt(mean_or_nan((truth - forecast) ** 2)))


def mase(y_true: ArrayLike, y_pred: ArrayLike, scale: ArrayLike) -> float:
    """Mean absolute scaled error: absolute errors in units of the mean step of the history.

    Parameters
    ----------
    y_true, y_pred : array_like
        As in :func:`mae`.
    scale : array_like
        The unit of each value, one for all or of the shape of `y_true`: what :func:`naive_error` gives for its
        channel.

    Returns
    -------
    float
        Below 1 where the forecast errs by less than one usual step. NaN if no truth is known.

    Raises
    ------
    ValueError
        As :func:`mae`, and if a scale is not positive.

    References
    ----------
    Hyndman, R. J. and Koehler, A. B. (2006). International Journal of Forecasting 22, 679-688.

    Examples
    --------
    >>> from latentode.evaluation import mase
    >>> mase([1.0, 4.0], [2.0, 4.0], scale=2.0)
    0.25
    """
    wide = np.broadcast_to(np.asarray(scale, dtype=np.float64), np.shape(y_true))
    truth, forecast, unit = known_values(np.asarray(y_true), y_pred=np.asarray(y_pred), scale=wide)
    if not (unit > 0).all():
        raise ValueError("scale must be positive: the channel's history holds no step")
    return mean_or_nan(np.abs(truth - forecast) / unit)


def naive_error(
    history: pd.DataFrame,
    id_col: Hashable = "id",
    time_col: Hashable = "time",
    target_cols: Sequence[Hashable] | None = None,
) -> pd.Series:
    """Mean absolute step between successive observations of a series, by channel: the unit of :func:`mase`.

    Parameters
    ----------
    history : DataFrame
        A row per series and time, NaN where a channel was not measured.
    id_col, time_col : hashable
        Its columns.
    target_cols : sequence of hashable, optional
        The channels. None means every other numeric column.

    Returns
    -------
    Series
        By channel; where there is no step, or none that moves, the channel's standard deviation, else 1.

    Examples
    --------
    >>> import pandas as pd
    >>> naive_error(pd.DataFrame({"id": 1, "time": [0, 1, 5], "x": [1.0, None, 4.0]})).tolist()
    [3.0]
    """
    ordered = history.reset_index(drop=True).iloc[np.argsort(history[time_col].to_numpy(), kind="stable")]
    found: dict[Hashable, float] = {}
    for channel in infer_schema(history, id_col, time_col, target_cols).target_cols:
        seen = ordered.loc[ordered[channel].notna(), [id_col, channel]]
        step = seen[channel].groupby(seen[id_col], observed=True).diff().abs().mean()
        spread = seen[channel].std()
        found[channel] = step if step > 0 else spread if spread > 0 else 1.0
    return pd.Series(found, dtype=np.float64)


def crps_samples(y_true: ArrayLike, samples: ArrayLike) -> float:
    r"""Mean continuous ranked probability score of samples, by the fair estimator.

    For one value :math:`y` and samples :math:`x_1, \dots, x_m` it is

    .. math::
        \frac1m \sum_i |x_i - y| - \frac{1}{2 m (m - 1)} \sum_{i, j} |x_i - x_j| .

    The fair estimator divides by :math:`m (m - 1)` where the standard one divides by :math:`m^2`. It is unbiased:
    its expectation is the score of the distribution the samples come from, whatever their number, so that
    forecasters who give different numbers of samples can be compared. A single term may fall below zero.

    Parameters
    ----------
    y_true : array_like
        The truth, of any shape; NaN where unknown.
    samples : array_like
        The samples, of the shape of `y_true` and one more axis, the last, of at least two samples.

    Returns
    -------
    float
        The mean score, in the unit of the values; lower is better. NaN if no truth is known.

    Raises
    ------
    ValueError
        If shapes differ, there is only one sample, or a known value has a NaN among its samples.

    References
    ----------
    Ferro, C. A. T. (2014). Fair scores for ensemble forecasts. Quarterly Journal of the Royal Meteorological
    Society 140, 1917-1923, equation 8.

    Examples
    --------
    >>> from latentode.evaluation import crps_samples
    >>> crps_samples([0.0], [[-1.0, 0.0, 2.0]])
    0.0
    """
    truth, drawn = known_values(y_true, samples=samples, trailing=1)
    m = drawn.shape[-1]
    if m < 2:
        raise ValueError(f"samples hold {m} per value on the last axis; the fair estimator needs at least 2")
    ordered = np.sort(drawn, axis=-1)
    error = np.abs(ordered - truth[:, None]).mean(axis=-1)
    # Each sorted sample x_(i) is added in i - 1 and subtracted in m - i of the pairwise distances.
    spread = ordered @ (2.0 * np.arange(1, m + 1) - m - 1) / (m * (m - 1))
    return mean_or_nan(error - spread)


def crps_quantiles(y_true: ArrayLike, quantiles: ArrayLike, levels: ArrayLike) -> float:
    r"""Mean continuous ranked probability score of quantiles: twice the integral of the quantile loss.

    :math:`2 \int_0^1 (1[y < q_\tau] - \tau)(q_\tau - y)\,d\tau` is summed over the levels, each with the part of
    [0, 1] nearest to it as its weight. The levels 0.05, 0.1, ..., 0.95 do well; a few levels far apart, or none in the
    tails, give a rougher score, to be compared only among forecasts at the same levels.

    Parameters
    ----------
    y_true : array_like
        The truth, of any shape; NaN where unknown.
    quantiles : array_like
        The quantiles, of the shape of `y_true` and one more axis, the last, along `levels`.
    levels : array_like
        The levels, increasing, between 0 and 1.

    Returns
    -------
    float
        The mean score, in the unit of the values; lower is better. NaN if no truth is known.

    Raises
    ------
    ValueError
        If shapes differ, levels are not increasing in (0, 1), or a known value has a NaN among its quantiles.

    References
    ----------
    Laio, F. and Tamea, S. (2007). Verification tools for probabilistic forecasts of continuous hydrological
    variables. Hydrology and Earth System Sciences 11, 1267-1277.

    Examples
    --------
    >>> from latentode.evaluation import crps_quantiles
    >>> crps_quantiles([3.0], [[1.0]], levels=[0.5])  # the median alone: the absolute error
    2.0
    """
    truth, forecast = known_values(y_true, quantiles=quantiles, trailing=1)
    tau = check_levels(levels, forecast)
    edges = np.concatenate([[0.0], (tau[1:] + tau[:-1]) / 2, [1.0]])
    gap = forecast - truth[:, None]
    loss = np.where(gap > 0, (1 - tau) * gap, -tau * gap)
    return mean_or_nan(2 * loss @ np.diff(edges))


def log_score_quantiles(y_true: ArrayLike, quantiles: ArrayLike, levels: ArrayLike) -> float:
    """Mean negative logarithm of the density that quantiles describe.

    Between two quantiles the density is constant; beyond the outermost ones it falls off exponentially, with the
    weight the levels leave there. Quantiles that fall together (a forecast of counts) have no density: a smallest
    gap of a millionth of the quantiles' range stands in.

    Parameters
    ----------
    y_true, quantiles, levels : array_like
        As in :func:`crps_quantiles`; two levels at least.

    Returns
    -------
    float
        In nats; lower is better. NaN if no truth is known.

    Raises
    ------
    ValueError
        As :func:`crps_quantiles`, and if there is only one level.

    References
    ----------
    Good, I. J. (1952). Rational decisions. Journal of the Royal Statistical Society B 14.

    Examples
    --------
    >>> from latentode.evaluation import log_score_quantiles
    >>> round(log_score_quantiles([0.5], [[0.0, 1.0]], levels=[0.25, 0.75]), 4)  # density 1/2
    0.6931
    """
    truth, forecast = known_values(y_true, quantiles=quantiles, trailing=1)
    tau = check_levels(levels, forecast)
    if len(tau) < 2:
        raise ValueError("a density needs two levels at least")
    ordered = np.sort(forecast, axis=-1)
    least = 1e-6 * (ordered[:, -1] - ordered[:, 0]).clip(1e-12) + 1e-12
    gaps = np.maximum(np.diff(ordered, axis=-1), least[:, None])
    place = (truth[:, None] > ordered).sum(-1)
    inside = np.clip(place - 1, 0, len(tau) - 2)
    rows = np.arange(len(truth))
    within = np.log(gaps[rows, inside]) - np.log(np.diff(tau)[inside])
    # A tail of weight w that begins with the density of the gap beside it: mean length w / density.
    tails = []
    for edge, gap, part, weight in (
        (0, gaps[:, 0], tau[1] - tau[0], tau[0]),
        (-1, gaps[:, -1], tau[-1] - tau[-2], 1 - tau[-1]),
    ):
        density = part / gap
        tails.append(-np.log(density) + np.abs(truth - ordered[:, edge]) * density / weight)
    return mean_or_nan(np.where(place == 0, tails[0], np.where(place == len(tau), tails[1], within)))


def coverage(y_true: ArrayLike, lower: ArrayLike, upper: ArrayLike) -> float:
    """Share of the known values that lie in their interval, bounds included.

    Parameters
    ----------
    y_true : array_like
        The truth, of any shape; NaN where unknown.
    lower, upper : array_like
        The bounds of the intervals, of the same shape.

    Returns
    -------
    float
        A number between 0 and 1, or NaN if no truth is known.

    Raises
    ------
    ValueError
        If shapes or labels differ, a known value has no interval, or a lower bound is above the upper.

    Examples
    --------
    >>> from latentode.evaluation import coverage
    >>> coverage([1.0, 2.0, 3.0, 4.0], [0, 0, 0, 0], [1, 3, 2.9, 5])
    0.75
    """
    truth, low, high = _interval(y_true, lower, upper)
    return mean_or_nan((low <= truth) & (truth <= high))


def interval_width(y_true: ArrayLike, lower: ArrayLike, upper: ArrayLike) -> float:
    """Mean width of the intervals, over the known values.

    `y_true` only says which values are known. Parameters and errors are those of :func:`coverage`.

    Examples
    --------
    >>> from latentode.evaluation import interval_width
    >>> interval_width([1.0, float("nan")], [0.0, 0.0], [3.0, 100.0])
    3.0
    """
    _, low, high = _interval(y_true, lower, upper)
    return mean_or_nan(high - low)


def _interval(y_true: ArrayLike, lower: ArrayLike, upper: ArrayLike) -> tuple[Floats, Floats, Floats]:
    truth, low, high = known_values(y_true, lower=lower, upper=upper)
    crossed = int((low > high).sum())
    if crossed:
        raise ValueError(f"lower is above upper for {crossed} of {len(truth)} values; swap or sort the bounds")
    return truth, low, high
