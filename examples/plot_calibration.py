"""
Calibration: coverage of the prediction intervals
=================================================

The right plot compares the coverage of the prediction intervals with their level, on patients that neither training
nor calibration has seen. The left plot shows the training.
"""

import numpy as np
from matplotlib import pyplot as plt

from latentode import LatentODEForecaster
from latentode.datasets import load_pbc
from latentode.plotting import plot_calibration, plot_training

df = load_pbc()
ids = np.random.default_rng(0).permutation(df["id"].unique())
train, test = df[df["id"].isin(ids[:200])], df[df["id"].isin(ids[200:])]
forecaster = LatentODEForecaster(max_steps=400, random_state=0).fit(train)
middle = test.groupby("id")["time"].transform("median")
figure, (left, right) = plt.subplots(1, 2, figsize=(9, 4), layout="constrained")
plot_training(forecaster, left)
plot_calibration(forecaster, test[test["time"] > middle], test[test["time"] <= middle], ax=right)
