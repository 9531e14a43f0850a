"""The commands, their options and their help."""

import argparse
from pathlib import Path
from typing import Any

from latentode._version import __version__
from latentode.cli import commands

__all__ = ["parser"]

_DATA_HELP = """\
DATA is a long table in .csv (also .csv.gz), .parquet or .xlsx: a row per series and time, a column per channel, empty
where a channel was not measured then. Times are numbers or ISO dates (2024-05-01, 2024-05-01T12:30). Semicolons or
tabs between columns, decimal commas, and dates such as 31.05.2024 are found, with a note, where the table leaves no
doubt; --sep, --decimal, --dayfirst and --date-format say them. Columns named id, unique_id or item_id, and time,
timestamp or ds, are found without --id and --time; a table of one series needs no id; every other numeric column is
a channel unless --target names them. Ids are names: 01 and 1 are two series, and NA is one. In a table of one
measurement a row, --variable names what was measured. A file whose name begins with a dash is given as ./-name.csv."""


def parser() -> argparse.ArgumentParser:
    """The parser of all commands; each sets ``command`` to its function."""
    whole = argparse.ArgumentParser(
        prog="latentode",
        description="Forecasts irregular time series with latent ODEs: no grid, no imputation, no tuning.",
    )
    whole.add_argument("--version", action="version", version=f"latentode {__version__}")
    group = whole.add_subparsers(title="commands", required=True, metavar="COMMAND")
    _add_fit(group)
    _add_forecast(group)
    _add_evaluate(group)
    _add_report(group)
    _add_demo(group)
    return whole


def _add_fit(group: Any) -> None:
    fit = _add(group, "fit", commands.fit, "fit a model to a table and write it to a directory", _DATA_HELP)
    _add_data_options(fit)
    fit.add_argument("--out", type=Path, required=True, metavar="MODEL", help="directory for the model")
    fit.add_argument(
        "--checkpoint-dir",
        type=Path,
        metavar="DIR",
        help="keep the state of training there; the same command resumes from it after a kill",
    )


def _add_forecast(group: Any) -> None:
    text = """\
Writes a row per series and time: the expected value of every channel and its intervals, such as wind-lo-80."""
    forecast = _add(group, "forecast", commands.forecast, "write the future of every series to a table", text)
    forecast.add_argument("model", type=Path, metavar="MODEL", help="directory written by latentode fit")
    forecast.add_argument("--horizon", help="how far ahead: 30D, 6h, or a number where times are numbers")
    forecast.add_argument("--freq", help="distance between forecasts: 1D, MS, or a number [a tenth of the horizon]")
    forecast.add_argument(
        "--grid",
        choices=["last", "clock"],
        default="last",
        help="count --freq from the last row of each series, or take its multiples on the clock: full hours, midnights"
        " [last]",
    )
    forecast.add_argument(
        "--level", type=float, action="append", metavar="PERCENT", help="an interval's level; repeatable [80 and 95]"
    )
    forecast.add_argument("--id", action="append", metavar="NAME", help="a series to forecast; repeatable [all]")
    forecast.add_argument("--history", type=Path, metavar="DATA", help="forecast the series of this table instead")
    _add_text_options(forecast)
    forecast.add_argument(
        "--out", type=Path, required=True, metavar="FILE", help="a .csv, .parquet or .xlsx file to write"
    )
    forecast.add_argument(
        "--plot", type=Path, metavar="FILE", help="draw the first four series to a .png, .pdf or .svg"
    )


def _add_evaluate(group: Any) -> None:
    text = f"""\
How well would it do on my data? Holds out the last third of each series in time, fits the rest, and prints the
errors of the forecasts (their means) beside those of naive ones: the last value, the series' mean, the mean of
all, a line through each series.

{_DATA_HELP}"""
    evaluate = _add(
        group, "evaluate", commands.evaluate, "hold out the end of every series and score forecasts of it", text
    )
    _add_data_options(evaluate)
    evaluate.add_argument(
        "--out", type=Path, metavar="FILE", help="write the scores to a .csv, .parquet or .xlsx file too"
    )
    evaluate.add_argument(
        "--report", type=Path, metavar="FILE", help="write an .html page of the held-out forecasts; needs matplotlib"
    )


