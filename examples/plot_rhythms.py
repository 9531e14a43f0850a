"""
Periods of their own
====================

Variable stars: each has its own period, and a dozen nights hardly show its cycles. What the stars have in common (how
fast they turn, how far they swing) tells which of the many sinusoids through so few points is the likely one.
"""

import numpy as np
import pandas as pd
from matplotlib import pyplot as plt

from latentode import LatentODEForecaster
from latentode.plotting import plot_forecast

rng = np.random.default_rng(0)
n_stars, n_nights = 80, 18
nights = np.sort(rng.uniform(0, 60, (n_stars, n_nights)), axis=1)
period, phase = rng.uniform(8, 16, (n_stars, 1)), rng.uniform(0, 2 * np.pi, (n_stars, 1))
magnitude = rng.normal(12, 0.4, (n_stars, 1)) + 0.8 * np.sin(2 * np.pi * nights / period + phase)
magnitude += rng.normal(0, 0.05, magnitude.shape)
star = np.repeat([f"star {k}" for k in range(n_stars)], n_nights)
df = pd.DataFrame({"id": star, "time": nights.ravel(), "magnitude": magnitude.ravel()})

known = df["time"] < 40
forecaster = LatentODEForecaster(horizon=20, max_steps=300, random_state=0).fit(df[known])
figure, axes = plt.subplots(3, 1, figsize=(9, 7), layout="constrained")
names = ["star 0", "star 1", "star 2"]
plot_forecast(forecaster, names, held_out=df[~known], axes=axes)
figure.suptitle("Forty nights, of which a dozen were clear, and the twenty after them")
