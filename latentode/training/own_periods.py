"""Finding the channels in which every series has a period of its own, and how frequent the periods are."""

import copy
from collections.abc import Callable

import torch
from torch import Tensor

from latentode.nn.channel_series import ChannelSeries
from latentode.nn.gaussian_process import Evidence, GaussianProcess
from latentode.nn.own_periods import CYCLES_APART, OwnPeriods

__all__ = ["know_frequencies", "with_own_periods"]

FEWEST_CYCLES, MOST_CYCLES = 0.5, 40.0
"""Cycles in the usual duration of a series, between which frequencies are considered."""

PRIOR_COUNTS = 1.0
"""Series without a sinusoid, and with one of any frequency, that are counted beside those found."""

FEWEST_OBSERVATIONS = 4
"""Observations of a series from which on it says something of a period: a sinusoid passes through any three."""

KEPT_SHARE, MOST_FREQUENCIES = 0.95, 128
"""Share of the probability of all frequencies that the grid keeps, and the most frequencies that it keeps."""

MOST_WITHOUT, FEWEST_WITH = 0.6, 5
"""A channel may have sinusoids if at most this share of its series seems to have none, and at least so many have one.
"""

COMMON = 0.9
"""If two neighbouring frequencies hold this share of the series with a sinusoid, all series have the same period. It is
left to the rotation, which the process has anyway: one exact period stays in step for longer."""

N_EXPECTATIONS = 2
"""Passes over the series that decide whether a channel is tried."""

GAIN = 0.5
"""Log-likelihood per series that sinusoids must add."""


def with_own_periods(
    fitted: GaussianProcess,
    started: GaussianProcess,
    population: list[ChannelSeries],
    maximise: Callable[[GaussianProcess, list[ChannelSeries]], None],
) -> GaussianProcess:
    """A process with sinusoids in the channels where they explain the series better; the same one if in none.

    Parameters
    ----------
    fitted, started : GaussianProcess
        One without sinusoids, with its fixed effects; and the one that its fit started from.
    population : list of ChannelSeries
        In chunks.
    maximise : callable
        Fits the parameters of a process to a population.

    References
    ----------
    Dempster, Laird & Rubin (1977), Maximum likelihood from incomplete data via the EM algorithm: the shares of the
    frequencies. Kass & Raftery (1995), Bayes factors.
    """
    shown = _long_enough(population, len(started.effects))
    if not shown.any():
        return fitted
    trial = _with_grid(started)
    assert trial.periods is not None
    _forget(trial.periods, ~shown)
    trial.effects.copy_(fitted.effects)
    with torch.no_grad():
        trial.log_variances["noise"].copy_(fitted.log_variances["noise"])
        for _ in range(N_EXPECTATIONS):
            know_frequencies(trial.periods, trial.evidence(population), prune=True)
    tried = _have_sinusoids(trial.periods, population)
    if not tried.any():
        return fitted
    _forget(trial.periods, ~tried)
    chosen = [series.take(which) for series in population if len(which := torch.nonzero(tried[series.channel])[:, 0])]
    # The trial starts from the noise that was found; the other goes on for as long.
    rival = copy.deepcopy(fitted)
    maximise(trial, chosen)
    maximise(rival, chosen)
    with torch.no_grad():
        evidence = trial.evidence(chosen)
        trial.know_effects(evidence)
        gain = evidence.log_likelihood - rival.evidence(chosen).log_likelihood
    better = gain > GAIN * _n_series(population, len(tried))
    kept = tried & better & _have_sinusoids(trial.periods, chosen)
    if not kept.any():
        return fitted
    _forget(trial.periods, ~kept)
    with torch.no_grad():
        old = dict(fitted.named_parameters()) | dict(fitted.named_buffers())
        for name, value in (dict(trial.named_parameters()) | dict(trial.named_buffers())).items():
            if name in old and len(value) == len(kept):
                value[~kept] = old[name][~kept]
    return trial


