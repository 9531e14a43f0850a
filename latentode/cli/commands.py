"""What each command does with its parsed words; heavy modules are imported inside."""

import argparse
import warnings
from collections.abc import Hashable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas as pd

    from latentode.data import Schema
    from latentode.estimators import LatentODEForecaster
    from latentode.io.tables import TextFormat

__all__ = ["demo", "evaluate", "fit", "forecast", "report"]


def fit(args: argparse.Namespace) -> None:
    """Fit a model and save it."""
    if args.out.exists() and not args.out.is_dir():
        raise ValueError(f"--out {args.out} is a file; a model is written to a directory")
    _try_writing(args.out, args.out)
    df = _table(args)
    print(f"fitting {len(df)} rows of {args.data} ...", flush=True)
    forecaster = _forecaster(args).set_params(checkpoint_dir=args.checkpoint_dir).fit(df)
    forecaster.save(args.out)
    print(f"fitted {forecaster.panel_.n_series} series; channels: {', '.join(map(str, forecaster.channels_))}")
    print(f"model written to {args.out}")


def forecast(args: argparse.Namespace) -> None:
    """Write forecasts, and draw them."""
    from latentode._drawing import require_matplotlib
    from latentode.data import DataWarning
    from latentode.estimators import load
    from latentode.io.pictures import write_picture
    from latentode.io.tables import read_table, write_table
    from latentode.plotting import plot_forecast

    if args.plot is not None:
        require_matplotlib()
    _check_table(args.out)
    forecaster = load(args.model)
    history = None if args.history is None else read_table(args.history, *_keys(forecaster), _text_format(args))
    _check_room(args.out, args.plot)
    levels = sorted(set(args.level or (80.0, 95.0)))
    horizon = _number(args.horizon)
    ids = None if args.id is None else _ids_of(args.id, forecaster, history)
    future = forecaster.forecast(horizon, _number(args.freq), levels, history, ids, args.grid)
    write_table(future, args.out)
    print(f"{len(future)} rows written to {args.out}")
    if args.plot is not None:
        with warnings.catch_warnings(action="ignore", category=DataWarning):  # already reported for the table
            axes = plot_forecast(forecaster, ids, history=history, horizon=horizon, level=levels)
        write_picture(axes[0, 0].figure, args.plot)
        print(f"picture written to {args.plot}")


def evaluate(args: argparse.Namespace) -> None:
    """Score forecasts of held-out rows."""
    from latentode._drawing import require_matplotlib
    from latentode.comparison import compare, last_part, table_of
    from latentode.io.tables import write_table
    from latentode.report import report as write_report

    if args.report is not None:
        require_matplotlib()
    _check_table(args.out)
    _check_room(args.out, args.report)
    df, schema = _with_ids(_table(args), args)
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
    forecaster = _forecaster(args).set_params(**roles).fit(known)
    scores = compare(forecaster, known, held_out)
    print(f"\n{table_of(scores)}\n\n* lowest error in its row")
    if args.out is not None:
        write_table(scores, args.out)
        print(f"scores written to {args.out}")
    if args.report is not None:
        write_report(forecaster, known, args.report, held_out)
        print(f"report written to {args.report}")


def report(args: argparse.Namespace) -> None:
    """Write the page about a model."""
    from latentode._drawing import require_matplotlib
    from latentode.estimators import load
    from latentode.io.tables import read_table
    from latentode.report import report as write_report

    require_matplotlib()
    forecaster = load(args.model)
    df = read_table(args.data, *_keys(forecaster), _text_format(args))
    _check_room(args.out)
    write_report(forecaster, df, args.out)
    print(f"report written to {args.out}")


def demo(args: argparse.Namespace) -> None:
    """Run the demonstration."""
    from latentode.demo import run_demo

    run_demo(args.out, args.seed)


def _forecaster(args: argparse.Namespace) -> "LatentODEForecaster":
    from latentode.estimators import LatentODEForecaster

    return LatentODEForecaster(
        id_col=args.id,
        time_col=args.time,
        target_cols=args.target,
        horizon=_number(args.horizon),
        static_cols=args.static,
        known_cols=args.known,
        impulse_cols=args.impulse,
        past_cols=args.past,
        seasonality=_seasons(args.seasonality),
        likelihood=args.likelihood,
        n_models=args.n_models,
        max_steps=args.max_steps,
        random_state=args.seed,
    )


