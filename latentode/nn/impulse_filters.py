"""Impulses, filtered by a linear state space in closed form."""

from dataclasses import replace

import torch
from torch import Tensor, nn

from latentode.nn.batch import Batch
from latentode.nn.input_filters import N_SCALES, SHORTEST_AT_MOST, FilterBank, initial_scales, linear_recurrence

__all__ = ["ImpulseFeatures", "ImpulseFilters"]

FASTER_THAN_ROWS, LONGEST = 3.0, 1.0
"""The time constants at the start of training: from a third of the gap between rows to one span. The course between an
impulse and the next row matters, such as the absorption of a dose; with the scales of the levels, which are up to three
times slower, the median error on simulated oral doses was a quarter larger."""


class ImpulseFilters(FilterBank):
    """Amounts given at instants, decaying over several time scales: dx/dt = -rate(context) x, solved exactly.

    At an instant, x jumps by B a, with the amounts a of that instant. It acts strictly afterwards: a measurement of the
    same time counts as taken before. A combination of such x is the response of a linear system to a dose, for instance
    the concentrations of a compartment model.

    Parameters
    ----------
    n_inputs : int
        Kinds of impulses.
    context_dim : int
        Size of the context that changes the rates of a series, 0 for none.
    typical_gap : float
        The typical gap between rows, in spans; the shortest time constant at the start of training is a third of it.
    impulse_gap : float
        The typical time between two impulses of a series, in spans.

    References
    ----------
    Gibaldi & Perrier (1982), Pharmacokinetics, chapter 2 (sums of exponentials after single and repeated doses).

    Examples
    --------
    >>> import torch
    >>> filters = ImpulseFilters(n_inputs=1, context_dim=0, typical_gap=0.1, impulse_gap=1.0)
    >>> instants, amounts = torch.tensor([[0.0, 0.5]]), torch.tensor([[[1.0], [1.0]]])
    >>> found = filters(instants, amounts, torch.tensor([[0.0, 0.5, 9.0]]))
    >>> found.shape, bool((found[:, 0] == 0).all())
    (torch.Size([1, 3, 6]), True)
    """

    def __init__(self, n_inputs: int, context_dim: int, typical_gap: float, impulse_gap: float) -> None:
        scales = initial_scales(min(typical_gap, SHORTEST_AT_MOST) / FASTER_THAN_ROWS, LONGEST)
        # Amounts of one sign add up instead of cancelling: repeated at this gap, x settles around scale / gap. A single
        # one leaves x at or below its amount. With this factor both are of order one.
        super().__init__(n_inputs, context_dim, scales, 1 / (1 + scales / impulse_gap))

    def forward(self, instants: Tensor, amounts: Tensor, times: Tensor, context: Tensor | None = None) -> Tensor:
        """What is left of the impulses at some times.

        Parameters
        ----------
        instants : Tensor
            (series, impulse), rising, inf where padded.
        amounts : Tensor
            (series, impulse, input).
        times : Tensor
            (series, time), in any order.
        context : Tensor, optional
            (series, context), changes the rates of a series; without it all series have the same ones.

        Returns
        -------
        Tensor
            (series, time, feature), zero up to and at the first instant.
        """
        if amounts.shape[1] == 0:
            return amounts.new_zeros(*times.shape, self.log_rate.numel())
        rate = self._rates(context)[:, None]  # (series, 1, input, scale)
        real = torch.isfinite(instants)
        jumps = torch.where(real[..., None, None], self._mixed(amounts), 0.0)
        gaps = nn.functional.pad(torch.where(real[:, 1:], instants.diff(dim=1), 0.0), (1, 0))
        kept = torch.exp(-rate * gaps[..., None, None])
        after = linear_recurrence(kept, jumps.expand_as(kept))  # x just after every instant

        last = torch.searchsorted(instants.detach().contiguous(), times.detach().contiguous()) - 1
        started, last = last >= 0, last.clamp_min(0)
        since = times - torch.where(real, instants, 0.0).gather(1, last)
        series = torch.arange(len(times), device=times.device)[:, None]
        x = torch.exp(-rate * since.clamp_min(0)[..., None, None]) * after[series, last]
        return torch.where(started[..., None, None], x * self.gain, 0.0).flatten(2)


class ImpulseFeatures(nn.Module):
    """What is left of impulses, over fixed time scales and for each kind by itself, as features of a linear model.

    Parameters
    ----------
    n_inputs : int
        Kinds of impulses.
    typical_gap, impulse_gap : float
        As of :class:`ImpulseFilters`.
    """

    def __init__(self, n_inputs: int, typical_gap: float, impulse_gap: float) -> None:
        super().__init__()
        self.n_inputs = n_inputs
        self.filters = ImpulseFilters(1, 0, typical_gap, impulse_gap).requires_grad_(requires_grad=False)

    @property
    def n_features(self) -> int:
        """Number of features."""
        return N_SCALES * self.n_inputs

    def beside(self, batch: Batch) -> Batch:
        """A batch with the features before all else that is known of its rows and queries."""
        return replace(
            batch,
            given=self._appended(batch, batch.given, batch.times),
            query_given=self._appended(batch, batch.query_given, batch.query_times),
        )

    def _appended(self, batch: Batch, given: Tensor | None, times: Tensor) -> Tensor:
        assert batch.impulse_times is not None  # where a model knows impulses, batches hold them
        assert batch.impulses is not None
        found = [self.filters(batch.impulse_times, one[..., None], times) for one in batch.impulses.unbind(-1)]
        return torch.cat(found if given is None else [*found, given], dim=-1)
