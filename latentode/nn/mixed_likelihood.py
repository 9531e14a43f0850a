"""A likelihood whose channels have distributions of different kinds."""

from collections.abc import Sequence
from typing import Any, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from latentode.nn.likelihoods import LIKELIHOODS, GaussianLikelihood

__all__ = ["Likelihood", "MixedLikelihood", "likelihood_from"]


class MixedLikelihood(nn.Module):
    """A likelihood of its own for each channel; it keeps the contract of :class:`GaussianLikelihood`.

    Parameters
    ----------
    kinds : sequence of str
        (channel,), keys of :data:`~latentode.nn.likelihoods.LIKELIHOODS`. The order of the channels is free.
    center, unit : sequence of float, optional
        (channel,), where scaled values come from.
    std : float
        Of the ``"fixed"`` channels, in scaled units.

    Examples
    --------
    >>> likelihood = MixedLikelihood(["gaussian", "poisson"], (0.0, 3.0), (1.0, 2.0))
    >>> likelihood.of_counts
    array([False,  True])
    >>> likelihood.possible(np.array([[-0.5, -0.5]]), whole=True)
    array([[-0.5,  0. ]])
    """

    def __init__(
        self, kinds: Sequence[str], center: Sequence[float] = (), unit: Sequence[float] = (), std: float = 0.01
    ) -> None:
        super().__init__()
        names = sorted(set(kinds))
        self.channels = [[k for k, kind in enumerate(kinds) if kind == name] for name in names]
        # Results come kind by kind; taken in this order they are back in the order of the channels.
        self.order = np.argsort(np.concatenate(self.channels))
        self.parts = nn.ModuleList(
            LIKELIHOODS[name](len(mine), [center[k] for k in mine if center], [unit[k] for k in mine if unit], std)
            for name, mine in zip(names, self.channels, strict=True)
        )

    @property
    def of_counts(self) -> NDArray[np.bool_]:
        """(channel,), which channels are counts or 0 and 1."""
        return self._placed([part.of_counts for part, _ in self._each()])

    def possible(self, values: NDArray[np.float64], whole: bool) -> NDArray[np.float64]:
        """Values in their own unit, (..., channel), without the rounding errors of scaling."""
        return self._placed([part.possible(values[..., mine], whole) for part, mine in self._each()])

    def location(self, mean: Tensor) -> Tensor:
        """The expected value, from the output of the decoder, (series, query, channel)."""
        return self._joined([part.location(mean[..., mine]) for part, mine in self._each()])

    def scale(self, mean: Tensor, log_scale: Tensor) -> Tensor:
        """Standard deviation of a prediction, from the decoder's relative one, (series, query, channel)."""
        return self._joined([part.scale(mean[..., mine], log_scale[..., mine]) for part, mine in self._each()])

    def quantiles(self, location: Tensor, scale: Tensor, quantiles: NDArray[np.float64]) -> Tensor:
        """Quantiles of equal mixtures over the first axis, (quantile, row, channel); levels (quantile, 1, channel)."""
        found = [
            part.quantiles(location[..., mine], scale[..., mine], quantiles[..., mine]) for part, mine in self._each()
        ]
        return self._joined(found)

    def drawn(self, location: NDArray[Any], scale: NDArray[Any], standard: NDArray[Any]) -> NDArray[Any]:
        """Draws from the predicted distribution, from standard normal numbers, all of one shape (..., channel)."""
        found = [part.drawn(*(x[..., mine] for x in (location, scale, standard))) for part, mine in self._each()]
        return self._placed(found)

    def forward(self, mean: Tensor, log_scale: Tensor, targets: Tensor) -> Tensor:
        """Negative log density of the targets, (series, query, channel)."""
        found = [part(*(x[..., mine] for x in (mean, log_scale, targets))) for part, mine in self._each()]
        return self._joined(found)

    def _each(self) -> list[tuple[GaussianLikelihood, list[int]]]:
        """Each kind and its channels."""
        return list(zip((cast(GaussianLikelihood, part) for part in self.parts), self.channels, strict=True))

    def _joined(self, found: list[Tensor]) -> Tensor:
        return torch.cat(found, -1)[..., self.order]

    def _placed(self, found: list[NDArray[Any]]) -> NDArray[Any]:
        placed: NDArray[Any] = np.concatenate(found, -1)[..., self.order]
        return placed


Likelihood = GaussianLikelihood | MixedLikelihood
"""The likelihood of a model."""


def likelihood_from(
    kind: str | Sequence[str], n_channels: int, center: Sequence[float], unit: Sequence[float], std: float
) -> Likelihood:
    """Build the likelihood of a model: one kind for all channels, or one for each."""
    if isinstance(kind, str):
        return LIKELIHOODS[kind](n_channels, center, unit, std)
    return MixedLikelihood(kind, center, unit, std)
