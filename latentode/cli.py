"""The command line: fit, forecast, evaluate, report, demo.

Heavy modules are imported inside the commands, so that ``latentode --help`` returns at once.
"""

import argparse
import contextlib
import re
import sys
import warnings
from collections.abc import Hashable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from latentode._version import __version__

if TYPE_CHECKING:
    import pandas as pd

    from latentode.data import Schema
    from latentode.estimators import LatentODEForecaster

__all__ = ["main"]

_DATA_HELP = """\
DATA is a long table in .csv (also .csv.gz) or .parquet: a row per series and time, a column per channel, empty
where a channel was not measured then. Times are numbers or ISO dates (2024-05-01, 2024-05-01T12:30). Columns
named id, unique_id or item_id, and time, timestamp or ds, are found without --id and --time; a table of one
series needs no id; every other numeric column is a channel unless --target names them. Ids are names: 01 and 1
are two series. A file whose name begins with a dash is given as ./-name.csv."""

_OPTIONS = {"id_col": "--id", "time_col": "--time", "target_cols": "--target", "history": "--history"}


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command.

    Parameters
    ----------
    argv : sequence of str, optional
        Its words; None means those the process was started with.

    Returns
    -------
    int
        The exit code: 0; 2 for invalid input, 143 when a SIGTERM ended training (reported in
        one line on stderr).
    """
    args = _parser().parse_args(argv)
    with _spoken_warnings():
        try:
            args.command(args)
        except (ValueError, OSError, ImportError) as error:
            print(f"latentode: {_in_words_of_the_command_line(error)}", file=sys.stderr)
            return 2
        except SystemExit as end:
            from latentode.training import TERMINATED

            if end.code != TERMINATED:
                raise
            print(f"latentode: {_broken_off(getattr(args, 'checkpoint_dir', None))}", file=sys.stderr)
            return TERMINATED
    return 0


# --------------------------------------------------------------------------------------------------- commands


def _fit(args: argparse.Namespace) -> None:
    from latentode.io.tables import read_table

    if args.out.exists() and not args.out.is_dir():
        raise ValueError(f"--out {args.out} is a file; a model is written to a directory")
    _try_writing(args.out, args.out)
    df = read_table(args.data, args.time, args.id)
    print(f"fitting {len(df)} rows of {args.data} ...", flush=True)
    forecaster = _forecaster(args).set_params(checkpoint_dir=args.checkpoint_dir).fit(df)
    forecaster.save(args.out)
    print(f"fitted {forecaster.panel_.n_series} series; channels: {', '.join(map(str, forecaster.channels_))}")
    print(f"model written to {args.out}")


def _forecast(args: argparse.Namespace) -> None:
    from latentode._drawing import require_matplotlib
    from latentode.data import DataWarning
    from latentode.estimators import load
    from latentode.io.pictures import write_picture
    from latentode.io.tables import read_table, write_table
    from latentode.plotting import plot_forecast

    if args.plot is not None:
        require_matplotlib()
    forecaster = load(args.model)
    history = None if args.history is None else read_table(args.history, *_keys(forecaster))
    _make_room(args.out, args.plot)
    levels = sorted(set(args.level or (80.0, 95.0)))
    horizon = _number(args.horizon)
    future = forecaster.forecast(horizon, _number(args.freq), levels, history)
    n_values = len(forecaster.channels_) * (1 + 2 * len(levels))
    write_table(future, args.out, list(future.columns[-n_values:]))
    print(f"{len(future)} rows written to {args.out}")
    if args.plot is not None:
        with warnings.catch_warnings(action="ignore", category=DataWarning):  # already reported for the table
            axes = plot_forecast(forecaster, history=history, horizon=horizon, level=levels)
        write_picture(axes[0, 0].figure, args.plot)
        print(f"picture written to {args.plot}")


def _evaluate(args: argparse.Namespace) -> None:
    from latentode.comparison import compare, last_part, table_of
    from latentode.io.tables import read_table, write_table

    _make_room(args.out)
    df, schema = _with_ids(read_table(args.data, args.time, args.id), args)
    channels = list(schema.target_cols)
    hidden = last_part(df, schema.id_col, schema.time_col)
    known, held_out = df[~hidden].reset_index(drop=True), df[hidden].reset_index(drop=True)
    if held_out[channels].isna().all(axis=None):
        raise ValueError("nothing to evaluate on: no series has values at two times")
    n_series = held_out[schema.id_col].nunique()
    print(
        f"held out: the last third of each of {n_series} series, {len(held_out)} rows; fitting {len(known)} rows ...",
        flush=True,
    )
    roles = {"id_col": schema.id_col, "time_col": schema.time_col, "target_cols": channels}
    scores = compare(_forecaster(args).set_params(**roles).fit(known), known, held_out)
    print(f"\n{table_of(scores)}\n\n* lowest error in its row")
    if args.out is not None:
        write_table(scores, args.out, ["mae", "rmse", "crps", "coverage", "width"])
        print(f"scores written to {args.out}")


def _report(args: argparse.Namespace) -> None:
    from latentode._drawing import require_matplotlib
    from latentode.estimators import load
    from latentode.io.tables import read_table
    from latentode.report import report

    require_matplotlib()
    forecaster = load(args.model)
    df = read_table(args.data, *_keys(forecaster))
    _make_room(args.out)
    report(forecaster, df, args.out)
    print(f"report written to {args.out}")


def _demo(args: argparse.Namespace) -> None:
    from latentode.demo import run_demo

    run_demo(args.out, args.seed)


# ----------------------------------------------------------------------------------------------- their pieces


def _forecaster(args: argparse.Namespace) -> "LatentODEForecaster":
    from latentode.estimators import LatentODEForecaster

    return LatentODEForecaster(
        id_col=args.id,
        time_col=args.time,
        target_cols=args.target,
        horizon=_number(args.horizon),
        max_steps=args.max_steps,
        random_state=args.seed,
    )


def _keys(forecaster: "LatentODEForecaster") -> tuple[Hashable, Hashable]:
    """The columns of times and ids, as read_table takes them."""
    return forecaster.schema_.time_col, forecaster.schema_.id_col


def _with_ids(df: "pd.DataFrame", args: argparse.Namespace) -> tuple["pd.DataFrame", "Schema"]:
    """The table with an id column even for a single series, without unusable rows."""
    from latentode.data import infer_schema

    schema = infer_schema(df, args.id, args.time, args.target)
    if schema.id_col is None:
        name = "series"
        while name in df.columns:
            name += "_"
        df = df.assign(**{name: 0})
        schema = infer_schema(df, name, schema.time_col, schema.target_cols)
    return df.dropna(subset=[schema.id_col, schema.time_col]), schema


def _number(text: str | None) -> float | str | None:
    """A number if the text is one; durations such as 30D stay text."""
    try:
        return None if text is None else float(text)
    except ValueError:
        return text


def _make_room(*files: Path | None) -> None:
    """Make the output folders before the work, so that a wrong path fails at once."""
    for path in files:
        if path is not None:
            if path.is_dir():
                raise ValueError(f"{path} is a directory; expected a file to write")
            if path.is_file() or not path.exists():  # a pipe or /dev/stdout has no temporary file beside it
                _try_writing(path, path.resolve().parent)
            path.parent.mkdir(parents=True, exist_ok=True)


def _try_writing(out: Path, directory: Path) -> None:
    from latentode.io.atomic import try_writing

    try:
        try_writing(directory)
    except OSError as cause:
        raise ValueError(f"{out} cannot be written: {cause.strerror or cause}; choose another place") from cause


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
    parameters = r"\b(id_col|time_col|target_cols|history(?==))(=(?=[^\s,;)]))?=?"
    return re.sub(parameters, lambda found: _OPTIONS[found[1]] + (" " if found[2] else ""), text)


@contextlib.contextmanager
def _spoken_warnings() -> Iterator[None]:
    """Print the library's warnings on stderr without their place in the source."""

    def say(message: Warning | str, *_: object, **__: object) -> None:
        print(f"latentode: note: {' '.join(str(message).split())}", file=sys.stderr)

    with warnings.catch_warnings():
        warnings.showwarning = say
        yield


