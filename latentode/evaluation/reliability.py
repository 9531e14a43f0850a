"""Reliability: whether forecast probabilities are kept, value by value and by lead time."""

from collections.abc import Hashable, Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from latentode.evaluation.known import Floats, check_levels, known_values

__all__ = ["binned", "coverage_and_error", "coverage_by_lead", "pit"]


def pit(
    y_true: ArrayLike,
    forecast: ArrayLike,
    levels: ArrayLike | None = None,
    random_state: int | np.random.Generator | None = 0,
) -> Floats:
    r"""Probability integral transform: where in its predictive distribution each known value lies, from 0 to 1.

    If the forecasts are calibrated, the result is uniform: a histogram that is high at both ends shows distributions
    that are too narrow, one that is high in the middle shows them too wide, a slope a bias.

    It is randomised, so that it is uniform also for counts and for finitely many samples. With :math:`b` of
    :math:`m` samples below the value and :math:`t` equal to it, it is :math:`(b + v (t + 1)) / (m + 1)` with :math:`v`
    uniform. Of quantiles only the levels on either side of the value are known, and a number uniform between these is
    drawn; where several quantiles equal the value, as for counts, the ends lie half-way from the equal ones to the next
    level, or at 0 and 1 beyond the outermost.

    Parameters
    ----------
    y_true : array_like
        The truth, of any shape; NaN where unknown.
    forecast : array_like
        Samples or, if `levels` are given, quantiles: of the shape of `y_true` and one more axis, the last.
    levels : array_like, optional
        The levels of the quantiles, increasing, between 0 and 1. None means that `forecast` holds samples.
    random_state : int, Generator or None
        The source of the uniform numbers. The default gives the same result every time.

    Returns
    -------
    array of float
        (known value,), in the order of `y_true`.

    Raises
    ------
    ValueError
        If shapes differ, levels are not increasing in (0, 1), or a known value has a NaN in its forecast.

    References
    ----------
    Dawid, A. P. (1984). Statistical theory: the prequential approach. Czado, C., Gneiting, T. and Held, L. (2009).
    Predictive model assessment for count data. Biometrics 65, 1254-1261, section 2.1. Hamill, T. M. (2001).
    Interpretation of rank histograms for verifying ensemble forecasts.

    Examples
    --------
    >>> from latentode.evaluation import pit
    >>> bool(0.5 <= pit([2.5], [[1.0, 2.0, 3.0]])[0] <= 0.75)  # after two of three samples
    True
    >>> bool(0.9 <= pit([9.0], [[1.0, 3.0]], levels=[0.1, 0.9])[0] <= 1.0)
    True
    """
    truth, known = known_values(y_true, forecast=forecast, trailing=1)
    uniform = np.random.default_rng(random_state).uniform(size=len(truth))
    below = (known < truth[:, None]).sum(axis=1)
    tied = (known == truth[:, None]).sum(axis=1)
    if levels is None:
        found: Floats = (below + uniform * (tied + 1)) / (known.shape[1] + 1)
        return found
    tau = np.concatenate([[0.0], check_levels(levels, known), [1.0]])
    first, last = tau[below], tau[below + tied + 1]  # the levels before and after the quantiles that equal the value
    before = np.where(below > 0, (first + tau[below + 1]) / 2, 0.0)
    after = np.where(below + tied < known.shape[1], (tau[below + tied] + last) / 2, 1.0)
    low, high = np.where(tied > 0, before, first), np.where(tied > 0, after, last)
    return np.asarray(low + uniform * (high - low))


