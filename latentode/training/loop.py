"""The training loop around Lightning: silent, with early stopping; the best weights are kept in memory."""

import threading
import warnings

import lightning.pytorch as pl
import numpy as np
import torch

from latentode.nn import Batch, LatentODE, device_of
from latentode.training.batches import TrainingBatches, ValidationBatches
from latentode.training.callbacks import EarlyStopping
from latentode.training.checkpoint import Checkpoint
from latentode.training.config import TrainingConfig
from latentode.training.lightning_silence import silent_lightning
from latentode.training.module import LatentODEModule
from latentode.training.result import TrainingResult
from latentode.training.tasks import TaskSampler

__all__ = ["run"]

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


def run(
    model: LatentODE,
    sampler: TaskSampler,
    validation: list[Batch],
    options: TrainingConfig,
    rng: np.random.Generator,
    checkpoint: Checkpoint | None,
) -> TrainingResult:
    """Train a model in place, and leave it on the CPU; see :func:`latentode.training.train`."""
    generator = torch.Generator().manual_seed(int(rng.integers(2**62)))
    module = LatentODEModule(model, options, generator)
    batches = TrainingBatches(sampler, options, rng)
    early_stopping = EarlyStopping(options, module, batches, checkpoint)
    device = device_of(options.accelerator)
    assert device is not None  # the estimator has checked that there is one
    interrupted = False
    try:
        with silent_lightning() as root:
            trainer = _Trainer(
                accelerator=device.type,
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
    model.cpu().load_state_dict(early_stopping.average)
    model.eval()
    if early_stopping.n_breaks and not early_stopping.progress.silent:
        warnings.warn(
            f"the loss was not finite {early_stopping.n_breaks} time(s); training resumed from the best weights at a "
            "lower learning rate",
            UserWarning,
            stacklevel=3,
        )
    return TrainingResult(early_stopping.history, interrupted, early_stopping.stopped, early_stopping.shortened)
