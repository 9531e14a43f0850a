# ruff: noqa: E501  (a table)
"""Invalid or unusual data, and what happens: tested by ``test_faults.py``, documented in ``docs/faults.md``.

python -m tests.faults    # writes the page
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from tests.command_faults import COMMANDS
from tests.estimators.tiny import dated, waves

PAGE = Path(__file__).parents[1] / "docs" / "faults.md"
BASE = waves(6, 8, missing=0.0)
GROUPS = {"kind": BASE["id"].map(dict(zip(BASE["id"].unique(), "ababab", strict=True)))}


@dataclass(frozen=True)
class Fault:
    """What is wrong, in fit or predict; what comes of it, and a part of the message (empty where nothing is said).

    What another thread does again and again to the frame meanwhile; and whether fit knew the groups of the series.
    """

    name: str
    where: str
    spoil: Callable[[pd.DataFrame], Any]
    outcome: str
    message: str = ""
    meanwhile: Callable[[pd.DataFrame], None] | None = None
    grouped: bool = False


def with_value(column: str, value: Any, row: int = 3) -> Callable[[pd.DataFrame], pd.DataFrame]:
    """One value spoilt."""

    def spoil(df: pd.DataFrame) -> pd.DataFrame:
        out = df.astype({column: object}) if isinstance(value, str) else df.copy()
        out.loc[row, column] = value
        return out

    return spoil


def with_object(column: str, value: Any) -> Callable[[pd.DataFrame], pd.DataFrame]:
    """A column of objects, the first of them spoilt."""
    return lambda df: df.assign(**{column: pd.Series([value, *df[column].iloc[1:]], dtype=object, index=df.index)})


def doubled_in_place(df: pd.DataFrame) -> None:
    """Values overwritten where they are."""
    df["x"] = df["x"] * 2
    df.loc[:, "y"] = 20.0


def grown_in_place(df: pd.DataFrame) -> None:
    """Rows that come, and a column that comes and goes."""
    if len(df) < 200:
        df.loc[len(df)] = ["late", 1.0 + len(df), 2.0, 3.0]
    df["extra"] = 1.0
    del df["extra"]


def more_queries_in_place(df: pd.DataFrame) -> None:
    """Rows of a series that is known, and a column that comes and goes."""
    if len(df) < 200:
        df.loc[len(df)] = [df["id"].iloc[0], 1.0 + 0.01 * len(df), 2.0, 3.0]
    df["extra"] = 1.0
    del df["extra"]


def _holes_in_the_first(df: pd.DataFrame) -> dict[str, pd.Series]:
    return {c: df[c].mask(df["id"] == df["id"].iloc[0]) for c in ("x", "y")}


FAULTS = [
    Fault("no rows", "fit", lambda d: d.head(0), "refused", "the frame has no rows"),
    Fault("one row", "fit", lambda d: d.head(1), "refused", "none with two or more"),
    Fault("one observation per series", "fit", lambda d: d.groupby("id").head(1), "refused", "none with two or more"),
    Fault("an array", "fit", lambda d: d.to_numpy(), "refused", "expected a pandas DataFrame"),
    Fault("no time column", "fit", lambda d: d.drop(columns="time"), "refused", "no time column found"),
    Fault("no channel", "fit", lambda d: d[["id", "time"]], "refused", "no numeric column to forecast"),
    Fault(
        "a duplicate column",
        "fit",
        lambda d: d.set_axis(["id", "time", "x", "x"], axis=1),
        "refused",
        "more than one column",
    ),
    Fault("text in a channel", "fit", with_value("x", "high"), "refused", "should hold numbers but row 3 holds 'high'"),
    Fault("complex numbers", "fit", lambda d: d.assign(x=d["x"] + 1j), "refused", "complex numbers"),
    Fault("dates as text", "fit", lambda d: d.assign(time=dated(d)["time"].astype(str)), "refused", "time"),
    Fault(
        "no id, several series",
        "fit",
        lambda d: d.drop(columns="id").assign(time=d["time"].round()),
        "refused",
        "id_col=",
    ),
    Fault(
        "a numeric id column not passed as id_col",
        "fit",
        lambda d: d.assign(id=d["id"].str[1:].astype(int)).rename(columns={"id": "patient"}),
        "refused",
        "column 'patient' seems to name the series: pass id_col='patient'",
    ),
    Fault(
        "one measurement per row",
        "fit",
        lambda d: d.melt(id_vars=["id", "time"]),
        "refused",
        "from_events(df, ...)",
    ),
    Fault(
        "decimal commas",
        "fit",
        lambda d: d.assign(x=d["x"].map("{:.2f}".format).str.replace(".", ",")),
        "refused",
        "decimal=','",
    ),
    Fault("all channels missing", "fit", lambda d: d.assign(x=np.nan, y=np.nan), "refused", "none with two or more"),
    Fault("a channel all missing", "fit", lambda d: d.assign(y=np.nan), "said", "hold no value at all"),
    Fault("infinite values", "fit", with_value("x", np.inf), "said", "1 infinite values were taken as missing"),
    Fault("values beyond 1e100", "fit", with_value("x", 1e200), "said", "1 values beyond 1e+100 were taken as missing"),
    Fault(
        "a time beyond 1e100",
        "fit",
        with_value("time", -1e200),
        "said",
        "1 rows with a time beyond 1e+100 were left out",
    ),
    Fault(
        "lists as ids",
        "fit",
        lambda d: d.assign(id=[[i] for i in d["id"]]),
        "refused",
        "row 0 holds ['s00'], which is no name",
    ),
    Fault(
        "columns of two levels",
        "fit",
        lambda d: d.set_axis(pd.MultiIndex.from_product([d.columns, ["u"]]), axis=1),
        "refused",
        "the frame's columns have 2 levels",
    ),
    Fault("integers too large for a float", "fit", with_object("x", 10**400), "refused", "should hold numbers"),
    Fault(
        "times in several time zones",
        "fit",
        lambda d: d.assign(time=[t.tz_localize(f"+0{i % 3}:00") for i, t in enumerate(dated(d)["time"])]),
        "refused",
        "use pd.to_datetime(..., utc=True)",
    ),
    Fault("all times equal", "fit", lambda d: d.assign(time=1.0), "refused", "none with two or more"),
    Fault("all times missing", "fit", lambda d: d.assign(time=np.nan), "refused", "none with two or more"),
    Fault("a series all missing", "fit", lambda d: d.assign(**_holes_in_the_first(d)), "taken"),
    Fault("100 channels", "fit", lambda d: d.assign(**{f"c{k}": d["x"] * k for k in range(98)}), "taken"),
    Fault("rows without a time", "fit", with_value("time", np.nan), "said", "1 rows without a time were left out"),
    Fault("rows without an id", "fit", with_value("id", None), "said", "1 rows without a series id were left out"),
    Fault("a duplicate row", "fit", lambda d: pd.concat([d, d.head(1)]), "said", "1 rows repeat a (series, time)"),
    Fault("unsorted rows", "fit", lambda d: d.sample(frac=1, random_state=0), "taken"),
    Fault("a constant channel", "fit", lambda d: d.assign(y=7.0), "taken"),
    Fault("magnitudes of 1e30", "fit", lambda d: d.assign(x=d["x"] * 1e30), "taken"),
    Fault("magnitudes of 1e-30", "fit", lambda d: d.assign(x=d["x"] * 1e-30), "taken"),
    Fault("one extreme outlier", "fit", with_value("y", 1e9), "taken"),
    Fault("negative and huge times", "fit", lambda d: d.assign(time=d["time"] * 1e9 - 1e15), "taken"),
    Fault(
        "series of 1 row beside one of 100,000",
        "fit",
        lambda d: pd.concat([d, waves(1, 100_000).assign(id="long"), d.head(1).assign(id="short")]),
        "taken",
    ),
    Fault("another thread overwrites values", "fit", lambda d: d.copy(), "taken", meanwhile=doubled_in_place),
    *(
        Fault("another thread adds rows", where, lambda d: d.copy(), "taken", meanwhile=does)
        for where, does in (
            ("fit", grown_in_place),
            ("predict", more_queries_in_place),
            ("update", grown_in_place),
            ("impute", grown_in_place),
        )
    ),
    Fault(
        "a nanosecond and a century apart",
        "fit",
        lambda d: d.assign(
            time=pd.to_datetime(
                ["1900-01-01", "1900-01-01 00:00:00.000000001", "2000-01-01", "2000-01-02"] * 12, format="ISO8601"
            ).astype("datetime64[ns]"),
            id=np.arange(48) // 4,
        ),
        "taken",
    ),
    Fault(
        "dates, but numbers in fit", "predict", lambda d: dated(d), "refused", "times are dates here but were numbers"
    ),
    Fault("no id column", "predict", lambda d: d.drop(columns="id"), "refused", "no column 'id'"),
    Fault("an unknown series", "predict", lambda d: d.assign(id="new"), "said", "no observations of series 'new'"),
    Fault(
        "a row without a time",
        "predict",
        with_value("time", np.nan),
        "said",
        "1 rows without a time: their prediction is NaN",
    ),
    Fault(
        "a category not seen in fit",
        "predict",
        lambda d: d.assign(kind="c"),
        "said",
        "column 'kind' holds 'c', a category not seen in fit",
        grouped=True,
    ),
    Fault("the far future", "predict", lambda d: d.assign(time=1e6), "said", "predictions far beyond are unreliable"),
    Fault("the far past", "predict", lambda d: d.assign(time=-1e6), "taken"),
    Fault("no rows", "predict", lambda d: d.head(0), "taken"),
    Fault("an array", "predict", lambda d: d.to_numpy(), "refused", "expected a DataFrame of ids and times"),
    Fault("a time zone, but none in fit", "update", lambda d: dated(d, zone="UTC"), "refused", "times are dates here"),
    Fault("no column for a channel", "update", lambda d: d.drop(columns="y"), "refused", "the frame has no column 'y'"),
    Fault(
        "text in a channel", "update", with_value("x", "high"), "refused", "should hold numbers but row 3 holds 'high'"
    ),
    Fault(
        "infinite values", "update", with_value("x", -np.inf), "said", "in the update: 1 infinite values were taken as"
    ),
    Fault("rows without a time", "update", with_value("time", np.nan), "said", "in the update: 1 rows without a time"),
    Fault("no column for a channel", "impute", lambda d: d.drop(columns="y"), "refused", "the frame has no column 'y'"),
    Fault("infinite values", "impute", with_value("x", np.inf), "said", "in history: 1 infinite values were taken as"),
    Fault("an unknown series", "impute", lambda d: d.assign(id="new-" + d["id"]), "taken"),
]


SHOWN = {"refused": "error", "said": "warning", "taken": "accepted"}
"""Outcomes as the page names them."""


def render() -> str:
    """The page."""
    lines = [
        "# Invalid input: errors and warnings\n",
        "This page lists invalid or unusual data, and what happens. `tests/test_faults.py` tests each case.\n",
        "- **error**: the message says what is wrong, where, and what to do. Nothing is changed.",
        "- **warning**: a `DataWarning`, once.",
        "- **accepted**: no message.\n",
        "| problem | method | result | message contains |",
        "|---|---|---|---|",
    ]
    lines += [f"| {f.name} | `{f.where}` | {SHOWN[f.outcome]} | {f.message} |" for f in FAULTS]
    lines += [
        "\nIf another thread writes to the frame, the method reads the frame as it is at one moment. Single values may be from before or",
        "after a write. Nothing written after training began is used.\n",
        "## Command line\n",
        "- **error**: one line on stderr, exit code 2, nothing written.",
        "- **warning**: one line on stderr.\n",
        "File names are never interpreted as formulas, commands or wildcards.\n",
        "| problem | command | result | message contains |",
        "|---|---|---|---|",
    ]
    lines += [f"| {c.name} | `{c.shown}` | {SHOWN[c.outcome]} | {c.message} |" for c in COMMANDS]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    PAGE.write_text(render(), encoding="utf-8")
