"""The checkpoint of a fit, named by a fingerprint of all that training depends on: only the same fit resumes."""

import hashlib
import json
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import fields
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from latentode._version import __version__
from latentode.data import ChannelScaler
from latentode.estimators.preparation import TrainingData
from latentode.estimators.settings import Settings
from latentode.nn import device_of
from latentode.persistence.covariates import arrays_of_covariates
from latentode.training import Checkpoint, checkpoint_in
from latentode.training.snapshot import rng_state

__all__ = ["resumable"]

IN_THE_DATA = {
    *("id_col", "time_col", "target_cols", "static_cols", "known_cols", "impulse_cols", "past_cols"),
    *("seasonality", "horizon"),
}
"""Parameters that training sees as part of the data."""

NOT_OF_TRAINING = {"checkpoint_dir", "random_state", "time_limit", "verbose", "warm_start"}
"""Parameters that do not change the trained weights; the random state has an entry of its own. A fit may resume under
another time limit: the weights of one that a limit shortens depend on the clock anyway."""


@contextmanager
def resumable(data: TrainingData, settings: Settings, rng: np.random.Generator) -> Iterator[Checkpoint | None]:
    """The checkpoint of a fit, for as long as the block lasts; None without ``checkpoint_dir``.

    Parameters
    ----------
    data : TrainingData
        What the fit learns from.
    settings : Settings
        The estimator's parameters.
    rng : Generator
        The source of all randomness. With ``random_state=None`` it gets the state of the interrupted fit.

    Raises
    ------
    OSError
        When the directory cannot be used.
    ValueError
        When the checkpoint of this fit cannot be read.
    """
    if settings.checkpoint_dir is None:
        yield None
        return
    with checkpoint_in(settings.checkpoint_dir, _fingerprint(data, settings, rng)) as checkpoint:
        checkpoint.begin(rng)
        yield checkpoint


def _fingerprint(data: TrainingData, settings: Settings, rng: np.random.Generator) -> dict[str, Any]:
    panel, scaler = data.panel, data.scaler
    covariates = [] if panel.covariates is None else list(arrays_of_covariates(panel.covariates).values())
    scales = [np.asarray(getattr(scaler, f.name)) for f in fields(ChannelScaler)]
    arrays = [panel.offsets, panel.times, panel.values, *covariates, *scales, np.array(data.seasons.periods)]
    start = [] if data.previous is None else [v.numpy() for v in data.previous.model.state_dict().values()]
    seed = None if settings.random_state is None else json.dumps(rng_state(rng))
    others = [f.name for f in fields(Settings) if f.name not in IN_THE_DATA | NOT_OF_TRAINING]
    return {
        "latentode": __version__,
        "torch": str(torch.__version__),
        "data": _digest(arrays),
        "sample_weight": _digest([] if data.weights is None else [data.weights]),
        "warm_start": _digest(start),
        "random_state": None if seed is None else hashlib.sha256(seed.encode()).hexdigest(),
        "horizon": data.horizon,
        **{name: _plain(getattr(settings, name)) for name in others},
        "accelerator": str(device_of(settings.accelerator)),  # "auto" may be another device now
    }


def _digest(arrays: Iterable[NDArray[Any]]) -> str:
    digest = hashlib.sha256()
    for array in arrays:
        # The same bytes may be an array of another type or shape.
        digest.update(f"{array.dtype} {array.shape} ".encode())
        digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()


def _plain(value: Any) -> Any:
    value = value.item() if isinstance(value, np.generic) else value
    return json.loads(json.dumps(value, default=str))
