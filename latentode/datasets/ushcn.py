"""The United States Historical Climatology Network: daily station files in a folder the user has."""

import warnings
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from latentode.datasets._reading import require_files

__all__ = ["load_ushcn"]

ELEMENTS = ("PRCP", "SNOW", "SNWD", "TMAX", "TMIN")
DAYS = 31


def load_ushcn(
    folder: str | Path,
    *,
    years: tuple[int, int] | None = None,
    elements: Sequence[str] = ELEMENTS,
    keep_flagged: bool = False,
) -> pd.DataFrame:
    """Read daily observations of weather stations.

    Two layouts of fixed columns are known by the length of their lines: that of USHCN daily (files by state, a station
    number of 6 characters; https://data.ess-dive.lbl.gov, cdiac.ornl.gov) and that of GHCN daily (``.dly`` files, 11
    characters; https://www.ncei.noaa.gov), each with 31 days a line.

    Parameters
    ----------
    folder : str or Path
        Where the ``.txt`` and ``.dly`` files are.
    years : (int, int), optional
        First and last year to read. None means all.
    elements : sequence of str
        Which of the elements to read.
    keep_flagged : bool
        Whether to keep values that failed a quality check.

    Returns
    -------
    DataFrame
        A row per station and day on which anything was observed: ``id``, ``time`` (the day) and a column per element
        in lower case, NaN where missing. Units are those of the files: hundredths of an inch and degrees Fahrenheit
        in USHCN daily, tenths of a millimetre and of a degree Celsius in GHCN daily.

    Raises
    ------
    FileNotFoundError
        When the folder holds no such file.
    ValueError
        When a line is of neither layout; the message says which.

    Warns
    -----
    UserWarning
        When values failed a quality check and were left out: how many.

    References
    ----------
    Menne, Williams & Vose (2015), United States Historical Climatology Network daily temperature, precipitation, and
    snow data. CDIAC.

    Examples
    --------
    >>> frame = load_ushcn("ushcn_daily", years=(1990, 1993))  # doctest: +SKIP
    """
    files = require_files(folder, "*.txt", "station files", "*.dly")
    parts = [part for file in sorted(files) for part in _months(file, years, elements)]
    months = pd.concat(parts, ignore_index=True) if parts else _nothing()
    flagged = (months["flag"] != " ") & (months["value"] != -9999)
    if flagged.any() and not keep_flagged:
        warnings.warn(
            f"{int(flagged.sum())} values failed a quality check and were left out (keep_flagged=True keeps them)",
            stacklevel=2,
        )
        months = months[~flagged]
    seen = months[months["value"] != -9999]
    wide = seen.pivot_table("value", ["id", "time"], "element", aggfunc="last", sort=True)
    wide = wide.reindex(columns=list(elements)).astype(np.float64)
    wide.columns = pd.Index([name.lower() for name in elements])
    return wide.reset_index()


def _months(file: Path, years: tuple[int, int] | None, elements: Sequence[str]) -> list[pd.DataFrame]:
    """The days of a file, one column of them at a time."""
    lines = pd.Series([line for line in file.read_text("ascii").splitlines() if line.strip()], dtype=object)
    if lines.empty:
        return []
    widths = lines.str.len()
    known = widths.isin([16 + 8 * DAYS, 21 + 8 * DAYS, 16 + 8 * DAYS - 1, 21 + 8 * DAYS - 1])
    if not known.all():
        number = int(np.flatnonzero(~known)[0])
        raise ValueError(
            f"{file}, line {number + 1}: {widths[number]} characters; expected {16 + 8 * DAYS} (USHCN daily) or "
            f"{21 + 8 * DAYS} (GHCN daily)"
        )
    head = np.where(widths >= 21 + 8 * DAYS - 1, 21, 16)
    lines = lines.str.ljust(21 + 8 * DAYS)
    layouts = [_layout(file, lines[head == at], at) for at in (16, 21) if (head == at).any()]
    months = pd.concat(layouts, ignore_index=True)
    kept = months["element"].isin(elements)
    if years is not None:
        kept &= months["year"].between(*years)
    return [_day(months[kept], day) for day in range(DAYS)]


def _layout(file: Path, lines: pd.Series, at: int) -> pd.DataFrame:
    try:
        return pd.DataFrame(
            {
                "id": lines.str[: at - 10].str.strip(),
                "year": lines.str[at - 10 : at - 6].astype(int),
                "month": lines.str[at - 6 : at - 4].astype(int),
                "element": lines.str[at - 4 : at],
                "days": lines.str[at:],
            }
        )
    except ValueError as cause:
        raise ValueError(f"{file} is no station file: {cause}") from cause


def _day(months: pd.DataFrame, day: int) -> pd.DataFrame:
    cell = months["days"].str[8 * day : 8 * day + 8]
    date = pd.to_datetime({"year": months["year"], "month": months["month"], "day": day + 1}, errors="coerce")
    value = pd.to_numeric(cell.str[:5].str.strip().replace("", "-9999"))
    found = pd.DataFrame(
        {"id": months["id"], "time": date, "element": months["element"], "value": value, "flag": cell.str[6:7]}
    )
    return found[date.notna()]  # the 30th of February is a place in the line and no day


def _nothing() -> pd.DataFrame:
    columns = ["id", "time", "element", "value", "flag"]
    return pd.DataFrame(columns=columns).astype({"time": "datetime64[s]", "value": "float64"})
