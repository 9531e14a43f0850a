"""Draws from the posterior of a Gaussian process's parameters, where few series leave them open."""

import math

import numpy as np
import torch
from torch import Tensor

from latentode.nn import GaussianProcess, ProcessDraws
from latentode.nn.channel_series import ChannelSeries
from latentode.training.process_prior import ProcessPrior, parameters_of, place_of_period, set_parameters
from latentode.training.time_limit import TimeLimit

__all__ = ["FEWEST_FOR_ONE", "OF_FEW", "affordable", "draw_parameters"]

N_DRAWS, ROUNDS = 32, 40
"""Draws of each channel, and moves of each. With 64 and 250 the CRPS on single simulated series is the same."""

MOST_CELLS = 40_000
"""Entries of the covariance matrices of all observations up to which there are draws: some five seconds. Data of more
show the parameters better; and a forecast takes as many times longer as there are draws."""

STRETCH = 2.0
"""Largest factor by which a move stretches the distance to another draw."""

FEWEST_FOR_ONE = 8
"""Series from which on the most likely parameters alone are as good: with a dozen, draws changed the CRPS of real sets
by less than 1 %, and took as long as the rest of the fit."""

OF_FEW = {"slope": 0.3, "walk": 0.3}
"""Initial variances where there are fewer, larger than those of many series. With the others, the CRPS of twenty single
series was 1 % higher, and in the worst case 2.1 times that of the best closed form in place of 1.6."""

FIRST_SPREAD = 0.5
"""Spread of the first draws, in standard deviations of the prior."""


def affordable(process: GaussianProcess, population: list[ChannelSeries]) -> bool:
    """Whether draws are made: of few values, and without sinusoids whose period differs between series."""
    return process.periods is None and sum(int(x.counts.square().sum()) for x in population) <= MOST_CELLS


def draw_parameters(
    process: GaussianProcess,
    population: list[ChannelSeries],
    prior: ProcessPrior,
    rng: np.random.Generator,
    limit: TimeLimit,
) -> ProcessDraws:
    """A process with draws from the posterior of its variances and time scales.

    An ensemble of draws moves by itself: each in turn is stretched towards another, or away from it, and the move is
    accepted by the posterior density. So it takes the scales and correlations of the posterior from the draws, and
    needs no gradient. All draws of all channels are evaluated at once.

    Parameters
    ----------
    process : GaussianProcess
        With the most likely parameters.
    population : list of ChannelSeries
        What it was fitted to, in chunks.
    prior : ProcessPrior
        The prior it was fitted with.
    rng : Generator
        The source of randomness.
    limit : TimeLimit
        The time the moves may take; without any, the draws are those that they would begin with.

    References
    ----------
    Goodman & Weare (2010), Ensemble samplers with affine invariance.
    """
    first = parameters_of(process)[..., None].double()
    spread = FIRST_SPREAD * prior.deviation.double()[..., None]
    # The density has a narrow peak at every period; draws keep the highest one: a spread of 0 stays 0.
    spread[place_of_period(process)] = 0.0
    draws = first + spread * torch.from_numpy(rng.standard_normal((*first.shape[:2], N_DRAWS)))
    half, dim = N_DRAWS // 2, len(first) - 1
    trial = _repeated(process, half)
    halves = slice(0, half), slice(half, None)
    density = torch.cat([_density(trial, population, prior, draws[..., part]) for part in halves], dim=1)
    for done in range(ROUNDS):
        if limit.left <= 0:
            limit.shortened.append(f"the draws of the Gaussian process moved {done} of {ROUNDS} times")
            break
        for mine, others in (halves, halves[::-1]):
            shape = (draws.shape[1], half)
            factor = torch.from_numpy((1 + (STRETCH - 1) * rng.random(shape)) ** 2 / STRETCH)
            other = draws[..., others][..., torch.from_numpy(rng.permutation(half))]
            moved = other + factor * (draws[..., mine] - other)
            found = _density(trial, population, prior, moved)
            gained = (dim - 1) * factor.log() + found - density[:, mine]
            accepted = torch.from_numpy(np.log(rng.random(shape))) < gained
            draws[..., mine] = torch.where(accepted, moved, draws[..., mine])
            density[:, mine] = torch.where(accepted, found, density[:, mine])
    drawn = _repeated(process, N_DRAWS)
    set_parameters(drawn, draws.flatten(1))
    with torch.no_grad():
        drawn.know_effects(drawn.evidence(population))
    return drawn


def _repeated(process: GaussianProcess, n_draws: int) -> ProcessDraws:
    """The same process with several draws, all alike."""
    channels = torch.arange(process.n_channels).repeat_interleave(n_draws)
    return ProcessDraws.made_of(process, n_draws, channels)


def _density(trial: ProcessDraws, population: list[ChannelSeries], prior: ProcessPrior, draws: Tensor) -> Tensor:
    """Logarithm of the posterior density of draws, (parameter, channel, draw), up to a constant: (channel, draw)."""
    set_parameters(trial, draws.flatten(1))
    with torch.no_grad():
        likelihood = trial.evidence(population).log_likelihood.reshape(-1, trial.n_draws)
    found = likelihood - 0.5 * prior.deviations(draws).square().sum(0)
    return torch.where(found.isnan(), -math.inf, found)  # never accepted
