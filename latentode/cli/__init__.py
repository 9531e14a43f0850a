"""The command line: fit, forecast, evaluate, report, demo.

Heavy modules are imported inside the commands, so that ``latentode --help`` returns at once.
"""

import contextlib
import os
import re
import sys
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path

from latentode.cli.parser import parser

__all__ = ["main"]

CLOSED, INTERRUPTED = 141, 130
"""Exit codes after a SIGPIPE and a SIGINT, as shells give them."""

_OUT_OF_MEMORY = ("out of memory", "allocate memory", "unable to allocate")
_OPTIONS = {
    "id_col": "--id",
    "time_col": "--time",
    "target_cols": "--target",
    "static_cols": "--static",
    "known_cols": "--known",
    "impulse_cols": "--impulse",
    "past_cols": "--past",
    "history": "--history",
    "likelihood": "--likelihood",
    "seasonality": "--seasonality",
    "n_models": "--n-models",
    "ids": "--id",
    "horizon": "--horizon",
    "freq": "--freq",
    "align": "--grid",
}


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command.

    Parameters
    ----------
    argv : sequence of str, optional
        Its words; None means those the process was started with.

    Returns
    -------
    int
        The exit code: 0; 2 for invalid input or too little memory, 130 after an interrupt (Ctrl-C), 143 when a
        SIGTERM ended training; each is reported in one line on stderr. 141, without a message, when the
        reader of the output has closed it.
    """
    args = parser().parse_args(argv)
    with _spoken_warnings():
        try:
            args.command(args)
            sys.stdout.flush()
        except BrokenPipeError:
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # else the flush at the exit fails too
            return CLOSED
        except KeyboardInterrupt:
            print("latentode: interrupted; the work was not finished", file=sys.stderr)
            return INTERRUPTED
        except (ValueError, OSError, ImportError, MemoryError, RuntimeError) as error:
            if _is_of_memory(error):
                said = "the memory does not suffice: give fewer rows, series or columns"
            elif isinstance(error, RuntimeError) and not isinstance(error, RecursionError):
                raise  # a fault of ours is not of the input
            else:
                said = _in_words_of_the_command_line(error)
            print(f"latentode: {said}", file=sys.stderr)
            return 2
        except SystemExit as end:
            from latentode.training import TERMINATED

            if end.code != TERMINATED:
                raise
            print(f"latentode: {_broken_off(getattr(args, 'checkpoint_dir', None))}", file=sys.stderr)
            return TERMINATED
    return 0


def _is_of_memory(error: Exception) -> bool:
    """Whether the memory was too small: torch raises a RuntimeError, pandas a ParserError."""
    return isinstance(error, MemoryError) or any(words in str(error).lower() for words in _OUT_OF_MEMORY)


def _broken_off(checkpoint_dir: Path | None) -> str:
    if checkpoint_dir is None:
        return "SIGTERM broke training off; no model was written"
    return (
        f"SIGTERM broke training off; no model was written. The same command resumes from the checkpoint in "
        f"{checkpoint_dir}"
    )


def _in_words_of_the_command_line(error: Exception) -> str:
    """One line, with the command line's options in place of parameters."""
    text = " ".join(str(error).split())
    # A word of plain English is a parameter only before an equals sign.
    parameters = (
        r"\b((?:id|time)_col|(?:target|static|known|impulse|past)_cols|"
        r"(?:history|likelihood|seasonality|n_models|ids|horizon|freq|align)(?==))(=(?=[^\s,;)]))?=?"
    )
    return re.sub(parameters, lambda found: _OPTIONS[found[1]] + (" " if found[2] else ""), text)


@contextlib.contextmanager
def _spoken_warnings() -> Iterator[None]:
    """Print the library's warnings on stderr without their place in the source."""

    def say(message: Warning | str, *_: object, **__: object) -> None:
        print(f"latentode: note: {' '.join(str(message).split())}", file=sys.stderr)

    with warnings.catch_warnings():
        warnings.showwarning = say
        yield
