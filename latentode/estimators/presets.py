"""The published Latent ODE as parameters: the reference that the defaults are measured against."""

from typing import Any

__all__ = ["PUBLISHED"]

PUBLISHED: dict[str, Any] = {
    "encoder": "odernn",
    "dynamics": "mlp",
    "anchor": "start",
    "decoder": "linear",
    "likelihood": "fixed",
    "seasonality": None,
    "n_steps": 6,
    "kl_weight": 1.0,
    "stacking": False,
    "n_models": 1,
    "learning_rate": 1e-2,
}
"""Parameters that make :class:`~latentode.LatentODEForecaster` the Latent ODE of Rubanova et al. (2019).

An ODE-RNN reads the observations from the last to the first. The trajectory starts at the first. A linear layer decodes
the channels, and the likelihood has a fixed standard deviation of 0.01. Differences from the paper:

- The solver takes fixed steps in training instead of adaptive ones.
- The optimiser is AdamW with a weak weight decay instead of Adamax, and the weights are averaged.
- z(t0) is drawn once per training step instead of three times.
- Every training task has a random forecast origin.
- Sizes are chosen as by the estimator unless ``latent_dim`` and ``hidden_dim`` say otherwise.

Examples
--------
>>> from latentode import LatentODEForecaster
>>> forecaster = LatentODEForecaster(**PUBLISHED, latent_dim=15, hidden_dim=100)
>>> forecaster.decoder
'linear'
"""
