"""Several models of the same sizes that answer together."""

from collections.abc import Sequence
from dataclasses import replace
from typing import cast

import torch
from torch import Tensor, nn

from latentode.nn.batch import Batch, Prediction
from latentode.nn.latent_ode import LatentODE, LatentODEConfig
from latentode.nn.likelihoods import GaussianLikelihood

__all__ = ["Ensemble", "Model", "members_of", "model_from"]


class Ensemble(nn.Module):
    """Models that were trained apart; each query is answered by the mean of their answers.

    What they say of their uncertainty is averaged too: the spread of an answer is as wide as theirs are on average, and
    lies about the common mean. (How far they differ among each other is no part of it, since they were calibrated one
    by one.) Counts, which are not calibrated, are the exception: they have the mixture of the members' distributions.

    Parameters
    ----------
    members : sequence of LatentODE
        Of the same sizes. The config of them together is theirs, with ``n_models``.

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
    def likelihood(self) -> GaussianLikelihood:
        """Of the first member: what it learned is in its predictions, and the rest is the same in all."""
        return members_of(self)[0].likelihood

    def predict(self, batch: Batch) -> Prediction:
        """The mean of the members' answers and of their scales, (series, query, channel)."""
        answers = [member.predict(batch) for member in members_of(self)]
        mean = torch.stack([answer.mean for answer in answers]).mean(0)
        return Prediction(mean, torch.stack([answer.scale for answer in answers]).mean(0))

    def sample(self, batch: Batch, noise: Tensor) -> Prediction:
        """The answer along trajectories from several draws of z0, (sample, series, query, channel).

        Parameters
        ----------
        batch : Batch
            Histories and queries.
        noise : Tensor
            (sample, series, latent), standard normal. The members take the samples in turn.
        """
        members = members_of(self)
        centers = torch.stack([member.predict(batch).mean for member in members])
        moved = torch.zeros_like(centers) if self.likelihood.counts else centers.mean(0) - centers
        shape = (len(noise), *centers.shape[1:])
        mean, scale = centers.new_empty(shape), centers.new_empty(shape)
        for k, member in enumerate(members[: len(noise)]):
            drawn = member.sample(batch, noise[k :: len(members)])
            mean[k :: len(members)], scale[k :: len(members)] = drawn.mean + moved[k], drawn.scale
        return Prediction(mean, scale)


Model = LatentODE | Ensemble
"""What an estimator has fitted."""


def model_from(config: LatentODEConfig) -> Model:
    """A model of these sizes: one, or several that answer together."""
    alone = replace(config, n_models=1)
    return LatentODE(alone) if config.n_models == 1 else Ensemble([LatentODE(alone) for _ in range(config.n_models)])


def members_of(model: Model) -> Sequence[LatentODE]:
    """The models that answer together; of one alone itself."""
    return [cast(LatentODE, m) for m in model.members] if isinstance(model, Ensemble) else [model]
