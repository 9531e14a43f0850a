"""
Calibration: coverage of the prediction intervals
=================================================

The plots compare the coverage of the prediction intervals with their level, on patients that neither training nor
calibration has seen: for all lead times together, and by lead time. The bars say how much of a deviation may be chance,
given that values of one patient lie within their intervals, or beside them, together.
"""

import numpy as np

from latentode import LatentODEForecaster
from latentode.datasets import load_pbc
from latentode.plotting import plot_calibration

df = load_pbc()
ids = np.random.default_rng(0).permutation(df["id"].unique())
train, test = df[df["id"].isin(ids[:200])], df[df["id"].isin(ids[200:])]
forecaster = LatentODEForecaster(max_steps=400, random_state=0).fit(train)
middle = test.groupby("id")["time"].transform("median")
plot_calibration(forecaster, test[test["time"] > middle], test[test["time"] <= middle])
