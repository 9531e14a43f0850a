"""Random draws of a model: from a generator that is passed in, never from torch's global random state.

The global state belongs to the process: two fits in two threads would take each other's numbers, and the caller's
too. A setting made here holds for the thread that made it.
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import Generator, Tensor, nn
from torch.overrides import TorchFunctionMode

__all__ = ["InitialisedFrom"]

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
