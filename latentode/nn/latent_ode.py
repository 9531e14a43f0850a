"""The latent ODE: encoder, dynamics, decoder and likelihood as one module."""

import math
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Generator, Tensor, nn

from latentode.nn.batch import Batch, Prediction
from latentode.nn.decoders import DecoderInputs
from latentode.nn.dynamics import LinearDynamics, MixedDynamics, MLPDynamics
from latentode.nn.encoders import Encoder, Encoding
from latentode.nn.flow import Dynamics, Grid
from latentode.nn.impulse_filters import ImpulseFilters
from latentode.nn.input_filters import InputFilters
from latentode.nn.mixed_likelihood import likelihood_from
from latentode.nn.model_decoders import MODEL_DECODERS
from latentode.nn.node_path import NodePath, path_on_nodes
from latentode.nn.series_regression import SeriesRegression

__all__ = ["DYNAMICS", "LatentODE", "LatentODEConfig", "Loss"]

LARGEST_INPUT = 1e4
"""Features that histories are regressed on are clipped here, hundreds of times beyond any that is meant: with larger
ones the prior would not count, and the normal equations of a series with few rows would have no solution."""

DYNAMICS = ("mlp", "mixed", "linear")
"""Dynamics by the name that ``LatentODEForecaster(dynamics=...)`` takes."""


@dataclass(frozen=True)
class LatentODEConfig:
    """Sizes and choices of a :class:`LatentODE`: all that is needed to rebuild it.

    Parameters
    ----------
    n_channels : int
        Channels of the data.
    usual_gap : float
        The median gap between rows, in spans.
    usual_change : sequence of float, optional
        (channel,), typical change of a channel over such a gap, in scaled units. Empty means 1 for each.
    log_beyond : float
        Magnitude of the latent state above which a skip decoder reads its logarithm, 0 for never.
    latent_dim, context_dim, hidden_dim : int
        Sizes of the latent state, of the context (constant along a trajectory), and of hidden layers.
    given_dim : int
        Features known at every time (seasons, known covariates), 0 for none.
    static_dim : int
        Static features of a series.
    control_dim : int
        Number of known covariates among them, which are also inputs of the dynamics.
    impulse_dim : int
        Number of impulses, which reach the model through :class:`~latentode.nn.impulse_filters.ImpulseFilters`.
    impulse_gap : float
        The typical time between two impulses of a series, in spans.
    filters : bool
        Whether encoder and decoder also read the known covariates smoothed over several time scales, see
        :class:`~latentode.nn.input_filters.InputFilters`.
    regression : bool
        Whether what is linear in the known covariates, also smoothed ones, is regressed out of each history, see
        :class:`~latentode.nn.series_regression.SeriesRegression`.
    n_steps : int
        Solver steps per span.
    method, adjoint : str
        Method and gradient of :func:`latentode.ode.solve`.
    encoder, dynamics, decoder, likelihood : str
        Keys of :data:`~latentode.nn.encoders.ENCODERS`, :data:`DYNAMICS`,
        :data:`~latentode.nn.model_decoders.MODEL_DECODERS` and :data:`~latentode.nn.likelihoods.LIKELIHOODS`; the
        likelihood may be a sequence of such keys, (channel,).
    anchor : {"end", "start"}
        The end of the history where the trajectory starts.
    summary : bool
        Whether the encoder reads a summary of the history as well as its rows.
    activation : str
        Of the first hidden layer of the ``"mlp"`` dynamics; the second is tanh.
    observation_std : float
        Of the ``"fixed"`` likelihood, in scaled units.
    center, unit : sequence of float, optional
        (channel,), ``value = center + unit * scaled``, for count likelihoods.
    variational : bool
        Whether z0 is drawn from q(z0 | history); otherwise it is the mean.
    n_models : int
        Members of the :class:`~latentode.nn.Ensemble`; 1 for a single model.
    """

    n_channels: int
    usual_gap: float
    usual_change: tuple[float, ...] = ()
    log_beyond: float = 0.0
    latent_dim: int = 16
    context_dim: int = 16
    hidden_dim: int = 64
    given_dim: int = 0
    static_dim: int = 0
    control_dim: int = 0
    impulse_dim: int = 0
    impulse_gap: float = 1.0
    filters: bool = False
    regression: bool = False
    n_steps: int = 6
    method: str = "rk4"
    adjoint: str = "discrete"
    encoder: str = "gru"
    dynamics: str = "mlp"
    decoder: str = "skip"
    likelihood: str | tuple[str, ...] = "gaussian"
    anchor: str = "end"
    summary: bool = True
    activation: str = "silu"
    observation_std: float = 0.01
    center: tuple[float, ...] = ()
    unit: tuple[float, ...] = ()
    variational: bool = True
    n_models: int = 1

    @property
    def likelihoods(self) -> tuple[str, ...]:
        """(channel,), the likelihood of each channel."""
        kind = self.likelihood
        return (kind,) * self.n_channels if isinstance(kind, str) else tuple(kind)

    def to_dict(self) -> dict[str, Any]:
        """The fields as plain values, for a file."""
        return asdict(self)


