"""What a training depends on, so that only the same one is gone on from."""

import hashlib
import json
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, fields
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from latentode import __version__
from latentode.data import ChannelScaler, Covariates, Panel, Seasons
from latentode.estimators.settings import FitSettings
from latentode.nn import Model
from latentode.training import Checkpoint, checkpoint_in
from latentode.training.snapshot import rng_state

__all__ = ["resumable"]

_NO_PARAMETERS = ("checkpoint_dir", "random_state", "verbose")


@contextmanager
def resumable(
    panel: Panel,
    scaler: ChannelScaler,
    seasons: Seasons,
    settings: FitSettings,
    before: Model | None,
    weights: NDArray[np.float64] | None,
    rng: np.random.Generator,
) -> Iterator[Checkpoint | None]:
    """Where a fit keeps its training, for as long as the block lasts; None where that is not wanted.

    Parameters
    ----------
    panel, scaler, seasons, settings, before, weights : object
        As of :func:`~latentode.estimators.fitting.fit_model`.
    rng : Generator
        Where all draws will come from. With ``random_state=None`` it is put where a training that was killed began.

    Raises
    ------
    OSError
        When the directory cannot be used.
    ValueError
        When what is kept there for this fit cannot be read.
    """
    if settings.checkpoint_dir is None:
        yield None
        return
    covariates = [] if panel.covariates is None else [getattr(panel.covariates, f.name) for f in fields(Covariates)]
    scales = [np.asarray(getattr(scaler, f.name)) for f in fields(ChannelScaler)]
    data = [panel.offsets, panel.times, panel.values, *covariates, *scales, np.array(seasons.periods)]
    start = [] if before is None else [v.numpy() for v in before.state_dict().values()]
    seed = None if settings.random_state is None else json.dumps(rng_state(rng))
    fingerprint = {
        "latentode": __version__,
        "torch": str(torch.__version__),
        "data": _digest(data),
        "sample_weight": _digest([] if weights is None else [weights]),
        "warm_start": _digest(start),
        "random_state": None if seed is None else hashlib.sha256(seed.encode()).hexdigest(),
        **{k: _plain(v) for k, v in asdict(settings).items() if k not in _NO_PARAMETERS},
    }
    with checkpoint_in(settings.checkpoint_dir, fingerprint) as checkpoint:
        checkpoint.begin(rng)
        yield checkpoint


def _digest(arrays: Iterable[NDArray[Any]]) -> str:
    digest = hashlib.sha256()
    for array in arrays:
        digest.update(f"{array.dtype} {array.shape} ".encode())
        digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()


def _plain(value: Any) -> Any:
    value = value.item() if isinstance(value, np.generic) else value
    return json.loads(json.dumps(value, default=str))
