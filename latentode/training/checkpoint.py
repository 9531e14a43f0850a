"""Checkpoints: where a training that may be killed keeps its state, and finds it again."""

import copy
import hashlib
import json
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from latentode.io.atomic import leftovers, write_whole
from latentode.io.locks import lock, unlock
from latentode.training.snapshot import Snapshot, parse_history, part, restore_rng, rng_state, under

__all__ = ["Checkpoint", "checkpoint_in"]

Fingerprint = dict[str, Any]

_MOST_AT_ONCE = 1_000
"""Largest number of simultaneous fits with one fingerprint in one directory."""

_IN_WORDS = {
    "data": "the data differ",
    "sample_weight": "sample_weight differs",
    "warm_start": "the initial weights differ",
    "random_state": "random_state differs",
}


class Checkpoint:
    """The file in which one running fit keeps its training state.

    Parameters
    ----------
    path : Path
        The file.
    fingerprint : dict
        What the training depends on, by name, as JSON values.

    Attributes
    ----------
    found : Snapshot or None
        The state that a killed fit with this fingerprint left: of the model then in training.
    finished : list of (dict of Tensor, list of dict)
        Weights and history of the models trained before it.

    Raises
    ------
    ValueError
        When the file exists and is not a training state with this fingerprint.
    """

    def __init__(self, path: Path, fingerprint: Fingerprint) -> None:
        self.path, self.fingerprint = path, fingerprint
        self.finished: list[tuple[dict[str, Tensor], list[dict[str, float]]]] = []
        self.found = self._read() if path.exists() else None
        self.began: Any = None

    def begin(self, rng: np.random.Generator) -> None:
        """Restore the generator to the start of the training kept here, so that the same series are held out.

        With ``random_state=None`` every process would otherwise start from another state.
        """
        if self.found is not None:
            try:
                restore_rng(rng, self.found.facts["began"])
            except (LookupError, TypeError, ValueError) as cause:
                raise self.unreadable(cause) from cause
        self.began = rng_state(rng)

    def has_finished(self, number: int) -> bool:
        """Whether this model of the fit is already trained."""
        return number < len(self.finished)

    def finish(self, model: nn.Module, history: list[dict[str, float]]) -> None:
        """Record a trained model: every later state contains its weights."""
        self.finished.append((copy.deepcopy(model.state_dict()), history))
        self.found = None

    def finished_into(self, number: int, model: nn.Module) -> list[dict[str, float]]:
        """Load the weights of a trained model into one of the same sizes, and return its history.

        Raises
        ------
        ValueError
            When the weights do not fit.
        """
        weights, history = self.finished[number]
        try:
            if not all(torch.isfinite(weight).all() for weight in weights.values()):
                raise ValueError(f"weights of model {number} are not finite")
            model.load_state_dict(weights)
        except (RuntimeError, ValueError) as cause:
            raise self.unreadable(cause) from cause
        model.eval()
        return history

    def write(self, snapshot: Snapshot) -> None:
        """Replace the kept state by the present one.

        Raises
        ------
        OSError
            When it cannot be written; the state kept before is still intact.
        """
        histories = [history for _, history in self.finished]
        facts = {"fingerprint": self.fingerprint, "began": self.began, "finished": histories, **snapshot.facts}
        tensors = dict(snapshot.tensors)
        for number, (weights, _) in enumerate(self.finished):
            tensors |= under(f"finished.{number}", weights)
        try:
            write_whole(self.path, Snapshot(tensors, facts).to_bytes())
        except OSError as cause:
            kept = "the state before is intact" if self.path.exists() else "no state is kept yet"
            raise OSError(
                cause.errno,
                f"the state of training cannot be written to checkpoint_dir={str(self.path.parent)!r} "
                f"({cause.__cause__ or cause}); {kept}. Make room there and fit again with the same data and "
                "parameters: training resumes from what is kept",
            ) from cause

    def remove(self) -> None:
        """Remove the file of a finished training."""
        self.path.unlink(missing_ok=True)

    def unreadable(self, cause: object) -> ValueError:
        """The error for a file with unexpected content."""
        why = " ".join(str(cause).split()).rstrip(".")
        return ValueError(
            f"{self.path} is not a training state that this fit can resume from: {why}. Delete it to start again"
        )

    def _read(self) -> Snapshot:
        try:
            found = Snapshot.from_bytes(self.path.read_bytes())
            theirs = found.facts["fingerprint"]
            for number, history in enumerate(found.facts["finished"]):
                self.finished.append((part(f"finished.{number}", found.tensors), parse_history(history)))
        except (LookupError, IsADirectoryError, TypeError, ValueError) as cause:
            raise self.unreadable(cause) from cause
        if theirs != self.fingerprint:
            raise self.unreadable(
                f"it belongs to another fit than its name says ({_difference(theirs, self.fingerprint)})"
            )
        return found


