"""Warnings about the data: one for each call, at the line of the caller's code."""

import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from latentode.data import DataWarning

__all__ = ["no_data_warnings", "warn_data"]

_SILENT: ContextVar[bool] = ContextVar("latentode_silent", default=False)

_NOT_THE_CALLER = ("latentode.", "sklearn.")
"""Modules between the caller's line and a warning: scikit-learn wraps ``fit`` where it has callbacks."""


@contextmanager
def no_data_warnings() -> Iterator[None]:
    """No data warning within the block, in this thread; the warning filters of the process are not changed."""
    token = _SILENT.set(True)
    try:
        yield
    finally:
        _SILENT.reset(token)


def warn_data(sentences: list[str], category: type[UserWarning] = DataWarning) -> None:
    """Give one warning of all sentences, at the line of the caller's own code; none for no sentence."""
    if sentences and not _SILENT.get():
        frame, level = sys._getframe(1), 2
        while frame.f_back is not None and frame.f_globals.get("__name__", "").startswith(_NOT_THE_CALLER):
            frame, level = frame.f_back, level + 1
        warnings.warn("; ".join(sentences), category, stacklevel=level)
