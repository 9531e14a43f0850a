"""Latent-ODE models: encoders, dynamics, decoders, likelihoods, and what composes them."""

from latentode.nn.batch import Batch, Prediction
from latentode.nn.chance import Dropout, InitialisedFrom, drawing_from
from latentode.nn.decoders import DECODERS, Decoder, HeadsDecoder, Known, LinearDecoder, MLPDecoder, SkipDecoder
from latentode.nn.dynamics import GatedDynamics, LinearDynamics, MixedDynamics, MLPDynamics, SecondOrderDynamics
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
    StudentTLikelihood,
)
from latentode.nn.mixture import mixture_quantiles
from latentode.nn.mlp_tape import ACTIVATIONS
from latentode.nn.readers import (
    READERS,
    AttentionReader,
    BidirectionalGRUReader,
    GRUReader,
    ODERNNReader,
    Reader,
)
from latentode.nn.rhythm import Rhythm, Wave
from latentode.nn.rhythm_priors import learn_priors

__all__ = [
    "ACTIVATIONS",
    "DECODERS",
    "DYNAMICS",
    "LIKELIHOODS",
    "READERS",
    "AttentionReader",
    "Batch",
    "BernoulliLikelihood",
    "BidirectionalGRUReader",
    "Decoder",
    "Dropout",
    "Encoder",
    "Encoding",
    "Ensemble",
    "FixedLikelihood",
    "GRUReader",
    "GatedDynamics",
    "GaussianLikelihood",
    "HeadsDecoder",
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
    "Rhythm",
    "SecondOrderDynamics",
    "SkipDecoder",
    "StudentTLikelihood",
    "Wave",
    "drawing_from",
    "learn_priors",
    "members_of",
    "mixture_quantiles",
    "model_from",
    "neighbours",
]
