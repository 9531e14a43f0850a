"""Writing files atomically: a file is complete or unchanged, also after a crash or on a full disk."""

import contextlib
import os
import secrets
from collections.abc import Mapping
from pathlib import Path

__all__ = ["leftovers", "try_writing", "write_out", "write_together", "write_whole"]


def write_whole(path: Path, content: bytes) -> None:
    """Write a file atomically: to a temporary file beside it, flushed to disk, then renamed.

    Parameters
    ----------
    path : Path
        The file; its directory must exist.
    content : bytes
        The new content.

    Raises
    ------
    OSError
        When the file cannot be written, for instance on a full disk. An existing file is unchanged.

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
    """Write several files atomically: all are written to temporary files before the first is renamed.

    A power cut between two renames leaves new files beside old ones. Where that matters, let the file that is renamed
    first hold a digest of the others.

    Parameters
    ----------
    files : mapping of Path to bytes
        The content of each file, in the order of the renames; the directories must exist.

    Raises
    ------
    OSError
        When a file cannot be written, for instance on a full disk. The message says which files are new.

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
                os.fsync(file.fileno())  # otherwise a power cut may leave an empty file under the new name
        for path in files:
            beside[path].replace(path)
            moved.append(path.name)
    except OSError as cause:
        result = f"{', '.join(moved)} was already replaced" if moved else "no existing file was changed"
        message = f"{cause.strerror or cause}: {path} could not be written; {result}"
        raise OSError(cause.errno, message) from cause
    finally:
        for temporary in beside.values():
            with contextlib.suppress(OSError):  # renamed files are gone
                temporary.unlink()
    for directory in {path.parent for path in files}:
        _sync(directory)


def write_out(path: Path, content: bytes) -> None:
    """Write to a path the user named: files atomically, links followed, pipes and devices written to directly.

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
        write_whole(path.resolve(), content)


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
        for place in [*reversed(directory.parents), directory]:
            if not place.exists():
                place.mkdir()
                made.append(place)
        trial.touch(exist_ok=False)
    finally:
        with contextlib.suppress(OSError):
            trial.unlink()
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
