"""Frames of other libraries (polars, pyarrow, ...) in, and the same kind out."""

from collections.abc import Callable
from functools import wraps
from typing import Any, ParamSpec, TypeVar, cast

import narwhals.stable.v1 as nw
import pandas as pd

__all__ = ["any_frame"]

P = ParamSpec("P")
T = TypeVar("T")


def any_frame(method: Callable[P, T]) -> Callable[P, T]:
    """Let a method of pandas frames take those of any library narwhals knows, and answer in the same.

    A method that is given no frame (``forecast()``) answers in the kind that ``fit`` was given.
    """

    @wraps(method)
    def wrapped(*args: P.args, **kwargs: P.kwargs) -> T:
        kinds: list[Any] = []
        converted = [_pandas(a, kinds) for a in args]
        named = {k: _pandas(v, kinds) for k, v in kwargs.items()}
        given = any(isinstance(a, pd.DataFrame) for a in (*converted, *named.values()))
        out = cast(Callable[..., T], method)(*converted, **named)
        if method.__name__ == "fit":
            args[0].backend_ = kinds[0] if kinds else None  # type: ignore[attr-defined]
        kind = kinds[0] if kinds else None if given else getattr(args[0], "backend_", None)
        return cast(T, _native(out, kind)) if kind is not None and isinstance(out, pd.DataFrame) else out

    return wrapped


def _pandas(x: Any, kinds: list[Any]) -> Any:
    """A frame or a column as pandas', its library noted; anything else as it is."""
    if isinstance(x, pd.DataFrame | pd.Series) or (not hasattr(x, "__dataframe__") and not hasattr(x, "to_pandas")):
        return x
    wrapped = nw.from_native(x, eager_only=True, allow_series=True, pass_through=True)
    if not isinstance(wrapped, nw.DataFrame | nw.Series):
        return x
    if isinstance(wrapped, nw.DataFrame):
        kinds.append(wrapped.implementation)
    return wrapped.to_pandas()


def _native(frame: pd.DataFrame, kind: Any) -> Any:
    """A frame of another library with the columns of this one; an index with a name becomes a column."""
    whole = frame.reset_index() if frame.index.name is not None else frame
    return nw.from_dict({str(c): whole[c].array.tolist() for c in whole.columns}, backend=kind).to_native()
