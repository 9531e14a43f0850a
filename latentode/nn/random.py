"""Random draws of a model: from a generator that is passed in, never from torch's global random state.

The global state belongs to the process: two fits in two threads would take each other's numbers, and the caller's
too. A setting made here holds for the thread that made it.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

import torch
from torch import Generator, Tensor, nn
from torch.overrides import TorchFunctionMode

__all__ = ["Dropout", "InitialisedFrom", "drawing_from"]

_CURRENT: ContextVar[Generator | None] = ContextVar("latentode_generator", default=None)

_DRAWS: frozenset[Callable[..., Any]] = frozenset(
    {
        torch.rand,
        torch.randn,
        Tensor.uniform_,
        Tensor.normal_,
        nn.init.uniform_,
        nn.init.normal_,
        nn.init.kaiming_uniform_,
    }
)
"""Functions that initialise modules; the other functions of :mod:`torch.nn.init` call one of these."""


class InitialisedFrom(TorchFunctionMode):
    """Within the block, modules built in this thread draw their initial weights from a generator.

    Parameters
    ----------
    generator : Generator
        Source of the draws.

    Examples
    --------
    >>> import torch
    >>> from latentode.nn import InitialisedFrom
    >>> def weights():
    ...     with InitialisedFrom(torch.Generator().manual_seed(0)):
    ...         return torch.nn.Linear(3, 2).weight
    >>> torch.equal(weights(), weights())
    True
    """

    def __init__(self, generator: Generator) -> None:
        super().__init__()
        self.generator = generator

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: Any = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        if func in _DRAWS and kwargs.get("generator") is None:
            kwargs = {**kwargs, "generator": self.generator}
        return func(*args, **kwargs)


@contextmanager
def drawing_from(generator: Generator) -> Iterator[None]:
    """Within the block, dropout of models in this thread is drawn from a generator.

    Parameters
    ----------
    generator : Generator
        Source of the draws.

    Examples
    --------
    >>> import torch
    >>> from latentode.nn import Dropout, drawing_from
    >>> def dropped():
    ...     with drawing_from(torch.Generator().manual_seed(0)):
    ...         return Dropout(0.5)(torch.ones(8))
    >>> torch.equal(dropped(), dropped())
    True
    """
    token = _CURRENT.set(generator)
    try:
        yield
    finally:
        _CURRENT.reset(token)


class Dropout(nn.Dropout):
    """:class:`torch.nn.Dropout` that draws from the generator of :func:`drawing_from`; outside of one, as torch's."""

    def forward(self, input: Tensor) -> Tensor:
        """Drop a fraction of the inputs in training, and scale up the rest."""
        if not self.training or self.p == 0:
            return input
        kept = torch.empty_like(input).bernoulli_(1 - self.p, generator=_CURRENT.get())
        return input * (kept / (1 - self.p) if self.p < 1 else kept)
