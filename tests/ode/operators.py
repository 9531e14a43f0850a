"""The operators of a run, which a busy machine cannot blur as it does the time."""

from collections.abc import Callable
from typing import Any

from torch.utils._python_dispatch import TorchDispatchMode


class _Counted(TorchDispatchMode):
    def __init__(self) -> None:
        super().__init__()
        self.names: list[str] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.names.append(func.overloadpacket.__name__)
        return func(*args, **(kwargs or {}))


def counted(run: Callable[[], object]) -> list[str]:
    """Return the names of the operators, in order."""
    with _Counted() as counter:
        run()
    return counter.names
