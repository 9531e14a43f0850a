"""Progress of training: a bar in a terminal or notebook, lines in the log."""

import logging
import sys
from typing import Any

from tqdm.auto import tqdm

__all__ = ["Progress", "in_notebook", "write_line"]

LOGGER = logging.getLogger("latentode")


class Progress:
    """A progress bar of steps with losses, and a line per validation check in the log ``latentode`` (level INFO).

    Without a terminal or a notebook, a bar would fill a file with carriage returns: there the lines are shown instead,
    by the handlers of the log, or on the standard error where the program has set up none.

    Parameters
    ----------
    n_steps : int
        Largest number of steps.
    verbose : int
        0 for no bar, 1 for a bar, 2 for a bar and the lines of the log.
    done : int
        Steps taken before, when training resumes.
    number, n_models : int
        Which model this is, from 1, and of how many.
    """

    def __init__(self, n_steps: int, verbose: int, done: int = 0, number: int = 1, n_models: int = 1) -> None:
        self.verbose, self.n_steps, self.done, self.silent = verbose, n_steps, done, False
        self.which = f"model {number} of {n_models}, " if n_models > 1 else ""
        drawn = verbose > 0 and _draws_bars()
        name = f"latentode, model {number} of {n_models}" if n_models > 1 else "latentode"
        self.bar: Any = tqdm(total=n_steps, initial=done, desc=name, unit="step", leave=False, disable=not drawn)
        if done:
            write_line(f"{self.which}resuming from step {done} of at most {n_steps}", verbose)

    def report(self, row: dict[str, float], best: float) -> None:
        """Report a validation check."""
        if self.silent:
            return
        step = int(row["step"])
        self.bar.update(step - self.done)
        self.done = step
        scores = f"loss {row['loss']:.4f}, held-out CRPS {row['validation_crps']:.4f} (best {best:.4f})"
        self.bar.set_postfix_str(scores, refresh=False)
        line = f"{self.which}step {step} of at most {self.n_steps}: {scores}, learning rate {row['learning_rate']:.2g}"
        write_line(line, self.verbose)

    def silence(self) -> None:
        """Be silent: another process reports the same training."""
        self.close()
        self.silent = True

    def close(self) -> None:
        """Remove the bar."""
        self.bar.close()


def write_line(line: str, verbose: int) -> None:
    """Write a line to the log, and where it should be seen, beside the bar or, where there are no bars, in its place.

    Parameters
    ----------
    line : str
        The line.
    verbose : int
        As of :class:`Progress`. In place of a bar the line goes to the standard error, unless the program's log has it.
    """
    LOGGER.info(line)
    if _draws_bars():
        if verbose > 1:
            tqdm.write(line)
        return
    heard = LOGGER.hasHandlers() and LOGGER.isEnabledFor(logging.INFO)
    if verbose and not heard and sys.stderr is not None:
        sys.stderr.write(f"{line}\n")
        sys.stderr.flush()


def in_notebook(stream: object) -> bool:
    """Whether a stream is shown by a notebook."""
    return type(stream).__module__.startswith("ipykernel.")


def _draws_bars() -> bool:
    """Whether the standard error, where bars go, can move its cursor back; a program may have none at all."""
    out = sys.stderr
    return out is not None and (out.isatty() or in_notebook(out))
