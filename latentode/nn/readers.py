"""What reads the rows of a history into one state per series: GRU, ODE-RNN, attention over observations."""

import torch
from torch import Tensor, nn

from latentode.nn.batch import Batch
from latentode.nn.features import INPUT_BOUND, Usual, log_gap, row_features, shifted
from latentode.nn.packing import Packing, packing
from latentode.nn.recurrence import Slope, last_states

__all__ = ["READERS", "AttentionReader", "BidirectionalGRUReader", "GRUReader", "ODERNNReader", "Reader"]

MOST_TOKENS = 512
"""Observations of a series that attention looks at: the latest ones."""


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


class BidirectionalGRUReader(Reader):
    """Two GRUs, one from each end, half of the state from each."""

    def __init__(self, n_channels: int, hidden_dim: int, given_dim: int = 0, backward: bool = False) -> None:
        super().__init__(n_channels, hidden_dim, given_dim, backward)
        half = hidden_dim // 2
        self.forth = nn.GRU(5 * n_channels + 2 + given_dim, hidden_dim - half, batch_first=True)
        self.back = nn.GRU(5 * n_channels + 2 + given_dim, half, batch_first=True)

    def forward(self, batch: Batch, usual: Usual) -> Tensor:
        """Read the rows in both directions."""
        both = (self.forth, _packed(batch)), (self.back, _packed(batch, backward=True))
        return torch.cat([last_states(gru, row_features(batch, usual, p.rows), p) for gru, p in both], dim=-1)


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


class AttentionReader(Reader):
    """Attention over observations: every (time, channel, value) is a token, every channel a question to all of them.

    A channel's slot gathers what bears on it from the tokens of all channels, then the slots read one another. The
    time grows with the number of observations, not with its square.

    References
    ----------
    Shukla & Marlin (2021), Multi-time attention networks; Yalavarthi et al. (2024), GraFITi (observations as tokens);
    Jaegle et al. (2021), Perceiver (few questions to many tokens).
    """

    n_heads = 4

    def __init__(self, n_channels: int, hidden_dim: int, given_dim: int = 0, backward: bool = False) -> None:
        super().__init__(n_channels, hidden_dim, given_dim, backward)
        width = max(hidden_dim // 8, 4) * self.n_heads // 2
        self.channel = nn.Embedding(n_channels, width)
        self.token = nn.Sequential(nn.Linear(width + 4 + given_dim, 2 * width), nn.SiLU(), nn.Linear(2 * width, width))
        self.slots = nn.Parameter(torch.randn(n_channels, width) * 0.3)
        self.nothing = nn.Parameter(torch.zeros(width))
        self.gather = _Attention(width, self.n_heads)
        self.mix = _Attention(width, self.n_heads)
        self.again = _Attention(width, self.n_heads)
        self.out = nn.Linear(n_channels * width, hidden_dim)

    def forward(self, batch: Batch, usual: Usual) -> Tensor:
        """Read the observations, a token each."""
        tokens, absent = self._tokens(batch, usual)
        slots = self.slots.expand(len(tokens), -1, -1)
        slots = self.gather(slots, tokens, absent)
        slots = self.mix(slots, slots, None)
        slots = self.again(slots, tokens, absent)
        state: Tensor = torch.tanh(self.out(slots.flatten(1)))
        return state

    def _tokens(self, batch: Batch, usual: Usual) -> tuple[Tensor, Tensor]:
        """The latest observations of each series, (series, token, width), and True where there is none."""
        n_series, n_rows, n_channels = batch.mask.shape
        before = shifted(batch.last_seen)
        previous = batch.times[..., None].expand_as(batch.mask).gather(1, before.clamp_min(0))
        since = (batch.times[..., None] - previous) * (before >= 0)
        seen = batch.mask.flatten(1) > 0
        count = seen.sum(1)
        n = int(count.clamp(1, MOST_TOKENS).max())
        # Cells in the order of time: the last n seen, by their rank from the end.
        rank = count[:, None] - seen.cumsum(1)
        place = torch.where(seen & (rank < n), rank, n)
        cells = torch.zeros(n_series, n + 1, dtype=torch.long, device=seen.device)
        cells = cells.scatter(1, place, torch.arange(n_rows * n_channels, device=seen.device).expand(n_series, -1))
        cells, absent = cells[:, :n], torch.arange(n, device=seen.device) >= count[:, None]
        row, channel = cells // n_channels, cells % n_channels
        age = log_gap(-batch.times.gather(1, row), usual.gap)
        gap = log_gap(since.flatten(1).gather(1, cells), usual.gap)
        value = batch.values.flatten(1).gather(1, cells).clamp(-INPUT_BOUND, INPUT_BOUND)
        recent = torch.exp(-age)
        parts = [self.channel(channel), torch.stack([value, age, gap, recent], dim=-1)]
        if batch.given is not None:
            parts.append(batch.given.gather(1, row[..., None].expand(-1, -1, self.given_dim)))
        tokens = self.token(torch.cat(parts, dim=-1))
        # One token that is always there: a series without observations has something to look at.
        nothing = self.nothing.expand(n_series, 1, -1)
        return torch.cat([nothing, tokens], 1), torch.cat([torch.zeros_like(absent[:, :1]), absent], 1)


class _Attention(nn.Module):
    """Attention and a small network, both added to what was there (Vaswani et al. 2017, normalised before)."""

    def __init__(self, width: int, n_heads: int) -> None:
        super().__init__()
        self.n_heads = n_heads
        self.norm, self.norm_other, self.norm_after = (nn.LayerNorm(width) for _ in range(3))
        self.ask, self.answer = nn.Linear(width, width), nn.Linear(width, 2 * width)
        self.out = nn.Linear(width, width)
        self.network = nn.Sequential(nn.Linear(width, 2 * width), nn.SiLU(), nn.Linear(2 * width, width))

    def forward(self, x: Tensor, other: Tensor, absent: Tensor | None) -> Tensor:
        """Questions (series, slot, width) to tokens (series, token, width), of which some are absent."""
        key, value = self.answer(self.norm_other(other)).chunk(2, dim=-1)
        ask, key, value = (self._heads(y) for y in (self.ask(self.norm(x)), key, value))
        allowed = None if absent is None else ~absent[:, None, None]
        found = nn.functional.scaled_dot_product_attention(ask, key, value, attn_mask=allowed)
        x = x + self.out(found.transpose(1, 2).flatten(2))
        y: Tensor = x + self.network(self.norm_after(x))
        return y

    def _heads(self, x: Tensor) -> Tensor:
        return x.reshape(*x.shape[:2], self.n_heads, -1).transpose(1, 2)


READERS: dict[str, type[Reader]] = {
    "gru": GRUReader,
    "bigru": BidirectionalGRUReader,
    "odernn": ODERNNReader,
    "attention": AttentionReader,
}
"""Readers by the name that ``LatentODEForecaster(encoder=...)`` takes."""


def _packed(batch: Batch, backward: bool = False) -> Packing:
    """The rows of the histories; one without any is read as one row in which nothing was observed."""
    return packing(batch.lengths.clamp_min(1), batch.times.shape[1], backward)