def _table(args: argparse.Namespace) -> "pd.DataFrame":
    """The table to fit; one of a measurement a row gets a column per variable."""
    from latentode.data import from_events, infer_schema
    from latentode.io.tables import read_table

    df = read_table(args.data, args.time, args.id, _text_format(args))
    if (args.variable is None) != (args.value is None):
        raise ValueError("--variable and --value go together: the column that names what was measured, and its values")
    if args.variable is None:
        return df
    for name in (args.variable, args.value):
        if name not in df.columns:
            raise ValueError(f"{args.data} has no column {name!r}; its columns are {list(map(str, df.columns))}")
    schema = infer_schema(df, args.id, args.time, [args.value])
    if schema.id_col is None:
        raise ValueError("a table of one measurement a row needs a column that names the series: pass --id")
    return from_events(df, schema.id_col, schema.time_col, args.variable, args.value)


def _text_format(args: argparse.Namespace) -> "TextFormat":
    """How numbers and dates of the table are written, as far as options say."""
    from latentode.io.tables import TextFormat

    sep = {"tab": "\t", "\\t": "\t"}.get(args.sep, args.sep)
    return TextFormat(sep, args.decimal, args.date_format, args.dayfirst)


def _ids_of(names: Sequence[str], forecaster: "LatentODEForecaster", history: "pd.DataFrame | None") -> list[Any]:
    """Ids by their text; one that is not there stays text, and the forecast names it."""
    known = forecaster.panel_.ids if history is None else forecaster.schema_.ids_of(history)
    by_text = {} if known is None else {str(i): i for i in known}
    return [by_text.get(name, name) for name in names]


def _seasons(texts: Sequence[str] | None) -> Any:
    if texts is None or texts == ["auto"]:
        return "auto"
    return None if texts == ["none"] else [_number(text) for text in texts]


def _check_table(path: Path | None) -> None:
    """Refuse a format that cannot be written before the work."""
    from latentode.io.tables import check_writable

    if path is not None and not path.is_dir():
        check_writable(path)


def _keys(forecaster: "LatentODEForecaster") -> tuple[Hashable, Hashable]:
    """The columns of times and ids, as read_table takes them."""
    return forecaster.schema_.time_col, forecaster.schema_.id_col


def _with_ids(df: "pd.DataFrame", args: argparse.Namespace) -> tuple["pd.DataFrame", "Schema"]:
    """The table with an id column even for a single series, without unusable rows."""
    from latentode.data import DataWarning, infer_schema

    schema = infer_schema(df, args.id, args.time, args.target)
    if schema.id_col is None:
        name = "series"
        while name in df.columns:
            name += "_"
        df = df.assign(**{name: 0})
        schema = infer_schema(df, name, schema.time_col, schema.target_cols)
    usable = df.dropna(subset=[schema.id_col, schema.time_col])
    if len(usable) < len(df):
        message = f"{len(df) - len(usable)} rows without a series or a time were left out"
        warnings.warn(message, DataWarning, stacklevel=1)
    return usable, schema


def _number(text: str | None) -> float | str | None:
    """A number if the text is one; durations such as 30D stay text."""
    try:
        return None if text is None else float(text)
    except ValueError:
        return text


def _check_room(*files: Path | None) -> None:
    """Refuse, before the work, files that cannot be written."""
    for path in files:
        if path is not None:
            if path.is_dir():
                raise ValueError(f"{path} is a directory; expected a file to write")
            if path.is_file() or not path.exists():  # a pipe or /dev/stdout has no temporary file beside it
                _try_writing(path, path.resolve().parent)


def _try_writing(out: Path, directory: Path) -> None:
    from latentode.io.atomic import try_writing

    try:
        try_writing(directory)
    except OSError as cause:
        raise ValueError(f"{out} cannot be written: {cause.strerror or cause}; choose another place") from cause
