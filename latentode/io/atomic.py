"""Writing files atomically: a file is complete or unchanged, also after a crash or on a full disk."""

import contextlib
import errno
import os
import secrets
import stat
from collections.abc import Iterator
from pathlib import Path

__all__ = ["directory_for", "leftovers", "try_writing", "write_out", "write_whole"]


def write_whole(path: Path, content: bytes, like: Path | None = None) -> None:
    """Write a file atomically: to a temporary file beside it, flushed to the disk and renamed.

    A file that is replaced keeps its mode; the mode of a new one follows the umask.

    Parameters
    ----------
    path : Path
        The file; its directory must exist.
    content : bytes
        The content.
    like : Path, optional
        The file whose mode it gets, if that file exists. None means `path` itself.

    Raises
    ------
    OSError
        When it cannot be written, for instance on a full disk. An existing file is unchanged.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     write_whole(Path(folder) / "file", b"content")
    ...     (Path(folder) / "file").read_bytes()
    b'content'
    """
    temporary = path.with_name(f".{path.name}-{secrets.token_hex(8)}")
    try:
        with temporary.open("xb") as file:
            _copy_mode(path if like is None else like, temporary)  # before the content: it may be private
            file.write(content)
            file.flush()
            os.fsync(file.fileno())  # otherwise a power cut may leave an empty file under the new name
        temporary.replace(path)
    except OSError as cause:
        message = f"{cause.strerror or cause}: {path} could not be written; no existing file was changed"
        raise OSError(cause.errno, message) from cause
    finally:
        with contextlib.suppress(OSError):  # a renamed file is gone
            temporary.unlink()
    _sync(path.parent)


def _copy_mode(source: Path, target: Path) -> None:
    if not source.is_file():
        return
    mode = stat.S_IMODE(source.stat().st_mode)
    if mode != stat.S_IMODE(target.stat().st_mode):  # a file system without modes would refuse
        target.chmod(mode)


def write_out(path: Path, content: bytes) -> None:
    """Write to a path the user named: files atomically, links followed, pipes and devices written to directly.

    Directories that do not exist are made.

    Parameters
    ----------
    path : Path
        A new or existing file, a link to one, a pipe, or a device such as ``/dev/stdout``.
    content : bytes
        The content.

    Raises
    ------
    OSError
        When it cannot be written. An existing file is unchanged.
    """
    if path.exists() and not path.is_file():  # a rename would replace the pipe by a file
        path.write_bytes(content)
    else:
        file = path.resolve()
        with directory_for(file.parent):
            write_whole(file, content)


def try_writing(directory: Path) -> None:
    """Check, before long work, that files can be written to a directory; the check leaves nothing behind.

    Parameters
    ----------
    directory : Path
        Need not exist: the check creates and removes it.

    Raises
    ------
    OSError
        When the directory cannot be created or written to.

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
        _make(directory, made)
        trial.touch(exist_ok=False)
    finally:
        with contextlib.suppress(OSError):
            trial.unlink()
        _remove_empty(made)


@contextlib.contextmanager
def directory_for(path: Path) -> Iterator[None]:
    """Make a directory for what the block writes there; a block that fails leaves no empty one behind.

    Parameters
    ----------
    path : Path
        The directory. Those above it are made too.

    Raises
    ------
    OSError
        When it cannot be made.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     try:
    ...         with directory_for(Path(folder) / "new" / "model"):
    ...             raise OSError("the disk is full")
    ...     except OSError:
    ...         (Path(folder) / "new").exists()
    False
    """
    made: list[Path] = []
    try:
        _make(path, made)
        yield
    except BaseException:
        _remove_empty(made)
        raise


def _make(directory: Path, made: list[Path]) -> None:
    """Make a directory and those above it; `made` lists the new ones, also when it fails."""
    for place in [*reversed(directory.parents), directory]:
        if not place.is_dir():
            with contextlib.suppress(FileExistsError):  # another process made it meanwhile, or it is a file
                place.mkdir()
                made.append(place)
    if not directory.is_dir():
        raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), str(directory))


def _remove_empty(made: list[Path]) -> None:
    for place in reversed(made):
        with contextlib.suppress(OSError):  # another process uses it already
            place.rmdir()


def leftovers(path: Path) -> list[Path]:
    """Temporary files that killed writers of a file left beside it."""
    return sorted(path.parent.glob(f".{path.name}-*"))


def _sync(directory: Path) -> None:
    """Flush a directory's entries to disk, where the system supports it."""
    if os.name != "posix":
        return
    with contextlib.suppress(OSError):  # some file systems do not support it
        descriptor = os.open(directory, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
