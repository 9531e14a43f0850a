"""Channels on a common scale: logarithms where they fit, robust to outliers, with a floor for constant ones."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["ChannelScaler"]

Floats = NDArray[np.float64]

WINSOR = 5.0
"""Robust standard deviations beyond which a value no longer widens its channel's scale."""

FARTHEST = 1e6
"""Scaled values end here: a fill value such as 1e37 is then wrong about itself and leaves the others finite."""

CONSTANT = 1e-12
"""A channel that moves by less than this part of its size is constant: rounding errors, no signal."""

LOG_GAIN = 0.15
"""Nats per value by which a lognormal must fit a channel better than a normal for it to be read in logarithms."""


@dataclass(frozen=True)
class ChannelScaler:
    """A monotone map per channel, fitted on observed values only.

    A positive channel that is closer to lognormal than to normal (concentrations, intensities, counts without
    zeros) is read in logarithms; its forecasts then stay positive. The choice is the Box-Cox likelihood's
    between lambda = 1 and lambda = 0.

    Parameters
    ----------
    center, scale : array of float
        (channel,); scaled values are ``(x - center) / scale``, of the logarithm where that is taken.
    log_floor : array of float
        (channel,), the value to which lower values of a channel in logarithms are raised; NaN for a
        channel that is not in logarithms.
    spread : array of float
        (channel,), the size of a channel's ordinary variation in its own unit.

    References
    ----------
    Box & Cox (1964), An analysis of transformations.

    Examples
    --------
    >>> import numpy as np
    >>> scaler = ChannelScaler.from_values(np.array([[1.0], [2.0], [3.0], [np.nan]]))
    >>> scaler.center
    array([2.])
    """

    center: Floats
    scale: Floats
    log_floor: Floats
    spread: Floats

    @classmethod
    def from_values(cls, values: Floats, logarithms: bool | NDArray[np.bool_] = True) -> "ChannelScaler":
        """Mean and standard deviation after clipping values far outside the quartiles.

        Parameters
        ----------
        values : array of float
            (rows, channel), NaN where missing. A channel without values gets center 0 and scale 1; a constant
            one a tenth of its size, so that it may move at prediction without leaving the model's range.
        logarithms : bool or array of bool
            (channel,), whether channels closer to lognormal are read in logarithms.
        """
        n_channels = values.shape[1]
        center, scale, spread = np.zeros(n_channels), np.ones(n_channels), np.ones(n_channels)
        log_floor = np.full(n_channels, np.nan)
        may_be_logs = np.broadcast_to(logarithms, n_channels)
        for k in range(n_channels):
            x = values[:, k][~np.isnan(values[:, k])]
            if x.size == 0:
                continue
            center[k], scale[k] = _center_and_scale(x)
            spread[k] = scale[k]
            if may_be_logs[k] and _is_lognormal(x):
                # A value at prediction may be 0 or less; its logarithm must stay near those of fit.
                log_floor[k] = max(0.1 * x.min(), np.nextafter(0, 1))
                center[k], scale[k] = _center_and_scale(np.log(x))
        return cls(center, scale, log_floor, spread)

    def transform(self, values: Floats) -> Floats:
        """Scaled values, (..., channel), clipped to what single precision can square."""
        in_logs = ~np.isnan(self.log_floor)
        scaled: Floats = np.maximum(values, np.where(in_logs, self.log_floor, 1.0))
        np.log(scaled, out=scaled)
        scaled = np.where(in_logs, scaled, values)
        with np.errstate(over="ignore"):  # an outlier in a channel of the smallest numbers
            scaled -= self.center  # in place: the values may take gigabytes
            scaled /= self.scale
        return np.clip(scaled, -FARTHEST, FARTHEST, out=scaled)

    def inverse(self, values: Floats) -> Floats:
        """Values in the channel's own unit, (..., channel); quantiles go to quantiles."""
        read = values * self.scale + self.center
        in_logs = ~np.isnan(self.log_floor)
        return np.where(in_logs, np.exp(np.where(in_logs, read, 0.0).clip(-700, 700)), read)


def _center_and_scale(x: Floats) -> tuple[float, float]:
    low, middle, high = np.quantile(x, [0.25, 0.5, 0.75])
    # The quartiles of a Gaussian are 1.349 standard deviations apart.
    spread = (high - low) / 1.349
    if spread <= 0:  # more than half the values are one value
        spread = float(np.abs(x - middle).mean())
    drawn_in = np.clip(x, middle - WINSOR * spread, middle + WINSOR * spread)
    unit = _power_of_two(float(np.abs(drawn_in).max()))  # no square overflows or vanishes, no digit is lost
    center, scale = float((drawn_in / unit).mean()) * unit, float((drawn_in / unit).std()) * unit
    if scale <= CONSTANT * abs(center):
        return center, (0.1 * abs(center) or 1.0)
    return center, scale


def _is_lognormal(x: Floats) -> bool:
    """Whether logarithms are closer to normal than the values are, by the Box-Cox likelihood."""
    # Over less than a factor of two a logarithm is nearly a line, and the choice makes no difference.
    if x.min() <= 0 or 0.5 * x.max() < x.min():
        return False
    logs = np.log(x)
    size = float(x.max())  # in units of which no square overflows or vanishes
    gain = np.log((x / size).std()) - np.log(max(float(logs.std()), 1e-12)) - (logs - np.log(size)).mean()
    return bool(gain > LOG_GAIN)


def _power_of_two(size: float) -> float:
    """The largest power of two not above a size, 1 for size 0."""
    return float(np.ldexp(1.0, int(np.frexp(size)[1]) - 1)) if size > 0 else 1.0
