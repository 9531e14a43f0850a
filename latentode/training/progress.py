"""Progress of training: a bar in a terminal or notebook, lines in the log."""

import logging
from typing import Any

from tqdm.auto import tqdm

__all__ = ["Progress"]

LOGGER = logging.getLogger("latentode")


class Progress:
    """A progress bar of steps with losses, and a line per validation check in the log ``latentode`` (level INFO).

    Parameters
    ----------
    n_steps : int
        Largest number of steps.
    verbose : int
        0 for no bar, 1 for a bar, 2 for a bar and the lines of the log.
    done : int
        Steps taken before, when training resumes.
    """

    def __init__(self, n_steps: int, verbose: int, done: int = 0) -> None:
        self.verbose, self.n_steps, self.done, self.silent = verbose, n_steps, done, False
        self.bar: Any = tqdm(
            total=n_steps, initial=done, desc="latentode", unit="step", leave=False, disable=not verbose
        )
        if done:
            LOGGER.info(f"resuming from step {done} of at most {n_steps}")

    def report(self, row: dict[str, float], best: float) -> None:
        """Report a validation check."""
        if self.silent:
            return
        step = int(row["step"])
        self.bar.update(step - self.done)
        self.done = step
        scores = f"loss {row['loss']:.4f}, held-out CRPS {row['validation_crps']:.4f} (best {best:.4f})"
        self.bar.set_postfix_str(scores, refresh=False)
        line = f"step {step} of at most {self.n_steps}: {scores}, learning rate {row['learning_rate']:.2g}"
        LOGGER.info(line)
        if self.verbose > 1:
            self.bar.write(line)

    def silence(self) -> None:
        """Be silent: another process reports the same training."""
        self.close()
        self.silent = True

    def close(self) -> None:
        """Remove the bar."""
        self.bar.close()