def know_frequencies(periods: OwnPeriods, evidence: Evidence, *, prune: bool = False) -> None:
    """Learn how common each frequency is among the series.

    Parameters
    ----------
    periods : OwnPeriods
        Of the process.
    evidence : Evidence
        What the series say with the present prior.
    prune : bool
        Whether to drop frequencies that hardly any series has.
    """
    counts = evidence.counts
    smooth = _smoothed(counts[:, 1:], periods.frequencies.double(), periods.width)
    found = torch.cat([counts[:, :1] + PRIOR_COUNTS, smooth + PRIOR_COUNTS / smooth.shape[1]], dim=1)
    without = periods.prior[:, 0] == 1
    found[without] = periods.prior[without].double()
    if prune:
        shares, order = found[:, 1:].sort(dim=1, descending=True)
        n_kept = int((shares.cumsum(1) < KEPT_SHARE * shares.sum(1, keepdim=True)).sum(1).max()) + 1
        kept = order[:, : min(n_kept, MOST_FREQUENCIES)].sort(dim=1).values
        periods.frequencies = periods.frequencies.gather(1, kept)
        found = torch.cat([found[:, :1], found[:, 1:].gather(1, kept)], dim=1)
    periods.prior = (found / found.sum(1, keepdim=True)).float()


def _smoothed(counts: Tensor, frequencies: Tensor, least: float) -> Tensor:
    """Counts, (channel, frequency), as a density estimate shows them: a few series leave gaps that others fall into.

    References
    ----------
    Silverman (1986), Density estimation for statistics and data analysis, section 3.4.2: the width of the kernel.
    """
    total = counts.sum(1, keepdim=True).clamp(min=1.0)
    mean = (counts * frequencies).sum(1, keepdim=True) / total
    deviation = ((counts * (frequencies - mean).square()).sum(1, keepdim=True) / total).sqrt()
    width = (1.06 * deviation * total**-0.2).clamp(min=least)
    found = []
    for of_channel, at, h in zip(counts, frequencies, width, strict=True):
        kernel = (-0.5 * ((at[:, None] - at) / h).square()).exp()
        found.append(kernel @ (of_channel / kernel.sum(0)))
    return torch.stack(found)


def _with_grid(started: GaussianProcess) -> GaussianProcess:
    """The same process with sinusoids of all frequencies, equally likely."""
    fastest = max(min(0.5 * started.duration / started.usual_gap, MOST_CYCLES), 2 * FEWEST_CYCLES)
    cycles = torch.arange(FEWEST_CYCLES, fastest, CYCLES_APART, dtype=torch.float64)
    process = GaussianProcess(
        len(started.effects),
        started.n_given,
        started.usual_gap,
        started.duration,
        started.n_impulses,
        started.impulse_gap,
        len(cycles),
    )
    process.load_state_dict(started.state_dict(), strict=False)
    assert process.periods is not None
    process.periods.frequencies[:] = cycles / started.duration
    process.periods.prior[:] = 0.5 / len(cycles)
    process.periods.prior[:, 0] = 0.5
    return process


def _forget(periods: OwnPeriods, channels: Tensor) -> None:
    """Have no sinusoids in some channels, (channel,) bool."""
    periods.prior[channels] = 0.0
    periods.prior[channels, 0] = 1.0


def _long_enough(population: list[ChannelSeries], n_channels: int) -> Tensor:
    """(channel,), whether enough of its series have the observations that a period takes."""
    long = torch.cat([s.channel[s.counts >= FEWEST_OBSERVATIONS] for s in population])
    return torch.bincount(long, minlength=n_channels) >= FEWEST_WITH


def _have_sinusoids(periods: OwnPeriods, population: list[ChannelSeries]) -> Tensor:
    """(channel,), whether enough series have a sinusoid, and not all the same."""
    without = periods.prior[:, 0]
    enough = (without < MOST_WITHOUT) & ((1 - without) * _n_series(population, len(without)) >= FEWEST_WITH)
    above = periods.frequencies[:, None] - periods.frequencies[:, :, None]
    neighbours = (above >= 0) & (above < 1.5 * CYCLES_APART / periods.duration)
    together = (neighbours * periods.prior[:, None, 1:]).sum(2).amax(1)
    return enough & (together < COMMON * (1 - without))


def _n_series(population: list[ChannelSeries], n_channels: int) -> Tensor:
    """(channel,), number of series."""
    return sum((torch.bincount(s.channel, minlength=n_channels) for s in population), torch.zeros(n_channels))
