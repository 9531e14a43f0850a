"""Lightning in silence: no lines, no files, no warnings, and no change of the caller's settings.

Log levels and warning filters belong to the process, and several fits may run in it at once. So the first fit to start
changes them and the last one to end restores them, whatever their order.
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

__all__ = ["TERMINATED", "silent_lightning"]

TERMINATED = 128 + signal.SIGTERM
"""The exit code of a process whose training was ended by a SIGTERM."""

_LOGGERS = ("lightning", "lightning.pytorch", "lightning.fabric")

_OURS = r"lightning\.(?#latentode)"
"""The modules whose warnings are ignored; the comment tells our filter from one of the caller's."""


class _Silence:
    """What is silenced while at least one fit runs."""

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
                if logging.getLogger(name).level == logging.ERROR:  # else somebody else has changed it since
                    logging.getLogger(name).setLevel(level)
            # The list itself is not restored: another thread may have changed it. A caller inside its own
            # ``catch_warnings`` has two lists, the present one and the one restored afterwards.
            for filters in (self.filters, cast(list[Any], warnings.filters)):
                with contextlib.suppress(ValueError):
                    filters.remove(self.ignored)


_SILENCE = _Silence()


@contextmanager
def silent_lightning() -> Iterator[str]:
    """Silence Lightning within the block; yield its root, a temporary directory where one can be created.

    Log levels and warning filters are restored when the last of several simultaneous blocks ends. Lightning turns an
    interrupt into an exit that ignores the next one; here it reaches the caller as an interrupt. Lightning turns a
    SIGTERM into an exit that reads as success; here it exits with the code that a shell gives to such a process.
    """
    # The import sets log levels, so it comes before they are saved.
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
    """A directory that is removed after training. We store nothing there: where it cannot be made, none is needed."""
    try:
        return tempfile.TemporaryDirectory(prefix="latentode-")
    except OSError:
        return nullcontext(os.devnull)
