"""How to train; numbers that adapt to the data when nobody says."""

from collections.abc import Callable
from dataclasses import dataclass

from latentode.nn import LatentODE

__all__ = ["TrainingOptions"]


@dataclass(frozen=True)
class TrainingOptions:
    """Options of the training loop.

    Parameters
    ----------
    n_steps : int
        Steps of the optimiser at most.
    steps_per_round : int
        Steps between two looks at the validation tasks.
    batch_size : int
        Series in a batch.
    learning_rate, weight_decay : float
        Of AdamW; the rate is the highest of its schedule.
    kl_weight : float
        Final weight of the KL divergence.
    patience : int
        Looks without improvement after which the learning rate is annealed from the best weights, and training ends.
    annealing : float
        Steps over which the rate then falls to 0, as a part of those taken until the best weights.
    averaging : float
        Decay of the moving average of the weights.
    clip : float
        Largest norm of a gradient.
    devices, num_nodes : int
        Processes that share the work on a machine, and machines.
    strategy : str
        How Lightning has them work together.
    verbose : int
        0 for silence, 1 for a bar, 2 for a line at every look besides.
    on_look : callable, optional
        Given the averaged model and the history so far at every look; training stops where it gives True.
    """

    n_steps: int = 1500
    steps_per_round: int = 25
    batch_size: int = 64
    learning_rate: float = 3e-3
    weight_decay: float = 1e-3
    kl_weight: float = 1.0
    patience: int = 8
    annealing: float = 0.25
    averaging: float = 0.98
    clip: float = 1.0
    devices: int = 1
    num_nodes: int = 1
    strategy: str = "auto"
    verbose: int = 0
    on_look: Callable[[LatentODE, list[dict[str, float]]], bool] | None = None
