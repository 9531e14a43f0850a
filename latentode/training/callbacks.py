"""Early stopping: validation checks while a model trains, and the decisions that follow from them."""

import copy
import time
from typing import Any, cast

import lightning.pytorch as pl
import numpy as np
import torch
from torch import Tensor

from latentode.training.batches import TrainingBatches
from latentode.training.checkpoint import Checkpoint
from latentode.training.config import TrainingConfig
from latentode.training.distributed import BatchShard
from latentode.training.module import HELD, LatentODEModule
from latentode.training.progress import Progress
from latentode.training.snapshot import Snapshot, optimiser_state, parse_history, part, restore_optimiser, under
from latentode.training.solver_error import MOST_SOLVER_STEPS, TOLERANCE, with_solver_steps

__all__ = ["EarlyStopping"]

_COUNTERS = ("best", "best_step", "since_best", "n_breaks", "history")

FEWEST_ANNEALED = 4
"""Validation checks that the annealing spans at least."""

ROUNDS_TIMED = 3
"""Latest validation checks whose duration gives the pace of training: it changes with the solver's steps."""

FAR_FEWER = 0.5
"""Fraction of ``n_steps`` below which the time limit shortens the warm-ups too."""


class EarlyStopping(pl.Callback):
    """Keeps the best weights by validation score, anneals the learning rate once they stop improving, and stops.

    The learning rate is held until ``patience`` checks bring no improvement, or until three quarters of ``n_steps``.
    Training then returns to the best weights and anneals the rate to 0 once, over a quarter of the steps that led to
    them. The best weights of all are kept. So the data decide how long a fit takes: if the score stops improving after
    200 steps, training ends after about 500. Where the time limit allows fewer steps, the annealing starts sooner, so
    that it ends in time. After a loss that is not finite, training returns to the best weights at half the rate.

    References
    ----------
    Hu et al. (2024), MiniCPM, section 4 (warm-up, stable, decay).

    Parameters
    ----------
    options : TrainingConfig
        Settings of the loop.
    module : LatentODEModule
        The module in training.
    batches : TrainingBatches
        The batches.
    checkpoint : Checkpoint, optional
        The file that keeps the state of training at every check, and from which training resumes.

    Raises
    ------
    ValueError
        When the state found there does not fit the model.
    """

    def __init__(
        self,
        options: TrainingConfig,
        module: LatentODEModule,
        batches: TrainingBatches,
        checkpoint: Checkpoint | None = None,
    ) -> None:
        self.options, self.module, self.batches, self.checkpoint = options, module, batches, checkpoint
        self.best = float("inf")
        self.best_step = self.since_best = self.n_breaks = 0
        self.stopped = self.shortened = False
        self.average: dict[str, Tensor] = {}
        self.weights: dict[str, Tensor] = {}
        self.history: list[dict[str, float]] = []
        self.started = time.perf_counter()
        self.timed: list[tuple[float, int]] = []  # time and step of the start and of the latest checks
        self.found = None if checkpoint is None else checkpoint.found
        if self.found is None:
            self._keep()
        else:
            self._resume(self.found)
        self.progress = Progress(options.n_steps, options.verbose, module.first_step, options.number, options.n_models)

    def setup(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        """With several processes: take this one's shard of each batch, and draw random numbers of its own."""
        if trainer.world_size == 1:
            return
        self.batches.shard = BatchShard(trainer.global_rank, trainer.world_size)
        self.module.generator.manual_seed(self.module.generator.initial_seed() + trainer.global_rank)
        if not trainer.is_global_zero:
            self.progress.silence()

    def on_train_start(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        """Restore the optimiser, which exists only now."""
        self.timed = [(self.options.time_limit.clock(), module.step)]
        if self.checkpoint is None or self.found is None:
            return
        try:
            restore_optimiser(trainer.optimizers[0], part("optimiser", self.found.tensors), self.found.facts["rates"])
        except (LookupError, RuntimeError, TypeError, ValueError) as cause:
            raise self.checkpoint.unreadable(cause) from cause

    def on_validation_end(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        """Judge this check, and write the checkpoint."""
        self._check(trainer)
        if self.checkpoint is not None and self.batches.steps_left and not trainer.should_stop:
            self.checkpoint.write(self._snapshot(trainer))

    def _check(self, trainer: pl.Trainer) -> None:
        module = self.module
        n_targets = sum(float(n) for _, n in module.scores)
        score = sum(float(s) for s, _ in module.scores) / max(n_targets, 1.0)
        losses = self._losses(trainer)
        module.scores, module.losses = [], []
        self.history.append(
            {
                "step": float(module.step),
                "loss": float(np.mean(losses)) if losses else float("nan"),
                "validation_crps": score,
                "learning_rate": self.options.learning_rate * module.rate_at(int(module.global_step)),
                "solver_steps": float(self._watch_solver()),
                "solver_error": module.solver_error,
                "seconds": time.perf_counter() - self.started,
            }
        )
        broken = not np.isfinite([*losses, score]).all()
        self.n_breaks += broken
        self.since_best += 1
        if score < self.best and not broken:
            self.best, self.best_step, self.since_best = score, module.step, 0
            self._keep()
        self.progress.report(self.history[-1], self.best)
        # All processes stop at the same check: one that went on would wait for the others for ever.
        stop = self.options.on_check is not None and self.options.on_check(module.average, self.history)
        self.stopped = bool(trainer.strategy.reduce_boolean_decision(stop, all=False))
        if self.stopped:
            trainer.should_stop = True
            return
        if broken:
            self._restore_best()
            module.rate *= 0.5
            trainer.optimizers[0].state.clear()  # moments that are not finite would break every later step
        elif module.annealed is not None:
            trainer.should_stop = module.step >= module.annealed[1]
        # Later the rate is annealed in any case.
        elif self.since_best >= self.options.patience and module.step < HELD * self.options.n_steps:
            self._restore_best()
            self._anneal()
        self._keep_to_time_limit(trainer)

    def _watch_solver(self) -> int:
        """Double the solver's steps where their error is not small. Returns the steps per span from now on."""
        module = self.module
        n_steps = module.model.config.n_steps
        small = not np.isfinite(module.solver_error) or module.solver_error <= TOLERANCE
        if self.options.more_solver_steps and not small and 2 * n_steps <= MOST_SOLVER_STEPS:
            n_steps *= 2
            self._set_solver_steps(n_steps)
        return n_steps

    def _set_solver_steps(self, n_steps: int) -> None:
        for model in (self.module.model, self.module.average):
            with_solver_steps(model, n_steps)

    def _anneal(self) -> None:
        """Start the annealing of the learning rate."""
        options, step = self.options, self.module.step
        n_checks = max(-(-int(options.annealing * self.best_step) // options.steps_per_check), FEWEST_ANNEALED)
        self.module.annealed = step, min(step + n_checks * options.steps_per_check, options.n_steps)

    def _keep_to_time_limit(self, trainer: pl.Trainer) -> None:
        """Anneal sooner, or for fewer steps, or stop, where the time left does not allow all steps."""
        options, module, limit = self.options, self.module, self.options.time_limit
        self.timed = [*self.timed[-ROUNDS_TIMED:], (limit.clock(), module.step)]
        (began, first), (now, step) = self.timed[0], self.timed[-1]
        limit.measure((now - began) / max(step - first, 1), step)
        last = options.n_steps if module.annealed is None else module.annealed[1]
        if trainer.should_stop or step >= last or step + limit.steps_left >= last:
            return
        each, held, left = options.steps_per_check, int(HELD * options.n_steps), int(limit.steps_left)
        end = step + left
        if left <= 0:
            trainer.should_stop = True
        elif module.annealed is not None or step >= held:
            module.annealed = (held if module.annealed is None else module.annealed[0], end)
        elif left < max((1 - HELD) / HELD * step, each) + each:  # after another round too little would be left
            self._restore_best()
            module.annealed = step, end
        elif end < FAR_FEWER * options.n_steps:
            module.n_steps = end
        else:  # whether all steps will be taken is open
            return
        self.shortened = True
        if module.annealed is not None:
            self.batches.steps_left = max(module.annealed[1] - step, 0)  # the last round may be a shorter one

    def _restore_best(self) -> None:
        """Return to the best weights."""
        module = self.module
        module.average.load_state_dict(self.average)
        module.model.load_state_dict(self.weights)

    def _losses(self, trainer: pl.Trainer) -> list[float]:
        """The losses since the last check, averaged over processes, so that all of them decide alike."""
        if not self.module.losses:
            return []
        losses: list[float] = trainer.strategy.reduce(torch.stack(self.module.losses), reduce_op="mean").tolist()
        return losses

    def _keep(self) -> None:
        self.average, self.weights = (
            {name: value.clone() for name, value in of.state_dict().items()}
            for of in (self.module.average, self.module.model)
        )

    def _snapshot(self, trainer: pl.Trainer) -> Snapshot:
        """Everything that a resumed training needs."""
        moments, rates = optimiser_state(trainer.optimizers[0])
        drawn, rounds = self.batches.state()
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

    def _resume(self, found: Snapshot) -> None:
        module, facts, tensors = self.module, found.facts, found.tensors
        try:
            self._keep()
            for kept, name in ((self.average, "best_average"), (self.weights, "best_weights")):
                module.model.load_state_dict(part(name, tensors))  # refuses weights of other sizes
                kept.update(copy.deepcopy(module.model.state_dict()))
            module.model.load_state_dict(part("model", tensors))
            module.averaged.load_state_dict(part("averaged", tensors))
            module.generator.set_state(tensors["generator"])
            module.first_step, module.rate = int(facts["step"]), float(facts["rate"])
            annealed = facts["annealed"]
            module.annealed = None if annealed is None else (int(annealed[0]), int(annealed[1]))
            self.batches.resume(part("rounds", tensors), facts["rounds"])
            for name in _COUNTERS:
                setattr(self, name, cast(Any, type(getattr(self, name)))(facts[name]))
            self.history = parse_history(facts["history"])
            self._set_solver_steps(int(self.history[-1]["solver_steps"]))
            self.started -= float(facts["seconds"])
        except (LookupError, RuntimeError, TypeError, ValueError) as cause:
            assert self.checkpoint is not None  # it is where this was found
            raise self.checkpoint.unreadable(cause) from cause
