"""Training: tasks drawn from series, the Lightning module, the training loop, checkpoints."""

from latentode.training.checkpoint import Checkpoint, checkpoint_in
from latentode.training.config import TrainingConfig
from latentode.training.crps import gaussian_crps
from latentode.training.fit import train, validation_batches
from latentode.training.lightning_silence import TERMINATED, silent_lightning
from latentode.training.result import TrainingResult
from latentode.training.tasks import RaggedSeries, TaskSampler, query_batch, usable_series
from latentode.training.threads import fork_safe, one_thread
from latentode.training.time_limit import TimeLimit

__all__ = [
    "TERMINATED",
    "Checkpoint",
    "RaggedSeries",
    "TaskSampler",
    "TimeLimit",
    "TrainingConfig",
    "TrainingResult",
    "checkpoint_in",
    "fork_safe",
    "gaussian_crps",
    "one_thread",
    "query_batch",
    "silent_lightning",
    "train",
    "usable_series",
    "validation_batches",
]
