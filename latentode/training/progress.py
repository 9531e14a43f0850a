"""What training says while it runs: a bar for who watches, lines for the log."""

import logging
from typing import Any

from tqdm.auto import tqdm

__all__ = ["Progress"]

LOGGER = logging.getLogger("latentode")


class Progress:
    """A bar of steps with losses and time left, and a line per look in the log of ``latentode`` (level INFO).

    Parameters
    ----------
    n_steps : int
        Steps at most.
    verbose : int
        0 for no bar, 1 for a bar, 2 to write the lines of the log beside it.
    done : int
        Steps taken before, where training goes on.
    """

    def __init__(self, n_steps: int, verbose: int, done: int = 0) -> None:
        self.verbose, self.n_steps, self.done, self.silent = verbose, n_steps, done, False
        self.bar: Any = tqdm(
            total=n_steps, initial=done, desc="latentode", unit="step", leave=False, disable=not verbose
        )
        if done:
            LOGGER.info(f"going on from step {done} of at most {n_steps}")

    def look(self, row: dict[str, float], best: float) -> None:
        """Tell of a look at the held-out part."""
        if self.silent:
            return
        step = int(row["step"])
        self.bar.update(step - self.done)
        self.done = step
        told = f"loss {row['loss']:.4f}, held-out CRPS {row['validation_crps']:.4f} (best {best:.4f})"
        self.bar.set_postfix_str(told, refresh=False)
        line = f"step {step} of at most {self.n_steps}: {told}, learning rate {row['learning_rate']:.2g}"
        LOGGER.info(line)
        if self.verbose > 1:
            self.bar.write(line)

    def silence(self) -> None:
        """Say nothing: another process tells of the same training."""
        self.close()
        self.silent = True

    def close(self) -> None:
        """Take the bar away."""
        self.bar.close()
