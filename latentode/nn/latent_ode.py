"""The latent ODE: encoder, dynamics, decoder and likelihood as one module."""

from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Generator, Tensor, nn

from latentode.nn.batch import Batch, Prediction
from latentode.nn.decoders import SkipDecoder
from latentode.nn.dynamics import MLPDynamics
from latentode.nn.encoders import Encoding, GRUEncoder
from latentode.nn.features import neighbours
from latentode.nn.likelihoods import GaussianLikelihood
from latentode.ode import solve

__all__ = ["LatentODE", "LatentODEConfig", "Loss"]


@dataclass(frozen=True)
class LatentODEConfig:
    """Sizes and choices of a :class:`LatentODE`; enough to build it again.

    Parameters
    ----------
    n_channels : int
        Channels of the data.
    usual_gap : float
        The usual gap between rows, in spans.
    usual_change : sequence of float, optional
        (channel,), how far a channel usually moves in such a gap, in scaled units. Empty means 1 for each.
    latent_dim, context_dim, hidden_dim : int
        Sizes of the latent state, of the context that stays the same along a trajectory, and of hidden layers.
    season_dim : int
        Features of the seasons, 0 where there are none.
    n_steps : int
        Steps of the solver per span.
    method, adjoint : str
        Method and gradient of :func:`latentode.ode.solve`.
    variational : bool
        Whether z(t0) is drawn from q(z0 | history), or is its mean.
    dropout : float
        Dropout of encoder and decoder.
    """

    n_channels: int
    usual_gap: float
    usual_change: tuple[float, ...] = ()
    latent_dim: int = 16
    context_dim: int = 16
    hidden_dim: int = 64
    season_dim: int = 0
    n_steps: int = 6
    method: str = "rk4"
    adjoint: str = "discrete"
    variational: bool = True
    dropout: float = 0.0

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for a file."""
        return asdict(self)


@dataclass(frozen=True)
class Loss:
    """The parts of the objective, each averaged over what was asked.

    Parameters
    ----------
    total : Tensor
        (), negative ELBO per observation asked.
    kl : Tensor
        (), Kullback-Leibler divergence of q(z0 | history) from the prior, per observation asked.
    """

    total: Tensor
    kl: Tensor


class LatentODE(nn.Module):
    """A latent ODE whose trajectory starts at the end of the history.

    q(z0 | history) is Gaussian; dz/dt = f(z, context) carries z0 to the queries, forward into the future and
    backward into the history; the decoder turns z(t) into a Gaussian over the channels.

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
        seen: dict[str, Any] = {"season_dim": config.season_dim, "dropout": config.dropout}
        self.encoder = GRUEncoder(*sizes, usual_gap=config.usual_gap, usual_change=changes, **seen)
        self.dynamics = MLPDynamics(
            config.latent_dim, (config.hidden_dim, config.hidden_dim), "silu", context_dim=config.context_dim
        )
        self.decoder = SkipDecoder(*sizes, usual_gap=config.usual_gap, **seen)
        self.likelihood = GaussianLikelihood(config.n_channels)

    def trajectory(self, z0: Tensor, context: Tensor, batch: Batch) -> Tensor:
        """The latent state at every query, (series, query, latent).

        The grid has ``n_steps`` steps a span whatever the queries are, so that an answer does not depend on
        what else is asked.
        """
        reach = float(batch.reach)
        solution = solve(
            self.dynamics,
            z0,
            batch.query_times,
            t0=0.0,
            t1=reach,
            t_back=-reach if batch.looks_back else 0.0,
            args=(context,),
            method=self.config.method,
            n_steps=self.config.n_steps * batch.reach,
            adjoint=self.config.adjoint,
            watch=False,
        )
        return solution.z

    def decode(self, z0: Tensor, encoding: Encoding, batch: Batch) -> tuple[Tensor, Tensor]:
        """Mean and relative log scale at every query, from a latent state at the origin."""
        z = self.trajectory(z0, encoding.context, batch)
        near = neighbours(batch, self.encoder.usual_gap)
        mean, log_scale = self.decoder(z, encoding.context, encoding.level, near, batch.query_seasons)
        return mean, log_scale

    def loss(self, batch: Batch, kl_weight: float, generator: Generator | None = None) -> Loss:
        """Negative ELBO, averaged over the observations asked.

        Parameters
        ----------
        batch : Batch
            With targets.
        kl_weight : float
            Weight of the Kullback-Leibler divergence, raised from 0 to its final value in training.
        generator : Generator, optional
            Where the draws of z0 come from.
        """
        if batch.targets is None or batch.target_mask is None:
            raise ValueError("a loss needs a batch with targets and target_mask")
        encoding = self.encoder(batch)
        z0, kl = encoding.mean, encoding.mean.new_zeros(())
        asked = batch.target_mask.sum().clamp_min(1)
        if self.config.variational:
            noise = torch.randn(z0.shape, generator=generator, dtype=z0.dtype, device=z0.device)
            z0 = encoding.mean + encoding.log_std.exp() * noise
            kl = _kl_from_standard_normal(encoding.mean, encoding.log_std).sum() / asked
        mean, log_scale = self.decode(z0, encoding, batch)
        misfit = (self.likelihood(mean, log_scale, batch.targets) * batch.target_mask).sum() / asked
        return Loss(misfit + kl_weight * kl, kl)

    def predict(self, batch: Batch) -> Prediction:
        """The answer at the mean of q(z0 | history)."""
        encoding = self.encoder(batch)
        mean, log_scale = self.decode(encoding.mean, encoding, batch)
        return Prediction(mean, self.likelihood.scale(log_scale))

    def sample(self, batch: Batch, noise: Tensor) -> Prediction:
        """The answer along trajectories from several draws of z0, (sample, series, query, channel).

        Parameters
        ----------
        batch : Batch
            Histories and queries.
        noise : Tensor
            (sample, series, latent), standard normal; each draw gives one trajectory, coherent over channels
            and times. A deterministic latent takes no notice of it.
        """
        encoding = self.encoder(batch)
        n, apart = len(noise), (len(noise), len(encoding.mean))
        if not self.config.variational:
            noise = torch.zeros_like(noise)
        z0 = (encoding.mean + encoding.log_std.exp() * noise).flatten(0, 1)
        many = Encoding(*(_tile(x, n) for x in (encoding.mean, encoding.log_std, encoding.context, encoding.level)))
        mean, log_scale = self.decode(z0, many, batch.tile(n))
        scale = self.likelihood.scale(log_scale)
        return Prediction(mean.reshape(*apart, *mean.shape[1:]), scale.reshape(*apart, *scale.shape[1:]))


def _tile(x: Tensor, n: int) -> Tensor:
    return x.repeat(n, *[1] * (x.ndim - 1))


def _kl_from_standard_normal(mean: Tensor, log_std: Tensor) -> Tensor:
    return 0.5 * (mean.square() + (2 * log_std).exp() - 2 * log_std - 1)
