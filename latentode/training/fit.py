"""The training loop: silent, with early stopping; the best weights are kept in memory."""

import threading
import warnings
from typing import NamedTuple

import lightning.pytorch as pl
import numpy as np
import torch
from numpy.typing import NDArray

from latentode.nn import Batch, LatentODE
from latentode.training.batches import TrainingBatches, ValidationBatches
from latentode.training.callbacks import EarlyStopping
from latentode.training.checkpoint import Checkpoint
from latentode.training.config import TrainingConfig
from latentode.training.lightning_silence import silent_lightning
from latentode.training.module import LatentODEModule
from latentode.training.tasks import TaskSampler

__all__ = ["TrainingResult", "train", "validation_batches"]


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


_SETTING_UP = threading.Lock()


class _Trainer(pl.Trainer):
    """Lightning's trainer, without saving the global random state, which other threads share."""

    def _run_stage(self) -> None:
        self.strategy.barrier("run-stage")
        self.lightning_module.zero_grad()
        # Lightning patches the classes of torch's loaders while it asks for ours; of two fits at the same time one
        # would remove what the other has put there.
        with _SETTING_UP:
            self.fit_loop.setup_data()
            self.validating = True
            self.fit_loop.epoch_loop.val_loop.setup_data()
            self.training = True
        self.fit_loop.run()


def train(
    model: LatentODE,
    sampler: TaskSampler,
    validation: list[Batch],
    options: TrainingConfig,
    rng: np.random.Generator,
    checkpoint: Checkpoint | None = None,
) -> TrainingResult:
    """Train a model in place and leave it with the best weights, even if training is interrupted.

    Parameters
    ----------
    model : LatentODE
        The model.
    sampler : TaskSampler
        Draws training batches.
    validation : list of Batch
        Fixed queries by which the best weights are chosen.
    options : TrainingConfig
        Settings of the loop.
    rng : Generator
        Source of all draws.
    checkpoint : Checkpoint, optional
        The file that keeps the state of training at every validation check. Training resumes from what is found there,
        and ends with the same weights, bit for bit, as a training that was never interrupted.

    Returns
    -------
    TrainingResult
    """
    generator = torch.Generator().manual_seed(int(rng.integers(2**62)))
    module = LatentODEModule(model, options, generator)
    batches = TrainingBatches(sampler, options, rng)
    early_stopping = EarlyStopping(options, module, batches, checkpoint)
    interrupted = False
    try:
        with silent_lightning() as root:
            trainer = _Trainer(
                accelerator="cpu",
                devices=options.devices,
                num_nodes=options.num_nodes,
                max_epochs=batches.n_left,
                gradient_clip_val=options.clip,
                callbacks=[early_stopping],
                default_root_dir=root,
                logger=False,
                enable_checkpointing=False,
                enable_model_summary=False,
                enable_progress_bar=False,
                num_sanity_val_steps=0,
            )
            trainer.fit(module, batches, ValidationBatches(validation))
    except KeyboardInterrupt:  # reported by the caller, once the best weights are in place
        interrupted = True
    finally:
        early_stopping.progress.close()
    model.load_state_dict(early_stopping.average)
    model.eval()
    if early_stopping.n_breaks and not early_stopping.progress.silent:
        warnings.warn(
            f"the loss was not finite {early_stopping.n_breaks} time(s); training resumed from the best weights at a "
            "lower learning rate",
            UserWarning,
            stacklevel=2,
        )
    return TrainingResult(early_stopping.history, interrupted, early_stopping.stopped, early_stopping.shortened)


def validation_batches(
    sampler: TaskSampler,
    which: NDArray[np.int64],
    n_draws: int,
    rng: np.random.Generator,
    after: NDArray[np.int64] | None = None,
    batch_size: int = 128,
) -> list[Batch]:
    """Fixed queries on held-out series, or on held-out rows.

    Parameters
    ----------
    sampler : TaskSampler
        Of the whole series.
    which : array of int
        The series to query.
    n_draws : int
        Forecast origins per series.
    rng : Generator
        Source of the draws.
    after : array of int, optional
        (len(which),), rows of each series that are in training. Origins lie at or after the last of them, so that every
        query is new. None means that the series are new: origins are spread over them, and for a quarter of them
        values of the history are hidden and queried too.
    batch_size : int
        Series in a batch.
    """
    lengths = np.tile(sampler.series.lengths[which], n_draws)
    first = np.zeros_like(lengths) if after is None else np.tile(after, n_draws) - 1
    n = len(lengths)
    spread = (np.repeat(np.arange(n_draws), len(which)) + rng.random(n)) / n_draws
    origins = first + (spread * (lengths - 1 - first)).astype(np.int64)
    hides = rng.random(n) < (0.25 if after is None else 0.0)
    rate = np.where(hides, 0.3, 0.0)
    whole_rows = rng.random(n) < 0.5
    every = np.tile(which, n_draws)
    parts = [slice(start, start + batch_size) for start in range(0, n, batch_size)]
    return [sampler.at(every[part], origins[part], rate[part], whole_rows[part], rng) for part in parts]
