"""Known inputs, filtered by a driven linear state space in closed form."""

import math

import torch
from torch import Tensor, nn

__all__ = ["FilterBank", "InputFilters", "initial_scales", "linear_recurrence"]

N_SCALES = 6
"""Time constants of each input."""

MOST_INPUTS = 4
"""Inputs that are filtered; of more, as many learned mixtures."""

LONGEST, SHORTEST_AT_MOST = 2.0, 0.1
"""Spans: the longest time constant at the start of training, and the shortest where the rows are sparse."""

FASTER = 3.0
"""Bound of the logarithm by which a context changes a rate."""


class FilterBank(nn.Module):
    """Rates, mixtures and gains of filters of several inputs over several time scales.

    Parameters
    ----------
    n_inputs : int
        Inputs of the filters.
    context_dim : int
        Size of the context that changes the rates of a series, 0 for none.
    scales : Tensor
        (scale,), time constants at the start of training, in spans.
    gain : Tensor
        (scale,), factors with which all features are of order one.
    """

    gain: Tensor

    def __init__(self, n_inputs: int, context_dim: int, scales: Tensor, gain: Tensor) -> None:
        super().__init__()
        n_mixed = min(n_inputs, MOST_INPUTS)
        self.mix = nn.Linear(n_inputs, n_mixed, bias=False) if n_inputs > MOST_INPUTS else None
        self.log_rate = nn.Parameter(-scales.log().repeat(n_mixed, 1))
        self.from_context = nn.Linear(context_dim, n_mixed * N_SCALES) if context_dim else None
        if self.from_context is not None:
            nn.init.zeros_(self.from_context.weight)
            nn.init.zeros_(self.from_context.bias)
        self.register_buffer("gain", gain, persistent=False)

    @staticmethod
    def n_features(n_inputs: int) -> int:
        """Number of filtered inputs."""
        return N_SCALES * min(n_inputs, MOST_INPUTS)

    def _mixed(self, inputs: Tensor) -> Tensor:
        """(series, knot, input, 1), the inputs or their mixtures."""
        return (inputs if self.mix is None else self.mix(inputs))[..., None]

    def _rates(self, context: Tensor | None) -> Tensor:
        """(series or 1, input, scale), in 1 / span."""
        if context is None or self.from_context is None:
            return self.log_rate.exp()[None]
        change = self.from_context(context).clamp(-FASTER, FASTER)
        return torch.exp(self.log_rate + change.unflatten(-1, self.log_rate.shape))


class InputFilters(FilterBank):
    """Known inputs smoothed over several time scales: dx/dt = rate(context) (B u(t) - x), solved exactly.

    u is piecewise constant between its own knots. So every pulse counts in full, wherever the rows and the queries lie,
    and the cost does not depend on a solver's grid. The response of many systems to an input is a combination of such
    filters (a water level after rain, a temperature after heating); the networks that read them form it.

    Parameters
    ----------
    n_inputs : int
        Known inputs.
    context_dim : int
        Size of the context that changes the rates of a series, 0 for none.
    typical_gap : float
        The typical gap between rows, in spans: the shortest time constant at the start of training.

    References
    ----------
    Gu, Goel & Re (2022), Efficiently modeling long sequences with structured state spaces (a diagonal state space).
    Box & Jenkins (1976), Time series analysis, chapter 10 (transfer functions).

    Examples
    --------
    >>> import torch
    >>> filters = InputFilters(n_inputs=1, context_dim=0, typical_gap=0.1)
    >>> knot_times, knots = torch.tensor([[0.0, 0.5]]), torch.tensor([[[1.0], [0.0]]])
    >>> filters(knot_times, knots, torch.tensor([[-1.0, 0.5, 9.0]])).shape
    torch.Size([1, 3, 6])
    """

    def __init__(self, n_inputs: int, context_dim: int, typical_gap: float) -> None:
        scales = initial_scales(min(typical_gap, SHORTEST_AT_MOST), LONGEST)
        # Smoothing shrinks noise by the root of the time constant.
        super().__init__(n_inputs, context_dim, scales, (1 + scales / typical_gap).sqrt())

    def forward(self, knot_times: Tensor, knots: Tensor, times: Tensor, context: Tensor | None = None) -> Tensor:
        """The filtered inputs at some times.

        Parameters
        ----------
        knot_times : Tensor
            (series, knot), rising, inf where padded.
        knots : Tensor
            (series, knot, input), each value holding until the next.
        times : Tensor
            (series, time), in any order.
        context : Tensor, optional
            (series, context), changes the rates of a series; without it all series have the same ones.

        Returns
        -------
        Tensor
            (series, time, feature), zero before the first knot.
        """
        if knots.shape[1] == 0:
            return knots.new_zeros(*times.shape, self.log_rate.numel())
        rate = self._rates(context)[:, None]  # (series, 1, input, scale)
        inputs = self._mixed(knots)
        real = torch.isfinite(knot_times)
        gaps = torch.where(real[:, 1:], knot_times.diff(dim=1), 0.0)[..., None, None]
        kept = torch.exp(-rate * gaps)
        reached = linear_recurrence(kept, (1 - kept) * inputs[:, :-1])  # x at every knot but the first
        at_knots = torch.cat([reached.new_zeros(len(knots), 1, *self.log_rate.shape), reached], dim=1)

        last = torch.searchsorted(knot_times.contiguous(), times.contiguous(), right=True) - 1
        started, last = last >= 0, last.clamp_min(0)
        begun = torch.where(real, knot_times, 0.0).gather(1, last)
        kept = torch.exp(-rate * (times - begun).clamp_min(0)[..., None, None])
        series = torch.arange(len(times), device=times.device)[:, None]
        x = kept * at_knots[series, last] + (1 - kept) * inputs[series, last]
        return torch.where(started[..., None, None], x * self.gain, 0.0).flatten(2)


def initial_scales(shortest: float, longest: float) -> Tensor:
    """Time constants at the start of training, (scale,), evenly spread in logarithms."""
    return torch.logspace(math.log10(shortest), math.log10(longest), N_SCALES)


def linear_recurrence(kept: Tensor, added: Tensor) -> Tensor:
    """Solve ``x[k] = kept[k] * x[k - 1] + added[k]`` from ``x[-1] = 0`` along the second dimension.

    Neighbours are combined in pairs, which gives a recurrence half as long; the even elements follow from the odd ones.
    The work is linear in the length, in as many rounds as its logarithm. Where ``kept`` is at most 1, so are all
    products of it, and nothing overflows.

    Parameters
    ----------
    kept, added : Tensor
        (series, step, ...); ``kept`` may be broadcast to ``added``.

    Returns
    -------
    Tensor
        (series, step, ...)

    References
    ----------
    Blelloch (1990), Prefix sums and their applications.

    Examples
    --------
    >>> import torch
    >>> linear_recurrence(torch.full((1, 4), 0.5), torch.ones(1, 4))
    tensor([[1.0000, 1.5000, 1.7500, 1.8750]])
    """
    n = added.shape[1]
    if n < 2:
        return added
    kept = kept.expand_as(added)
    paired = n - n % 2
    first, second = slice(0, paired, 2), slice(1, paired, 2)
    odd = linear_recurrence(kept[:, second] * kept[:, first], kept[:, second] * added[:, first] + added[:, second])
    later = slice(2, None, 2)
    even = torch.cat([added[:, :1], kept[:, later] * odd[:, : (n - 1) // 2] + added[:, later]], dim=1)
    if n % 2:
        odd = torch.cat([odd, torch.zeros_like(even[:, :1])], dim=1)
    return torch.stack([even, odd], dim=2).flatten(1, 2)[:, :n]
