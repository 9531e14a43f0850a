"""Where a training that may be killed keeps its state, and finds it again."""

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
from latentode.training.snapshot import Snapshot, history_in, part, rng_from, rng_of, under

__all__ = ["Checkpoint", "checkpoint_in"]

Fingerprint = dict[str, Any]

_MOST_AT_ONCE = 1_000
"""Fits of one fingerprint at the same time in one directory."""

_IN_WORDS = {
    "data": "the data are others",
    "sample_weight": "sample_weight is another",
    "warm_start": "the weights it started from are others",
    "random_state": "random_state is another",
}


class Checkpoint:
    """The file that one running fit keeps its training in.

    Parameters
    ----------
    path : Path
        The file.
    fingerprint : dict
        What the training depends on, by name, as JSON holds it.

    Attributes
    ----------
    found : Snapshot or None
        What a fit with this fingerprint left there when it was killed: of the model then in training.
    finished : list of (dict of Tensor, list of dict)
        Weights and history of the models that were trained before it.

    Raises
    ------
    ValueError
        When the file is there and is no state of a training with this fingerprint.
    """

    def __init__(self, path: Path, fingerprint: Fingerprint) -> None:
        self.path, self.fingerprint = path, fingerprint
        self.finished: list[tuple[dict[str, Tensor], list[dict[str, float]]]] = []
        self.found = self._read() if path.exists() else None
        self.began: Any = None

    def begin(self, rng: np.random.Generator) -> None:
        """Put the generator where the training kept here began, so that the same series are held out.

        With ``random_state=None`` that is another place in every process.
        """
        if self.found is not None:
            try:
                rng_from(rng, self.found.facts["began"])
            except (LookupError, TypeError, ValueError) as cause:
                raise self.unreadable(cause) from cause
        self.began = rng_of(rng)

    def has_finished(self, number: int) -> bool:
        """Whether this one of the models of the fit was trained to its end."""
        return number < len(self.finished)

    def finish(self, model: nn.Module, history: list[dict[str, float]]) -> None:
        """The next model is trained: its weights go with every state of those after it."""
        self.finished.append((copy.deepcopy(model.state_dict()), history))
        self.found = None

    def finished_into(self, number: int, model: nn.Module) -> list[dict[str, float]]:
        """Put the weights of a model that was trained to its end into one of its sizes, and give its history.

        Raises
        ------
        ValueError
            When they do not fit.
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
        """Keep the training as it is now in place of what was kept before.

        Raises
        ------
        OSError
            When it cannot be written; what was kept before is still whole.
        """
        histories = [history for _, history in self.finished]
        facts = {"fingerprint": self.fingerprint, "began": self.began, "finished": histories, **snapshot.facts}
        tensors = dict(snapshot.tensors)
        for number, (weights, _) in enumerate(self.finished):
            tensors |= under(f"finished.{number}", weights)
        try:
            write_whole(self.path, Snapshot(tensors, facts).to_bytes())
        except OSError as cause:
            kept = "its last state before that is kept whole" if self.path.exists() else "nothing of it is kept yet"
            raise OSError(
                cause.errno,
                f"the training cannot be kept in checkpoint_dir={str(self.path.parent)!r} "
                f"({cause.__cause__ or cause}); {kept}. Make room there and fit again with the same data and "
                "parameters: it goes on from what is kept",
            ) from cause

    def remove(self) -> None:
        """The training is finished: take the file away."""
        self.path.unlink(missing_ok=True)

    def unreadable(self, cause: object) -> ValueError:
        """The error for a file that holds something else than it should."""
        why = " ".join(str(cause).split()).rstrip(".")
        return ValueError(
            f"{self.path} is no state of a training that can be gone on from: {why}. Delete it to begin anew"
        )

    def _read(self) -> Snapshot:
        try:
            found = Snapshot.from_bytes(self.path.read_bytes())
            theirs = found.facts["fingerprint"]
            for number, history in enumerate(found.facts["finished"]):
                self.finished.append((part(f"finished.{number}", found.tensors), history_in(history)))
        except (LookupError, IsADirectoryError, TypeError, ValueError) as cause:
            raise self.unreadable(cause) from cause
        if theirs != self.fingerprint:
            raise self.unreadable(f"it is of another fit than its name says ({_difference(theirs, self.fingerprint)})")
        return found


@contextmanager
def checkpoint_in(directory: str | Path, fingerprint: Fingerprint) -> Iterator[Checkpoint]:
    """A place for a training in a directory, for as long as the block lasts.

    The file is named by the fingerprint and a number. A fit takes the first file that was left and that no running fit
    holds, else the first free number. So fits in one directory never meet, be they of the same data and parameters or
    of others, and as many as were killed find their states again. Killed fits hold nothing: the system gives their
    locks back.

    A state of another fingerprint is never gone on from. That is a warning and not an error: nothing is mixed and
    nothing is lost either way, and a search over parameters, which fits many models into one directory, must be able
    to begin the next one while what was left of another lies there.

    Parameters
    ----------
    directory : str or Path
        Made if it is not there.
    fingerprint : dict
        What the training depends on, by name, as JSON holds it.

    Yields
    ------
    Checkpoint
        Its file stays when the block ends, unless it was removed.

    Raises
    ------
    OSError
        When the directory cannot be made or written to.
    ValueError
        When the file with this fingerprint's name cannot be read.

    Warns
    -----
    UserWarning
        When there is nothing to go on from, but the state of another fit: what differs, and what to do.
    """
    directory = Path(directory)
    fingerprint = json.loads(json.dumps(fingerprint))
    try:
        directory.mkdir(parents=True, exist_ok=True)
        path, held = _free_place(directory, fingerprint)
    except OSError as cause:
        said = f"checkpoint_dir={str(directory)!r} cannot be used: {cause.strerror or cause}"
        raise OSError(cause.errno, said) from cause
    try:
        for left in leftovers(path):
            left.unlink(missing_ok=True)
        checkpoint = Checkpoint(path, fingerprint)
        if checkpoint.found is None:
            _tell_of_others(directory, fingerprint)
        yield checkpoint
    finally:
        unlock(_lock_of(path), held)


def _free_place(directory: Path, fingerprint: Fingerprint) -> tuple[Path, int]:
    places = [directory / f"training-{_short(fingerprint)}-{number}.safetensors" for number in range(_MOST_AT_ONCE)]
    left = set(directory.glob(f"training-{_short(fingerprint)}-*.safetensors"))
    for path in sorted(places, key=lambda p: p not in left):  # where something was left first
        held = lock(_lock_of(path))
        if held is not None:
            return path, held
    raise OSError(None, f"{_MOST_AT_ONCE} fits of the same data and parameters are running in it")


def _short(fingerprint: Fingerprint) -> str:
    return hashlib.sha256(json.dumps(fingerprint, sort_keys=True).encode()).hexdigest()[:16]


def _lock_of(path: Path) -> Path:
    return path.with_suffix(".lock")


def _tell_of_others(directory: Path, ours: Fingerprint) -> None:
    others = [p for p in directory.glob("training-*.safetensors") if _short(ours) not in p.name]
    left = {p: written for p in others if (written := _written(p)) is not None and not _in_use(p)}
    if not left:
        return
    newest = max(left, key=lambda p: left[p])
    try:
        differs = _difference(Snapshot.from_bytes(newest.read_bytes()).facts["fingerprint"], ours)
    except FileNotFoundError:  # it was finished meanwhile
        return
    except (AttributeError, LookupError, OSError, ValueError):
        differs = "it cannot be read"
    more = f" (and {len(left) - 1} more)" if len(left) > 1 else ""
    warnings.warn(
        f"checkpoint_dir={str(directory)!r} holds the unfinished training of another fit, {newest.name}{more}, which "
        f"this fit cannot go on from: {differs}. It is left as it is and this fit begins anew; to go on from it, fit "
        "with its data and parameters; if nobody will, delete it",
        UserWarning,
        stacklevel=2,
    )


def _written(path: Path) -> float | None:
    """When a state was last written; None where there is none (any more), and for what is no file."""
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
    said = [_IN_WORDS.get(n, f"{n} was {theirs.get(n)!r} and is {ours.get(n)!r}") for n in names]
    return "; ".join(said) or "nothing that is told of it"
