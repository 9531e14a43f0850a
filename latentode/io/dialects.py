"""The dialect of a .csv file: what separates its columns, and which mark begins decimals.

A file in another dialect than commas and dots is rewritten to these, and then read as any other.
"""

import contextlib
import csv
import functools
import gzip
import io
import itertools
import re
from collections.abc import Collection, Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from latentode.data import DataError

__all__ = ["TextFormat", "rewritten"]

Cells = list[tuple[int, str]]

SEPARATORS = {";": "semicolons", "\t": "tabs"}
"""Separators that are found without being given, and what a sentence calls them."""

_MISSING = {"", "na", "n/a", "nan", "-nan", "null", "none", "<na>", "#n/a", "#na", "inf", "+inf", "-inf"}
"""Cells, in lower case, that are read the same with each decimal mark."""

_DIGITS = frozenset("0123456789")

_NUMBER = re.compile(
    r"[+-]?(?:\d+[.,]?\d*|[.,]\d+|[1-9]\d{0,2}(?:\.\d{3})+(?:,\d*)?|[1-9]\d{0,2}(?:,\d{3})+(?:\.\d*)?)(?:[eE][+-]?\d+)?"
)
"""A number with either mark; dates such as 01.05.2024 and versions are none."""


@dataclass(frozen=True)
class TextFormat:
    """How numbers and dates are written in a table; None is found from the table where it can be.

    Parameters
    ----------
    sep : str or None
        The character between columns of a .csv file.
    decimal : {".", ","} or None
        The mark that begins decimals in a .csv file; the other may group thousands.
    date_format : str or None
        Codes of ``strftime`` for the times, such as ``"%d.%m.%Y %H:%M"``.
    dayfirst : bool or None
        Whether 01/05/2024 is the first of May, where no `date_format` is given.
    """

    sep: str | None = None
    decimal: str | None = None
    date_format: str | None = None
    dayfirst: bool | None = None

    def __post_init__(self) -> None:
        if self.sep is not None and (len(self.sep) != 1 or self.sep in '"\r\n.' or self.sep.isalnum()):
            raise DataError(f"--sep {self.sep!r}: expected one character such as ';', or tab")
        if self.decimal not in (None, ".", ","):
            raise DataError(f"--decimal {self.decimal!r}: expected '.' or ','")
        if self.date_format is not None and "%" not in self.date_format:
            raise DataError(f"--date-format {self.date_format!r} has no codes such as those in '%d.%m.%Y %H:%M'")
        if self.date_format is not None and self.dayfirst is not None:
            raise DataError("--date-format says where the day stands: leave out --dayfirst and --no-dayfirst")


def rewritten(
    path: Path,
    given: TextFormat,
    names_of_text: Collection[Hashable],
    time_cols: Collection[Hashable],
    found: list[str],
) -> str | None:
    """The text of a file with commas between columns and dots before decimals; None where the file is like that.

    Another separator is found only where commas leave the first line whole, or without the name of a column of times,
    so that a table that can be used with commas is never read otherwise.

    Parameters
    ----------
    path : Path
        A .csv or .csv.gz file.
    given : TextFormat
        What is known of it.
    names_of_text : collection of hashable
        Columns whose cells stay as they are.
    time_cols : collection of hashable
        Names that the column of times may have.
    found : list of str
        What was found and not given is added, as words for a sentence.

    Raises
    ------
    DataError
        When numbers can be read in two ways.
    ValueError, csv.Error, EOFError, OSError
        When the file cannot be read.
    """
    sep = given.sep or _separator(path, time_cols)
    if sep == "," and given.decimal is None:
        return None
    with _opened(path) as file:
        rows = [row for row in csv.reader(file, delimiter=sep, strict=True) if row]
    if not rows:
        return None
    if given.sep is None and sep != ",":
        found.append(f"{SEPARATORS[sep]} between columns (--sep {'tab' if sep == chr(9) else repr(sep)})")
    numeric = _numeric_columns(rows, names_of_text)
    decimal = given.decimal or _decimal_mark(path, rows, numeric)
    if given.decimal is None and decimal == ",":
        found.append("decimal commas (--decimal ,)")
    for column, cells in numeric.items():
        _use_dots(path, rows, column, cells, decimal, given.decimal is not None)
    text = io.StringIO()
    csv.writer(text, lineterminator="\r\n").writerows(rows)  # it quotes cells with one of these only
    return text.getvalue()


