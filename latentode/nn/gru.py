"""A GRU over rows of several lengths, with its gradient by hand; between rows the state may move along a slope.

Recorded by autograd, a recurrence costs some thirty operators a step, most of which cut and join small matrices. Here
a step is seven operators forward and three back: the inputs of all steps are projected at once, all factors of the
gradient that do not depend on it are formed at once, and so are the gradients of the weights, by one product each.

With s(x) the logistic function, tanh x = 2 s(2x) - 1, and on a CPU s takes a third of the time. So the state kept is
y = (h + 1) / 2, the factors 2 are folded into weights and biases, and a step of the GRU

    r, u = s(W x + V h + b),    c = tanh(W x + b + r (V h + d)),    h' = c + u (h - c)

becomes the same with s in the place of tanh. The slope between rows is a network of one hidden layer, and its step
Euler's: h + gap (V2 tanh(V1 h + b1) + b2).
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from latentode.nn.packing import Packing

__all__ = ["Slope", "last_states"]

KEPT = 100.0
"""Added to the update gate of a row that is not to be read: s(100) is 1, and the state stays."""


class Slope(NamedTuple):
    """How the state moves before each row is read.

    Parameters
    ----------
    network : Sequential
        Linear, Tanh, Linear.
    gaps : Tensor
        (row,), packed, how far; nothing flows back into it.
    """

    network: nn.Sequential
    gaps: Tensor


def last_states(
    cell: nn.GRU | nn.GRUCell, rows: Tensor, packed: Packing, slope: Slope | None = None, read: Tensor | None = None
) -> Tensor:
    """Run a GRU over each series, and return its state after the last row.

    Parameters
    ----------
    cell : GRU or GRUCell
        Whose weights; one layer, one direction.
    rows : Tensor
        (row, feature), packed.
    packed : Packing
        Which row is whose.
    slope : Slope, optional
        What moves the state between the rows; None where nothing does.
    read : Tensor, optional
        (row,), packed: False where the state moves, but the row is not read. None reads all.

    Returns
    -------
    Tensor
        (series, hidden)

    References
    ----------
    Cho et al. (2014), Learning phrase representations using RNN encoder-decoder.
    Rubanova, Chen & Duvenaud (2019), Latent ODEs for irregularly-sampled time series, algorithm 1.

    Examples
    --------
    >>> import torch
    >>> from latentode.nn.packing import packing
    >>> gru, lengths = torch.nn.GRU(3, 4, batch_first=True), torch.tensor([5, 2])
    >>> packed = packing(lengths, n_rows=5)
    >>> last_states(gru, torch.randn(2, 5, 3).flatten(0, 1)[packed.rows], packed).shape
    torch.Size([2, 4])
    """
    weights = tuple(cell.parameters())  # weights of the inputs, of the state, and their biases
    gaps = None
    if slope is not None:
        weights += tuple(slope.network.parameters())
        gaps = slope.gaps[:, None]
    states: Tensor = _Recurrence.apply(packed, gaps, read, rows, *weights)  # type: ignore[no-untyped-call]
    return states


class _Recurrence(torch.autograd.Function):
    """All steps, and their transpose."""

    @staticmethod
    def forward(
        ctx: Any, packed: Packing, gaps: Tensor | None, read: Tensor | None, rows: Tensor, *weights: Tensor
    ) -> Tensor:
        """Take the steps."""
        by_input, by_state, bias, bias_state, *slope = weights
        sizes, width = packed.sizes, by_state.shape[1]
        n_gates, total = 2 * width, by_state.sum(1)
        # h = 2 y - 1: the weights of the state are doubled, and their sum is taken off the bias. Those of the candidate
        # are doubled once more, for tanh x = 2 s(2x) - 1.
        folded = bias[:n_gates] + bias_state[:n_gates] - total[:n_gates]
        gates = torch.addmm(folded, rows, by_input[:n_gates].t())
        if read is not None:
            gates[:, width:].masked_fill_(~read[:, None], KEPT)
        candidates = torch.addmm(bias[n_gates:], rows, by_input[n_gates:].t()).mul_(2)
        recalled = torch.empty_like(candidates)
        states = rows.new_empty(1 + len(rows), width)
        to_gates, to_candidate = (2 * by_state[:n_gates]).t(), (4 * by_state[n_gates:]).t()
        bias_candidate = 2 * (bias_state[n_gates:] - total[n_gates:])
        euler = _EulerSteps(packed, gaps, slope) if gaps is not None else None
        y = rows.new_full((sizes[0], width), 0.5)
        for step, (gate, reset, update, candidate, recall, out) in enumerate(
            zip(
                torch.split(gates, sizes),
                torch.split(gates[:, :width], sizes),
                torch.split(gates[:, width:], sizes),
                torch.split(candidates, sizes),
                torch.split(recalled, sizes),
                torch.split(states[1:], sizes),
                strict=True,
            )
        ):
            y = y[: sizes[step]]
            if euler is not None:
                y = euler.move(step, y)
            gate.addmm_(y, to_gates).sigmoid_()
            torch.addmm(bias_candidate, y, to_candidate, out=recall)
            candidate.addcmul_(reset, recall).sigmoid_()
            y = torch.lerp(candidate, y, update, out=out)
        states[0] = 0.5
        ctx.packed, ctx.euler = packed, euler
        ctx.save_for_backward(rows, by_input, by_state, gates, candidates, recalled, states, *slope)
        return states[packed.ends + 1].mul_(2).sub_(1)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, g: Tensor) -> Any:
        """Sweep back over the steps: cotangents of the states first, then all other gradients."""
        rows, by_input, by_state, gates, candidates, recalled, states, *_ = ctx.saved_tensors
        packed, euler = ctx.packed, ctx.euler
        sizes, width = packed.sizes, by_state.shape[1]
        n_gates = 2 * width
        begin = states[packed.before]
        moved = begin if euler is None else euler.moved
        reset, update = gates[:, :width], gates[:, width:]
        # What a unit at y' gives to reset, update, and what is recalled, before their activations.
        factors = rows.new_empty(len(rows), 3, width)
        to_candidate = _through_sigmoid(1 - update, candidates)
        torch.mul(to_candidate, reset, out=factors[:, 2])
        torch.ops.aten.sigmoid_backward.grad_input(to_candidate * recalled, reset, grad_input=factors[:, 0])
        torch.ops.aten.sigmoid_backward.grad_input(moved - candidates, update, grad_input=factors[:, 1])
        cotangents = torch.zeros_like(candidates)
        cotangents[packed.ends] = 2 * g
        back = torch.cat([2 * by_state[:n_gates], 4 * by_state[n_gates:]])
        keeps = torch.split(update, sizes)
        cotangents_at, factors_at = torch.split(cotangents, sizes), torch.split(factors, sizes)
        pulled_at = torch.split(factors.flatten(1), sizes)
        into = rows.new_empty(sizes[0], width)
        for step in range(len(sizes) - 1, -1, -1):
            here = cotangents_at[step]
            if euler is None and step == 0:
                factors_at[0].mul_(here.unsqueeze(1))
                break
            factors_at[step].mul_(here.unsqueeze(1))
            # The longest series come first, so that those with a row at this step stand in front at the step before.
            to = cotangents_at[step - 1][: sizes[step]] if step else into
            torch.mul(here, keeps[step], out=to)
            to.addmm_(pulled_at[step], back)
            if euler is not None:
                euler.pull(step, to)
        of_candidates, pulled = to_candidate.mul_(cotangents), factors.flatten(1)
        of_gates = pulled[:, :n_gates]
        twice = rows.new_ones(3 * width)
        twice[n_gates:] = 2.0  # what was folded into the candidates
        total, by_bias = pulled.sum(0), torch.cat([of_gates.sum(0), of_candidates.sum(0)])
        # The products are formed transposed: with few features that is several times faster.
        by_input_t = torch.cat([rows.t() @ of_gates, rows.t() @ of_candidates], 1) * twice
        by_state_t = torch.addmm(total, moved.t(), pulled, beta=-1, alpha=2) * twice
        by_rows = None
        if ctx.needs_input_grad[3]:
            by_rows = torch.addmm(of_gates @ by_input[:n_gates], of_candidates, by_input[n_gates:], alpha=2)
        found = [by_rows, by_input_t.t(), by_state_t.t(), by_bias * twice, total * twice]
        if euler is not None:
            found += euler.gradients(begin)
        return None, None, None, *found


class _EulerSteps:
    """The Euler step before each row, in y: ``y + gap / 2 (V2 (2 s(2 (V1 h + b1)) - 1) + b2)``."""

    def __init__(self, packed: Packing, gaps: Tensor, weights: Sequence[Tensor]) -> None:
        first, bias_first, second, bias_second = weights
        self.first, self.second = 4 * first, second
        self.bias_first = 2 * (bias_first - first.sum(1))
        self.bias_second = 0.5 * (bias_second - second.sum(1))
        self.inward, self.outward = self.first.t(), self.second.t()
        self.moved = gaps.new_empty(len(gaps), first.shape[1])
        self.hidden = gaps.new_empty(len(gaps), first.shape[0])
        self.gaps = torch.split(gaps, packed.sizes)
        self.moved_at, self.hidden_at = torch.split(self.moved, packed.sizes), torch.split(self.hidden, packed.sizes)
        self.sizes = packed.sizes
        self.pulled: Tensor | None = None

    def move(self, step: int, y: Tensor) -> Tensor:
        hidden = torch.addmm(self.bias_first, y, self.inward, out=self.hidden_at[step]).sigmoid_()
        slope = torch.addmm(self.bias_second, hidden, self.outward)
        return torch.addcmul(y, self.gaps[step], slope, out=self.moved_at[step])

    def pull(self, step: int, g: Tensor) -> None:
        """Add the cotangent through the slope to that of the moved state."""
        if self.pulled is None:
            self.pulled, self.reached = torch.empty_like(self.moved), torch.empty_like(self.hidden)
            self.pulled_at, self.reached_at = (
                torch.split(self.pulled, self.sizes),
                torch.split(self.reached, self.sizes),
            )
        slope = torch.mul(g, self.gaps[step], out=self.pulled_at[step])
        hidden = torch.mm(slope, self.second)
        torch.ops.aten.sigmoid_backward.grad_input(hidden, self.hidden_at[step], grad_input=self.reached_at[step])
        g.addmm_(self.reached_at[step], self.first)

    def gradients(self, begin: Tensor) -> list[Tensor]:
        """Gradients of the two layers; ``begin`` is the state before each step."""
        assert self.pulled is not None  # every step has been differentiated
        of_first, of_second = 2 * self.reached.sum(0), 0.5 * self.pulled.sum(0)
        return [
            torch.addmm(of_first, begin.t(), self.reached, beta=-1, alpha=4).t(),
            of_first,
            torch.addmm(of_second, self.hidden.t(), self.pulled, beta=-1).t(),
            of_second,
        ]


def _through_sigmoid(g: Tensor, y: Tensor) -> Tensor:
    """What reaches the argument of a logistic function whose value is y."""
    found: Tensor = torch.ops.aten.sigmoid_backward(g, y)
    return found
