"""Files in a folder of the user, with a clear error if they are missing."""

from pathlib import Path

__all__ = ["require_files"]


def require_files(folder: str | Path, pattern: str, what: str, *more: str) -> list[Path]:
    """The files below a folder that match.

    Raises
    ------
    FileNotFoundError
        When there is no folder, or nothing in it matches.
    """
    root = Path(folder).expanduser()
    if not root.is_dir():
        raise FileNotFoundError(f"{root} is no folder; give the one that holds {what}")
    found = [file for p in (pattern, *more) for file in root.rglob(p) if file.is_file()]
    if not found:
        raise FileNotFoundError(f"{root} holds no file {' or '.join((pattern, *more))}; expected {what}")
    return found
