"""Methods that take frames of other libraries (polars, pyarrow, ...) and return the same kind."""

from collections.abc import Callable
from functools import wraps
from typing import Any, ParamSpec, TypeVar, cast

import pandas as pd

from latentode.data.native import as_given

__all__ = ["any_frame"]

P = ParamSpec("P")
T = TypeVar("T")


def any_frame(method: Callable[P, T]) -> Callable[P, T]:
    """Let a method of pandas frames take those of any library narwhals supports, and return the kind of the first.

    A method called without a frame, such as ``forecast()``, returns the kind given to ``fit``.
    """

    @wraps(method)
    def wrapped(*args: P.args, **kwargs: P.kwargs) -> T:
        self: Any = args[0]
        given = [as_given(a) for a in args[1:]]
        named = {k: as_given(v) for k, v in kwargs.items()}
        out = cast(Callable[..., T], method)(self, *(g.frame for g in given), **{k: g.frame for k, g in named.items()})
        if not isinstance(out, pd.DataFrame):
            return out
        frames = [g for g in (*given, *named.values()) if isinstance(g.frame, pd.DataFrame)]
        state = getattr(self, "state_", None)
        first = frames[0] if frames else None if state is None else state.given
        keys = () if state is None else (state.schema.id_name, state.schema.time_name)
        return out if first is None else cast(T, first.back(out, keys))

    return wrapped