@dataclass(frozen=True)
class Loss:
    """The parts of the objective, each averaged over the targets.

    Parameters
    ----------
    total : Tensor
        (), negative ELBO per target.
    kl : Tensor
        (), Kullback-Leibler divergence of q(z0 | history) from the prior, per target.
    """

    total: Tensor
    kl: Tensor


class LatentODE(nn.Module):
    """A latent ODE whose trajectory starts at the end of the history or, as published, at its start.

    q(z0 | history) is Gaussian; dz/dt = f(z, context) carries z0 to the queries, forward into the future and
    backward into the history; the decoder turns z(t) into a distribution over the channels.

    Parameters
    ----------
    config : LatentODEConfig
        Sizes and choices.

    References
    ----------
    Chen et al. (2018), Neural ordinary differential equations, section 5; Rubanova et al. (2019).

    Examples
    --------
    >>> import torch
    >>> model = LatentODE(LatentODEConfig(n_channels=2, usual_gap=0.1))
    >>> batch = Batch(
    ...     times=torch.tensor([[-0.5, 0.0]]),
    ...     values=torch.zeros(1, 2, 2),
    ...     mask=torch.ones(1, 2, 2),
    ...     lengths=torch.tensor([2]),
    ...     query_times=torch.tensor([[0.2, 0.9, 0.4]]),
    ... )
    >>> model.predict(batch).mean.shape
    torch.Size([1, 3, 2])
    """

    def __init__(self, config: LatentODEConfig) -> None:
        super().__init__()
        self.config = config
        sizes = (config.n_channels, config.latent_dim, config.context_dim, config.hidden_dim)
        changes = config.usual_change or (1.0,) * config.n_channels
        filtered = config.filters and config.control_dim > 0
        self.filters = InputFilters(config.control_dim, config.context_dim, config.usual_gap) if filtered else None
        self.impulse_filters = _impulse_filters(config) if config.impulse_dim else None
        n_filtered = InputFilters.n_features(config.control_dim) if filtered else 0
        n_filtered += ImpulseFilters.n_features(config.impulse_dim)
        given_dim, n_inputs = config.given_dim + n_filtered, config.control_dim + n_filtered
        regressed = config.regression and n_inputs > 0
        self.regression = SeriesRegression(config.n_channels, n_inputs) if regressed else None
        self.encoder = Encoder(
            *sizes,
            usual_gap=config.usual_gap,
            usual_change=changes,
            history_encoder=config.encoder,
            backward=config.anchor == "start",
            summary=config.summary,
            given_dim=given_dim,
            static_dim=config.static_dim,
        )
        self.dynamics = _dynamics(config)
        self.decoder = MODEL_DECODERS[config.decoder](
            config.n_channels,
            config.latent_dim,
            config.context_dim,
            config.hidden_dim,
            usual_gap=config.usual_gap,
            given_dim=given_dim,
            log_beyond=config.log_beyond,
        )
        self.likelihood = likelihood_from(
            config.likelihood, config.n_channels, config.center, config.unit, config.observation_std
        )

    def trajectory(self, z0: Tensor, context: Tensor, batch: Batch) -> Tensor:
        """The latent state at every query, (series, query, latent).

        The grid has ``n_steps`` steps per span whatever the queries are, so that a prediction does not depend on
        the other queries.
        """
        times, reach, backward = batch.query_times, batch.reach, batch.backward
        if self.config.anchor == "start":
            # The trajectory starts at the first row, so that how far it goes depends on the histories of the batch.
            times = times - batch.times[:, :1]
            reach, backward = max(math.ceil(float(times.max()) - 1e-6), 1), bool((times < 0).any())
        grid = Grid(
            reach=reach,
            backward=backward,
            n_steps=self.config.n_steps,
            method=self.config.method,
            adjoint=self.config.adjoint,
            control=self._control(batch, reach, backward) if self.config.control_dim else None,
        )
        args = (context,) if self.config.context_dim else ()
        return self.dynamics.flow(z0, times, *args, grid=grid)

    def _control(self, batch: Batch, reach: int, backward: bool) -> NodePath:
        """The known covariates along the trajectory."""
        assert batch.knot_times is not None  # batches for models with covariates have knots
        assert batch.knots is not None
        start = batch.times[:, :1] if self.config.anchor == "start" else 0.0
        return path_on_nodes(batch.knot_times - start, batch.knots, self.config.n_steps, reach, backward)

    def decode(self, z0: Tensor, encoding: Encoding, batch: Batch) -> tuple[Tensor, Tensor]:
        """Mean and relative log scale at every query, from a latent state at the origin."""
        z = self.trajectory(z0, encoding.context, batch)
        near = self.decoder.neighbours(batch, self.encoder.usual_gap)
        known = DecoderInputs(encoding.context, encoding.level, encoding.summary, near, batch.query_given)
        mean, log_scale = self.decoder(z, known)
        return mean if batch.response is None else mean + batch.response, log_scale

    def encode(self, batch: Batch) -> Encoding:
        """q(z0 | history), context and level of every series."""
        encoding: Encoding = self.encoder(self._prepared(batch))
        return encoding

    def _encoded(self, batch: Batch) -> tuple[Encoding, Batch]:
        """The encoding, and the batch as the decoder reads it: prepared once, not for every draw of z0."""
        prepared = self._prepared(batch)
        encoding = self.encoder(prepared)
        # Now the context is known, at which the inputs of this series are filtered.
        filtered = self._filtered(batch, batch.query_times, encoding.context)
        return encoding, prepared.with_features(query_given=_beside(batch.query_given, filtered))

    def _prepared(self, batch: Batch) -> Batch:
        """The batch with filtered inputs, and with the response to its inputs taken out of the history."""
        n_rows = batch.times.shape[1]
        times = torch.cat([batch.times, batch.query_times], dim=1)
        filtered = self._filtered(batch, times, None)  # the context is not known yet: the same rates in all series
        given = _beside(batch.given, [x[:, :n_rows] for x in filtered])
        query_given = _beside(batch.query_given, [x[:, n_rows:] for x in filtered])
        batch = batch.with_features(given=given, query_given=query_given)
        if self.regression is None:
            return batch
        inputs, query_inputs = self._inputs(given), self._inputs(query_given)
        coefficients = self.regression(inputs, batch.values, batch.mask)
        values = (batch.values - inputs @ coefficients.mT) * batch.mask
        return batch.with_features(values=values, response=query_inputs @ coefficients.mT)

    def _inputs(self, given: Tensor | None) -> Tensor:
        """Known covariates and all that is filtered: all features of some times but the seasons, in between."""
        assert given is not None
        inputs = torch.cat([given[..., : self.config.control_dim], given[..., self.config.given_dim :]], dim=-1)
        return inputs.nan_to_num(0.0).clamp(-LARGEST_INPUT, LARGEST_INPUT)

    def _filtered(self, batch: Batch, times: Tensor, context: Tensor | None) -> list[Tensor]:
        """The known covariates and the impulses, filtered, at some times."""
        filtered = []
        if self.filters is not None:
            filtered.append(self.filters(batch.knot_times, batch.knots, times, context))
        if self.impulse_filters is not None:
            filtered.append(self.impulse_filters(batch.impulse_times, batch.impulses, times, context))
        return filtered

    def loss(self, batch: Batch, kl_weight: float, generator: Generator | None = None) -> Loss:
        """Negative ELBO, averaged over the targets.

        Parameters
        ----------
        batch : Batch
            With targets.
        kl_weight : float
            Weight of the Kullback-Leibler divergence, raised from 0 to its final value in training.
        generator : Generator, optional
            Source of the draws of z0.
        """
        if batch.targets is None or batch.target_mask is None:
            raise ValueError("a loss needs a batch with targets and target_mask")
        encoding, prepared = self._encoded(batch)
        z0, kl = encoding.mean, encoding.mean.new_zeros(())
        if self.config.variational:
            kl = _kl_from_standard_normal(encoding.mean, encoding.log_std).sum() / batch.target_mask.sum().clamp_min(1)
            noise = torch.randn(z0.shape, generator=generator, dtype=z0.dtype)  # a generator draws on the CPU only
            z0 = encoding.mean + encoding.log_std.exp() * noise.to(z0.device)
        mean, log_scale = self.decode(z0, encoding, prepared)
        misfit = (self.likelihood(mean, log_scale, batch.targets) * batch.target_mask).sum()
        return Loss(misfit / batch.target_mask.sum().clamp_min(1) + kl_weight * kl, kl)

    def predict(self, batch: Batch) -> Prediction:
        """Predict at the mean of q(z0 | history)."""
        return self.predictor(batch)()

    def predictor(self, batch: Batch) -> Callable[[], Prediction]:
        """Encode a batch once; each call of what is returned predicts, with the solver steps the model then has."""
        encoding, prepared = self._encoded(batch)

        def predict() -> Prediction:
            mean, log_scale = self.decode(encoding.mean, encoding, prepared)
            return Prediction(self.likelihood.location(mean), self.likelihood.scale(mean, log_scale))

        return predict

    def sample(self, batch: Batch, noise: Tensor) -> Prediction:
        """Predict along trajectories from several draws of z0, (sample, series, query, channel).

        Parameters
        ----------
        batch : Batch
            Histories and queries.
        noise : Tensor
            (sample, series, latent), standard normal; each draw gives one trajectory, coherent over channels
            and times. Ignored if the model is not variational.
        """
        encoding, prepared = self._encoded(batch)
        n, apart = len(noise), (len(noise), len(encoding.mean))
        if not self.config.variational:
            noise = torch.zeros_like(noise)
        z0 = (encoding.mean + encoding.log_std.exp() * noise).flatten(0, 1)
        mean, log_scale = self.decode(z0, encoding.tile(n), prepared.tile(n))
        location, scale = self.likelihood.location(mean), self.likelihood.scale(mean, log_scale)
        return Prediction(location.reshape(*apart, *mean.shape[1:]), scale.reshape(*apart, *mean.shape[1:]))


