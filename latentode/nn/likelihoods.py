"""Likelihoods: the distribution of an observation around the prediction."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import stats
from scipy.special import ndtr
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits, softplus

from latentode.nn.mixture import mixture_quantiles

__all__ = [
    "LIKELIHOODS",
    "BernoulliLikelihood",
    "FixedLikelihood",
    "GaussianLikelihood",
    "NegativeBinomialLikelihood",
    "PoissonLikelihood",
]

LOG_SCALES = (-6.0, 6.0)

MANY = 1e6
"""Counts beyond which a negative binomial is practically a gamma, and its own quantile function becomes inaccurate."""


class GaussianLikelihood(nn.Module):
    """A Gaussian with a learned scale per channel, and a second one that varies with the query.

    The mean is trained with a squared error in units of the first scale, weighted by the ratio of the first to the
    second. Distant queries count less than near ones, but never so little that the model stops fitting them, as it can
    under the second scale alone. The second scale is trained on the residuals, and is that of the predictions.

    Every likelihood keeps this contract: ``likelihood(mean, log_scale, targets)`` is the loss of each value, and
    ``location``, ``scale`` and ``quantiles`` say what is predicted; all in scaled units.

    Parameters
    ----------
    n_channels : int
        Number of channels.
    center, unit : sequence of float, optional
        (channel,), where scaled values come from: ``value = center + unit * scaled``; 0 and 1 unless given.
    std : float
        Of :class:`FixedLikelihood`, in scaled units.

    References
    ----------
    Seitzer et al. (2022), On the pitfalls of heteroscedastic uncertainty estimation (beta = 1/2).
    """

    counts = False
    """Whether values are counts or 0 and 1: such channels are not read in logarithms, nor calibrated."""

    bounds = (-math.inf, math.inf)
    """The least and the largest value possible."""

    support = "numbers"
    """What values can be, in words."""

    center: Tensor
    unit: Tensor

    def __init__(
        self, n_channels: int, center: Sequence[float] = (), unit: Sequence[float] = (), std: float = 0.01
    ) -> None:
        super().__init__()
        self.std = std
        self.log_scale = nn.Parameter(torch.full((n_channels,), math.log(0.5)))
        self.register_buffer("center", torch.tensor(tuple(center) or (0.0,) * n_channels), persistent=False)
        self.register_buffer("unit", torch.tensor(tuple(unit) or (1.0,) * n_channels), persistent=False)

    @staticmethod
    def supports(values: NDArray[np.float64]) -> NDArray[np.bool_]:
        """Which of some finite values, of any shape and in their own unit, are possible."""
        return np.ones(values.shape, dtype=bool)

    @property
    def of_counts(self) -> NDArray[np.bool_]:
        """(channel,), which channels are counts or 0 and 1."""
        return np.full(len(self.center), self.counts)

    def possible(self, values: NDArray[np.float64], whole: bool) -> NDArray[np.float64]:
        """Values in their own unit, (..., channel), without the rounding errors of scaling.

        Parameters
        ----------
        values : array of float
            (..., channel); NaN stays.
        whole : bool
            Whether they are values that may be observed, which are whole for counts; expected values need not be.
        """
        if not self.counts:
            return values
        found: NDArray[np.float64] = np.clip(np.rint(values) if whole else values, *self.bounds) + 0.0  # no -0
        return found

    def location(self, mean: Tensor) -> Tensor:
        """The expected value, from the output of the decoder, (series, query, channel)."""
        return mean

    def scale(self, mean: Tensor, log_scale: Tensor) -> Tensor:
        """Standard deviation of a prediction, from the decoder's relative one, (series, query, channel)."""
        return torch.exp(self.log_scale.detach() + log_scale).clamp_min(1e-4)

    def quantiles(self, location: Tensor, scale: Tensor, quantiles: NDArray[np.float64]) -> Tensor:
        """Quantiles of equal mixtures over the first axis.

        Parameters
        ----------
        location, scale : Tensor
            (component, row, channel).
        quantiles : array of float
            (quantile,), or (quantile, 1, channel).

        Returns
        -------
        Tensor
            (quantile, row, channel)
        """
        return mixture_quantiles(location, scale, quantiles)

    def drawn(self, location: NDArray[Any], scale: NDArray[Any], standard: NDArray[Any]) -> NDArray[Any]:
        """Draws from the predicted distribution, from standard normal numbers, all of one shape (..., channel)."""
        drawn: NDArray[Any] = location + scale * standard
        return drawn

    def forward(self, mean: Tensor, log_scale: Tensor, targets: Tensor) -> Tensor:
        """Negative log density of the targets, without its constant, (series, query, channel)."""
        own = self.log_scale.clamp(*LOG_SCALES)
        # The first term trains the mean and the scale of the channel, the second the scale of the query only.
        for_mean = 0.5 * _weight(log_scale) * ((targets - mean) * torch.exp(-own)).square() + own
        return for_mean + self._for_scale(mean, log_scale, targets)

    def _for_scale(self, mean: Tensor, log_scale: Tensor, targets: Tensor) -> Tensor:
        scale = self.scale(mean, log_scale)
        return 0.5 * ((targets - mean.detach()) / scale).square() + torch.log(scale)