def coverage_by_lead(
    forecasts: pd.DataFrame,
    bins: int | Sequence[Any] = 3,
    levels: Sequence[float] | None = None,
    by: Sequence[Hashable] = ("model",),
) -> pd.DataFrame:
    r"""Coverage of the central prediction intervals by lead time, with standard errors.

    Values of one series lie in their intervals, or beside them, together: the standard error counts whole series. Of
    :math:`n` values, of which a share :math:`p` lies within, it is the root of :math:`D\,\tilde p (1 - \tilde p) / n`.
    The design effect :math:`D` is the variance of :math:`p`, found from the sums over series, over that of independent
    values, and at least 1. With two successes and two failures added, :math:`\tilde p` keeps the error above 0 where
    all values lie within, or none.

    Parameters
    ----------
    forecasts : DataFrame
        As :func:`backtest` gives it; of its columns ``series``, ``lead``, ``y``, ``q{level}`` and those of `by` are
        needed.
    bins : int or sequence
        Bins of the lead: how many, with about as many values in each, or their edges, open to the left.
    levels : sequence of float, optional
        Levels of the intervals in per cent; the bounds of each must be among the quantiles. None means all central
        intervals that the quantiles hold.
    by : sequence of hashable
        Columns that divide the table further, such as ``("model", "channel")``.

    Returns
    -------
    DataFrame
        A row for each bin, in order, each value of `by` and each level. Columns: those of `by`, ``lead`` (the bin),
        ``nominal`` and ``achieved`` (per cent), ``standard_error`` (in points of per cent; NaN where all values are of
        one series), ``n`` (values) and ``n_series``.

    Raises
    ------
    ValueError
        If a column or a bound is missing, a lead is in no bin, or a known value has no interval.

    References
    ----------
    Kish, L. (1965). Survey sampling (the design effect). Agresti, A. and Coull, B. A. (1998). Approximate is better
    than "exact" for interval estimation of binomial proportions. The American Statistician 52, 119-126.

    Examples
    --------
    >>> import pandas as pd
    >>> from latentode.evaluation import coverage_by_lead
    >>> forecasts = pd.DataFrame({"model": "mine", "series": [1, 1, 2, 2], "lead": [1, 2, 1, 2], "y": [0, 3, 1, 1]})
    >>> forecasts = forecasts.assign(**{"q0.05": -2.0, "q0.95": 2.0})
    >>> coverage_by_lead(forecasts, bins=[0, 1, 2])[["lead", "nominal", "achieved", "n", "n_series"]]
         lead  nominal  achieved  n  n_series
    0  (0, 1]     90.0     100.0  2         2
    1  (1, 2]     90.0      50.0  2         2
    """
    missing = [name for name in ("series", "lead", "y", *by) if name not in forecasts.columns]
    if missing:
        raise ValueError(f"forecasts has no column {missing}; its columns are {list(forecasts.columns)}")
    bounds = _bounds(forecasts, levels)
    forecasts = forecasts.sort_values("lead", kind="stable")
    rows = []
    keys = [*(forecasts[name] for name in by), binned(forecasts["lead"], bins)]
    for (*values, where), part in forecasts.groupby(keys, sort=False, observed=True):
        for level, (low, high) in bounds.items():
            truth, lower, upper = known_values(part["y"], lower=part[low], upper=part[high])
            series = part["series"][part["y"].notna()]
            achieved, error, n_series = coverage_and_error((lower <= truth) & (truth <= upper), series)
            rows.append([*values, where, level, 100 * achieved, 100 * error, len(truth), n_series])
    return pd.DataFrame(rows, columns=[*by, "lead", "nominal", "achieved", "standard_error", "n", "n_series"])


def coverage_and_error(inside: NDArray[np.bool_], series: ArrayLike) -> tuple[float, float, int]:
    """The share of values that lie within, its standard error, and how many series there are.

    Parameters
    ----------
    inside : array of bool
        (value,), whether it lies in its interval.
    series : array_like
        (value,), the series of each.

    Returns
    -------
    achieved : float
        NaN without a value.
    standard_error : float
        As :func:`coverage_by_lead` says; NaN with fewer than two series.
    n_series : int
        The number of series.

    Examples
    --------
    Of two series all values of one lie within: the error is that of two values, not of twenty.

    >>> inside = np.repeat([True, False], 10)
    >>> share, error, n_series = coverage_and_error(inside, np.repeat([0, 1], 10))
    >>> share, round(error, 2), n_series
    (0.5, 0.5, 2)
    """
    codes = pd.factorize(np.asarray(series), use_na_sentinel=False)[0]
    n, n_series = len(inside), len(np.unique(codes))
    share = float(inside.mean()) if n else np.nan
    if n_series < 2:
        return share, np.nan, n_series
    moderate = (inside.sum() + 2) / (n + 4)
    excess = np.bincount(codes, inside - share)
    clustered = np.square(excess).sum() * n_series / (n_series - 1)
    independent = n * share * (1 - share)
    effect = max(clustered / independent, 1.0) if independent > 0 else 1.0
    return share, float(np.sqrt(effect * moderate * (1 - moderate) / n)), n_series


def binned(lead: pd.Series, bins: int | Sequence[Any]) -> pd.Series:
    """The bin of each lead time: so many bins, with about as many values in each, or bins with these edges.

    Parameters
    ----------
    lead : Series
        Numbers or durations.
    bins : int or sequence
        How many, or their edges, open to the left.

    Raises
    ------
    ValueError
        If a lead is in no bin.

    Examples
    --------
    >>> binned(pd.Series([1, 2, 3, 4]), [0, 2, 4]).astype(str).tolist()
    ['(0, 2]', '(0, 2]', '(2, 4]', '(2, 4]']
    """
    found = pd.qcut(lead, bins, duplicates="drop") if isinstance(bins, int) else pd.cut(lead, pd.Index(bins))
    if found.isna().any():
        raise ValueError(f"{int(found.isna().sum())} leads lie in no bin; they reach from {lead.min()} to {lead.max()}")
    return found


def _bounds(forecasts: pd.DataFrame, levels: Sequence[float] | None) -> dict[float, tuple[str, str]]:
    """The columns of the bounds of each central interval, by its level in per cent, ascending."""
    columns = {round(float(str(c)[1:]), 9): str(c) for c in forecasts.columns if str(c).startswith("q")}
    if levels is None:
        levels = sorted(round(100 - 200 * tau, 6) for tau in columns if tau < 0.5 and round(1 - tau, 9) in columns)
    found = {}
    for level in levels:
        ends = [round((100 - level) / 200, 9), round((100 + level) / 200, 9)]
        missing = [f"q{tau:g}" for tau in ends if tau not in columns]
        if missing:
            raise ValueError(
                f"forecasts has no column {missing}, a bound of the {level:g} % interval; its columns are "
                f"{list(forecasts.columns)}"
            )
        found[level] = (columns[ends[0]], columns[ends[1]])
    return found
