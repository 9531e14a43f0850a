"""Dense output: the answers to all queries of all series, by one gather and one polynomial.

Inside step n the solution is ``z_n + size_n sum_p sum_j P_jp theta^(p+1) k_nj``, with theta the fraction of the step
passed and P the weights of the method's interpolant. The polynomials of all steps are formed first; then every query
picks one of them.
"""

import torch
from torch import Tensor

from latentode.ode.steps import AcceptedSteps

__all__ = ["DenseOutput", "locate"]

PRODUCT_UP_TO = 40  # coefficients per series; measured: gather and product take the same time at about 80


class DenseOutput:
    """The solution between the nodes at the queries, and the transpose of reading it there.

    Parameters
    ----------
    nodes : Tensor
        (step + 1, row, latent)
    slopes : Tensor
        (slot, row, latent)
    steps : AcceptedSteps
        The steps between the nodes.
    clock : Tensor
        (series, time): the queries, on the clock.
    rows : Tensor, optional
        (series, 1) or (series, time) integers: the row each query reads. None if query (i, j) reads row i.

    References
    ----------
    Hairer, Nørsett & Wanner (1993), Solving Ordinary Differential Equations I, section II.6.
    """

    def __init__(
        self, nodes: Tensor, slopes: Tensor, steps: AcceptedSteps, clock: Tensor, rows: Tensor | None = None
    ) -> None:
        self.steps, self.rows = steps, rows
        self.span = steps.segments.span.to(nodes.dtype)
        self.n_rows, self.latent = nodes.shape[1:]
        self.weights = steps.method.dense_weights(nodes)
        self.step, theta = locate(steps, clock, rows)
        self.theta = theta.to(nodes.dtype).unsqueeze(-1)
        self.table = self._polynomials(nodes, slopes)
        small = steps.n_steps * self.table.shape[2] <= PRODUCT_UP_TO
        self.product = _Product(self) if small and rows is None else None

    def answer(self) -> Tensor:
        """Return the solution at every query, (series, time, latent)."""
        return self._reading().read()

    def transpose(self, g: Tensor) -> tuple[Tensor, Tensor]:
        """Return the gradients of nodes and slopes, from the gradient ``g`` of the answers, (series, time, latent).

        The gradients of the queries are first summed into one polynomial per step and row, because all queries in a
        step read the same coefficients. From there two matrix products lead to nodes and slopes, so that the backward
        sweep never meets a query: its cost does not depend on their number, and it does not restart at them.
        """
        n, m = self.steps.n_steps, self.steps.stages
        self.g_table = self._reading().write(g)
        g_nodes = g.new_zeros(n + 1, self.n_rows, self.latent)
        g_nodes[:n] = self.g_table[:, :, 0]
        scaled = (self.g_table[:, :, 1:] * self._scale().unsqueeze(2)).transpose(1, 2)
        each = torch.matmul(self.weights, scaled.reshape(n, scaled.shape[1], self.n_rows * self.latent))
        each = each.view(n, len(self.weights), self.n_rows, self.latent)
        return g_nodes, self.steps.by_slot(each[:, :m], each[:, m] if self.steps.method.uses_end_slope else None)

    def _reading(self) -> "_Gather | _Product":
        """Return the way to read; a gather is made anew, because kept here it would be a cycle that keeps all steps."""
        return self.product or _Gather(self)

    def span_gradient(self) -> Tensor:
        """Return the spans' gradient through the dense output alone, (segment, row, 1); after :meth:`transpose`."""
        each = (self.g_table[:, :, 1:] * self.table[:, :, 1:]).sum((2, 3)).unsqueeze(2)
        return self.steps.by_segment(each) / self.span

    def clock_gradient(self, g: Tensor) -> Tensor:
        """Return the gradient of the clocks of the queries, (series, time)."""
        # The polynomial's derivative in theta by Horner's rule, over the length of its step on the clock.
        picked = _Gather(self).picked()
        rate = picked[:, :, -1] * (picked.shape[2] - 1)
        for power in range(picked.shape[2] - 2, 0, -1):
            rate = torch.addcmul(picked[:, :, power] * power, rate, self.theta)
        per_step = self.steps.clock_sizes(g).reciprocal()[..., 0]
        if self.steps.per_row:
            per_row = per_step.t() if self.rows is None else per_step.t()[self.rows[:, 0]]
            return (rate * g).sum(-1) * per_row.gather(1, self.step)
        return (rate * g).sum(-1) * per_step[:, 0][self.step]

    def _polynomials(self, nodes: Tensor, slopes: Tensor) -> Tensor:
        """Return the coefficients of every step, (step, row, power, latent), the constant first."""
        n, m, width = self.steps.n_steps, self.steps.stages, self.n_rows * self.latent
        inner = self.steps.inner(slopes).reshape(n, m, width)
        powers = torch.matmul(self.weights[:m].t(), inner)
        if self.steps.method.uses_end_slope:
            powers = torch.addcmul(powers, self.steps.ends(slopes).reshape(n, 1, width), self.weights[m].view(1, -1, 1))
        powers = powers.view(n, self.weights.shape[1], self.n_rows, self.latent).transpose(1, 2)
        return torch.cat([nodes[:n].unsqueeze(2), powers * self._scale().unsqueeze(2)], 2)

    def _scale(self) -> Tensor:
        """Return each step in the caller's time, (step or 1, row, 1)."""
        if self.steps.uniform:
            return self.span / self.steps.n_steps
        sizes = self.steps.clock_sizes(self.span)
        return sizes * (self.span if len(self.span) == 1 else self.span[self.steps.segment_index])

    def powers(self) -> Tensor:
        """Return 1, theta, theta^2, ... of each query, (series, time, power)."""
        powers = [torch.ones_like(self.theta), self.theta]
        for _ in range(self.table.shape[2] - 2):
            powers.append(powers[-1] * self.theta)
        return torch.cat(powers, -1)