class FixedLikelihood(GaussianLikelihood):
    """A Gaussian whose mean is trained with one known standard deviation; predictions have a learned one.

    References
    ----------
    Rubanova et al. (2019) use 0.01, which makes the objective a squared error with a faint prior.
    """

    def forward(self, mean: Tensor, log_scale: Tensor, targets: Tensor) -> Tensor:
        """Negative log density of the targets, without its constant, (series, query, channel)."""
        own = self.log_scale.clamp(*LOG_SCALES)
        error = targets - mean
        for_own = 0.5 * (error.detach() * torch.exp(-own)).square() + own
        return 0.5 * (error / self.std).square() + for_own + self._for_scale(mean, log_scale, targets)


def _weight(log_scale: Tensor) -> Tensor:
    """Weight of an error of the mean: smaller for large scales, but bounded, so that no query is given up."""
    return torch.exp(-log_scale.detach()).clamp(0.1, 10.0)


class _Counts(GaussianLikelihood):
    """Common parts of count likelihoods: the decoder works in scaled units, the density in counts."""

    counts = True
    bounds = (0.0, math.inf)
    support = "whole numbers from 0 up"

    @staticmethod
    def supports(values: NDArray[np.float64]) -> NDArray[np.bool_]:
        """Which of some finite values of any shape are counts."""
        counts: NDArray[np.bool_] = (values >= 0) & (values == np.round(values))
        return counts

    def scale(self, mean: Tensor, log_scale: Tensor) -> Tensor:
        """Standard deviation of a prediction, (series, query, channel)."""
        return (self._variance(self._rate(mean)).sqrt() / self.unit).clamp_min(1e-4)

    def location(self, mean: Tensor) -> Tensor:
        """The expected value, from the output of the decoder, (series, query, channel)."""
        return (self._rate(mean) - self.center) / self.unit

    def _natural(self, scaled: Tensor) -> Tensor:
        return self.center + self.unit * scaled

    def _rate(self, mean: Tensor) -> Tensor:
        """A positive rate, close to the decoder's output where that is well above 0."""
        # Softplus bends over about one unit. One wider than the mean would lift the rates of rare counts.
        unit = torch.minimum(self.unit, self.center.abs().clamp_min(1e-3)).clamp_min(1e-3)
        return unit * softplus(self._natural(mean) / unit) + 1e-6

    def _variance(self, rate: Tensor) -> Tensor:
        raise NotImplementedError

    def quantiles(self, location: Tensor, scale: Tensor, quantiles: NDArray[np.float64]) -> Tensor:
        """Quantiles of the family with the mean and the variance of the mixture, in scaled units."""
        rate = self._natural(location.mean(0)).numpy()
        spread = (scale.square().mean(0) + location.var(0, unbiased=False)).sqrt() * self.unit
        found = self._ppf(np.asarray(quantiles).reshape(len(quantiles), 1, -1), rate, spread.numpy() ** 2)
        return (torch.as_tensor(found, dtype=location.dtype) - self.center) / self.unit

    def drawn(self, location: NDArray[Any], scale: NDArray[Any], standard: NDArray[Any]) -> NDArray[Any]:
        """Counts drawn from the predicted distribution, in scaled units."""
        center, unit = self.center.numpy(), self.unit.numpy()
        found = self._ppf(ndtr(standard.astype(float)), center + unit * location, (unit * scale) ** 2)
        drawn: NDArray[Any] = (found - center) / unit
        return drawn

    @staticmethod
    def _ppf(quantiles: NDArray[Any], rate: NDArray[Any], variance: NDArray[Any]) -> NDArray[Any]:
        rate = np.maximum(rate, 1e-9)
        # The variance of a negative binomial is greater than that of a Poisson.
        variance = np.maximum(variance, rate * (1 + 1e-6))
        quantiles, rate, variance = np.broadcast_arrays(quantiles, rate, variance)
        found = np.empty(rate.shape)
        many = rate > MANY
        few = ~many
        size = rate[few] ** 2 / (variance[few] - rate[few])
        found[few] = stats.nbinom.ppf(quantiles[few], size, rate[few] / variance[few])
        shape = rate[many] ** 2 / variance[many]
        found[many] = np.round(stats.gamma.ppf(quantiles[many], shape, scale=rate[many] / shape))
        return found


