"""What is to be said of the data, as one warning at the line of the caller."""

import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from latentode.data import DataWarning

__all__ = ["nothing_said", "say"]

_QUIET: ContextVar[bool] = ContextVar("latentode_quiet", default=False)

_NOT_THE_CALLER = ("latentode.", "sklearn.")
"""Modules between the caller's line and a warning: scikit-learn's wraps fit where it has callbacks."""


@contextmanager
def nothing_said() -> Iterator[None]:
    """No warning of ours within the block, in this thread; the filters of the process stay as they are."""
    token = _QUIET.set(True)
    try:
        yield
    finally:
        _QUIET.reset(token)


def say(sentences: list[str]) -> None:
    """Say it once, as of the line of the caller's own code that led here."""
    if sentences and not _QUIET.get():
        frame, level = sys._getframe(1), 2
        while frame.f_back is not None and frame.f_globals.get("__name__", "").startswith(_NOT_THE_CALLER):
            frame, level = frame.f_back, level + 1
        warnings.warn("; ".join(sentences), DataWarning, stacklevel=level)