def locate(steps: AcceptedSteps, clock: Tensor, rows: Tensor | None) -> tuple[Tensor, Tensor]:
    """Find each query's step, and the fraction of that step the query has passed, (series, time) each.

    A query at a node belongs to the step that ends there, as one at a border belongs to the segment that ends there:
    its clock was computed that way.
    """
    n = steps.n_steps
    if steps.uniform:
        place = clock * n
        step = place.detach().long().clamp_(0, n - 1)
        return step, place - step
    nodes = steps.node_clocks(clock)[..., 0]
    if steps.per_row:
        nodes = (nodes.t() if rows is None else nodes.t()[rows[:, 0]]).contiguous()
        step = torch.searchsorted(nodes, clock.detach().contiguous()) - 1
        # A row may wait at its start or at its end; such steps have no length, and no query may be read from them.
        ends = nodes[:, [0, -1]]
        first = torch.searchsorted(nodes, ends[:, :1].contiguous(), right=True) - 1
        last = torch.searchsorted(nodes, ends[:, 1:].contiguous()) - 1
        step = torch.maximum(torch.minimum(step, last), first)
        return step, (clock - nodes.gather(1, step)) / nodes.diff(dim=1).gather(1, step)
    nodes = nodes[:, 0]
    step = torch.searchsorted(nodes, clock.detach().contiguous()).sub_(1).clamp_(0, n - 1)
    return step, (clock - nodes[step]) / (nodes[1:] - nodes[:-1])[step]


class _Gather:
    """Each query picks its polynomial from the table, which is faster for many steps."""

    def __init__(self, dense: DenseOutput) -> None:
        self.dense = dense
        rows = dense.rows
        if rows is None:
            rows = torch.arange(dense.n_rows, device=dense.step.device).unsqueeze(1)
        self.index = (dense.step * dense.n_rows + rows).reshape(-1)

    def picked(self) -> Tensor:
        """Return each query's polynomial, (series, time, power, latent)."""
        table = self.dense.table
        flat = table.flatten(2).flatten(0, 1)
        return flat.index_select(0, self.index).view(*self.dense.theta.shape[:2], *table.shape[2:])

    def read(self) -> Tensor:
        *lower, z = self.picked().unbind(2)
        for coefficient in reversed(lower):
            z = torch.addcmul(coefficient, z, self.dense.theta)
        return z

    def write(self, g: Tensor) -> Tensor:
        """Return the gradient of the table: one product per query, then one scatter."""
        g_table = torch.zeros_like(self.dense.table)
        spread = (self.dense.powers().unsqueeze(-1) * g.unsqueeze(2)).flatten(2).flatten(0, 1)
        index = self.index.unsqueeze(1).expand_as(spread)
        g_table.view(-1, spread.shape[1]).scatter_add_(0, index, spread)
        return g_table


class _Product:
    """All polynomials of a series times the powers of its queries, which are zero outside the query's own step.

    For few steps one small matrix product per series is faster than copying each query's polynomial.
    """

    def __init__(self, dense: DenseOutput) -> None:
        self.shape = dense.table.shape
        own = dense.step.unsqueeze(-1) == dense.steps.numbers(dense.step)
        self.basis = (own.unsqueeze(-1) * dense.powers().unsqueeze(2)).flatten(2)
        self.table = dense.table.transpose(0, 1).flatten(1, 2)

    def read(self) -> Tensor:
        return torch.bmm(self.basis, self.table)

    def write(self, g: Tensor) -> Tensor:
        """Return the gradient of the table, (step, row, power, latent)."""
        n, rows, power, latent = self.shape
        return torch.bmm(self.basis.transpose(1, 2), g).view(rows, n, power, latent).transpose(0, 1)
