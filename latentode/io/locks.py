"""File locks that the system releases when the process that holds them ends."""

import contextlib
import errno
import os
import sys
import time
from collections.abc import Iterator
from pathlib import Path

__all__ = ["alone", "lock", "unlock"]

PAUSE = 0.01
"""Seconds between two attempts to take a lock."""


@contextlib.contextmanager
def alone(path: Path) -> Iterator[None]:
    """Hold an exclusive lock for the block; wait for it as long as another process or thread holds it.

    Parameters
    ----------
    path : Path
        The lock file, removed afterwards.

    Raises
    ------
    OSError
        When the file cannot be created. A file system without locks is no error: the block then runs without one.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder, alone(Path(folder) / "lock"):
    ...     lock(Path(folder) / "lock") is None
    True
    """
    try:
        while (descriptor := lock(path)) is None:
            time.sleep(PAUSE)
    except OSError as error:
        if error.errno not in (errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOSYS):
            raise
        path.unlink(missing_ok=True)
        yield
        return
    try:
        yield
    finally:
        unlock(path, descriptor)


def lock(path: Path) -> int | None:
    """Take an exclusive lock, without waiting.

    The system releases it when the process ends, also when it is killed.

    Parameters
    ----------
    path : Path
        The lock file; created if it does not exist.

    Returns
    -------
    int or None
        The descriptor to pass to :func:`unlock`; None when another process or thread holds the lock.

    Raises
    ------
    OSError
        When the file cannot be created, or its file system has no locks.
    """
    while True:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT)
        try:
            if not _try_lock(descriptor):
                os.close(descriptor)
                return None
            if os.path.samestat(os.fstat(descriptor), path.stat()):
                return descriptor
        except FileNotFoundError:
            pass
        except BaseException:
            os.close(descriptor)
            raise
        os.close(descriptor)  # the file was removed between opening and locking: try again


def unlock(path: Path, descriptor: int) -> None:
    """Release a lock and remove its file."""
    if os.name == "posix":  # while the lock is held, so that only our own file is removed
        path.unlink(missing_ok=True)
    os.close(descriptor)
    if os.name != "posix":
        with contextlib.suppress(OSError):  # an open file cannot be removed there, nor one opened since
            path.unlink(missing_ok=True)


if sys.platform == "win32":
    import msvcrt

    def _try_lock(descriptor: int) -> bool:
        try:
            msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
        except PermissionError:
            return False
        return True

else:
    import fcntl

    def _try_lock(descriptor: int) -> bool:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True
