"""Scores of joint samples: they see whether values that belong to one series go together as they should.

The mean, the CRPS and the coverage of single values cannot tell a forecast whose errors persist from one whose errors
are independent. A sum over a month, a maximum or a first passage can, and so can these scores.
"""

from collections.abc import Iterator

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike
from scipy.spatial.distance import pdist

from latentode.evaluation.known import Floats, known_values, mean_or_nan

__all__ = ["energy_score", "variogram_score"]


def energy_score(y_true: ArrayLike, samples: ArrayLike, groups: ArrayLike | None = None) -> float:
    r"""Mean energy score of joint samples, by the fair estimator.

    For the known values :math:`y \in R^d` of one forecast and samples :math:`x_1, \dots, x_m` of all of them together
    it is

    .. math::
        \frac1m \sum_i \|x_i - y\| - \frac{1}{2 m (m - 1)} \sum_{i, j} \|x_i - x_j\| .

    It generalises the CRPS, with which it agrees for :math:`d = 1`, and is proper: no other distribution has a lower
    expected score than the true one. Values that are unknown drop out of truth and samples, which leaves the score
    of the joint distribution of the known ones. It grows as the square root of their number. It is sensitive to errors
    of the mean and less so to wrong correlations; :func:`variogram_score` sees those better.

    Parameters
    ----------
    y_true : array_like
        (row, ...), the truth, NaN where unknown. Every row is one joint forecast: all values of one series, for
        instance of shape (series, time, channel). Bring channels of different units to one scale first, such as
        divided by their standard deviations in training.
    samples : array_like
        (row, ..., sample), at least two samples, in the same units.
    groups : array_like, optional
        (row,), a label per row: rows of one label are one joint forecast, such as the column of ids where a row is a
        time. None means that each row is one.

    Returns
    -------
    float
        The mean over the joint forecasts with a known value, in the unit of the values; lower is better. NaN if there
        is none.

    Raises
    ------
    ValueError
        If shapes differ, there is only one sample, or a known value has a NaN among its samples.

    References
    ----------
    Gneiting, T. and Raftery, A. E. (2007). Strictly proper scoring rules, prediction, and estimation. Journal of the
    American Statistical Association 102, 359-378, equation 22. The estimator is that of Ferro (2014), as in
    :func:`crps_samples`.

    Examples
    --------
    Three times of one series; the second was not measured.

    >>> from latentode.evaluation import energy_score
    >>> energy_score([[0.0, float("nan"), 4.0]], [[[0.0, 3.0], [7.0, 8.0], [0.0, 4.0]]])
    1.0
    """
    found = []
    for truth, drawn in _joint_forecasts(y_true, samples, groups):
        if drawn.shape[1] < 2:
            raise ValueError(f"samples hold {drawn.shape[1]} per value on the last axis; the score needs at least 2")
        near = np.linalg.norm(drawn - truth[:, None], axis=0).mean()
        found.append(near - 0.5 * pdist(drawn.T).mean())
    return mean_or_nan(np.array(found))


def variogram_score(y_true: ArrayLike, samples: ArrayLike, p: float = 0.5, groups: ArrayLike | None = None) -> float:
    r"""Mean variogram score of joint samples: how far values of one forecast lie from one another.

    For the known values :math:`y \in R^d` of one forecast and samples :math:`x_1, \dots, x_m` it is

    .. math::
        \frac{2}{d (d - 1)} \sum_{i < j} \Bigl( |y_i - y_j|^p - \frac1m \sum_k |x_{ki} - x_{kj}|^p \Bigr)^2 ,

    the original with equal weights that sum to 1, so that forecasts of different length count alike. It is proper, and
    sensitive to correlations. It does not see an error that all values share: use it beside :func:`energy_score`.

    Parameters
    ----------
    y_true, samples, groups : array_like
        As in :func:`energy_score`; one sample is enough.
    p : float
        The order of the variogram, positive. The default 0.5 discriminated best where it was introduced, for skewed
        distributions most of all.

    Returns
    -------
    float
        The mean over the joint forecasts with two known values at least, in the unit of the values to the power
        ``2 p``; lower is better. NaN if there is none.

    Raises
    ------
    ValueError
        As :func:`energy_score`, and if `p` is not positive.

    References
    ----------
    Scheuerer, M. and Hamill, T. M. (2015). Variogram-based proper scoring rules for probabilistic forecasts of
    multivariate quantities. Monthly Weather Review 143, 1321-1334, equation 16.

    Examples
    --------
    Two values that are equal, and samples in which they are.

    >>> from latentode.evaluation import variogram_score
    >>> variogram_score([[3.0, 3.0]], [[[0.0, 5.0], [0.0, 5.0]]])
    0.0
    >>> variogram_score([[3.0, 3.0]], [[[0.0, 5.0], [4.0, 1.0]]])  # |0 - 4|^0.5 = |5 - 1|^0.5 = 2
    4.0
    """
    if not p > 0:
        raise ValueError(f"p={p} must be positive, for instance 0.5")
    found = []
    for truth, drawn in _joint_forecasts(y_true, samples, groups):
        pairs = 0
        total = 0.0
        for i in range(len(truth) - 1):  # one value beside all after it: memory in the number of values, not its square
            seen = np.abs(truth[i + 1 :] - truth[i]) ** p
            expected = (np.abs(drawn[i + 1 :] - drawn[i]) ** p).mean(axis=1)
            total += float(np.square(seen - expected).sum())
            pairs += len(seen)
        if pairs:
            found.append(total / pairs)
    return mean_or_nan(np.array(found))


def _joint_forecasts(
    y_true: ArrayLike, samples: ArrayLike, groups: ArrayLike | None
) -> Iterator[tuple[Floats, Floats]]:
    """Each joint forecast with a known value: the truth, (value,), and its samples, (value, sample)."""
    whole = np.asarray(y_true, dtype=np.float64)
    if whole.ndim == 0:
        raise ValueError("y_true is one number; give an array with a row per joint forecast, such as [[1.0, 2.0]]")
    truth, drawn = known_values(whole, samples=np.asarray(samples), trailing=1)
    codes = np.arange(len(whole)) if groups is None else pd.factorize(np.asarray(groups), use_na_sentinel=False)[0]
    if codes.shape != whole.shape[:1]:
        raise ValueError(f"groups have shape {codes.shape}, but y_true has {len(whole)} rows: give one label per row")
    of_value = np.broadcast_to(codes.reshape(-1, *(1,) * (whole.ndim - 1)), whole.shape)[~np.isnan(whole)]
    order = np.argsort(of_value, kind="stable")
    ends = np.flatnonzero(np.diff(of_value[order])) + 1
    if len(order):
        yield from ((truth[rows], drawn[rows]) for rows in np.split(order, ends))
