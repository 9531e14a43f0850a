"""
Fill missing values
===================

Two sensors measure one oscillator and drop out at different times. The model fills the missing values of one sensor
from the observations of both.
"""

import numpy as np
import pandas as pd
from matplotlib import pyplot as plt

from latentode import LatentODEForecaster

rng = np.random.default_rng(0)
n, rows = 60, 60
time = np.sort(rng.uniform(0, 10, (n, rows)), axis=1)
phase = 1.2 * time + rng.uniform(0, 6, (n, 1))
df = pd.DataFrame({"id": np.repeat(np.arange(n), rows), "time": time.ravel(), "a": np.sin(phase).ravel()})
df["b"] = np.cos(phase).ravel()
whole = df.copy()
hole = (df["id"] < 6) & df["time"].between(4, 7)
df.loc[hole, "b"] = np.nan
df.loc[rng.random(len(df)) < 0.3, "a"] = np.nan

filled = LatentODEForecaster(max_steps=600, random_state=0).fit(df).impute(df)
one = df["id"] == 3
_, ax = plt.subplots(figsize=(7, 3.5), layout="constrained")
ax.plot(whole["time"][one], whole["b"][one], color="#8C8C8C", lw=1, label="truth")
ax.plot(df["time"][one], df["b"][one], "o", ms=4, color="#222222", label="observed")
there = one & df["b"].isna()
ax.plot(filled["time"][there], filled["b"][there], "s", ms=4, mfc="none", color="#D55E00", label="filled")
ax.set(xlabel="time", title="Channel b, imputed from the observations of a and b")
ax.legend(frameon=False, ncols=3)