def _dynamics(config: LatentODEConfig) -> Dynamics:
    def network(dim: int) -> MLPDynamics:
        return MLPDynamics(
            dim,
            (config.hidden_dim, config.hidden_dim),
            (config.activation, "tanh"),  # tanh last: a bounded slope keeps z finite far beyond the horizon
            context_dim=config.context_dim,
            control_dim=config.control_dim,
        )

    match config.dynamics:
        case "mlp":
            return network(config.latent_dim)
        case "mixed":
            n_turning = 2 * (config.latent_dim // 4)
            if n_turning == 0:  # too small to split
                return network(config.latent_dim)
            return MixedDynamics(network(config.latent_dim - n_turning), LinearDynamics(n_turning, config.context_dim))
        case "linear":
            return LinearDynamics(config.latent_dim, config.context_dim)
    raise ValueError(f"dynamics={config.dynamics!r} must be one of {', '.join(DYNAMICS)}")


def _impulse_filters(config: LatentODEConfig) -> ImpulseFilters:
    return ImpulseFilters(config.impulse_dim, config.context_dim, config.usual_gap, config.impulse_gap)


def _beside(given: Tensor | None, filtered: list[Tensor]) -> Tensor | None:
    """Features of some times, with the filtered covariates after them; None where there is nothing."""
    parts = filtered if given is None else [given, *filtered]
    return torch.cat(parts, dim=-1) if parts else None


def _kl_from_standard_normal(mean: Tensor, log_std: Tensor) -> Tensor:
    return 0.5 * (mean.square() + (2 * log_std).exp() - 2 * log_std - 1)
