"""Frames of other libraries (polars, pyarrow, ...) in, and the same kind out."""

from collections.abc import Callable
from functools import wraps
from typing import Any, ParamSpec, TypeVar, cast

import pandas as pd

from latentode.data.native import Given, as_given

__all__ = ["any_frame"]

P = ParamSpec("P")
T = TypeVar("T")


def any_frame(method: Callable[P, T]) -> Callable[P, T]:
    """Let a method of pandas frames take those of any library narwhals knows, and answer in the kind of the first.

    A method that is given no frame (``forecast()``) answers in the kind that ``fit`` was given.
    """

    @wraps(method)
    def wrapped(*args: P.args, **kwargs: P.kwargs) -> T:
        self: Any = args[0]
        given = [as_given(a) for a in args[1:]]
        named = {k: as_given(v) for k, v in kwargs.items()}
        out = cast(Callable[..., T], method)(self, *(g.frame for g in given), **{k: g.frame for k, g in named.items()})
        frames = [g for g in (*given, *named.values()) if isinstance(g.frame, pd.DataFrame)]
        if method.__name__ == "fit":
            self._given_ = frames[0].emptied() if frames else None
        if not isinstance(out, pd.DataFrame):
            return out
        first: Given | None = frames[0] if frames else getattr(self, "_given_", None)
        schema = getattr(self, "schema_", None)
        keys = () if schema is None else (schema.id_name, schema.time_name)
        return out if first is None else cast(T, first.back(out, keys))

    return wrapped
