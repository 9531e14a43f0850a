"""The error of the solver in a finished fit, by channel, and the warning about it."""

from collections.abc import Hashable, Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from latentode.estimators.trained import Trained
from latentode.training.solver_error import TOLERANCE, solver_error, with_solver_steps

__all__ = ["agree_on_steps", "solver_errors", "solver_sentences"]

Floats = NDArray[np.float64]

WATCHED = 128
"""Held-out series on which the final error is measured."""

LARGEST = 1e6
"""Replaces an error that is not finite."""


def agree_on_steps(trained: Sequence[Trained]) -> None:
    """Give all models of an ensemble the solver steps of the one that needs most."""
    n_steps = max((one.model.config.n_steps for one in trained), default=0)
    for one in trained:
        with_solver_steps(one.network, n_steps)


def solver_errors(trained: Sequence[Trained]) -> Floats | None:
    """The error of the solver by channel, in standard deviations of a predicted value.

    Parameters
    ----------
    trained : sequence of Trained
        The models of the ensemble, each with its own held-out data.

    Returns
    -------
    array of float or None
        (channel,), root mean square over the models; None without any held-out data.
    """
    found = [solver_error(one.network, one.held_out[0].take(slice(0, WATCHED))) for one in trained if one.held_out]
    if not found:
        return None
    errors: Floats = torch.stack(found).double().square().mean(0).sqrt().numpy()
    return np.nan_to_num(errors, nan=LARGEST, posinf=LARGEST)


def solver_sentences(errors: Floats | None, channels: Sequence[Hashable], n_steps: int) -> list[str]:
    """A sentence for the channel with the largest error, if that is not small."""
    if errors is None or not (errors > TOLERANCE).any():
        return []
    worst = int(np.argmax(errors))
    return [
        f"the error of the ODE solver is {errors[worst]:.2g} of the predicted standard deviation of channel "
        f"{channels[worst]!r} (n_steps={n_steps}); a larger n_steps= or a shorter horizon= would make it smaller"
    ]
