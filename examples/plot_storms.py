"""
Storm tracks with records dropped
=================================

Half of the records of each storm are dropped; of three storms never seen in fit the first half is known, and two days
ahead are forecast.
"""

import numpy as np
from matplotlib import pyplot as plt

from latentode import LatentODEForecaster
from latentode.datasets import load_storms
from latentode.plotting import plot_forecast

rng = np.random.default_rng(0)
df = load_storms(start=1995)
df = df[rng.random(len(df)) < 0.5]
names = df.groupby("id").size().loc[lambda n: n > 25].index[:3]
train, test = df[~df["id"].isin(names)], df[df["id"].isin(names)]
forecaster = LatentODEForecaster(horizon="48h", max_steps=300, random_state=0).fit(train)

begin, end = (test.groupby("id")["time"].transform(how) for how in ("min", "max"))
past = test["time"] <= begin + 0.5 * (end - begin)
figure, axes = plt.subplots(3, 4, figsize=(11, 7), layout="constrained")
plot_forecast(forecaster, names, history=test[past], held_out=test[~past], horizon="48h", axes=axes)
figure.suptitle("Three storms, two days ahead")
