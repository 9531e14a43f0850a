"""The coverage of calibrated intervals on held-out series, and a warning where too few series were held out."""

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri

from latentode.estimators.calibration import calibrate
from latentode.estimators.residuals import Residuals
from latentode.evaluation.reliability import coverage_and_error
from latentode.persistence.coverage import LEAD_ENDS, NOMINAL, HeldOutCoverage

__all__ = ["held_out_coverage"]

Bools = NDArray[np.bool_]
Ints = NDArray[np.int64]

FOLDS = 5
"""Groups of held-out series; the intervals of each are calibrated on the others."""

MOST_ERROR = 0.1
"""Standard error of the coverage of the 80 % intervals up to which there is no warning."""

PROMISED = 80.0
"""The level, in per cent, at which that is measured."""


def held_out_coverage(residuals: Residuals) -> tuple[HeldOutCoverage, list[str]]:
    """The coverage of calibrated intervals on held-out series, and a warning where it says too little.

    It is cross-fitted: the held-out series are divided into five groups (fewer than five series are a group each), and
    the values of a group are compared with intervals calibrated on the other groups. Measured on the residuals they
    were calibrated on, intervals would seem better than they are. Predictions use a calibration on all groups, which is
    a little better.

    The warning comes if the coverage of the 80 % intervals, over all channels and lead times, has a standard error of
    more than ten percentage points, or comes from a single series and so has no standard error. A threshold on the
    number of series would warn too often or too late: of similar series five can suffice, of others they cannot.

    Parameters
    ----------
    residuals : Residuals
        Of all models of the fit.

    Returns
    -------
    coverage : HeldOutCoverage
        By level, lead time and channel; without values for channels of counts, which are not calibrated.
    sentences : list of str
        What to warn of, if anything.

    References
    ----------
    Vovk, V. (2015). Cross-conformal predictors. Annals of Mathematics and Artificial Intelligence 74, 9-28.
    """
    inside, known = _inside(residuals)
    shape = len(NOMINAL), len(LEAD_ENDS), known.shape[1]
    achieved, errors = np.full(shape, np.nan), np.full(shape, np.nan)
    n_values, n_series = np.zeros(shape[1:], dtype=np.int64), np.zeros(shape[1:], dtype=np.int64)
    at = np.searchsorted(LEAD_ENDS[:-1], residuals.leads, side="left")
    for b, k in np.ndindex(*shape[1:]):
        here = known[:, k] & (at == b)
        n_values[b, k] = here.sum()
        for j in range(len(NOMINAL)):
            found = coverage_and_error(inside[j, here, k], residuals.series[here])
            achieved[j, b, k], errors[j, b, k], n_series[b, k] = found
    of_values = np.broadcast_to(residuals.series[:, None], known.shape)[known]
    sentences = _sentences(inside[list(NOMINAL).index(PROMISED)][known], of_values)
    return HeldOutCoverage(achieved, errors, n_values, n_series), sentences


def _sentences(inside: Bools, series: Ints) -> list[str]:
    """A sentence if the held-out values, (value,), of some series are too few to guarantee a level."""
    share, error, n_series = coverage_and_error(inside, series)
    if n_series == 0 or error <= MOST_ERROR:
        return []
    behind = f"{n_series} held-out series" if n_series > 1 else "the end of one series"
    give = f", give or take {100 * error:.0f}," if n_series > 1 else ""
    return [
        f"prediction intervals are calibrated on {behind}, too little data to guarantee their levels: of the "
        f"{PROMISED:g} % intervals there {100 * share:.0f} %{give} contained the observed value (see calibration_); "
        "backtest can check the intervals, and more series would make them reliable"
    ]


def _inside(residuals: Residuals) -> tuple[Bools, Bools]:
    """Whether a residual lies in its interval, (level, query, channel), and whether there is one, (query, channel)."""
    known = ~np.isnan(residuals.values)
    inside = np.zeros((len(NOMINAL), *known.shape), dtype=bool)
    group = np.unique(residuals.series, return_inverse=True)[1] % FOLDS
    tails = ndtri(0.5 + np.outer([-0.5, 0.5], NOMINAL / 100))[..., None, None]  # (side, level, query, channel)
    for fold in np.unique(group):
        these = residuals.where(group == fold)
        learned = calibrate(residuals.where(group != fold))
        low, high = learned.deviations(tails) * learned.factors(these.leads, these.n_rows)
        inside[:, group == fold] = (low <= these.values) & (these.values <= high)
    return inside, known
