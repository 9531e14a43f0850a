"""Who looks at the held-out questions while a model trains, and what is decided then."""

import copy
import time
from typing import Any, cast

import lightning.pytorch as pl
import numpy as np
import torch
from torch import Tensor

from latentode.training.checkpoint import Checkpoint
from latentode.training.module import HELD, LatentODEModule
from latentode.training.options import TrainingOptions
from latentode.training.progress import Progress
from latentode.training.rounds import Rounds
from latentode.training.share import Share
from latentode.training.snapshot import Snapshot, history_in, optimiser_from, optimiser_of, part, under

__all__ = ["Coach"]

_COUNTERS = ("best", "best_step", "since_best", "n_breaks", "history")

FEWEST_ANNEALED = 4
"""Looks over which the learning rate falls at least."""


class Coach(pl.Callback):
    """Looks at the held-out questions: keeps the best weights, anneals where they get no better, and stops.

    The learning rate is held until ``patience`` looks have brought no improvement, or three quarters of the steps there
    may be are taken. Training then goes back to the best weights and on at a rate that falls to 0, once, over a quarter
    of the steps that led there; the best weights seen are kept. How long a fit takes is so decided by the data: where
    the held-out part gets no better after 200 steps, it ends after some 500. A loss that is not finite sends training
    back to the best weights, at half the rate.

    References
    ----------
    Hu et al. (2024), MiniCPM, section 4 (warm-up, stable, decay).

    Parameters
    ----------
    options : TrainingOptions
        How to train.
    module : LatentODEModule
        What is trained.
    rounds : Rounds
        The batches.
    checkpoint : Checkpoint, optional
        Where all of this is kept at every look; what is found there is gone on from.

    Raises
    ------
    ValueError
        When what is found there does not fit the model.
    """

    def __init__(
        self, options: TrainingOptions, module: LatentODEModule, rounds: Rounds, checkpoint: Checkpoint | None = None
    ) -> None:
        self.options, self.module, self.rounds, self.checkpoint = options, module, rounds, checkpoint
        self.best = float("inf")
        self.best_step = self.since_best = self.n_breaks = 0
        self.stopped = False
        self.average: dict[str, Tensor] = {}
        self.weights: dict[str, Tensor] = {}
        self.history: list[dict[str, float]] = []
        self.started = time.perf_counter()
        self.found = None if checkpoint is None else checkpoint.found
        if self.found is None:
            self._keep()
        else:
            self._go_on(self.found)
        self.progress = Progress(options.n_steps, options.verbose, module.first_step)

    def setup(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        """Where several processes train together: take this one's share, and draw other numbers than the others."""
        if trainer.world_size == 1:
            return
        self.rounds.share = Share(trainer.global_rank, trainer.world_size)
        self.module.generator.manual_seed(self.module.generator.initial_seed() + trainer.global_rank)
        if not trainer.is_global_zero:
            self.progress.silence()

    def on_train_start(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        """Give the optimiser, which exists only now, its state of before."""
        if self.checkpoint is None or self.found is None:
            return
        try:
            optimiser_from(trainer.optimizers[0], part("optimiser", self.found.tensors), self.found.facts["rates"])
        except (LookupError, RuntimeError, TypeError, ValueError) as cause:
            raise self.checkpoint.unreadable(cause) from cause

    def on_validation_end(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        """Take the score of this look."""
        self._look(trainer)
        if self.checkpoint is not None and self.rounds.steps_left and not trainer.should_stop:
            self.checkpoint.write(self._snapshot(trainer))

    def _look(self, trainer: pl.Trainer) -> None:
        module = self.module
        asked = sum(float(n) for _, n in module.scores)
        score = sum(float(s) for s, _ in module.scores) / max(asked, 1.0)
        losses = self._of_all(trainer)
        module.scores, module.losses = [], []
        self.history.append(
            {
                "step": float(module.step),
                "loss": float(np.mean(losses)) if losses else float("nan"),
                "validation_crps": score,
                "learning_rate": self.options.learning_rate * module.rate_at(int(module.global_step)),
                "seconds": time.perf_counter() - self.started,
            }
        )
        broken = not np.isfinite([*losses, score]).all()
        self.n_breaks += broken
        self.since_best += 1
        if score < self.best and not broken:
            self.best, self.best_step, self.since_best = score, module.step, 0
            self._keep()
        self.progress.look(self.history[-1], self.best)
        stop = self.options.on_look is not None and self.options.on_look(module.average, self.history)
        self.stopped = bool(trainer.strategy.reduce_boolean_decision(stop, all=False))
        if self.stopped:
            trainer.should_stop = True
            return
        if broken:
            self._go_back()
            module.rate *= 0.5
            trainer.optimizers[0].state.clear()  # moments that are not finite would break every later step
        elif module.annealed is not None:
            trainer.should_stop = module.step >= module.annealed[1]
        elif self.since_best >= self.options.patience and module.step < HELD * self.options.n_steps:
            self._go_back()
            self._anneal()

    def _anneal(self) -> None:
        """Let the learning rate fall to 0."""
        options, step = self.options, self.module.step
        n_looks = max(-(-int(options.annealing * self.best_step) // options.steps_per_round), FEWEST_ANNEALED)
        self.module.annealed = step, min(step + n_looks * options.steps_per_round, options.n_steps)

    def _go_back(self) -> None:
        """Go on from the best weights."""
        module = self.module
        module.average.load_state_dict(self.average)
        module.model.load_state_dict(self.weights)

    def _of_all(self, trainer: pl.Trainer) -> list[float]:
        """The losses since the last look, of whole batches: every process decides by the same ones."""
        if not self.module.losses:
            return []
        losses: list[float] = trainer.strategy.reduce(torch.stack(self.module.losses), reduce_op="mean").tolist()
        return losses

    def _keep(self) -> None:
        self.average = copy.deepcopy(self.module.average.state_dict())
        self.weights = copy.deepcopy(self.module.model.state_dict())

    def _snapshot(self, trainer: pl.Trainer) -> Snapshot:
        """All that training goes on from."""
        moments, rates = optimiser_of(trainer.optimizers[0])
        drawn, rounds = self.rounds.state()
        return Snapshot(
            {
                **under("model", self.module.model.state_dict()),
                **under("averaged", self.module.averaged.state_dict()),
                **under("best_average", self.average),
                **under("best_weights", self.weights),
                **under("optimiser", moments),
                **under("rounds", drawn),
                "generator": self.module.generator.get_state(),
            },
            {
                "step": self.module.step,
                "rate": self.module.rate,
                "annealed": self.module.annealed,
                "rates": rates,
                "rounds": rounds,
                "seconds": time.perf_counter() - self.started,
                **{name: getattr(self, name) for name in _COUNTERS},
            },
        )

    def _go_on(self, found: Snapshot) -> None:
        module, facts, tensors = self.module, found.facts, found.tensors
        try:
            self._keep()
            for kept, name in ((self.average, "best_average"), (self.weights, "best_weights")):
                module.model.load_state_dict(part(name, tensors))  # refuses what does not fit
                kept.update(copy.deepcopy(module.model.state_dict()))
            module.model.load_state_dict(part("model", tensors))
            module.averaged.load_state_dict(part("averaged", tensors))
            module.generator.set_state(tensors["generator"])
            module.first_step, module.rate = int(facts["step"]), float(facts["rate"])
            annealed = facts["annealed"]
            module.annealed = None if annealed is None else (int(annealed[0]), int(annealed[1]))
            self.rounds.go_on(part("rounds", tensors), facts["rounds"])
            for name in _COUNTERS:
                setattr(self, name, cast(Any, type(getattr(self, name)))(facts[name]))
            self.history = history_in(facts["history"])
            self.started -= float(facts["seconds"])
        except (LookupError, RuntimeError, TypeError, ValueError) as cause:
            assert self.checkpoint is not None  # it is where this was found
            raise self.checkpoint.unreadable(cause) from cause
