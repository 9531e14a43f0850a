"""Latent-ODE models: encoders, dynamics, decoders, likelihoods, and what composes them."""

from latentode.nn.batch import Batch, Prediction
from latentode.nn.decoders import DECODERS, Decoder, DecoderInputs, LinearDecoder, MLPDecoder, SkipDecoder
from latentode.nn.dynamics import LinearDynamics, MixedDynamics, MLPDynamics
from latentode.nn.encoders import ENCODERS, Encoder, Encoding, GRUEncoder, HistoryEncoder, ODERNNEncoder
from latentode.nn.ensemble import Ensemble, Model, members_of, model_from
from latentode.nn.features import Neighbours, neighbours
from latentode.nn.latent_ode import DYNAMICS, LatentODE, LatentODEConfig, Loss
from latentode.nn.likelihoods import (
    LIKELIHOODS,
    BernoulliLikelihood,
    FixedLikelihood,
    GaussianLikelihood,
    NegativeBinomialLikelihood,
    PoissonLikelihood,
)
from latentode.nn.mixed_likelihood import Likelihood, MixedLikelihood
from latentode.nn.mixture import mixture_quantiles
from latentode.nn.mlp_vjp import ACTIVATIONS
from latentode.nn.random import InitialisedFrom

__all__ = [
    "ACTIVATIONS",
    "DECODERS",
    "DYNAMICS",
    "ENCODERS",
    "LIKELIHOODS",
    "Batch",
    "BernoulliLikelihood",
    "Decoder",
    "DecoderInputs",
    "Encoder",
    "Encoding",
    "Ensemble",
    "FixedLikelihood",
    "GRUEncoder",
    "GaussianLikelihood",
    "HistoryEncoder",
    "InitialisedFrom",
    "LatentODE",
    "LatentODEConfig",
    "Likelihood",
    "LinearDecoder",
    "LinearDynamics",
    "Loss",
    "MLPDecoder",
    "MLPDynamics",
    "MixedDynamics",
    "MixedLikelihood",
    "Model",
    "NegativeBinomialLikelihood",
    "Neighbours",
    "ODERNNEncoder",
    "PoissonLikelihood",
    "Prediction",
    "SkipDecoder",
    "members_of",
    "mixture_quantiles",
    "model_from",
    "neighbours",
]
