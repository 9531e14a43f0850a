"""Invalid input of the command line: tested by ``test_faults.py``, documented in ``docs/faults.md``."""

import gzip
import shlex
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from tests.estimators.tiny import waves

TABLE = waves(3, 8, missing=0.0).to_csv(index=False)

_ROWS_WITH_A_COMMA = [f"{row},\n" for row in TABLE.splitlines()[1:]]


@dataclass(frozen=True)
class Command:
    """What is wrong, the words given in a folder, what comes of it, a part of the message, what was there before.

    What comes of it is as in ``faults.py``; what is said on the command line is a line on stderr.
    """

    name: str
    words: tuple[str, ...]
    outcome: str
    message: str = ""
    prepare: Callable[[Path], object] = lambda folder: None

    @property
    def shown(self) -> str:
        """As it would be typed."""
        return shlex.join(self.words)


def _fit(data: str, *more: str) -> tuple[str, ...]:
    return ("fit", "--max-steps", "2", "--out", "model", *more, data)


def _holding(name: str, content: bytes = TABLE.encode()) -> Callable[[Path], object]:
    return lambda folder: (folder / name).write_bytes(content)


def _named(fault: str, name: str, *before: str) -> Command:
    return Command(fault, _fit(name, *before), "taken", prepare=_holding(name))


COMMANDS = [
    Command("no such file", _fit("nope.csv"), "refused", "no such file: nope.csv"),
    Command(
        "a directory",
        _fit("visits.csv"),
        "refused",
        "visits.csv is a directory; expected a file",
        lambda folder: (folder / "visits.csv").mkdir(),
    ),
    Command(
        "bytes that are not text",
        _fit("visits.csv"),
        "refused",
        "visits.csv is not in UTF-8: save it again, in a spreadsheet as CSV UTF-8",
        _holding("visits.csv", bytes(range(256))),
    ),
    Command(
        "text that is not a table",
        _fit("visits.csv"),
        "refused",
        "no time column found among 'Dear Sir'",
        _holding("visits.csv", b"Dear Sir\n"),
    ),
    Command(
        "semicolons and decimal commas",
        _fit("visits.csv"),
        "said",
        "visits.csv was read with semicolons between columns (--sep ';') and decimal commas (--decimal ,)",
        _holding("visits.csv", waves(3, 8, missing=0.0).to_csv(index=False, sep=";", decimal=",").encode()),
    ),
    Command(
        "a number with a comma before three digits, and no other that says what commas are",
        _fit("visits.csv"),
        "refused",
        "give --decimal , or --decimal .",
        _holding("visits.csv", b"id;time;x\n1;2;70,125\n"),
    ),
    Command(
        "dates that can begin with the day or the month",
        _fit("visits.csv"),
        "refused",
        "give --dayfirst, --no-dayfirst or --date-format",
        _holding("visits.csv", b"id,time,x\n1,01/05/2024,3\n"),
    ),
    Command(
        "dates that end with a year of two digits",
        _fit("visits.csv"),
        "refused",
        "give --date-format, such as --date-format %d.%m.%y",
        _holding("visits.csv", b"id,time,x\n1,31.05.24,3\n"),
    ),
    Command(
        "a row with too many cells",
        _fit("visits.csv"),
        "refused",
        "Expected 3 fields in line 3, saw 4",
        _holding("visits.csv", b"id,time,x\n1,2,3\n1,2,3,4\n"),
    ),
    Command(
        "a comma at the end of every row",
        _fit("visits.csv"),
        "taken",
        prepare=_holding("visits.csv", "".join([TABLE.splitlines()[0] + "\n", *_ROWS_WITH_A_COMMA]).encode()),
    ),
    Command(
        "more cells in every row than column names",
        _fit("visits.csv"),
        "refused",
        "its rows hold more cells than its first line names columns (3); name every column there",
        _holding("visits.csv", b"id,time,x\n1,2,3,4\n1,3,3,4\n"),
    ),
    Command(
        "a duplicate column name",
        _fit("visits.csv"),
        "refused",
        "visits.csv has more than one column named 'x'; rename or drop the others",
        _holding("visits.csv", TABLE.replace("x,y", "x,x", 1).encode()),
    ),
    Command(
        "an unnamed column of row numbers",
        _fit("visits.csv"),
        "said",
        "visits.csv: column 1 has no name and numbers the rows: it was left out",
        _holding("visits.csv", waves(3, 8, missing=0.0).to_csv().encode()),
    ),
    Command(
        "an unnamed column of numbers",
        _fit("visits.csv"),
        "refused",
        "visits.csv: column 1 holds numbers and no name: name it in the first line",
        _holding("visits.csv", waves(3, 8, missing=0.0)[::-1].to_csv().encode()),
    ),
    Command(
        "an empty file",
        _fit("visits.csv"),
        "refused",
        "visits.csv cannot be read as a table",
        _holding("visits.csv", b""),
    ),
    Command(
        "a .gz name, but not compressed",
        _fit("visits.csv.gz"),
        "refused",
        "visits.csv.gz cannot be read as a table",
        _holding("visits.csv.gz"),
    ),
    Command(
        "a truncated compressed file",
        _fit("visits.csv.gz"),
        "refused",
        "visits.csv.gz cannot be read as a table",
        _holding("visits.csv.gz", gzip.compress(TABLE.encode())[:-40]),
    ),
    Command(
        "a .parquet name, but another format",
        _fit("visits.parquet"),
        "refused",
        "visits.parquet cannot be read as a table",
        _holding("visits.parquet"),
    ),
    Command(
        "an unsupported file type",
        _fit("visits.xls"),
        "refused",
        "expected a file ending in .csv, .csv.gz, .parquet or .xlsx",
        _holding("visits.xls"),
    ),
    Command(
        "an unsupported file type to write",
        ("evaluate", "visits.csv", "--out", "scores.json"),
        "refused",
        "scores.json: expected a file ending in .csv, .csv.gz, .parquet or .xlsx",
        _holding("visits.csv"),
    ),
    Command(
        "an output path that is a directory",
        ("evaluate", "visits.csv", "--out", "scores"),
        "refused",
        "scores is a directory; expected a file to write",
        lambda folder: (folder / "scores").mkdir(),
    ),
    Command(
        "an output path where no model can be written",
        ("fit", "visits.csv", "--checkpoint-dir", "kept", "--out", "file/deep/model"),
        "refused",
        "file/deep/model cannot be written: Not a directory; choose another place",
        lambda folder: (_holding("visits.csv")(folder), (folder / "file").touch()),
    ),
    Command(
        "an output path where no table can be written",
        ("evaluate", "visits.csv", "--out", "file/scores.csv"),
        "refused",
        "file/scores.csv cannot be written: Not a directory; choose another place",
        lambda folder: (_holding("visits.csv")(folder), (folder / "file").touch()),
    ),
    Command(
        "a table where a model is expected",
        ("forecast", "visits.csv", "--out", "future.csv"),
        "refused",
        "visits.csv holds no saved forecaster",
        _holding("visits.csv"),
    ),
    Command(
        "a file name with a leading dash",
        _fit("-visits.csv"),
        "refused",
        "the following arguments are required: DATA",
        _holding("-visits.csv"),
    ),
    _named("a leading dash, after the folder", "./-visits.csv"),
    _named("a leading dash, after two dashes", "-visits.csv", "--"),
    _named("a file name with spaces", "my visits of 2024.csv"),
    _named("a file name that is a formula", "=1+1.csv"),
    _named("a file name that is a command", "$(touch owned); touch owned.csv"),
    _named("a file name with wildcards", "*[a-z]?.csv"),
]
