"""How many threads torch uses, here and after a fork."""

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext

import torch

__all__ = ["fork_safe", "one_thread"]

_LOADED_IN = os.getpid()


@contextmanager
def one_thread() -> Iterator[None]:
    """Run torch on one thread within the block, and in this thread only.

    Matrices of these sizes gain nothing from a second thread, and lose much on a busy machine.
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

    A forked child does not have its parent's threads, but GNU OpenMP assumes that it does: it waits for them for ever
    once an operator uses a second thread (torch's own data loaders use one thread for the same reason).
    """
    with one_thread() if os.getpid() != _LOADED_IN else nullcontext():
        yield


def _set_threads_here(n: int, elsewhere: int) -> None:
    """Set torch's threads for this thread.

    torch keeps the number per thread, and gives every new thread the number that was last set anywhere. Without the
    second call, a thread started during training would keep one thread for good.
    """
    torch.set_num_threads(n)
    other = threading.Thread(target=torch.set_num_threads, args=(elsewhere,))
    other.start()
    other.join()
