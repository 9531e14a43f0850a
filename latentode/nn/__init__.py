"""Latent-ODE models: encoders, dynamics, decoders, likelihoods, and what composes them."""

from latentode.nn.batch import Batch, Prediction
from latentode.nn.chance import Dropout, InitialisedFrom, drawing_from
from latentode.nn.decoders import DECODERS, Decoder, Known, LinearDecoder, MLPDecoder, SkipDecoder
from latentode.nn.dynamics import LinearDynamics, MixedDynamics, MLPDynamics
from latentode.nn.encoders import Encoder, Encoding
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
from latentode.nn.mixture import mixture_quantiles
from latentode.nn.mlp_tape import ACTIVATIONS
from latentode.nn.readers import (
    READERS,
    GRUReader,
    ODERNNReader,
    Reader,
)

__all__ = [
    "ACTIVATIONS",
    "DECODERS",
    "DYNAMICS",
    "LIKELIHOODS",
    "READERS",
    "Batch",
    "BernoulliLikelihood",
    "Decoder",
    "Dropout",
    "Encoder",
    "Encoding",
    "Ensemble",
    "FixedLikelihood",
    "GRUReader",
    "GaussianLikelihood",
    "InitialisedFrom",
    "Known",
    "LatentODE",
    "LatentODEConfig",
    "LinearDecoder",
    "LinearDynamics",
    "Loss",
    "MLPDecoder",
    "MLPDynamics",
    "MixedDynamics",
    "Model",
    "NegativeBinomialLikelihood",
    "Neighbours",
    "ODERNNReader",
    "PoissonLikelihood",
    "Prediction",
    "Reader",
    "SkipDecoder",
    "drawing_from",
    "members_of",
    "mixture_quantiles",
    "model_from",
    "neighbours",
]
