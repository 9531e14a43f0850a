"""Files that are whole or not there, and locks that end with the process that holds them."""

import contextlib
import os
import secrets
import sys
from collections.abc import Mapping
from pathlib import Path

__all__ = ["leftovers", "lock", "try_writing", "unlock", "write_out", "write_together", "write_whole"]


def write_whole(path: Path, content: bytes) -> None:
    """Write a file whole or not at all: beside its place, through to the disk, then moved there.

    Parameters
    ----------
    path : Path
        Where it belongs; its directory is there.
    content : bytes
        What it holds.

    Raises
    ------
    OSError
        When it cannot be written, a full disk for one; what stood there before is as it was.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     write_whole(Path(folder) / "file", b"content")
    ...     (Path(folder) / "file").read_bytes()
    b'content'
    """
    write_together({path: content})


def write_together(files: Mapping[Path, bytes]) -> None:
    """Write files that belong together: each beside its place, and only when all are there is the first one moved.

    A power cut between two moves leaves new files beside old ones. Where that matters, the first one written says
    what it expects of the others.

    Parameters
    ----------
    files : mapping of Path to bytes
        What each holds, in the order they are moved; their directories are there.

    Raises
    ------
    OSError
        When one cannot be written, a full disk for one; the message says what stands there now.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     write_together({Path(folder) / "facts": b"two", Path(folder) / "numbers": b"12"})
    ...     sorted(path.name for path in Path(folder).iterdir())
    ['facts', 'numbers']
    """
    beside = {path: path.with_name(f".{path.name}-{secrets.token_hex(8)}") for path in files}
    moved: list[str] = []
    try:
        for path, content in files.items():
            with beside[path].open("xb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())  # else a power cut may leave the new name with nothing behind it
        for path in files:
            beside[path].replace(path)
            moved.append(path.name)
    except OSError as cause:
        stands = f"{', '.join(moved)} beside it is new already" if moved else "what stood there before is as it was"
        said = f"{cause.strerror or cause}: {path} could not be written; {stands}"
        raise OSError(cause.errno, said) from cause
    finally:
        for scrap in beside.values():
            with contextlib.suppress(OSError):  # those that were moved are there no more
                scrap.unlink()
    for directory in {path.parent for path in files}:
        _sync(directory)


def write_out(path: Path, content: bytes) -> None:
    """Write what a user has named a place for: whole or not at all, through links, and into what is no file as it is.

    Parameters
    ----------
    path : Path
        A file, new or old, a link to one, a pipe or a device such as ``/dev/stdout``.
    content : bytes
        What goes there.

    Raises
    ------
    OSError
        When it cannot be written; what stood in a file before is as it was.
    """
    if path.exists() and not path.is_file():  # a move would put a file where the pipe is
        path.write_bytes(content)
    else:
        write_whole(path.resolve(), content)


def try_writing(directory: Path) -> None:
    """Find out, before much work, whether files can be written to a directory; nothing of the trial stays.

    Parameters
    ----------
    directory : Path
        Need not be there: whether it can be made is tried too.

    Raises
    ------
    OSError
        When it cannot be made or written to.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     try_writing(Path(folder) / "new" / "model")
    ...     (Path(folder) / "new").exists()
    False
    """
    made: list[Path] = []
    trial = directory / f".trial-{secrets.token_hex(8)}"
    try:
        for place in [*reversed(directory.parents), directory]:
            if not place.exists():
                place.mkdir()
                made.append(place)
        trial.touch(exist_ok=False)
    finally:
        with contextlib.suppress(OSError):
            trial.unlink()
        for place in reversed(made):
            with contextlib.suppress(OSError):  # another process has use for it already
                place.rmdir()


def leftovers(path: Path) -> list[Path]:
    """What writers of a file left beside it when they were killed."""
    return sorted(path.parent.glob(f".{path.name}-*"))


def _sync(directory: Path) -> None:
    """The directory's entries through to the disk, where the system can do that."""
    if os.name != "posix":
        return
    with contextlib.suppress(OSError):  # some file systems refuse it for a directory
        descriptor = os.open(directory, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def lock(path: Path) -> int | None:
    """Take a lock that no other process or thread can hold at the same time.

    The system gives it back when the process ends, however it ends: a lock of one that was killed is free.

    Parameters
    ----------
    path : Path
        The file that stands for the lock; made if it is not there.

    Returns
    -------
    int or None
        What :func:`unlock` wants; None where another holds it.

    Raises
    ------
    OSError
        When the file cannot be made, or its file system has no locks.
    """
    while True:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT)
        try:
            if not _taken(descriptor):
                os.close(descriptor)
                return None
            if os.path.samestat(os.fstat(descriptor), path.stat()):
                return descriptor
        except FileNotFoundError:
            pass
        except BaseException:
            os.close(descriptor)
            raise
        os.close(descriptor)  # the file was taken away between opening and locking: again


def unlock(path: Path, descriptor: int) -> None:
    """Give a lock back and take its file away."""
    if os.name == "posix":  # before the lock is free, so that nobody's file but ours is taken away
        path.unlink(missing_ok=True)
    os.close(descriptor)
    if os.name != "posix":
        with contextlib.suppress(OSError):  # an open file cannot be taken away there, nor one opened since
            path.unlink(missing_ok=True)


if sys.platform == "win32":
    import msvcrt

    def _taken(descriptor: int) -> bool:
        try:
            msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
        except PermissionError:
            return False
        return True

else:
    import fcntl

    def _taken(descriptor: int) -> bool:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True
