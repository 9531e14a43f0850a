import numpy as np
import pandas as pd
import pytest

from latentode import LatentODEForecaster
from latentode.datasets import make_spirals
from tests.estimators import tiny
from tests.plotting.small import quick


@pytest.fixture(scope="module")
def spirals() -> pd.DataFrame:
    df = make_spirals(n_series=8, n_points=12, random_state=0)
    df.loc[3, "y"] = np.nan
    return df


@pytest.fixture(scope="module")
def early(spirals) -> pd.DataFrame:
    return spirals[spirals.groupby("id").cumcount() < 8]


@pytest.fixture(scope="module")
def late(spirals) -> pd.DataFrame:
    return spirals[spirals.groupby("id").cumcount() >= 8]


@pytest.fixture(scope="module")
def forecaster(early) -> LatentODEForecaster:
    return quick(early, n_models=None)  # three


@pytest.fixture(scope="module")
def small_model():
    with tiny.checks_every(4):
        return tiny.quick(max_steps=12).fit(tiny.waves(8, 10))
