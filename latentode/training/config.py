"""Settings of the training loop."""

from collections.abc import Callable
from dataclasses import dataclass, field

from latentode.nn import LatentODE
from latentode.training.time_limit import TimeLimit

__all__ = ["TrainingConfig"]


@dataclass(frozen=True)
class TrainingConfig:
    """Settings of the training loop.

    Parameters
    ----------
    n_steps : int
        Largest number of optimiser steps.
    steps_per_check : int
        Steps between two validation checks.
    batch_size : int
        Series in a batch.
    learning_rate, weight_decay : float
        Of AdamW; the learning rate is the highest of the schedule.
    kl_weight : float
        Final weight of the KL divergence.
    more_solver_steps : bool
        Whether the solver's steps are doubled when a validation check finds that their error is not small.
    patience : int
        Validation checks without improvement before the learning rate is annealed from the best weights.
    annealing : float
        Length of the annealing, as a fraction of the steps up to the best weights.
    averaging : float
        Decay of the moving average of the weights.
    clip : float
        Largest gradient norm.
    accelerator : str
        Where the network is trained, one of :data:`~latentode.nn.ACCELERATORS`.
    devices, num_nodes : int
        Processes on each machine, and machines.
    verbose : int
        0 for silence, 1 for a progress bar, 2 for a line at every validation check as well.
    number, n_models : int
        Which model of an ensemble this is, from 1, and of how many: progress names it.
    on_check : callable, optional
        Called at every validation check with the averaged model and the history; training stops when it returns True.
    time_limit : TimeLimit
        The time that training may take.
    """

    n_steps: int = 1500
    steps_per_check: int = 25
    batch_size: int = 64
    learning_rate: float = 3e-3
    weight_decay: float = 1e-3
    kl_weight: float = 1.0
    more_solver_steps: bool = False
    patience: int = 8
    annealing: float = 0.25
    averaging: float = 0.98
    clip: float = 1.0
    accelerator: str = "cpu"
    devices: int = 1
    num_nodes: int = 1
    verbose: int = 0
    number: int = 1
    n_models: int = 1
    on_check: Callable[[LatentODE, list[dict[str, float]]], bool] | None = None
    time_limit: TimeLimit = field(default_factory=TimeLimit)