@contextmanager
def checkpoint_in(directory: str | Path, fingerprint: Fingerprint) -> Iterator[Checkpoint]:
    """A checkpoint file in a directory, reserved for as long as the block lasts.

    The file is named by the fingerprint and a number. A fit takes the first file that a killed fit left and no running
    fit holds, else the first free number. So fits in one directory never share a file, and every killed fit finds its
    state again. The system releases the locks of killed fits.

    A fit never resumes from a state with another fingerprint. It warns instead of raising an error: nothing is mixed up
    or lost, and a search over parameters, which runs many fits in one directory, must not stop at the remains of one.

    Parameters
    ----------
    directory : str or Path
        Created if it does not exist.
    fingerprint : dict
        What the training depends on, by name, as JSON values.

    Yields
    ------
    Checkpoint
        Its file remains after the block unless it was removed.

    Raises
    ------
    OSError
        When the directory cannot be created or written to.
    ValueError
        When the file with this fingerprint cannot be read.

    Warns
    -----
    UserWarning
        When the directory holds the state of another fit only: what differs, and what to do.
    """
    directory = Path(directory)
    fingerprint = json.loads(json.dumps(fingerprint))
    try:
        directory.mkdir(parents=True, exist_ok=True)
        path, held = _free_place(directory, fingerprint)
    except OSError as cause:
        message = f"checkpoint_dir={str(directory)!r} cannot be used: {cause.strerror or cause}"
        raise OSError(cause.errno, message) from cause
    try:
        for left in leftovers(path):
            left.unlink(missing_ok=True)
        checkpoint = Checkpoint(path, fingerprint)
        if checkpoint.found is None:
            _warn_of_others(directory, fingerprint)
        yield checkpoint
    finally:
        unlock(_lock_of(path), held)


def _free_place(directory: Path, fingerprint: Fingerprint) -> tuple[Path, int]:
    places = [directory / f"training-{_short(fingerprint)}-{number}.safetensors" for number in range(_MOST_AT_ONCE)]
    left = set(directory.glob(f"training-{_short(fingerprint)}-*.safetensors"))
    for path in sorted(places, key=lambda p: p not in left):  # files that killed fits left come first
        held = lock(_lock_of(path))
        if held is not None:
            return path, held
    raise OSError(None, f"{_MOST_AT_ONCE} fits of the same data and parameters are running in it")


def _short(fingerprint: Fingerprint) -> str:
    return hashlib.sha256(json.dumps(fingerprint, sort_keys=True).encode()).hexdigest()[:16]


def _lock_of(path: Path) -> Path:
    return path.with_suffix(".lock")


def _warn_of_others(directory: Path, ours: Fingerprint) -> None:
    others = [p for p in directory.glob("training-*.safetensors") if _short(ours) not in p.name]
    left = {p: written for p in others if (written := _written(p)) is not None and not _in_use(p)}
    if not left:
        return
    newest = max(left, key=lambda p: left[p])
    try:
        differs = _difference(Snapshot.from_bytes(newest.read_bytes()).facts["fingerprint"], ours)
    except FileNotFoundError:  # it has finished meanwhile
        return
    except (AttributeError, LookupError, OSError, ValueError):
        differs = "it cannot be read"
    more = f" (and {len(left) - 1} more)" if len(left) > 1 else ""
    warnings.warn(
        f"checkpoint_dir={str(directory)!r} holds the unfinished training of another fit, {newest.name}{more}, which "
        f"this fit cannot resume from: {differs}. The file stays as it is and this fit starts from the beginning; to "
        "resume from the file, fit with its data and parameters; otherwise delete it",
        UserWarning,
        stacklevel=2,
    )


def _written(path: Path) -> float | None:
    """When a state was last written; None for what is not, or no longer, a file."""
    try:
        return path.stat().st_mtime if path.is_file() else None
    except FileNotFoundError:
        return None


def _in_use(path: Path) -> bool:
    held = lock(_lock_of(path))
    if held is None:
        return True
    unlock(_lock_of(path), held)
    return False


def _difference(theirs: Fingerprint, ours: Fingerprint) -> str:
    """What differs between two fingerprints, in words."""
    names = [name for name in {**theirs, **ours} if theirs.get(name) != ours.get(name)]
    sentences = [_IN_WORDS.get(n, f"{n} was {theirs.get(n)!r} and is {ours.get(n)!r}") for n in names]
    return "; ".join(sentences) or "nothing that is recorded"
