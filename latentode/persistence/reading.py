"""Reading the files of a directory that others may have made, with bounds on size, and from that directory only."""

import json
import math
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

__all__ = ["LARGEST_CONFIG", "NoModelError", "bytes_at_most", "file_inside", "read_json", "read_whole"]

LARGEST_CONFIG = 2**25
"""Bytes of a config at most: a million names of series, which take ten times as much memory as Python objects."""

MOST_BRACKETS = 1_000_000
"""Lists and objects of a config at most: an empty one takes two bytes in the file and eighty in memory."""

LARGEST_HEADER = 2**20
"""Bytes of the header of a file of arrays at most."""

MOST_CELLS = 10**9
"""Observed times and values of a saved model at most."""


class NoModelError(ValueError):
    """A directory that holds no saved model."""


def file_inside(path: Path, name: str) -> Path:
    """A file of a directory.

    Raises
    ------
    NoModelError
        When it is not an ordinary file.
    ValueError
        When it is a link that leads out of the directory.
    """
    file = path / name
    if not file.is_file():
        raise NoModelError(f"{path} holds no saved forecaster: {name} is missing")
    if file.resolve().parent != path.resolve():
        raise ValueError(f"{name} is a link that leads out of {path}")
    return file


def read_whole(file: BinaryIO, most: int) -> bytes:
    """The content of an open file.

    Raises
    ------
    ValueError
        When it is larger than `most` bytes, or than the memory.
    """
    name, size = Path(file.name).name, os.fstat(file.fileno()).st_size
    if size > most:
        raise ValueError(f"{name} has {size} bytes, more than the {most} such a model can take")
    try:
        return file.read()
    except MemoryError:
        raise ValueError(f"{name} has {size} bytes, more than fit into memory") from None


def read_json(file: Path) -> Any:
    """The content of a config, unless it is so large that parsing it would fill the memory.

    Raises
    ------
    ValueError
        When it is too large, holds too many lists and objects, or is not JSON.
    """
    with file.open("rb") as opened:
        text = read_whole(opened, LARGEST_CONFIG)
    brackets = text.count(b"[") + text.count(b"{")
    if brackets > MOST_BRACKETS:
        raise ValueError(f"{file.name} holds {brackets} brackets; no model has more than {MOST_BRACKETS}")
    return json.loads(text.decode("utf-8"))


def bytes_at_most(shapes: Iterable[tuple[type, tuple[int, ...]]], n_series: int) -> int:
    """The largest size of the file of a model's arrays: header, arrays of known shape, and observations if any.

    Parameters
    ----------
    shapes : iterable of (dtype, shape)
        The arrays whose size follows from the config.
    n_series : int
        Series that the config names; without series there are no observations.
    """
    known = sum(np.dtype(kind).itemsize * math.prod(shape) for kind, shape in shapes)
    return LARGEST_HEADER + known + (8 * MOST_CELLS if n_series else 0)
