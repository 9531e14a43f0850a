"""A table of storms, and a model fitted to it in a moment."""

import pandas as pd
import pytest

from latentode.cli import main
from latentode.datasets import load_storms
from tests.cli.running import QUICK


@pytest.fixture(scope="module")
def storms() -> pd.DataFrame:
    df = load_storms(start=2021)[["id", "time", "wind", "pressure"]]
    first = df["id"].unique()[:6]  # fitted sooner than all of them, and by one model
    df = df[df["id"].isin([*first, "Ida-2021"])].reset_index(drop=True)
    return df.rename(columns={"id": "storm", "time": "when"})


@pytest.fixture(scope="module")
def table(storms, tmp_path_factory):
    path = tmp_path_factory.mktemp("data") / "storms.csv"
    storms.to_csv(path, index=False)
    return path


@pytest.fixture(scope="module")
def model(table):
    path = table.parent / "model"
    words = ["fit", str(table), "--id", "storm", "--time", "when", "--horizon", "3D", "--out", str(path), *QUICK]
    assert main(words) == 0
    return path
