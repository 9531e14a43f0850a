"""What reads the rows of a history into one state per series: GRU or ODE-RNN."""

import torch
from torch import Tensor, nn

from latentode.nn.batch import Batch
from latentode.nn.features import INPUT_BOUND, Usual, row_features
from latentode.nn.packing import Packing, packing
from latentode.nn.recurrence import Slope, last_states

__all__ = ["READERS", "GRUReader", "ODERNNReader", "Reader"]


class Reader(nn.Module):
    """The contract: ``reader(batch, usual)`` gives (series, hidden), whatever the lengths of the histories.

    Parameters
    ----------
    n_channels, hidden_dim : int
        Sizes.
    given_dim : int
        Features given of any time, 0 where there are none.
    backward : bool
        Whether rows are read from the last to the first: a trajectory starts where reading ends.
    """

    def __init__(self, n_channels: int, hidden_dim: int, given_dim: int = 0, backward: bool = False) -> None:
        super().__init__()
        self.n_channels, self.hidden_dim, self.given_dim, self.backward = n_channels, hidden_dim, given_dim, backward

    def forward(self, batch: Batch, usual: Usual) -> Tensor:
        """Read the histories of a batch.

        Parameters
        ----------
        batch : Batch
            The histories.
        usual : Usual
            What is ordinary in the data.

        Returns
        -------
        Tensor
            (series, hidden)
        """
        raise NotImplementedError


class GRUReader(Reader):
    """The last state of a GRU over the observed rows only.

    References
    ----------
    Visiting only observed rows and giving the time since each channel was last seen follows Che et al. (2018), GRU-D.

    Examples
    --------
    >>> GRUReader(n_channels=3, hidden_dim=8).gru
    GRU(17, 8, batch_first=True)
    """

    def __init__(self, n_channels: int, hidden_dim: int, given_dim: int = 0, backward: bool = False) -> None:
        super().__init__(n_channels, hidden_dim, given_dim, backward)
        self.gru = nn.GRU(5 * n_channels + 2 + given_dim, hidden_dim, batch_first=True)

    def forward(self, batch: Batch, usual: Usual) -> Tensor:
        """Read the rows."""
        packed = _packed(batch, self.backward)
        return last_states(self.gru, row_features(batch, usual, packed.rows), packed)


class ODERNNReader(Reader):
    """The ODE-RNN: between observations the state moves by a network's Euler step, at them by a GRU cell.

    It reads values and masks alone, as published; the gaps are in the steps.

    References
    ----------
    Rubanova, Chen & Duvenaud (2019), Latent ODEs for irregularly-sampled time series, algorithm 1.
    """

    def __init__(self, n_channels: int, hidden_dim: int, given_dim: int = 0, backward: bool = False) -> None:
        super().__init__(n_channels, hidden_dim, given_dim, backward)
        self.cell = nn.GRUCell(2 * n_channels + given_dim, hidden_dim)
        self.slope = nn.Sequential(nn.Linear(hidden_dim, hidden_dim), nn.Tanh(), nn.Linear(hidden_dim, hidden_dim))

    def forward(self, batch: Batch, usual: Usual) -> Tensor:
        """Read row by row, in time that grows with the rows."""
        packed = _packed(batch, self.backward)
        given = () if batch.given is None else (batch.given,)
        parts = (batch.values, batch.mask, *given)
        values, mask, *given_rows = (part.flatten(0, 1)[packed.rows] for part in parts)
        times = batch.times.flatten()[packed.rows]
        before = times[(packed.before - 1).clamp_min(0)]
        gaps = torch.where(packed.before > 0, times - before, 0.0).abs()
        rows = torch.cat([values.clamp(-INPUT_BOUND, INPUT_BOUND), mask, *given_rows], dim=-1)
        return last_states(self.cell, rows, packed, Slope(self.slope, gaps), read=mask.any(-1))


READERS: dict[str, type[Reader]] = {
    "gru": GRUReader,
    "odernn": ODERNNReader,
}
"""Readers by the name that ``LatentODEForecaster(encoder=...)`` takes."""


def _packed(batch: Batch, backward: bool = False) -> Packing:
    """The rows of the histories; one without any is read as one row in which nothing was observed."""
    return packing(batch.lengths.clamp_min(1), batch.times.shape[1], backward)
