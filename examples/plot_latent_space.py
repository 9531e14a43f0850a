"""
Latent trajectories and dynamics
================================

The data are noisy spirals of two kinds. The plots show the latent trajectories around the end of each history, and
the dynamics f as arrows.
"""

from matplotlib import pyplot as plt

from latentode import LatentODEForecaster
from latentode.datasets import make_spirals
from latentode.plotting import plot_latent

df = make_spirals(n_series=80, n_points=40, random_state=0)
forecaster = LatentODEForecaster(dynamics="mlp", latent_dim=4, max_steps=400, random_state=0).fit(df)
figure, axes = plt.subplots(1, 2, figsize=(9, 4), layout="constrained")
plot_latent(forecaster, series=range(8), axes=axes)
figure.suptitle("Dots: the end of each history")