# ---------------------------------------------------------------------------------------------------- the words


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="latentode",
        description="Forecasts irregular time series with latent ODEs: no grid, no imputation, no tuning.",
    )
    parser.add_argument("--version", action="version", version=f"latentode {__version__}")
    commands = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")
    _add_fit(commands)
    _add_forecast(commands)
    _add_evaluate(commands)
    _add_report(commands)
    _add_demo(commands)
    return parser


def _add_fit(commands: Any) -> None:
    fit = _add(commands, "fit", _fit, "fit a model to a table and write it to a directory", _DATA_HELP)
    _add_data_options(fit)
    fit.add_argument("--out", type=Path, required=True, metavar="MODEL", help="directory for the model")
    fit.add_argument(
        "--checkpoint-dir",
        type=Path,
        metavar="DIR",
        help="keep the state of training there; the same command resumes from it after a kill",
    )


def _add_forecast(commands: Any) -> None:
    text = """\
Writes a row per series and time: the expected value of every channel and its intervals, such as wind-lo-80."""
    forecast = _add(commands, "forecast", _forecast, "write the future of every series to a table", text)
    forecast.add_argument("model", type=Path, metavar="MODEL", help="directory written by latentode fit")
    forecast.add_argument("--horizon", help="how far ahead: 30D, 6h, or a number where times are numbers")
    forecast.add_argument("--freq", help="distance between forecasts: 1D, MS, or a number [a tenth of the horizon]")
    forecast.add_argument(
        "--level", type=float, action="append", metavar="PERCENT", help="an interval's level; repeatable [80 and 95]"
    )
    forecast.add_argument("--history", type=Path, metavar="DATA", help="forecast the series of this table instead")
    forecast.add_argument("--out", type=Path, required=True, metavar="FILE", help="a .csv or .parquet file to write")
    forecast.add_argument(
        "--plot", type=Path, metavar="FILE", help="draw the first four series to a .png, .pdf or .svg"
    )


