"""Fitting the Gaussian process of the base forecasts by its marginal likelihood."""

import copy
import math

import numpy as np
import torch
from torch import Tensor

from latentode.nn.channel_series import ChannelSeries, by_channel
from latentode.nn.gaussian_process import GaussianProcess
from latentode.nn.own_periods import CYCLES_APART
from latentode.training.own_periods import know_frequencies, with_own_periods
from latentode.training.process_draws import FEWEST_FOR_ONE, OF_FEW, affordable, draw_parameters
from latentode.training.process_prior import parameters_of, prior_around, set_parameters, steps_of
from latentode.training.tasks import MAX_HISTORY, MAX_REACH, RaggedSeries, query_batch, usable_series
from latentode.training.threads import one_thread
from latentode.training.time_limit import TimeLimit

__all__ = ["fit_gaussian_process", "with_effects_of"]

STEPS = 60
"""Steps of Adam. After 15, the evidence of sixty random walks was 28 nats below its maximum, after 60 one; the CRPS of
the process alone is 5 % lower on the league."""

RATE = 0.6
"""First rate of Adam: a large one for logarithms of variances, of which the factor matters."""

WINDOW = 64
"""Observations of a channel of a series at most: stretches of that length show how long it remembers."""

MOST_SERIES, CELLS, MOST_CELLS = 300, 80_000, 250_000
"""Series, and entries of the covariance matrices of a channel and of all channels, at most. Beyond, some are
drawn: a few dozen series show the variances well."""

FEWEST_FOR_PERIOD = 6
"""Observations of a series from which on it says something of a common period."""

FEWEST_CYCLES, MOST_CYCLES = 1.5, 60
"""Cycles in the usual duration of a series between which periods are sought. A single cycle may be any bend."""

HARDLY_ANY = 1e-3
"""Initial variance of a rotation without a period."""

RIDGE = 0.5
"""Added to the squared sums of a sinusoid, so that two or three points do not pass for one."""


def fit_gaussian_process(
    series: RaggedSeries,
    span: float,
    usual_gap: float,
    rng: np.random.Generator,
    limit: TimeLimit | None = None,
    impulse_gap: float = 1.0,
) -> GaussianProcess:
    """Fit variances, time scales and fixed effects.

    Parameters
    ----------
    series : RaggedSeries
        The observations.
    span : float
        The unit of the model's time.
    usual_gap : float
        The median gap between rows, in spans.
    rng : Generator
        Draws series and stretches of them, where there are many.
    limit : TimeLimit, optional
        The time this may take, but for one step. None means any time.
    impulse_gap : float
        The typical time between two impulses of a series, in spans.

    References
    ----------
    Rasmussen & Williams (2006), Gaussian processes for machine learning, section 5.4.1.
    """
    n_given, n_impulses = series.seasons.n_features, 0
    if series.covariates is not None:
        n_given += series.covariates.known.n_features + series.covariates.static.shape[1]
        n_impulses = series.covariates.impulses.n_features
    duration = _usual_duration(series, span)
    process = GaussianProcess(series.values.shape[1], n_given, usual_gap, duration, n_impulses, impulse_gap)
    few = len(usable_series(series.lengths)) < FEWEST_FOR_ONE
    with torch.no_grad():
        for name, variance in OF_FEW.items() if few else ():
            process.log_variances[name].fill_(math.log(variance))
    population = _population(process, series, span, rng)
    with one_thread():  # the matrices are small
        _start_at_periods(process, population)
        limit = TimeLimit() if limit is None else limit
        started = copy.deepcopy(process)
        _maximise_evidence(process, population, limit)
        process.know_effects(process.evidence(population))
        if limit.left > 0:
            process = with_own_periods(
                process, started, population, lambda trial, chosen: _maximise_evidence(trial, chosen, limit)
            )
        if few and affordable(process, population):
            process = draw_parameters(process, population, prior_around(started), rng, limit)
    return process.requires_grad_(requires_grad=False)


def _maximise_evidence(process: GaussianProcess, population: list[ChannelSeries], limit: TimeLimit) -> None:
    prior, steps = prior_around(process), steps_of(process)
    optimiser = torch.optim.Adam(process.parameters(), RATE)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimiser, lambda step: 1 - step / STEPS)
    for step in range(STEPS):
        if step and limit.left <= 0:
            limit.shortened.append(f"the Gaussian process took {step} of {STEPS} steps")
            return
        optimiser.zero_grad()
        evidence = process.evidence(population)
        loss = (prior.penalty(process) - evidence.log_likelihood.sum()) / max(evidence.n_values, 1)
        loss.backward()  # type: ignore[no-untyped-call]
        before = parameters_of(process).detach().clone()
        optimiser.step()
        schedule.step()
        if process.impulses is not None or process.periods is not None:
            # The size of a response is a multiple of the population's; sinusoids are in what the effects leave.
            process.know_effects(evidence)
        if process.periods is not None:
            know_frequencies(process.periods, evidence)
        set_parameters(process, before + steps * (parameters_of(process) - before))


def with_effects_of(
    process: GaussianProcess, series: RaggedSeries, span: float, rng: np.random.Generator
) -> GaussianProcess:
    """A process of the same variances and time scales whose fixed effects are those of other series.

    Parameters
    ----------
    process : GaussianProcess
        A fitted one.
    series : RaggedSeries
        The observations.
    span : float
        The unit of the model's time.
    rng : Generator
        Draws series and stretches of them, where there are many.
    """
    copied = copy.deepcopy(process)
    with torch.no_grad(), one_thread():
        copied.know_effects(copied.evidence(_population(copied, series, span, rng)))
    return copied


