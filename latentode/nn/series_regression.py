"""The linear response to known inputs: a regression for every series, with a prior learned from all series."""

import torch
from torch import Tensor, nn

from latentode.nn.features import INPUT_BOUND

__all__ = ["SeriesRegression"]

PRECISION = 10.0
"""Initial weight of the prior of a coefficient, in observations whose feature is 1."""

LOG_PRECISION = (-3.0, 12.0)


class SeriesRegression(nn.Module):
    """Ridge regression of each channel on known features, for every series by itself, towards learned coefficients.

    A series with few observations gets nearly the coefficients of the population, one with many its own. Prior mean and
    precision are trained with everything else, through the solution. This is the posterior mean of a linear model with
    random coefficients: how strongly one well answers to rain, or the amplitude and phase of a season at one station,
    are computed, where a recurrent network would have to learn how to estimate them.

    Parameters
    ----------
    n_channels, n_features : int
        Sizes.

    References
    ----------
    Laird & Ware (1982), Random-effects models for longitudinal data, equation 3.2.

    Examples
    --------
    >>> import torch
    >>> regression = SeriesRegression(n_channels=1, n_features=1)
    >>> feature, mask = torch.linspace(-1.0, 1.0, 1000)[None, :, None], torch.ones(1, 1000, 1)
    >>> round(regression(feature, 3 * feature + 5, mask).item(), 1)
    2.9
    """

    def __init__(self, n_channels: int, n_features: int) -> None:
        super().__init__()
        self.mean = nn.Parameter(torch.zeros(n_channels, n_features))
        # The last one is of the intercept, which takes up the level of a series; it is no part of the response.
        first = torch.cat([torch.full((n_channels, n_features), PRECISION), torch.ones(n_channels, 1)], dim=-1)
        self.log_precision = nn.Parameter(first.log())

    def forward(self, features: Tensor, values: Tensor, mask: Tensor) -> Tensor:
        """The coefficients of every series.

        Parameters
        ----------
        features : Tensor
            (series, row, feature), known of the rows.
        values, mask : Tensor
            (series, row, channel), scaled values, and 1 where they are observed.

        Returns
        -------
        Tensor
            (series, channel, feature); the response is ``features @ coefficients.mT``.
        """
        # In double precision: features may be as good as collinear, and a series may be all but decided by its prior.
        x = torch.nn.functional.pad(features, (0, 1), value=1.0).double()
        bounded = values.clamp(-INPUT_BOUND, INPUT_BOUND)
        unexplained = ((bounded - features @ self.mean.mT) * mask).double()
        observed = x.mT[:, None] * mask.mT[:, :, None]  # (series, channel, feature, row)
        prior = torch.diag_embed(self.log_precision.clamp(*LOG_PRECISION).double().exp())
        lower = torch.linalg.cholesky(observed @ x[:, None] + prior)
        found = torch.cholesky_solve((x.mT @ unexplained).mT[..., None], lower)[..., :-1, 0]
        return self.mean + found.to(self.mean.dtype)
