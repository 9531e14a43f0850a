"""The training loop: quiet, early to stop, best weights kept in memory."""

import copy
import time
import warnings
from collections.abc import Iterator
from typing import Any, cast

import lightning.pytorch as pl
import numpy as np
import torch
from numpy.typing import NDArray
from torch.utils.data import DataLoader, IterableDataset

from latentode.nn import Batch, LatentODE
from latentode.training.module import LatentODEModule
from latentode.training.options import TrainingOptions
from latentode.training.progress import Progress
from latentode.training.quiet import quiet_lightning
from latentode.training.tasks import TaskMaker, draws_per_epoch

__all__ = ["train", "validation_batches"]


class _Tasks(IterableDataset[Batch]):
    """One round of training batches, drawn anew each time."""

    def __init__(self, maker: TaskMaker, options: TrainingOptions, rng: np.random.Generator) -> None:
        self.maker, self.options, self.rng = maker, options, rng
        self.visits = np.repeat(np.arange(len(maker.series.lengths)), draws_per_epoch(maker.series.lengths))
        self.queue = np.empty(0, dtype=np.int64)
        self.steps_left = options.n_steps

    def __iter__(self) -> Iterator[Batch]:
        size = min(self.options.batch_size, len(self.visits))
        n_steps = min(self.options.steps_per_round, self.steps_left)
        self.steps_left -= n_steps
        for _ in range(n_steps):
            if len(self.queue) < size:
                self.queue = np.concatenate([self.queue, self.rng.permutation(self.visits)])
            which, self.queue = self.queue[:size], self.queue[size:]
            yield self.maker.draw(which, self.rng)


class _Coach(pl.Callback):
    """Looks at the held-out questions: keeps the best weights, lowers the rate where they get no better, and stops.

    After ``patience`` looks without improvement training goes back to the best weights and on at a lower rate; it stops
    when that has happened ``options.decays`` times. A loss that is not finite is met in the same way, at once.
    """

    def __init__(self, options: TrainingOptions) -> None:
        self.options = options
        self.progress = Progress(options.n_steps, options.verbose)
        self.best = float("inf")
        self.since_best = self.n_decays = self.n_breaks = 0
        self.average: dict[str, Any] = {}
        self.weights: dict[str, Any] = {}
        self.history: list[dict[str, float]] = []
        self.started = time.perf_counter()

    def on_train_start(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        """Keep what there is to go back to."""
        self._keep(cast(LatentODEModule, module))

    def on_validation_end(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        """Take the score of this look."""
        module = cast(LatentODEModule, module)
        asked = sum(float(n) for _, n in module.scores)
        score = sum(float(s) for s, _ in module.scores) / max(asked, 1.0)
        losses = [float(x) for x in module.losses]
        module.scores, module.losses = [], []
        self.history.append(
            {
                "step": float(trainer.global_step),
                "loss": float(np.mean(losses)) if losses else float("nan"),
                "validation_crps": score,
                "learning_rate": self.options.learning_rate * module.rate,
                "seconds": time.perf_counter() - self.started,
            }
        )
        broken = not np.isfinite([*losses, score]).all()
        self.n_breaks += broken
        self.since_best += 1
        if score < self.best and not broken:
            self.best, self.since_best = score, 0
            self._keep(module)
        self.progress.look(self.history[-1], self.best)
        if self.options.on_look is not None and self.options.on_look(module.average, self.history):
            trainer.should_stop = True
            return
        if not broken and self.since_best < self.options.patience:
            return
        self.n_decays, self.since_best = self.n_decays + 1, 0
        if self.n_decays > self.options.decays:
            trainer.should_stop = True
            return
        module.average.load_state_dict(self.average)
        module.model.load_state_dict(self.weights)
        module.rate *= self.options.decay
        if broken:
            trainer.optimizers[0].state.clear()  # moments that are not finite would break every later step

    def _keep(self, module: LatentODEModule) -> None:
        self.average = copy.deepcopy(module.average.state_dict())
        self.weights = copy.deepcopy(module.model.state_dict())


def train(
    model: LatentODE,
    tasks: TaskMaker,
    validation: list[Batch],
    options: TrainingOptions,
    rng: np.random.Generator,
) -> tuple[list[dict[str, float]], bool]:
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

    Returns
    -------
    history : list of dict
        A row per look at the validation tasks: step, loss, validation_crps, learning_rate, seconds.
    interrupted : bool
        Whether the user broke it off (Ctrl-C).
    """
    generator = torch.Generator().manual_seed(int(rng.integers(2**62)))
    module = LatentODEModule(model, options, generator)
    coach = _Coach(options)
    n_rounds = -(-options.n_steps // options.steps_per_round)
    interrupted = False
    try:
        with quiet_lightning() as root:
            trainer = pl.Trainer(
                accelerator="cpu",
                devices=1,
                max_epochs=n_rounds,
                gradient_clip_val=options.clip,
                callbacks=[coach],
                default_root_dir=root,
                logger=False,
                enable_checkpointing=False,
                enable_model_summary=False,
                enable_progress_bar=False,
                num_sanity_val_steps=0,
            )
            trainer.fit(
                module,
                DataLoader(_Tasks(tasks, options, rng), batch_size=None),
                DataLoader(validation, batch_size=None),  # type: ignore[arg-type]
            )
    except KeyboardInterrupt:  # the caller is told once the best weights are in place
        interrupted = True
    finally:
        coach.progress.close()
    model.load_state_dict(coach.average)
    model.eval()
    if coach.n_breaks:
        warnings.warn(
            f"training left the finite numbers {coach.n_breaks} time(s); it went on from the best weights at a lower "
            "learning rate",
            UserWarning,
            stacklevel=2,
        )
    return coach.history, interrupted


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
    lengths = maker.series.lengths[which]
    first = np.zeros_like(lengths) if after is None else after - 1
    batches = []
    for draw in range(n_draws):
        spread = (draw + rng.random(len(which))) / n_draws
        origins = first + (spread * (lengths - 1 - first)).astype(np.int64)
        hides = rng.random(len(which)) < (0.25 if after is None else 0.0)
        rate = np.where(hides, 0.3, 0.0)
        whole_rows = rng.random(len(which)) < 0.5
        for start in range(0, len(which), batch_size):
            part = slice(start, start + batch_size)
            batches.append(maker.at(which[part], origins[part], rate[part], whole_rows[part], rng))
    return batches