def _add_report(group: Any) -> None:
    text = """\
Writes one page to open in a browser, without a network: the data and how irregular they are, training, forecasts
to browse by series, errors by channel and lead time, calibration, the latent space. The last third of every
series of DATA is held out and forecast; where fit has seen it, the page says so. latentode evaluate --report writes
the page of a model that has not. Needs matplotlib."""
    page = _add(group, "report", commands.report, "write a page about a model and its data", text)
    page.add_argument("model", type=Path, metavar="MODEL", help="directory written by latentode fit")
    page.add_argument("data", type=Path, metavar="DATA", help="a table of series, best ones the model has not seen")
    _add_text_options(page)
    page.add_argument("--out", "-o", type=Path, required=True, metavar="FILE", help="the .html file to write")


def _add_demo(group: Any) -> None:
    text = """\
Fits visits of patients with liver disease, forecasts held-out ones, prints a table of scores and writes
forecasts.csv and forecasts.png. Takes half a minute; needs matplotlib."""
    demo = _add(group, "demo", commands.demo, "see it work on real patients, in half a minute", text)
    demo.add_argument("--out", type=Path, default=Path("demo"), metavar="DIR", help="where to write [demo]")
    demo.add_argument("--seed", type=int, default=0, help="seed of the fit [0]")


def _add(group: Any, name: str, command: Any, summary: str, text: str) -> argparse.ArgumentParser:
    form = argparse.RawDescriptionHelpFormatter
    parser: argparse.ArgumentParser = group.add_parser(name, help=summary, description=text, formatter_class=form)
    parser.set_defaults(command=command)
    return parser


def _add_data_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("data", type=Path, metavar="DATA", help="the table to fit")
    _add_text_options(parser)
    parser.add_argument("--id", metavar="COLUMN", help="column that names the series")
    parser.add_argument("--time", metavar="COLUMN", help="column of times")
    parser.add_argument("--target", action="append", metavar="COLUMN", help="a channel to forecast; repeatable")
    parser.add_argument("--horizon", help="how far ahead to forecast: 30D, 6h, or a number where times are numbers")
    parser.add_argument("--variable", metavar="COLUMN", help="where a row is one measurement: column of what it is of")
    parser.add_argument("--value", metavar="COLUMN", help="and the column of its value")
    for role, text in (
        ("static", "a column that is constant within a series"),
        ("known", "a column that is known in the future too"),
        ("impulse", "a column of amounts that are given at an instant, such as doses"),
        ("past", "a column that is read and not forecast"),
    ):
        parser.add_argument(f"--{role}", action="append", metavar="COLUMN", help=f"{text}; repeatable")
    parser.add_argument(
        "--seasonality", action="append", metavar="PERIOD", help="auto, none, or a period: 1D; repeatable [auto]"
    )
    parser.add_argument("--likelihood", default="auto", metavar="NAME", help="auto, gaussian, poisson, ... [auto]")
    parser.add_argument("--n-models", type=int, metavar="N", help="models of the ensemble")
    parser.add_argument("--max-steps", type=int, metavar="N", help="stop training after so many steps")
    parser.add_argument("--seed", type=int, default=0, help="the same seed gives the same model [0]")


def _add_text_options(parser: argparse.ArgumentParser) -> None:
    """How numbers and dates of a table are written, where they are not found or found wrong."""
    parser.add_argument("--sep", metavar="CHAR", help="between columns of a .csv: , ; or tab [found]")
    parser.add_argument("--decimal", metavar="MARK", help="before decimals in a .csv: . or a comma [found]")
    parser.add_argument("--date-format", metavar="CODES", help="how times are written: '%%d.%%m.%%Y %%H:%%M' [found]")
    parser.add_argument(
        "--dayfirst", action=argparse.BooleanOptionalAction, help="01/05/2024 is the first of May, or January 5 [found]"
    )
