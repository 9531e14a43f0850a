"""The time limit of a fit: what is kept for stacking and calibration, and what is reported."""

import logging
from collections.abc import Callable, Sequence

import torch

from latentode.estimators.settings import Settings
from latentode.nn import Batch, GaussianProcess, LatentODE, Prediction
from latentode.persistence.limits import seconds_of
from latentode.training import TimeLimit

__all__ = ["OF_GAUSSIAN_PROCESS", "report_shortened", "seconds_to_finish", "time_limit_of"]

LOGGER = logging.getLogger("latentode")

OF_GAUSSIAN_PROCESS = 0.25
"""Fraction of the time that the fit of the Gaussian process may take."""

OF_NETWORK, OF_PROCESS, OF_ALL = 16.0, 1.5, 0.4
"""What follows the training takes no longer than so many forward passes over the held-out data, and 0.4 seconds
beside. The network's passes were measured on six data sets of 12 to 4,000 series. The process forecasts the held-out
data once, half as much again is for what is not alike in the timed part: limits of 3 to 10 seconds were kept on six
sets, but for the shortest one with 50 channels, of which no training is left to take away."""

TIMED = 32
"""Histories in the timed pass of the process, which takes as long for each; the network's takes a batch at once."""


def time_limit_of(settings: Settings) -> TimeLimit:
    """The time limit of a fit that begins now.

    Parameters
    ----------
    settings : Settings
        The estimator's parameters, within their limits.
    """
    return TimeLimit() if settings.time_limit is None else TimeLimit(seconds_of(settings.time_limit))


def seconds_to_finish(
    network: LatentODE, process: GaussianProcess | None, held_out: Sequence[Batch], limit: TimeLimit
) -> float:
    """How long stacking and calibration of one model will take, estimated from a forward pass of a few.

    Parameters
    ----------
    network : LatentODE
        The model, trained or not.
    process : GaussianProcess or None
        The process beside it.
    held_out : sequence of Batch
        The held-out data of the model.
    limit : TimeLimit
        Its clock is read.
    """
    if not held_out:
        return OF_ALL
    most = len(held_out[0].lengths)
    forwards: list[tuple[float, Callable[[Batch], Prediction], int]] = [(OF_NETWORK, network.predict, most)]
    if process is not None:
        forwards.append((OF_PROCESS, process, min(TIMED, most)))
    n_rows, seconds = sum(len(batch.lengths) for batch in held_out), OF_ALL
    for n, forward, n_timed in forwards:
        some = held_out[0].take(slice(0, n_timed))
        with torch.no_grad():
            forward(some.take(slice(0, 1)))  # the first pass of a process takes longer
            began = limit.clock()
            forward(some)
        seconds += n * (limit.clock() - began) * n_rows / len(some.lengths)
    return seconds


def report_shortened(limit: TimeLimit, settings: Settings) -> None:
    """Write to the log, at level INFO, what the time limit has shortened, if anything."""
    if limit.shortened:
        LOGGER.info("time_limit=%r shortened the fit: %s", settings.time_limit, "; ".join(limit.shortened))
