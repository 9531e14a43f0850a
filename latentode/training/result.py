"""The outcome of a training."""

from typing import NamedTuple

__all__ = ["TrainingResult"]


class TrainingResult(NamedTuple):
    """The outcome of a training.

    Parameters
    ----------
    history : list of dict
        A row per validation check: step, loss, validation_crps, learning_rate, seconds.
    interrupted : bool
        Whether the user interrupted it (Ctrl-C).
    stopped : bool
        Whether ``on_check`` stopped it.
    shortened : bool
        Whether the time limit changed it.
    """

    history: list[dict[str, float]]
    interrupted: bool
    stopped: bool
    shortened: bool = False
