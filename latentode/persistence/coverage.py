"""What prediction intervals held on held-out series, as a fit leaves it."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["LEAD_ENDS", "NOMINAL", "HeldOutCoverage"]

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

NOMINAL = np.array([50.0, 80.0, 95.0])
"""Levels in per cent at which coverage is measured."""

LEAD_ENDS = np.array([0.0, 0.1, 0.4, 1.0])
"""Ends of the ranges of lead times, in horizons: 0 within the history. The last also holds what lies beyond."""


@dataclass(frozen=True)
class HeldOutCoverage:
    """How many of the held-out values lay within their calibrated intervals.

    Parameters
    ----------
    achieved : array of float
        (level, lead, channel), between 0 and 1, at :data:`NOMINAL` and up to :data:`LEAD_ENDS`; NaN without a value.
    standard_error : array of float
        The same shape, with whole series counted; NaN with fewer than two.
    n_values, n_series : array of int
        (lead, channel), the values behind it and the series they are of.
    """

    achieved: Floats
    standard_error: Floats
    n_values: Ints
    n_series: Ints