def _population(
    process: GaussianProcess, series: RaggedSeries, span: float, rng: np.random.Generator
) -> list[ChannelSeries]:
    """Stretches of single channels, in chunks."""
    which = np.flatnonzero(series.lengths > 0)
    which = np.sort(rng.choice(which, min(len(which), MOST_SERIES), replace=False))
    lengths = np.minimum(series.lengths[which], MAX_HISTORY)
    starts = series.offsets[:-1][which] + rng.integers(0, series.lengths[which] - lengths + 1)
    first, last = series.times[starts], series.times[starts + lengths - 1]
    # A query of the last row: inputs are then known up to it.
    batch = query_batch(series, starts, starts + lengths, first, last[:, None], span, which)
    whole = by_channel(process.with_features(batch))
    spare = (whole.counts - WINDOW).clamp(min=0).numpy()
    stretches = whole.window(torch.from_numpy(rng.integers(0, spare + 1)), min(WINDOW, whole.observed.shape[1]))
    chosen = _within(stretches, len(series.values.T), rng)
    return [chunk for _, chunk in stretches.take(chosen).chunks(MOST_CELLS)]


def _within(stretches: ChannelSeries, n_channels: int, rng: np.random.Generator) -> Tensor:
    """Pairs with observations, drawn up to the bounds on cells."""
    counts, channel = stretches.counts.numpy(), stretches.channel.numpy()
    most = min(CELLS, MOST_CELLS // n_channels)
    chosen = []
    for k in range(n_channels):
        mine = rng.permutation(np.flatnonzero((channel == k) & (counts > 0)))
        cells = np.cumsum(np.square(counts[mine]))
        chosen.append(mine[: max(int(np.searchsorted(cells, most)), 1)])
    return torch.from_numpy(np.sort(np.concatenate(chosen)))


def _usual_duration(series: RaggedSeries, span: float) -> float:
    """The 95 % quantile of the durations of the series, in spans; a span where no series has any."""
    long = np.flatnonzero(series.lengths > 1)
    durations = series.times[series.offsets[1:][long] - 1] - series.times[series.offsets[:-1][long]]
    durations = np.minimum(durations[durations > 0] / span, MAX_REACH)
    return float(np.quantile(durations, 0.95)) if len(durations) else 1.0


def _start_at_periods(process: GaussianProcess, population: list[ChannelSeries]) -> None:
    """Start the rotation of each channel at the period that explains most of its series, each with its own phase.

    The likelihood has a narrow peak at every period; the gradient only finds the nearest one. The periodogram of Lomb
    and Scargle is summed over the series as a log-likelihood, of what a straight line leaves. A channel in which no
    period raises it by as much as two coefficients for every series cost starts almost without a rotation.

    References
    ----------
    VanderPlas (2018), Understanding the Lomb-Scargle periodogram. Schwarz (1978), Estimating the dimension of a model.
    """
    slowest = FEWEST_CYCLES / process.duration
    fastest = max(min(0.5 / process.usual_gap, MOST_CYCLES / process.duration), 2 * slowest)
    frequencies = torch.arange(slowest, fastest, CYCLES_APART / process.duration, dtype=torch.float64)
    found = torch.zeros(len(process.effects), len(frequencies), dtype=torch.float64)
    for series in population:
        enough = torch.nonzero(series.counts >= FEWEST_FOR_PERIOD)[:, 0]
        series = series.take(enough)
        for k, frequency in enumerate(frequencies):
            found[:, k].index_add_(0, series.channel, _log_likelihood_of_period(series, float(frequency)))
    with torch.no_grad():
        process.log_lengths["period"].copy_(-frequencies[found.argmax(1)].log())
        process.log_variances["rotation"][found.amax(1) <= 0] = math.log(HARDLY_ANY)


def _log_likelihood_of_period(series: ChannelSeries, frequency: float) -> Tensor:
    """By how much a sinusoid beside a straight line raises the log-likelihood of each pair, less its cost, (pair,)."""
    seen = series.observed.double()
    n = seen.sum(1)
    time = (series.times - ((series.times * seen).sum(1) / n)[:, None]) * seen
    angle = 2 * math.pi * frequency * series.times
    # What the line leaves of the values and of the sinusoid: then the fit of the one to the other is that of both.
    columns = torch.stack([angle.cos(), angle.sin(), series.values], dim=1) * seen[:, None]
    columns = columns - (columns.sum(2) / n[:, None])[..., None] * seen[:, None]
    slopes = (columns @ time[..., None]) / (time.square().sum(1) + 1e-9)[:, None, None]
    columns = columns - slopes * time[:, None]
    waves, values = columns[:, :2], columns[:, 2:]
    along = waves @ values.mT
    explained = (along * torch.linalg.solve(waves @ waves.mT + RIDGE * torch.eye(2, dtype=n.dtype), along)).sum((1, 2))
    share = explained / (values.square().sum((1, 2)) + 1e-9)
    raised: Tensor = -0.5 * (n - 4) * (1 - share).clamp(min=1e-3).log()
    return raised - n.log()
