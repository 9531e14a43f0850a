"""A forecaster of a few steps, for tests of pictures."""

import pandas as pd

from latentode import LatentODEForecaster


def quick(df: pd.DataFrame, **params) -> LatentODEForecaster:
    return LatentODEForecaster(**{"max_steps": 5, "n_models": 1, "random_state": 0, "verbose": False, **params}).fit(df)
