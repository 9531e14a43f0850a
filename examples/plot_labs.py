"""
Forecast patients' lab values
=============================

Four patients have visits at irregular times. Seven labs are measured, some of them missing at some visits. The plots
show three labs, with their forecasts and prediction intervals.
"""

from matplotlib import pyplot as plt

from latentode import LatentODEForecaster
from latentode.datasets import load_pbc
from latentode.plotting import plot_forecast

df = load_pbc()
late = df["time"] > 0.66 * df.groupby("id")["time"].transform("max")
forecaster = LatentODEForecaster(max_steps=300, random_state=0).fit(df[~late])
figure, axes = plt.subplots(4, 3, figsize=(9, 8), layout="constrained")
plot_forecast(forecaster, [2, 5, 12, 15], ["bili", "albumin", "platelet"], held_out=df[late], axes=axes)
figure.suptitle("Squares: held-out visits")
