"""The training loop: quiet, early to stop, best weights kept in memory."""

import warnings
from typing import NamedTuple

import lightning.pytorch as pl
import numpy as np
import torch
from numpy.typing import NDArray

from latentode.nn import Batch, LatentODE, drawing_from
from latentode.training.checkpoint import Checkpoint
from latentode.training.coach import Coach
from latentode.training.module import LatentODEModule
from latentode.training.options import TrainingOptions
from latentode.training.quiet import quiet_lightning
from latentode.training.rounds import Fixed, Rounds
from latentode.training.tasks import TaskMaker

__all__ = ["Ended", "train", "validation_batches"]


class Ended(NamedTuple):
    """How a training went.

    Parameters
    ----------
    history : list of dict
        A row per look at the validation tasks: step, loss, validation_crps, learning_rate, seconds.
    interrupted : bool
        Whether the user broke it off (Ctrl-C).
    stopped : bool
        Whether who was told of the looks wanted it to stop.
    """

    history: list[dict[str, float]]
    interrupted: bool
    stopped: bool


class _Trainer(pl.Trainer):
    """Lightning's trainer, without its look at the random states of the process, which other threads share."""

    def _run_stage(self) -> None:
        self.strategy.barrier("run-stage")
        self.lightning_module.zero_grad()
        self.fit_loop.run()


def train(
    model: LatentODE,
    tasks: TaskMaker,
    validation: list[Batch],
    options: TrainingOptions,
    rng: np.random.Generator,
    checkpoint: Checkpoint | None = None,
) -> Ended:
    """Train a model in place and leave it with the best weights seen, when it is interrupted too.

    Parameters
    ----------
    model : LatentODE
        The model.
    tasks : TaskMaker
        Draws training batches.
    validation : list of Batch
        Fixed questions by which the best weights are chosen.
    options : TrainingOptions
        How to train.
    rng : Generator
        Where all draws come from.
    checkpoint : Checkpoint, optional
        Where the state of training is kept at every look. What is found there is gone on from: the weights are in the
        end bit for bit those of a training that was not broken off.

    Returns
    -------
    Ended
        How it went.
    """
    generator = torch.Generator().manual_seed(int(rng.integers(2**62)))
    module = LatentODEModule(model, options, generator)
    rounds = Rounds(tasks, options, rng)
    coach = Coach(options, module, rounds, checkpoint)
    interrupted = False
    try:
        with quiet_lightning() as root, drawing_from(generator):
            trainer = _Trainer(
                accelerator="cpu",
                devices=options.devices,
                num_nodes=options.num_nodes,
                strategy=options.strategy,
                max_epochs=rounds.n_left,
                gradient_clip_val=options.clip,
                callbacks=[coach],
                default_root_dir=root,
                logger=False,
                enable_checkpointing=False,
                enable_model_summary=False,
                enable_progress_bar=False,
                num_sanity_val_steps=0,
            )
            trainer.fit(module, rounds, Fixed(validation))
    except KeyboardInterrupt:  # the caller is told once the best weights are in place
        interrupted = True
    finally:
        coach.progress.close()
    model.load_state_dict(coach.average)
    model.eval()
    if coach.n_breaks and not coach.progress.silent:
        warnings.warn(
            f"training left the finite numbers {coach.n_breaks} time(s); it went on from the best weights at a lower "
            "learning rate",
            UserWarning,
            stacklevel=2,
        )
    return Ended(coach.history, interrupted, coach.stopped)


def validation_batches(
    maker: TaskMaker,
    which: NDArray[np.int64],
    n_draws: int,
    rng: np.random.Generator,
    after: NDArray[np.int64] | None = None,
    batch_size: int = 128,
) -> list[Batch]:
    """Fixed questions on held-out series, or on held-out rows.

    Parameters
    ----------
    maker : TaskMaker
        Of the series, whole.
    which : array of int
        The series asked.
    n_draws : int
        Origins per series.
    rng : Generator
        Where the draws come from.
    after : array of int, optional
        (len(which),), rows of each series that training saw. Origins lie at or after the last of them, so that
        every row asked is new. None means the series are new: origins are spread over them, and of a
        quarter of them points of the history are asked too.
    batch_size : int
        Series in a batch.
    """
    lengths = np.tile(maker.series.lengths[which], n_draws)
    first = np.zeros_like(lengths) if after is None else np.tile(after, n_draws) - 1
    n = len(lengths)
    spread = (np.repeat(np.arange(n_draws), len(which)) + rng.random(n)) / n_draws
    origins = first + (spread * (lengths - 1 - first)).astype(np.int64)
    hides = rng.random(n) < (0.25 if after is None else 0.0)
    rate = np.where(hides, 0.3, 0.0)
    whole_rows = rng.random(n) < 0.5
    every = np.tile(which, n_draws)
    parts = [slice(start, start + batch_size) for start in range(0, n, batch_size)]
    return [maker.at(every[part], origins[part], rate[part], whole_rows[part], rng) for part in parts]
