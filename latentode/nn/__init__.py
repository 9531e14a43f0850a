"""Latent-ODE models: encoders, dynamics, decoders, likelihoods, and what composes them."""

from latentode.nn.batch import Batch, Prediction
from latentode.nn.decoders import SkipDecoder
from latentode.nn.dynamics import MLPDynamics
from latentode.nn.encoders import Encoding, GRUEncoder
from latentode.nn.features import Neighbours, neighbours
from latentode.nn.latent_ode import LatentODE, LatentODEConfig, Loss
from latentode.nn.likelihoods import GaussianLikelihood

__all__ = [
    "Batch",
    "Encoding",
    "GRUEncoder",
    "GaussianLikelihood",
    "LatentODE",
    "LatentODEConfig",
    "Loss",
    "MLPDynamics",
    "Neighbours",
    "Prediction",
    "SkipDecoder",
    "neighbours",
]
