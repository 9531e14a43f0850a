"""Lightning without its voice: no lines, no files, no warnings, and nothing of the caller's changed.

Levels of loggers, warning filters and the number of threads belong to the process, and several fits may run in it at
once. So what is changed is changed by the first one in and taken back by the last one out, whatever their order.
"""

import contextlib
import logging
import os
import signal
import tempfile
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from typing import Any, cast

import torch

__all__ = ["TERMINATED", "fork_safe", "one_thread", "quiet_lightning"]

TERMINATED = 128 + signal.SIGTERM
"""The exit code of a process whose training a SIGTERM broke off."""

_LOADED_IN = os.getpid()
_LOGGERS = ("lightning", "lightning.pytorch", "lightning.fabric")

_OURS = r"lightning\.(?#latentode)"
"""The modules whose warnings are ignored; the comment tells our filter from one of the caller's."""


class _Silence:
    """What is silenced while one fit at least is running."""

    def __init__(self) -> None:
        self.lock, self.inside = threading.Lock(), 0
        self.levels: dict[str, int] = {}
        self.filters: list[Any] = []
        self.ignored: Any = None

    def enter(self) -> None:
        with self.lock:
            self.inside += 1
            if self.inside > 1:
                return
            self.levels = {name: logging.getLogger(name).level for name in _LOGGERS}
            for name in _LOGGERS:
                logging.getLogger(name).setLevel(logging.ERROR)
            self.filters = cast(list[Any], warnings.filters)
            warnings.filterwarnings("ignore", module=_OURS)
            self.ignored = self.filters[0]

    def leave(self) -> None:
        with self.lock:
            self.inside -= 1
            if self.inside:
                return
            for name, level in self.levels.items():
                if logging.getLogger(name).level == logging.ERROR:  # else somebody else has set it since
                    logging.getLogger(name).setLevel(level)
            # The list itself is not put back: another thread may have changed it. A caller within a
            # ``catch_warnings`` of its own has two, that of now and that of afterwards.
            for filters in (self.filters, cast(list[Any], warnings.filters)):
                with contextlib.suppress(ValueError):
                    filters.remove(self.ignored)


_SILENCE = _Silence()


@contextmanager
def quiet_lightning() -> Iterator[str]:
    """Silence Lightning within the block; give a place for its root, a temporary directory where one can be made.

    Levels of its loggers and the warning filters are as before afterwards, once the last of several such blocks at the
    same time has ended. An interrupt, which Lightning turns into an exit that ignores the next one, reaches the caller
    as the interrupt it is. A SIGTERM, which it turns into an exit that looks like success, is an exit with the code
    that a shell gives to a process that ended by it.
    """
    # Its import sets log levels: they are saved after it.
    from lightning.pytorch.utilities.exceptions import SIGTERMException

    on_interrupt = signal.getsignal(signal.SIGINT)
    _SILENCE.enter()
    try:
        with _root() as root:
            yield root
    except SystemExit as left:
        if isinstance(left.__context__, KeyboardInterrupt):
            raise left.__context__ from None
        if isinstance(left, SIGTERMException):
            raise SystemExit(TERMINATED) from None
        raise
    finally:
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGINT, on_interrupt)
        _SILENCE.leave()


def _root() -> contextlib.AbstractContextManager[str]:
    """A place that goes away with the training. Nothing of ours is there: where none can be made, none is needed."""
    try:
        return tempfile.TemporaryDirectory(prefix="latentode-")
    except OSError:
        return nullcontext(os.devnull)


@contextmanager
def one_thread() -> Iterator[None]:
    """Run torch on one thread within the block, and in this thread only.

    Matrices of this size gain nothing from a second thread, and lose much where the machine has other work.
    """
    before = torch.get_num_threads()
    _set_threads_here(1, elsewhere=before)
    try:
        yield
    finally:
        torch.set_num_threads(before)


@contextmanager
def fork_safe() -> Iterator[None]:
    """Run torch on one thread within the block if this process was forked from one that had loaded us.

    The threads of a parent do not come along into a forked child, but GNU OpenMP believes they did, and waits for them
    for ever once an operator wants a second one (torch's own data loaders take one thread for the same reason).
    """
    with one_thread() if os.getpid() != _LOADED_IN else nullcontext():
        yield


def _set_threads_here(n: int, elsewhere: int) -> None:
    """Set torch's threads for this thread.

    torch keeps the number per thread, and gives every new thread the one that was last set anywhere: without the
    second call, a thread that is born while we train would be left with one for good.
    """
    torch.set_num_threads(n)
    other = threading.Thread(target=torch.set_num_threads, args=(elsewhere,))
    other.start()
    other.join()
