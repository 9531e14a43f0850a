"""The model of the paper, as parameters of ours: what each choice of the default is measured against."""

from typing import Any

__all__ = ["PUBLISHED"]

PUBLISHED: dict[str, Any] = {
    "encoder": "odernn",
    "dynamics": "mlp",
    "summary": False,
    "anchor": "start",
    "context_dim": 0,
    "activation": "tanh",
    "decoder": "linear",
    "likelihood": "fixed",
    "observation_std": 0.01,
    "seasonality": None,
    "rhythm": False,
    "n_draws": 3,
    "dropout": 0.0,
    "averaging": 0.0,
    "n_models": 1,
    "weight_decay": 0.0,
    "learning_rate": 1e-2,
}
"""Parameters that make :class:`~latentode.LatentODEForecaster` the Latent ODE of Rubanova et al. (2019).

An ODE-RNN reads the observations from the last to the first, the trajectory starts at the first, a linear layer reads
the channels off it, three draws of z(t0) are taught with a fixed standard deviation of 0.01. What differs: the solver
has fixed steps in training instead of adaptive ones, the optimiser is AdamW without decay instead of Adamax, and a
task has a random origin; sizes are the estimator's unless ``latent_dim`` and ``hidden_dim`` say otherwise.

Examples
--------
>>> from latentode import LatentODEForecaster
>>> forecaster = LatentODEForecaster(**PUBLISHED, latent_dim=15, hidden_dim=100)
>>> forecaster.decoder
'linear'
"""
