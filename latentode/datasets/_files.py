"""Where the bundled files are, in an installed package and in a checkout."""

from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path

import pandas as pd


def find(dataset: str, filename: str) -> Traversable:
    """Find a bundled file: inside the installed package, else in the checkout's ``datasets/``.

    Raises
    ------
    FileNotFoundError
        If neither place holds the file, which means that the installation is incomplete.
    """
    packaged = files("latentode.datasets").joinpath("files", dataset, filename)
    if packaged.is_file():
        return packaged
    in_checkout = Path(__file__).resolve().parents[2] / "datasets" / dataset / filename
    if in_checkout.is_file():
        return in_checkout
    raise FileNotFoundError(
        f"the bundled file {dataset}/{filename} is missing: looked for {packaged} and {in_checkout}. "
        "Reinstall latentode."
    )


def read(dataset: str, filename: str, columns: list[str]) -> pd.DataFrame:
    """Read the named columns of a bundled ``csv.gz``, in the order requested."""
    with find(dataset, filename).open("rb") as packed:
        return pd.read_csv(packed, compression="gzip", usecols=columns)[columns]
