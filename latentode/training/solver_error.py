"""How far the solver's steps are from the exact solution, in units that matter: of the noise of each channel."""

from dataclasses import replace

import torch
from torch import Tensor

from latentode.nn import Batch, LatentODE

__all__ = ["MOST_SOLVER_STEPS", "TOLERANCE", "solver_error", "with_solver_steps"]

TOLERANCE = 0.1
"""Largest error of the solver, in standard deviations of a predicted value."""

MOST_SOLVER_STEPS = 64
"""Steps per span up to which the error is brought down by more steps: a step of training then takes about twice as
long."""


def solver_error(model: LatentODE, batch: Batch) -> Tensor:
    """The error of the solver's steps by step doubling, per channel.

    The mean is predicted with the model's steps and with twice as many; the difference is that of the coarser solution
    up to terms of higher order. It covers all that depends on the steps: the solution between them, and known
    covariates, which drive the dynamics as their average over a step.

    Parameters
    ----------
    model : LatentODE
        Its steps per span are left as they are.
    batch : Batch
        Histories and queries with targets; only queries with a target count.

    Returns
    -------
    Tensor
        (channel,), root mean square in units of the predicted standard deviation; 0 for a channel without targets.

    References
    ----------
    Hairer, Norsett & Wanner (1993), Solving ordinary differential equations I, section II.4.
    """
    assert batch.target_mask is not None  # tasks always carry targets
    n_steps = model.config.n_steps
    with torch.no_grad():
        predict = model.predictor(batch)  # the encoding does not depend on the steps
        coarse = predict()
        try:
            with_solver_steps(model, 2 * n_steps)
            fine = predict()
        finally:
            with_solver_steps(model, n_steps)
    # Weights of targets do not matter here: the error is that of the solver, not of the forecast.
    queried = (batch.target_mask > 0).to(coarse.mean.dtype)
    squared = ((coarse.mean - fine.mean) / fine.scale).square() * queried
    return (squared.sum((0, 1)) / queried.sum((0, 1)).clamp_min(1.0)).sqrt()


def with_solver_steps(model: LatentODE, n_steps: int) -> None:
    """Set the steps per span of a model; its weights do not depend on them."""
    model.config = replace(model.config, n_steps=n_steps)