class PoissonLikelihood(_Counts):
    """Counts whose variance is their mean."""

    def _variance(self, rate: Tensor) -> Tensor:
        return rate

    def forward(self, mean: Tensor, log_scale: Tensor, targets: Tensor) -> Tensor:
        """Negative log probability of the targets, without its constant, (series, query, channel)."""
        rate = self._rate(mean)
        return rate - self._natural(targets) * torch.log(rate)


class NegativeBinomialLikelihood(_Counts):
    """Counts that vary more than a Poisson: variance ``rate + rate**2 / size``, a learned size per channel."""

    def _size(self) -> Tensor:
        return torch.exp(-2 * self.log_scale.clamp(-4.0, 4.0))

    def _variance(self, rate: Tensor) -> Tensor:
        return rate + rate.square() / self._size()

    def forward(self, mean: Tensor, log_scale: Tensor, targets: Tensor) -> Tensor:
        """Negative log probability of the targets, (series, query, channel)."""
        rate, size, counts = self._rate(mean), self._size(), self._natural(targets).clamp_min(0.0)
        kept = torch.lgamma(counts + size) - torch.lgamma(size) - torch.lgamma(counts + 1)
        return -(kept + size * torch.log(size / (size + rate)) + counts * torch.log(rate / (size + rate)))


class BernoulliLikelihood(_Counts):
    """Channels of 0 and 1: the prediction is a probability."""

    bounds = (0.0, 1.0)
    support = "0 and 1"

    @staticmethod
    def supports(values: NDArray[np.float64]) -> NDArray[np.bool_]:
        """Which of some finite values of any shape are 0 or 1."""
        either: NDArray[np.bool_] = (values == 0) | (values == 1)
        return either

    def _logit(self, mean: Tensor) -> Tensor:
        # Slope 1 at one half: there the output of the decoder reads as a probability.
        return 4.0 * (self._natural(mean) - 0.5)

    def _rate(self, mean: Tensor) -> Tensor:
        return torch.sigmoid(self._logit(mean))

    def _variance(self, rate: Tensor) -> Tensor:
        return rate * (1 - rate)

    def forward(self, mean: Tensor, log_scale: Tensor, targets: Tensor) -> Tensor:
        """Negative log probability of the targets, (series, query, channel)."""
        return binary_cross_entropy_with_logits(self._logit(mean), self._natural(targets).clamp(0, 1), reduction="none")

    @staticmethod
    def _ppf(quantiles: NDArray[Any], rate: NDArray[Any], variance: NDArray[Any]) -> NDArray[Any]:
        found: NDArray[Any] = (quantiles > 1 - rate).astype(float)
        return found


LIKELIHOODS: dict[str, type[GaussianLikelihood]] = {
    "gaussian": GaussianLikelihood,
    "fixed": FixedLikelihood,
    "bernoulli": BernoulliLikelihood,
    "poisson": PoissonLikelihood,
    "negative_binomial": NegativeBinomialLikelihood,
}
"""Likelihoods by the name that ``LatentODEForecaster(likelihood=...)`` takes."""
