"""
Daily and weekly seasons
========================

The data are a quarter of the hourly weather records of three airports, over ten weeks. The model finds the periods in
the dates by itself: the day and the week.
"""

import numpy as np
from matplotlib import pyplot as plt

from latentode import LatentODEForecaster
from latentode.datasets import load_airports
from latentode.plotting import plot_forecast

df = load_airports().query("time < '2013-03-15'")
df = df[np.random.default_rng(0).random(len(df)) < 0.25]
known = df["time"] < "2013-03-10"
forecaster = LatentODEForecaster(target_cols=["temperature", "humidity"], horizon="4D", max_steps=300, random_state=0)
forecaster.fit(df[known])
print("periods, in days:", [round(p / 86_400, 2) for p in forecaster.seasons_.periods])
recent = df[known & (df["time"] > "2013-03-05")]
figure, axes = plt.subplots(3, 2, figsize=(9, 7), layout="constrained")
plot_forecast(forecaster, history=recent, held_out=df[~known], axes=axes)
figure.suptitle("Five days of history, and the forecast")
