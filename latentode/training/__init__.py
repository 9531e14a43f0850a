"""Training: tasks drawn from series, the Lightning module, the quiet loop."""

from latentode.training.checkpoint import Checkpoint, checkpoint_in
from latentode.training.fit import Ended, train, validation_batches
from latentode.training.module import LatentODEModule, gaussian_crps
from latentode.training.options import TrainingOptions
from latentode.training.quiet import TERMINATED, fork_safe, one_thread, quiet_lightning
from latentode.training.tasks import RaggedSeries, TaskMaker, question_batch

__all__ = [
    "TERMINATED",
    "Checkpoint",
    "Ended",
    "LatentODEModule",
    "RaggedSeries",
    "TaskMaker",
    "TrainingOptions",
    "checkpoint_in",
    "fork_safe",
    "gaussian_crps",
    "one_thread",
    "question_batch",
    "quiet_lightning",
    "train",
    "validation_batches",
]
