"""Lightning without its voice: no lines, no files, no warnings, and nothing of the caller's changed."""

import logging
import signal
import tempfile
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

import torch

__all__ = ["isolated_rng", "one_thread", "quiet_lightning"]

_LOGGERS = ("lightning", "lightning.pytorch", "lightning.fabric")


@contextmanager
def quiet_lightning() -> Iterator[str]:
    """Silence Lightning within the block; give a temporary directory for its root.

    Levels of its loggers and the warning filters are as before afterwards. An interrupt, which Lightning turns
    into an exit that ignores the next one, reaches the caller as the interrupt it is.
    """
    import lightning.pytorch  # noqa: F401  (its import sets log levels: they are saved after it)

    on_interrupt = signal.getsignal(signal.SIGINT)
    levels = {name: logging.getLogger(name).level for name in _LOGGERS}
    try:
        for name in _LOGGERS:
            logging.getLogger(name).setLevel(logging.ERROR)
        with warnings.catch_warnings(), tempfile.TemporaryDirectory(prefix="latentode-") as root:
            warnings.filterwarnings("ignore", module="lightning.*")
            warnings.filterwarnings("ignore", module="torch.utils.data.*")
            yield root
    except SystemExit as left:
        if isinstance(left.__context__, KeyboardInterrupt):
            raise left.__context__ from None
        raise
    finally:
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGINT, on_interrupt)
        for name, level in levels.items():
            logging.getLogger(name).setLevel(level)


@contextmanager
def isolated_rng(seed: int) -> Iterator[None]:
    """Seed torch within the block; its random state is as before afterwards."""
    with torch.random.fork_rng(devices=range(torch.cuda.device_count())):
        torch.manual_seed(seed)
        yield


@contextmanager
def one_thread() -> Iterator[None]:
    """Run torch on one thread within the block.

    Matrices of this size gain nothing from a second thread, and lose much where the machine has other work.
    """
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)