@contextlib.contextmanager
def _opened(path: Path) -> Iterator[io.TextIOWrapper]:
    with (
        gzip.open(path) if path.suffix.lower() == ".gz" else path.open("rb") as raw,
        io.TextIOWrapper(raw, encoding="utf-8-sig", newline="") as file,
    ):
        yield file


def _separator(path: Path, time_cols: Collection[Hashable]) -> str:
    with _opened(path) as file:
        head = "".join(itertools.islice((line for line in file if line.strip()), 1))
    names = {sep: next(csv.reader([head.rstrip("\r\n")], delimiter=sep), []) for sep in (",", *SEPARATORS)}
    timed = {sep for sep in names if any(name in time_cols for name in names[sep])}
    others = [sep for sep in SEPARATORS if len(names[sep]) > 1]
    if len(names[","]) > 1:  # semicolons beside a name such as "level, m"
        others = [sep for sep in others if sep in timed and "," not in timed]
    return others[0] if len(others) == 1 else ","


def _numeric_columns(rows: Sequence[Sequence[str]], names_of_text: Collection[Hashable]) -> dict[int, Cells]:
    """The cells of columns of numbers, in whichever way they are written, of which some have a comma or a dot."""
    numeric = {}
    for column, name in enumerate(rows[0]):
        if name not in names_of_text:
            cells = _cells(rows, column)
            if any("," in cell or "." in cell for _, cell in cells) and all(_NUMBER.fullmatch(c) for _, c in cells):
                numeric[column] = cells
    return numeric


def _cells(rows: Sequence[Sequence[str]], column: int) -> Cells:
    """Cells that are not missing, and the numbers of their rows below the header."""
    stripped = [(number, row[column].strip()) for number, row in enumerate(rows) if column < len(row)]
    return [(number, cell) for number, cell in stripped[1:] if cell[:1] in _DIGITS or cell.lower() not in _MISSING]


def _decimal_mark(path: Path, rows: Sequence[Sequence[str]], numeric: Mapping[int, Cells]) -> str:
    """The mark that can be no other; a file whose numbers leave both possible is refused."""
    sure: dict[str, str] = {}
    open_: str | None = None
    for column, cells in numeric.items():
        for number, cell in cells:
            mark = _mark_of(cell)
            if mark in sure or (mark is None and open_ is not None):
                continue
            where = f"{cell!r} in column {rows[0][column]!r}, row {number} below the header"
            if mark is not None:
                sure[mark] = where
            elif "," in cell or "." in cell:
                open_ = where
    if len(sure) == 2:
        raise DataError(f"{path}: decimal marks are mixed: {sure['.']}, and {sure[',']}; write all with one mark")
    if not sure and open_ is not None:
        raise DataError(
            f"{path}: {open_}, has a mark for decimals or for thousands, and no other number says which: "
            "give --decimal , or --decimal ."
        )
    return next(iter(sure), ".")


def _mark_of(cell: str) -> str | None:
    """The decimal mark of a number, if it can be only one."""
    last, other = (",", ".") if cell.rfind(",") > cell.rfind(".") else (".", ",")
    if other in cell:
        return last if cell.count(last) == 1 else None
    if last not in cell:
        return None
    if cell.count(last) > 1:
        return other  # 1.234.567
    return None if _grouped(last, other).fullmatch(cell) else last


@functools.cache
def _grouped(group: str, decimal: str) -> re.Pattern[str]:
    return re.compile(rf"[+-]?[1-9]\d{{0,2}}(?:\{group}\d{{3}})+(?:\{decimal}\d*)?(?:[eE][+-]?\d+)?")


def _use_dots(path: Path, rows: Sequence[list[str]], column: int, cells: Cells, decimal: str, is_given: bool) -> None:
    """Write a column's numbers with dots before decimals and nothing between thousands."""
    group = "." if decimal == "," else ","
    grouped = _grouped(group, decimal)
    has_groups = is_given or any(group in cell and (decimal in cell or cell.count(group) > 1) for _, cell in cells)
    for number, cell in cells:
        if cell.count(decimal) > 1 or (group in cell and not grouped.fullmatch(cell)):
            raise DataError(
                f"{path}: {cell!r} in column {rows[0][column]!r}, row {number} below the header, is no number with the "
                f"decimal mark {decimal!r}"
            )
        if group in cell and not has_groups:
            raise DataError(
                f"{path}: {cell!r} in column {rows[0][column]!r}, row {number} below the header, has {group!r} for "
                f"thousands or for decimals: give --decimal {decimal} or --decimal {group}"
            )
        rows[number][column] = cell.replace(group, "").replace(decimal, ".")
