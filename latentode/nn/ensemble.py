"""Ensembles: several models of the same sizes whose predictions are averaged."""

from collections.abc import Sequence
from dataclasses import replace
from typing import cast

import torch
from torch import Tensor, nn

from latentode.nn.batch import Batch, Prediction
from latentode.nn.latent_ode import LatentODE, LatentODEConfig
from latentode.nn.mixed_likelihood import Likelihood
from latentode.nn.mixture import mixture_spread

__all__ = ["Ensemble", "Model", "members_of", "model_from"]


class Ensemble(nn.Module):
    """Models that were trained separately; their predictions are averaged.

    Scales are averaged too, around the common mean. The differences between the members do not widen them, because
    each member is calibrated alone. Count channels are not calibrated: their scale is that of the mixture of the
    members' distributions.

    Parameters
    ----------
    members : sequence of LatentODE
        Of the same sizes. The ensemble's config is theirs, with ``n_models``.

    References
    ----------
    Lakshminarayanan et al. (2017), Simple and scalable predictive uncertainty estimation using deep ensembles.

    Examples
    --------
    >>> from latentode.nn import Ensemble, LatentODE, LatentODEConfig
    >>> config = LatentODEConfig(n_channels=2, usual_gap=0.1)
    >>> Ensemble([LatentODE(config), LatentODE(config)]).config.n_models
    2
    """

    def __init__(self, members: Sequence[LatentODE]) -> None:
        super().__init__()
        self.config = replace(members[0].config, n_models=len(members))
        self.members = nn.ModuleList(members)

    @property
    def likelihood(self) -> Likelihood:
        """The likelihood of the first member: what differs between members is already in their predictions."""
        return members_of(self)[0].likelihood

    def predict(self, batch: Batch) -> Prediction:
        """The mean of the members' means and scales, (series, query, channel)."""
        predictions = [member.predict(batch) for member in members_of(self)]
        means, scales = torch.stack([p.mean for p in predictions]), torch.stack([p.scale for p in predictions])
        mean = means.mean(0)
        of_counts = torch.from_numpy(self.likelihood.of_counts).to(mean.device)
        return Prediction(mean, torch.where(of_counts, mixture_spread(means, scales, mean), scales.mean(0)))

    def sample(self, batch: Batch, noise: Tensor) -> Prediction:
        """Predict along trajectories from several draws of z0, (sample, series, query, channel).

        Parameters
        ----------
        batch : Batch
            Histories and queries.
        noise : Tensor
            (sample, series, latent), standard normal. The members take the samples in turn.
        """
        members = members_of(self)
        centers = torch.stack([member.predict(batch).mean for member in members])
        # Around the common mean, as in predict: differences between members must not widen the samples.
        moved = (centers.mean(0) - centers) * torch.from_numpy(~self.likelihood.of_counts).to(centers.device)
        shape = (len(noise), *centers.shape[1:])
        mean, scale = centers.new_empty(shape), centers.new_empty(shape)
        for k, member in enumerate(members[: len(noise)]):
            drawn = member.sample(batch, noise[k :: len(members)])
            mean[k :: len(members)], scale[k :: len(members)] = drawn.mean + moved[k], drawn.scale
        return Prediction(mean, scale)


Model = LatentODE | Ensemble
"""The fitted model of an estimator."""


def model_from(config: LatentODEConfig) -> Model:
    """Build a single model or an ensemble."""
    alone = replace(config, n_models=1)
    return LatentODE(alone) if config.n_models == 1 else Ensemble([LatentODE(alone) for _ in range(config.n_models)])


def members_of(model: Model) -> Sequence[LatentODE]:
    """The members of an ensemble, or the single model."""
    return [cast(LatentODE, m) for m in model.members] if isinstance(model, Ensemble) else [model]
