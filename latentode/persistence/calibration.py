"""The calibration of a model's uncertainty, as a fit leaves it: how wide its deviations are, and of what shape."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr, ndtri

__all__ = ["LEADS", "LENGTHS", "LEVELS", "REACHED", "Calibration", "log_of_mean_over_median", "share_reaching"]

Floats = NDArray[np.float64]

LEADS = np.array([0.0, 0.05, 0.25, 0.7])
"""Lead times, in spans, at which factors are learned: inside the history, and in the middle of (0, 0.1, 0.4, 1]."""

LENGTHS = np.array([1, 3, 10, 30, 100, 300])
"""Lengths of a history, in rows, at which forecasts have factors beside those of their lead times."""

LEVELS = np.array([0.005, 0.01, 0.025, *np.arange(1, 20) / 20, 0.975, 0.99, 0.995])
"""Quantile levels at which shapes are learned."""

REACHED = np.linspace(0.0, 1.0, 101)
"""Levels of the quantiles that are kept of how far ahead the held-out forecasts went."""

FARTHEST = 4.0
"""Standard deviations from its mean up to which quantiles of a mixture are computed; the rest is added linearly."""

MOST_LOG_OF_MEAN = 2.0
"""The mean of a lognormal is taken to be at most ``exp(2)``, 7.4 times its median: beyond, the rarest values decide it,
and no data show them."""


@dataclass(frozen=True)
class Calibration:
    """Split-conformal corrections of the uncertainty of a model.

    The deviations of a predictive distribution from its centre are multiplied by a factor, and its Gaussian levels are
    replaced by those at which held-out values of the channel lay. The prediction interval of a skewed or heavy-tailed
    channel gets that shape.

    Parameters
    ----------
    factor : array of float
        (lead, channel), at :data:`LEADS`; NaN for a channel without observations.
    shape : array of float
        (level, channel), the standardised deviation at each of :data:`LEVELS`.
    variance_share : array of float
        (channel,), of a channel in logarithms the share of its variance that raises the mean above the median: 0 gives
        the median, 1 the mean of a lognormal. 0 for the others.
    correlation : array of float
        (channel, channel), of the standardised errors of two channels at one time.
    by_length : array of float
        (length, channel), a further factor of forecasts, at :data:`LENGTHS`; 1 for channels of counts.

    References
    ----------
    Vovk et al. (2005), Algorithmic learning in a random world; Kuleshov et al. (2018), Accurate uncertainties for
    deep learning using calibrated regression.
    """

    factor: Floats
    shape: Floats
    variance_share: Floats
    correlation: Floats
    by_length: Floats

    @classmethod
    def none(cls, n_channels: int) -> "Calibration":
        """A calibration that changes nothing."""
        shape = np.repeat(ndtri(LEVELS)[:, None], n_channels, 1)
        factor, same = np.ones((len(LEADS), n_channels)), np.ones((len(LENGTHS), n_channels))
        return cls(factor, shape, np.zeros(n_channels), np.eye(n_channels), same)

    def factors(self, leads: Floats, n_rows: NDArray[np.int64], beyond: Floats | float = 0.0) -> Floats:
        """The factors of deviations, (query, channel).

        Parameters
        ----------
        leads : array of float
            (query,), lead times in spans.
        n_rows : array of int
            (query,), rows of the history.
        beyond : array of float
            (query,), from 0 for a forecast within the times of the series of fit to 1 for one well after them: held-out
            series say nothing of it, and narrow no interval there.
        """
        known = np.nan_to_num(self.factor, nan=1.0)
        # The first factor is of times inside the history, which forecasts just after it do not resemble.
        ahead = np.stack([np.interp(leads, LEADS[1:], column[1:]) for column in known.T], axis=1)
        found = np.where((leads <= 0)[:, None], known[0], ahead * self.widening(n_rows))
        kept = np.where(leads > 0, 1.0 - beyond, 1.0)[:, None]
        return np.where(found < 1.0, found**kept, found)

    def widening(self, n_rows: NDArray[np.int64]) -> Floats:
        """The further factor of forecasts from histories of some lengths, (query, channel)."""
        at, knots = np.log1p(n_rows), np.log1p(LENGTHS)
        return np.stack([np.interp(at, knots, column) for column in self.by_length.T], axis=1)

    def deviations(self, standard: Floats) -> Floats:
        """Map standard normal deviates to deviates of each channel's shape.

        Parameters
        ----------
        standard : array of float
            (..., channel), or (..., 1).

        Returns
        -------
        array of float
            (..., channel). Beyond the outermost levels the tail is a Gaussian's.
        """
        at = ndtri(LEVELS)
        wide = np.broadcast_to(standard, (*standard.shape[:-1], self.shape.shape[1]))
        inner = np.clip(wide, at[0], at[-1])
        found = np.stack([np.interp(inner[..., k], at, shape) for k, shape in enumerate(self.shape.T)], axis=-1)
        return found + (wide - inner)

    def across_channels(self, standard: Floats) -> Floats:
        """Correlate independent standard normal numbers, (..., channel); each stays standard normal."""
        # Estimated pair by pair, correlations need not be those of any distribution: negative eigenvalues become 0, and
        # the rows are scaled back to a variance of 1.
        values, vectors = np.linalg.eigh(self.correlation)
        root = (vectors * np.sqrt(values.clip(min=0.0))) @ vectors.T
        root /= np.linalg.norm(root, axis=1, keepdims=True)
        found: Floats = standard @ root.T
        return found

    def levels(self, quantiles: Floats) -> tuple[Floats, Floats]:
        """The levels of a Gaussian mixture whose quantiles are the calibrated ones.

        Parameters
        ----------
        quantiles : array of float
            (quantile,), between 0 and 1.

        Returns
        -------
        levels : array of float
            (quantile, 1, channel).
        beyond : array of float
            (quantile, 1, channel), standard deviations to add to the mixture's quantiles. Levels beyond
            :data:`FARTHEST` standard deviations differ from 0 and 1 by less than single precision resolves.
        """
        deviations = self.deviations(ndtri(quantiles)[:, None, None])
        inner = deviations.clip(-FARTHEST, FARTHEST)
        levels: Floats = ndtr(inner)
        return levels, deviations - inner


def log_of_mean_over_median(deviation: Floats, variance_share: Floats) -> Floats:
    """How far the logarithm of the mean lies above that of the median, ``share * deviation^2 / 2``, with a bound.

    Parameters
    ----------
    deviation : array of float
        (..., channel), the standard deviation of the logarithm.
    variance_share : array of float
        (channel,), see :class:`Calibration`.
    """
    found: Floats = variance_share * np.minimum(0.5 * np.square(deviation), MOST_LOG_OF_MEAN)
    return found


def share_reaching(lead: float, reached: Floats) -> float:
    """The share of held-out forecasts that went as far ahead as some lead time.

    Parameters
    ----------
    lead : float
        In spans.
    reached : array of float
        (level,), quantiles at :data:`REACHED` of how far ahead the held-out forecasts went, in spans.

    Examples
    --------
    >>> share_reaching(0.75, np.linspace(0.0, 1.0, 101))
    0.25
    """
    near = lead * (1 - 1e-6)  # leads are kept in single precision
    first = int(np.searchsorted(reached, near))
    if first in (0, len(reached)):
        return 1.0 if first == 0 else 0.0
    before, after = reached[first - 1], reached[first]
    return round(float(1 - (first - 1 + (near - before) / (after - before)) / (len(reached) - 1)), 4)
