"""The PhysioNet 2012 challenge: 48 hours of intensive care, from the raw files in a folder the user has."""

import warnings
from pathlib import Path
from typing import Literal, overload

import numpy as np
import pandas as pd

from latentode.datasets._reading import require_files

__all__ = ["load_physionet2012"]

STATIC = ("Age", "Gender", "Height", "ICUType")
"""Descriptors given once, at admission. Weight is one too, and a channel besides."""


@overload
def load_physionet2012(
    folder: str | Path, *, return_static: Literal[False] = ..., max_stays: int | None = ...
) -> pd.DataFrame: ...


@overload
def load_physionet2012(
    folder: str | Path, *, return_static: Literal[True], max_stays: int | None = ...
) -> tuple[pd.DataFrame, pd.DataFrame]: ...


def load_physionet2012(
    folder: str | Path, *, return_static: bool = False, max_stays: int | None = None
) -> pd.DataFrame | tuple[pd.DataFrame, pd.DataFrame]:
    """Read the stays of the PhysioNet/Computing in Cardiology Challenge 2012.

    Download and unpack ``set-a``, ``set-b`` and ``set-c`` (one text file per stay) from
    https://physionet.org/content/challenge-2012/; every file below the folder whose name is a record number is read.

    Parameters
    ----------
    folder : str or Path
        Where the files are, or their folders.
    return_static : bool
        Whether to give the descriptors at admission too.
    max_stays : int, optional
        Read the first so many stays, in the order of their numbers.

    Returns
    -------
    frame : DataFrame
        A row per stay and time: ``id`` (record number), ``time`` (hours since admission) and a column per variable
        measured (HR, Lactate, ...; 37 in all three sets, Weight among them), NaN where it was not. Of two values of
        one variable at one minute the mean is taken. Units are those of the challenge.
    static : DataFrame
        Only with ``return_static``: by record number, ``Age``, ``Gender`` (1 male), ``Height`` and ``ICUType``; NaN
        where the files say -1.

    Raises
    ------
    FileNotFoundError
        When the folder holds no stay.
    ValueError
        When a file is not in the challenge's format; the message names it.

    Warns
    -----
    UserWarning
        When rows named no variable or no value and were left out: how many.

    References
    ----------
    Silva et al. (2012), Predicting in-hospital mortality of ICU patients. Computing in Cardiology 39.

    Examples
    --------
    >>> frame = load_physionet2012("set-a")  # doctest: +SKIP
    """
    files = require_files(folder, "[0-9]*.txt", "stays of the PhysioNet 2012 challenge, such as set-a/132539.txt")
    files = sorted((f for f in files if f.stem.isdigit()), key=lambda f: int(f.stem))[:max_stays]
    if not files:
        raise FileNotFoundError(f"{folder} holds no file named by a record number, such as 132539.txt")
    rows = pd.concat([_stay(file) for file in files], ignore_index=True)
    empty = rows["Parameter"].isna() | rows["Value"].isna()
    if empty.any():
        warnings.warn(f"{int(empty.sum())} rows without a variable or a value were left out", stacklevel=2)
        rows = rows[~empty]
    at_admission = rows["Parameter"].isin(STATIC)
    static = _wide(rows[at_admission], ["id"]).reindex(columns=list(STATIC))
    static = static.reindex([int(f.stem) for f in files]).where(lambda x: x != -1)
    static.index.name = "id"
    measured = rows[~at_admission & (rows["Parameter"] != "RecordID")]
    measured = measured[~((measured["Parameter"] == "Weight") & (measured["Value"] == -1))]
    frame = _wide(measured, ["id", "time"]).reset_index()
    return (frame, static) if return_static else frame


def _stay(file: Path) -> pd.DataFrame:
    try:
        rows = pd.read_csv(file, dtype={"Time": str, "Parameter": str}, na_values=[""])
        clock = rows["Time"].str.extract(r"^(\d+):(\d\d)$").astype(float)
        rows["Value"] = rows["Value"].astype(float)
    except (KeyError, ValueError, pd.errors.ParserError) as cause:
        raise ValueError(
            f"{file} is no stay of the challenge: {cause}; expected lines of Time,Parameter,Value"
        ) from cause
    if clock.isna().any(axis=None):
        wrong = rows.loc[clock.isna().any(axis=1), "Time"].iloc[0]
        raise ValueError(f"{file} is no stay of the challenge: time {wrong!r} is not of the form hh:mm")
    return rows.assign(id=int(file.stem), time=clock[0] + clock[1] / 60)[["id", "time", "Parameter", "Value"]]


def _wide(rows: pd.DataFrame, keys: list[str]) -> pd.DataFrame:
    wide = rows.pivot_table("Value", keys, "Parameter", aggfunc="mean", sort=True)
    wide.columns.name = None
    return wide.astype(np.float64)