def _add_evaluate(commands: Any) -> None:
    text = f"""\
How well would it do on my data? Holds out the last third of each series in time, fits the rest, and prints the
errors of the forecasts (their means) beside those of naive ones: the last value, the series' mean, the mean of
all, a line through each series.

{_DATA_HELP}"""
    evaluate = _add(commands, "evaluate", _evaluate, "hold out the end of every series and score forecasts of it", text)
    _add_data_options(evaluate)
    evaluate.add_argument("--out", type=Path, metavar="FILE", help="write the scores to a .csv or .parquet file too")


def _add_report(commands: Any) -> None:
    text = """\
Writes one page to open in a browser, without a network: the data and how irregular they are, training, forecasts
to browse by series, errors by channel and lead time, calibration, the latent space. The last third of every
series of DATA is held out and forecast. Needs matplotlib."""
    page = _add(commands, "report", _report, "write a page about a model and its data", text)
    page.add_argument("model", type=Path, metavar="MODEL", help="directory written by latentode fit")
    page.add_argument("data", type=Path, metavar="DATA", help="a table of series, best ones the model has not seen")
    page.add_argument("--out", "-o", type=Path, required=True, metavar="FILE", help="the .html file to write")


def _add_demo(commands: Any) -> None:
    text = """\
Fits visits of patients with liver disease, forecasts held-out ones, prints a table of scores and writes
forecasts.csv and forecasts.png. Takes a minute or two; needs matplotlib."""
    demo = _add(commands, "demo", _demo, "see it work on real patients, in a minute or two", text)
    demo.add_argument("--out", type=Path, default=Path("demo"), metavar="DIR", help="where to write [demo]")
    demo.add_argument("--seed", type=int, default=0, help="seed of the fit [0]")


def _add(commands: Any, name: str, command: Any, summary: str, text: str) -> argparse.ArgumentParser:
    form = argparse.RawDescriptionHelpFormatter
    parser: argparse.ArgumentParser = commands.add_parser(name, help=summary, description=text, formatter_class=form)
    parser.set_defaults(command=command)
    return parser


def _add_data_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("data", type=Path, metavar="DATA", help="the table to fit")
    parser.add_argument("--id", metavar="COLUMN", help="column that names the series")
    parser.add_argument("--time", metavar="COLUMN", help="column of times")
    parser.add_argument("--target", action="append", metavar="COLUMN", help="a channel to forecast; repeatable")
    parser.add_argument("--horizon", help="how far ahead to forecast: 30D, 6h, or a number where times are numbers")
    parser.add_argument("--max-steps", type=int, metavar="N", help="stop training after so many steps")
    parser.add_argument("--seed", type=int, default=0, help="the same seed gives the same model [0]")
