"""Counting what is held at a time, in bytes of the storages that are alive: the machine cannot blur it."""

import gc
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.multiprocessing.reductions import StorageWeakRef
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from latentode.ode import solve

__all__ = ["Held", "peak_of", "without_collector"]


@contextmanager
def without_collector() -> Iterator[None]:
    """Within the block the garbage collector does not run: when it would depends on the tests before."""
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


class Held(TorchDispatchMode):
    """Follows every storage that is made, and finds every few operators which of them are still there."""

    def __init__(self, every: int = 50) -> None:
        super().__init__()
        self.every, self.peak, self.operators = every, 0, 0
        self.sizes: dict[StorageWeakRef, int] = {}

    def __torch_dispatch__(
        self, func: Any, types: Sequence[Any], args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        out = func(*args, **(kwargs or {}))
        for leaf in tree_leaves(out):
            if isinstance(leaf, Tensor):
                storage = leaf.untyped_storage()
                self.sizes[StorageWeakRef(storage)] = storage.nbytes()
        self.operators += 1
        if self.operators % self.every == 0:
            self.peak = max(self.peak, self.live())
        return out

    def live(self) -> int:
        """Return the bytes held now."""
        self.sizes = {ref: size for ref, size in self.sizes.items() if not ref.expired()}
        return sum(self.sizes.values())


def peak_of(adjoint: str, n_steps: int, field: nn.Module, *, every: int = 50) -> int:
    """Return the most bytes held by a solve of 16 series with 4 dimensions by ``rk4``, and its gradient."""
    z0, times = torch.randn(16, 4, requires_grad=True), torch.rand(16, 3)
    with without_collector(), Held(every) as held:
        z = solve(field, z0, times, t1=1.0, t_back=0.0, n_steps=n_steps, adjoint=adjoint, watch=False).z
        torch.autograd.grad(z.sum(), [z0, *field.parameters()])
    return held.peak
