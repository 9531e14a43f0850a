"""The Lightning module: training step, optimiser, averaged weights."""

from typing import Any, ClassVar, Self, cast

import lightning.pytorch as pl
import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel

from latentode.nn import Batch, LatentODE
from latentode.training.config import TrainingConfig
from latentode.training.crps import gaussian_crps
from latentode.training.solver_error import solver_error

__all__ = ["LatentODEModule"]

WARM_UP = 60
"""Warm-up steps of the learning rate, at most a twentieth of all steps."""

HELD = 0.75
"""Fraction of ``n_steps`` over which the rate is held at most."""

WATCHED = 32
"""Series whose solver error is measured at a validation check."""

KL_WARM_UP = 360
"""Warm-up steps of the weight of the KL divergence, at most three tenths of all steps."""


class LatentODEModule(pl.LightningModule):
    """Trains a :class:`~latentode.nn.LatentODE` and keeps a moving average of its weights.

    Parameters
    ----------
    model : LatentODE
        The model, trained in place.
    options : TrainingConfig
        Learning rate, weights and number of steps.
    generator : Generator
        Source of the draws of z0.
    """

    averaged: AveragedModel
    _ddp_params_and_buffers_to_ignore: ClassVar[list[str]] = ["averaged.n_averaged"]  # it stays on the CPU

    def __init__(self, model: LatentODE, options: TrainingConfig, generator: torch.Generator) -> None:
        super().__init__()
        self.model = model
        self.averaged = _Averaged(model, options.averaging)
        self.averaged.requires_grad_(False)
        self.options = options
        self.generator = generator
        self.first_step = 0  # steps before a checkpoint that training resumed from
        self.rate = 1.0  # factor of the learning rate, halved after a loss that is not finite
        self.annealed: tuple[int, int] | None = None  # first and last step of the annealing once it has started
        self.n_steps = options.n_steps  # far fewer where the time limit allows no more: the warm-ups are then shorter
        self.losses: list[Tensor] = []
        self.scores: list[tuple[Tensor, Tensor]] = []
        self.solver_error = 0.0

    def training_step(self, batch: Batch, _: int) -> Tensor:
        """The negative ELBO of a batch."""
        kl_weight = self.options.kl_weight * min(1.0, self.step / self._first(KL_WARM_UP, 0.3))
        loss = self.model.loss(batch, kl_weight, self.generator)
        total = loss.total * batch.weight
        self.losses.append(total.detach())
        return total

    @property
    def step(self) -> int:
        """Steps taken in all."""
        return self.first_step + int(self.global_step)

    @property
    def average(self) -> LatentODE:
        """The model with averaged weights."""
        return cast(LatentODE, self.averaged.module)

    def on_train_batch_end(self, *_: Any) -> None:
        """Move the averaged weights towards the current ones."""
        self.averaged.update_parameters(self.model)

    def validation_step(self, batch: Batch, number: int) -> None:
        """The CRPS of the averaged model, in scaled units, and the error of its solver on some of the series."""
        assert batch.targets is not None  # tasks always carry targets
        assert batch.target_mask is not None
        prediction = self.average.predict(batch)
        crps = gaussian_crps(prediction.mean, prediction.scale, batch.targets) * batch.target_mask
        self.scores.append((crps.sum(), batch.target_mask.sum()))
        if number == 0:
            self.solver_error = float(solver_error(self.average, batch.take(slice(0, WATCHED))).max())

    def transfer_batch_to_device(self, batch: Batch, device: torch.device, dataloader_idx: int) -> Batch:
        """Move a batch, which is a frozen dataclass."""
        return batch.to(device)

    def configure_optimizers(self) -> Any:
        """AdamW."""
        # Biases, rates and scales are left alone: zero is no better a guess for them than another value.
        decayed = [p for p in self.model.parameters() if p.ndim >= 2]
        others = [p for p in self.model.parameters() if p.ndim < 2]
        optimiser = torch.optim.AdamW(
            [
                {"params": decayed, "weight_decay": self.options.weight_decay},
                {"params": others, "weight_decay": 0.0},
            ],
            lr=self.options.learning_rate,
            fused=True,  # one operator for all weights, not a dozen for each
        )
        schedule = torch.optim.lr_scheduler.LambdaLR(optimiser, self.rate_at)
        return {"optimizer": optimiser, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}

    def rate_at(self, step: int) -> float:
        """Factor of the learning rate: warm-up, a plateau, and linear annealing once it starts, or at the end."""
        step += self.first_step
        begin, end = self.annealed or (HELD * self.options.n_steps, self.options.n_steps)
        last = min(1.0, (end - step) / max(end - begin, 1))
        return self.rate * min((step + 1) / self._first(WARM_UP, 0.05), 1.0) * max(last, 0.02)

    def _first(self, n_steps: int, part: float) -> float:
        """A number of steps, limited to a fraction of all."""
        return max(min(n_steps, part * self.n_steps), 1.0)


class _Averaged(AveragedModel):
    """An exponential moving average of weights whose decay grows over the first steps.

    The number of updates stays on the CPU: reading it from an accelerator would make every step wait.
    """

    def __init__(self, model: LatentODE, decay: float) -> None:
        super().__init__(model)
        self.decay = decay
        # Listed once: to find them in all modules takes three per cent of a small model's step.
        self.pairs: tuple[list[Tensor], list[Tensor]] = [*self.module.parameters()], [*model.parameters()]

    @torch.no_grad()
    def update_parameters(self, _: nn.Module) -> None:
        """Move towards the present weights; the first time, take them."""
        n = int(self.n_averaged)
        kept = min(self.decay, (1 + n) / (10 + n)) if n else 0.0
        averaged, present = self.pairs
        torch._foreach_lerp_(averaged, present, 1 - kept)
        self.n_averaged += 1

    def _apply(self, fn: Any, recurse: bool = True) -> Self:
        here = self.n_averaged
        super()._apply(fn, recurse)  # type: ignore[no-untyped-call]
        self.n_averaged = here
        return self
