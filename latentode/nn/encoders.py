"""Encoders: from the rows of a history to a distribution over the latent state where the trajectory starts."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from latentode.nn.batch import Batch
from latentode.nn.features import INPUT_BOUND, N_SUMMARIES, TypicalScales, row_features, summary_of
from latentode.nn.gru import Slope, last_states
from latentode.nn.packing import Packing, packing

__all__ = ["ENCODERS", "Encoder", "Encoding", "GRUEncoder", "HistoryEncoder", "ODERNNEncoder"]


class HistoryEncoder(nn.Module):
    """Interface: ``history_encoder(batch, scales)`` returns (series, hidden), whatever the lengths of the histories.

    Parameters
    ----------
    n_channels, hidden_dim : int
        Sizes.
    given_dim : int
        Features known at every time, 0 for none.
    backward : bool
        Whether rows are read from the last to the first: a trajectory starts where the encoder ends.
    """

    def __init__(self, n_channels: int, hidden_dim: int, given_dim: int = 0, backward: bool = False) -> None:
        super().__init__()
        self.n_channels, self.hidden_dim, self.given_dim, self.backward = n_channels, hidden_dim, given_dim, backward

    def forward(self, batch: Batch, scales: TypicalScales) -> Tensor:
        """Encode the histories of a batch.

        Parameters
        ----------
        batch : Batch
            The histories.
        scales : TypicalScales
            Typical gap and changes of the data.

        Returns
        -------
        Tensor
            (series, hidden)
        """
        raise NotImplementedError


class GRUEncoder(HistoryEncoder):
    """The last state of a GRU over the observed rows only.

    References
    ----------
    Visiting only observed rows and giving the time since each channel was last seen follows Che et al. (2018), GRU-D.

    Examples
    --------
    >>> GRUEncoder(n_channels=3, hidden_dim=8).gru
    GRU(17, 8, batch_first=True)
    """

    def __init__(self, n_channels: int, hidden_dim: int, given_dim: int = 0, backward: bool = False) -> None:
        super().__init__(n_channels, hidden_dim, given_dim, backward)
        self.gru = nn.GRU(5 * n_channels + 2 + given_dim, hidden_dim, batch_first=True)

    def forward(self, batch: Batch, scales: TypicalScales) -> Tensor:
        """Encode the rows."""
        packed = _packed(batch, self.backward)
        return last_states(self.gru, row_features(batch, scales, packed.rows), packed)


class ODERNNEncoder(HistoryEncoder):
    """The ODE-RNN: between observations the state moves by a network's Euler step, at them by a GRU cell.

    Its inputs are values and masks only, as published; the gaps enter through the Euler steps.

    References
    ----------
    Rubanova, Chen & Duvenaud (2019), Latent ODEs for irregularly-sampled time series, algorithm 1.
    """

    def __init__(self, n_channels: int, hidden_dim: int, given_dim: int = 0, backward: bool = False) -> None:
        super().__init__(n_channels, hidden_dim, given_dim, backward)
        self.cell = nn.GRUCell(2 * n_channels + given_dim, hidden_dim)
        self.slope = nn.Sequential(nn.Linear(hidden_dim, hidden_dim), nn.Tanh(), nn.Linear(hidden_dim, hidden_dim))

    def forward(self, batch: Batch, scales: TypicalScales) -> Tensor:
        """Encode row by row, in time that grows with the number of rows."""
        packed = _packed(batch, self.backward)
        given = () if batch.given is None else (batch.given,)
        parts = (batch.values, batch.mask, *given)
        values, mask, *given_rows = (part.flatten(0, 1)[packed.rows] for part in parts)
        times = batch.times.flatten()[packed.rows]
        before = times[(packed.before - 1).clamp_min(0)]
        gaps = torch.where(packed.before > 0, times - before, 0.0).abs()
        rows = torch.cat([values.clamp(-INPUT_BOUND, INPUT_BOUND), mask, *given_rows], dim=-1)
        return last_states(self.cell, rows, packed, Slope(self.slope, gaps), read=mask.any(-1))


ENCODERS: dict[str, type[HistoryEncoder]] = {
    "gru": GRUEncoder,
    "odernn": ODERNNEncoder,
}
"""History encoders by the name that ``LatentODEForecaster(encoder=...)`` takes."""


@dataclass(frozen=True)
class Encoding:
    """The encoder's output for each series.

    Parameters
    ----------
    mean, log_std : Tensor
        (series, latent), the Gaussian q(z0 | history).
    context : Tensor
        (series, context), constant along the trajectory.
    level : Tensor
        (series, channel), the history's mean, shrunk towards the population's.
    summary : Tensor
        (series, channel, feature), of the history of each channel, see :class:`~latentode.nn.features.Summary`.
    """

    mean: Tensor
    log_std: Tensor
    context: Tensor
    level: Tensor
    summary: Tensor

    def tile(self, n: int) -> "Encoding":
        """The whole encoding n times over, one copy after the other."""
        return Encoding(*(x.repeat(n, *[1] * (x.dim() - 1)) for x in vars(self).values()))


class Encoder(nn.Module):
    """A history encoder, a summary of the history, and the layers that turn both into q(z0 | history).

    Parameters
    ----------
    n_channels : int
        Channels of a history.
    latent_dim, context_dim, hidden_dim : int
        Sizes of the latent state, of the context, and of the hidden layers.
    usual_gap : float
        The median gap between rows, in spans; gaps enter on a logarithmic scale around it.
    usual_change : sequence of float
        (channel,), the typical change of a channel over such a gap, the unit of rates of change.
    given_dim : int
        Features known at every time, 0 for none.
    static_dim : int
        Features of a series, 0 for none.
    history_encoder : {"gru", "odernn"}
        A key of :data:`ENCODERS`.
    backward : bool
        Whether rows are read from the last to the first.
    summary : bool
        Whether the summary is used.

    References
    ----------
    Rubanova, Chen & Duvenaud (2019), Latent ODEs for irregularly-sampled time series.
    """

    usual_gap: Tensor
    usual_change: Tensor

    def __init__(
        self,
        n_channels: int,
        latent_dim: int,
        context_dim: int,
        hidden_dim: int,
        usual_gap: float,
        usual_change: Sequence[float],
        given_dim: int = 0,
        static_dim: int = 0,
        history_encoder: str = "gru",
        backward: bool = False,
        summary: bool = True,
    ) -> None:
        super().__init__()
        self.latent_dim = latent_dim
        self.register_buffer("usual_gap", torch.tensor(usual_gap))
        self.register_buffer("usual_change", torch.tensor(usual_change))
        self.summary = summary
        self.history_encoder = ENCODERS[history_encoder](n_channels, hidden_dim, given_dim, backward)
        features = hidden_dim + (N_SUMMARIES * n_channels + 1 + given_dim) * summary + static_dim
        self.trunk = nn.Sequential(nn.Linear(features, hidden_dim), nn.SiLU())
        self.to_latent = nn.Linear(hidden_dim, 2 * latent_dim)
        self.to_context = nn.Sequential(nn.Linear(hidden_dim, context_dim), nn.Tanh()) if context_dim else None
        with torch.no_grad():
            # Start with a narrow posterior: a wide one would drown the signal in noise that must first be unlearned.
            self.to_latent.bias[latent_dim:].fill_(-3.0)

    def forward(self, batch: Batch) -> Encoding:
        """Encode the histories of a batch."""
        scales = TypicalScales(self.usual_gap, self.usual_change)
        state = self.history_encoder(batch, scales)
        summary = summary_of(batch, scales)
        static = () if batch.static is None else (batch.static,)
        seen = [state, *((summary.features,) if self.summary else ()), *static]
        hidden = self.trunk(torch.cat(seen, dim=-1))
        mean, log_std = self.to_latent(hidden).split(self.latent_dim, dim=-1)
        context = hidden.new_empty(len(hidden), 0) if self.to_context is None else self.to_context(hidden)
        return Encoding(mean, log_std.clamp(-8.0, 2.0), context, summary.mean, summary.channels)


def _packed(batch: Batch, backward: bool = False) -> Packing:
    """The rows of the histories; a history without rows counts as one row without observations."""
    return packing(batch.lengths.clamp_min(1), batch.times.shape[1], backward).to(batch.times.device)
