"""Seasons: periods in which the data repeat, and the phase of a time in each."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from latentode.data.panel import Panel
from latentode.data.time_axis import TimeAxis

__all__ = ["Seasons", "find_seasons"]

Floats = NDArray[np.float64]

DAY = 86_400.0
CALENDAR = (DAY, 7 * DAY, 365.2425 * DAY)
"""Candidates on an axis of dates, in seconds."""

HARMONICS = 2
CYCLES = 2.0
"""A period must repeat so often in the data: fewer repetitions resemble a trend."""

LEAST_EXPLAINED = 0.02
"""Part of a channel's variance around its series' means that a calendar period must explain to be kept."""

CLEARLY_EXPLAINED = 0.1
"""The same of a period nobody named, sought among many; and it must go round :data:`SOUGHT_CYCLES` times."""

SOUGHT_CYCLES = 3.0
MOST_CYCLES = 200
OFF_GRID = 0.02
"""Part of a gap by which times may miss a regular grid, as rounded ones do."""

MOST_VALUES = 20_000
"""Values of a channel that are looked at: evenly chosen where there are more."""


@dataclass(frozen=True)
class Seasons:
    """Periods in which the data repeat.

    Parameters
    ----------
    periods : tuple of float
        In the unit of the time axis.

    Examples
    --------
    >>> Seasons((24.0,)).features(np.array([0.0, 6.0])).round(6) + 0.0
    array([[ 0.,  1.,  0.,  1.],
           [ 1.,  0.,  0., -1.]], dtype=float32)
    """

    periods: tuple[float, ...] = ()

    @property
    def n_features(self) -> int:
        """Features of a time."""
        return 2 * HARMONICS * len(self.periods)

    def features(self, times: Floats) -> NDArray[np.float32]:
        """Sine and cosine of the phase and of its double in every period.

        Parameters
        ----------
        times : array of float
            Of any shape, on the time axis.

        Returns
        -------
        array of float32
            (..., feature)
        """
        waves = [wave for period in self.periods for wave in _waves(times, period)]
        return np.stack(waves, axis=-1).astype(np.float32) if waves else np.empty((*times.shape, 0), np.float32)


def find_seasons(panel: Panel, axis: TimeAxis, wanted: Any = "auto") -> Seasons:
    """Find the periods in which the data repeat.

    For dates, the candidates are the day, the week and the year. Each is kept if the data span it twice and it explains
    2 % of a channel's variance around the means of its series. For numeric times, it is one period that all series
    share: it must explain 10 %, the data must span it three times, and it must be at least two gaps long where
    all times lie on a regular grid.

    Parameters
    ----------
    panel : Panel
        The observations.
    axis : TimeAxis
        Of the panel's times.
    wanted : {"auto"}, None or sequence of durations
        None for no season; durations ("365D", or numbers on an axis of numbers) to name the periods.

    Raises
    ------
    DataError
        When a duration does not fit the kind of times, or is not positive.
    """
    return Seasons(_periods(panel, axis, wanted))


def _periods(panel: Panel, axis: TimeAxis, wanted: Any) -> tuple[float, ...]:
    if wanted is None:
        return ()
    if not (isinstance(wanted, str) and wanted == "auto"):
        named = wanted if isinstance(wanted, tuple | list) else [wanted]
        return tuple(axis.length_of(duration, "seasonality") for duration in named)
    channels = _around_means(panel)
    total = float(np.ptp(panel.times)) if len(panel.times) else 0.0
    if axis.kind in ("datetime", "period"):
        kept = [
            period
            for period in CALENDAR
            if total >= CYCLES * period and max(_explained(*c, period) for c in channels) >= LEAST_EXPLAINED
        ]
        return tuple(kept)
    return _shared_period(channels, total) if axis.kind == "number" and total > 0 else ()


def _waves(times: Floats, period: float) -> list[Floats]:
    phase = 2 * np.pi * np.remainder(times / period, 1.0)
    return [wave(h * phase) for h in range(1, HARMONICS + 1) for wave in (np.sin, np.cos)]


def _around_means(panel: Panel) -> list[tuple[Floats, Floats]]:
    """For every channel, times and values minus the mean of their series, of series with at least two values."""
    found = []
    series = panel.series_of_row
    for values in panel.values.T:
        rows = np.flatnonzero(~np.isnan(values))
        count = np.bincount(series[rows], minlength=panel.n_series)
        rows = rows[count[series[rows]] > 1]
        mean = np.bincount(series[rows], values[rows], panel.n_series) / np.maximum(count, 1)
        rows_seen = rows[:: max(len(rows) // MOST_VALUES, 1)]
        centred = values[rows_seen] - mean[series[rows_seen]]
        # Clipped, so that a few extreme values do not decide which period explains most.
        spread = np.quantile(np.abs(centred), 0.9) if len(centred) else 0.0
        found.append((panel.times[rows_seen], np.clip(centred, -3 * spread, 3 * spread)))
    return found


def _explained(times: Floats, values: Floats, period: float) -> float:
    """Fraction of the variance explained by waves of a period, beyond the expectation for noise."""
    n = len(values)
    variance = float(values.var()) if n else 0.0
    if n < 50 or not variance > 0:
        return 0.0
    explained = 1 - float(_missed(times, values, period).mean()) / variance
    return float(explained - 2 * HARMONICS / n)


def _shared_period(channels: list[tuple[Floats, Floats]], total: float) -> tuple[float, ...]:
    """The period that explains most, if it is found alike in both halves of the data."""
    best, best_period = CLEARLY_EXPLAINED, 0.0
    bins = 8 * MOST_CYCLES
    cycles = np.arange(4 * MOST_CYCLES) / 4
    for times, values in channels:
        if len(values) < 200 or not values.var() > 0:
            continue
        # Less the trend, part of which any long wave would explain.
        around = values - np.polynomial.Polynomial.fit(times, values, 1)(times)
        place = np.minimum((times - times.min()) / total * bins, bins - 1).astype(np.int64)
        # Padded to four times its length, the spectrum has quarters of a cycle: periods need not divide the total.
        power = np.abs(np.fft.rfft(np.bincount(place, around, bins), 4 * bins))[: len(cycles)]
        shortest = 2 * _regular_gap(times)
        sought = (cycles >= SOUGHT_CYCLES) & (cycles * shortest <= total)
        if not sought.any():
            continue
        peak = cycles[int(np.where(sought, power, 0.0).argmax())]
        finer = total / (peak + np.linspace(-0.25, 0.25, 11))
        period = max(map(float, finer[finer >= shortest * (1 - 1e-9)]), key=lambda p: _explained(times, around, p))
        explained = _explained(times, around, period)
        # A wave in noise fits the half it was found in; a season found in one half predicts the other.
        early = times < np.median(times)
        halves = [_explained_by(times, around, learned, period) for learned in (early, ~early)]
        if explained > best and min(halves) > 0.5 * CLEARLY_EXPLAINED:
            best, best_period = explained, period
    return (best_period,) if best_period else ()


def _regular_gap(times: Floats) -> float:
    """The gap of which all gaps between times are multiples, or 0.

    On such a grid every period shorter than two gaps has the same values as a longer one, and is no season.
    """
    gaps = np.diff(np.unique(times))
    gaps = gaps[gaps > 1e-9 * np.abs(times).max()]  # smaller ones are rounding
    if not len(gaps):
        return 0.0
    gap = float(gaps.min())
    off = np.abs(gaps / gap - np.rint(gaps / gap))
    return gap if float(off.max()) <= OFF_GRID else 0.0


def _explained_by(times: Floats, values: Floats, learned: NDArray[np.bool_], period: float) -> float:
    """Fraction of the variance of the other values explained by waves fitted to some."""
    if min(learned.sum(), (~learned).sum()) < 50:
        return 0.0
    error = _missed(times, values, period, learned)[~learned].mean()
    return float(1 - error / max(float(values[~learned].var()), 1e-300))


def _missed(times: Floats, values: Floats, period: float, learned: NDArray[np.bool_] | slice = slice(None)) -> Floats:
    """Squared errors of the waves of a period, fitted to some of the values."""
    waves = np.stack([*_waves(times, period), np.ones(len(times))], axis=1)
    missed: Floats = np.square(values - waves @ np.linalg.lstsq(waves[learned], values[learned], rcond=None)[0])
    return missed
