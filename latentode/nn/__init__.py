"""Latent-ODE models: encoders, dynamics, decoders, likelihoods, and what composes them."""

from latentode.nn.batch import Batch, Prediction
from latentode.nn.decoders import DECODERS, Decoder, DecoderInputs, LinearDecoder, MLPDecoder, SkipDecoder
from latentode.nn.devices import ACCELERATORS, DeviceCopy, device_of, on_device
from latentode.nn.dynamics import LinearDynamics, MixedDynamics, MLPDynamics
from latentode.nn.encoders import ENCODERS, Encoder, Encoding, GRUEncoder, HistoryEncoder, ODERNNEncoder
from latentode.nn.ensemble import Ensemble, Model, members_of, model_from
from latentode.nn.features import Neighbours, neighbours
from latentode.nn.gaussian_process import GaussianProcess
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
from latentode.nn.mixture import mixture_quantiles, mixture_spread
from latentode.nn.mlp_vjp import ACTIVATIONS
from latentode.nn.model_decoders import MODEL_DECODERS
from latentode.nn.process_draws import ProcessDraws
from latentode.nn.random import InitialisedFrom
from latentode.nn.stacking import Stacked, Stacking, StackingConfig

__all__ = [
    "ACCELERATORS",
    "ACTIVATIONS",
    "DECODERS",
    "DYNAMICS",
    "ENCODERS",
    "LIKELIHOODS",
    "MODEL_DECODERS",
    "Batch",
    "BernoulliLikelihood",
    "Decoder",
    "DecoderInputs",
    "DeviceCopy",
    "Encoder",
    "Encoding",
    "Ensemble",
    "FixedLikelihood",
    "GRUEncoder",
    "GaussianLikelihood",
    "GaussianProcess",
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
    "ProcessDraws",
    "SkipDecoder",
    "Stacked",
    "Stacking",
    "StackingConfig",
    "device_of",
    "members_of",
    "mixture_quantiles",
    "mixture_spread",
    "model_from",
    "neighbours",
    "on_device",
]
