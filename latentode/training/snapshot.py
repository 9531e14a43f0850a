"""The state of training at a validation check, as tensors and JSON values; reading it executes nothing."""

import hashlib
import json
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor
from torch.optim import Optimizer

__all__ = [
    "Snapshot",
    "optimiser_state",
    "parse_history",
    "part",
    "restore_optimiser",
    "restore_rng",
    "rng_state",
    "under",
]

_KEY, _DIGEST = "training", "sha256"


@dataclass(frozen=True)
class Snapshot:
    """The state of training at a validation check.

    Parameters
    ----------
    tensors : dict of Tensor
        Weights, moments of the optimiser, states of generators.
    facts : dict
        Counters and other JSON values.

    Examples
    --------
    >>> import torch
    >>> stored = Snapshot({"x": torch.ones(2)}, {"step": 25}).to_bytes()
    >>> Snapshot.from_bytes(stored).facts
    {'step': 25}
    """

    tensors: dict[str, Tensor]
    facts: dict[str, Any]

    def to_bytes(self) -> bytes:
        """One safetensors file, the facts and a digest of everything in its header."""
        tensors = {name: tensor.detach().contiguous() for name, tensor in self.tensors.items()}
        facts = json.dumps(self.facts)
        return save(tensors, {_KEY: facts, _DIGEST: _digest(tensors, facts)})

    @classmethod
    def from_bytes(cls, content: bytes) -> "Snapshot":
        """Read what :meth:`to_bytes` wrote.

        Raises
        ------
        ValueError
            When the content is something else, or any byte of it has changed.
        """
        try:
            tensors = load(content)
            header = json.loads(content[8 : 8 + int.from_bytes(content[:8], "little")])
            written = header["__metadata__"]
            facts = json.loads(written[_KEY])
            changed = written[_DIGEST] != _digest(tensors, written[_KEY])
        except (SafetensorError, LookupError, RecursionError, RuntimeError, TypeError, ValueError) as cause:
            raise ValueError(f"not a training state: {cause}") from cause
        if not isinstance(facts, dict):
            raise ValueError("not a training state: its facts are not an object")
        if changed:
            raise ValueError("not a training state: it was changed after it was written")
        return cls(tensors, facts)


def _digest(tensors: dict[str, Tensor], facts: str) -> str:
    """Digest of the tensors (names, dtypes, shapes, bytes) and of the facts."""
    return hashlib.sha256(save(tensors, {_KEY: facts})).hexdigest()


def under(prefix: str, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """The tensors with a prefix before their names."""
    return {f"{prefix}.{name}": tensor for name, tensor in tensors.items()}


def part(prefix: str, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """The tensors with this prefix, without it: the inverse of :func:`under`."""
    return {n.removeprefix(f"{prefix}."): t for n, t in tensors.items() if n.startswith(f"{prefix}.")}


def parse_history(rows_read: Any) -> list[dict[str, float]]:
    """Validate a training history read from facts.

    Raises
    ------
    ValueError
        When it is not a list of rows of numbers.
    """
    rows = isinstance(rows_read, list) and all(isinstance(row, dict) for row in rows_read)
    if not rows or not all(isinstance(x, int | float) for row in rows_read for x in row.values()):
        raise ValueError("a history is not a list of rows of numbers")
    return list(rows_read)


def rng_state(rng: np.random.Generator) -> Any:
    """The state of a NumPy generator as JSON values."""
    return _plain(rng.bit_generator.state)


def restore_rng(rng: np.random.Generator, state: Any) -> None:
    """Restore the state that :func:`rng_state` gave.

    Raises
    ------
    ValueError, TypeError, KeyError
        When it is not the state of such a generator.
    """
    rng.bit_generator.state = _unplain(state)


def _plain(state: Any) -> Any:
    if isinstance(state, dict):
        return {k: _plain(v) for k, v in state.items()}
    if isinstance(state, np.ndarray):
        return {"array": state.tolist(), "dtype": str(state.dtype)}
    return state.item() if isinstance(state, np.generic) else state


def _unplain(state: Any) -> Any:
    if not isinstance(state, dict):
        return state
    if state.keys() == {"array", "dtype"}:
        return np.array(state["array"], dtype=state["dtype"])
    return {k: _unplain(v) for k, v in state.items()}


def optimiser_state(optimiser: Optimizer) -> tuple[dict[str, Tensor], list[float]]:
    """The moments of every parameter and the learning rate of every group: all that changes in training."""
    state = optimiser.state_dict()
    moments = {f"{i}.{name}": value for i, of_one in state["state"].items() for name, value in of_one.items()}
    return moments, [float(group["lr"]) for group in state["param_groups"]]


def restore_optimiser(optimiser: Optimizer, moments: dict[str, Tensor], rates: list[float]) -> None:
    """Restore what :func:`optimiser_state` returned.

    Raises
    ------
    ValueError
        When it belongs to other parameters.
    """
    state = optimiser.state_dict()
    parameters = [p for group in optimiser.param_groups for p in group["params"]]
    of_all: dict[int, dict[str, Tensor]] = {}
    for key, value in moments.items():
        number, name = key.split(".", 1)
        wanted = torch.Size([]) if name == "step" else parameters[int(number)].shape
        if value.shape != wanted:
            raise ValueError(f"{name} of parameter {number} has shape {tuple(value.shape)}, not {tuple(wanted)}")
        of_all.setdefault(int(number), {})[name] = value
    for group, rate in zip(state["param_groups"], rates, strict=True):
        group["lr"] = float(rate)
    optimiser.load_state_dict({**state, "state": of_all})
