"""
Labs at irregular visits
========================

Four patients, a few visits each, seven labs of which some are missing: the future with its uncertainty.
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
figure.suptitle("Visits held out are squares")
