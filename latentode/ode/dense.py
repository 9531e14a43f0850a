"""Dense output: every query of every series answered at once, by one gather and one polynomial.

Inside step n the solution is ``z_n + step_n sum_p sum_j P_jp theta^(p+1) k_nj``, with theta the fraction of the step
passed and P the method's own. The polynomials of all steps are formed first; then each query picks one.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from latentode.ode.constants import constant
from latentode.ode.methods import Method
from latentode.ode.path import Path
from latentode.ode.route import Route

__all__ = ["DenseOutput", "Queries", "locate"]

_PRODUCT_UP_TO = 40  # coefficients per series; measured: the two ways take the same time at about 80


@dataclass(frozen=True)
class Queries:
    """From which row each query is read, and whether it is asked at all.

    Parameters
    ----------
    rows : Tensor
        (series, 1) or (series, time) integers.
    here : Tensor
        (series, time): does the query lie on this side?
    own : bool
        Whether query (i, j) reads row i.
    """

    rows: Tensor
    here: Tensor
    own: bool


class DenseOutput:
    """The solution between the nodes, and the transpose of reading it off.

    Parameters
    ----------
    nodes : Tensor
        (step + 1, row, latent)
    slopes : Tensor
        (slot, row, latent)
    path : Path
        Where the steps ended.
    route : Route
        Which pieces of time they went over.
    method : Method
        Whose polynomials.
    clock : Tensor
        (series, time) on the clock: the queries.
    rows : Tensor
        (series, 1) or (series, time) integers: which row each query reads.
    own : bool
        Whether query (i, j) reads row i.

    References
    ----------
    Hairer, Nørsett & Wanner (1993), Solving Ordinary Differential Equations I, section II.6.
    """

    def __init__(
        self, nodes: Tensor, slopes: Tensor, path: Path, route: Route, method: Method, clock: Tensor, rows: Tensor,
        *, own: bool,
    ) -> None:  # fmt: skip
        self.path, self.method, self.route, self.own = path, method, route, own
        self.span = route.span.to(nodes.dtype)
        self.n_rows, self.latent = nodes.shape[1:]
        self.weights = constant(method.dense, nodes)
        step, theta = locate(path, clock, rows, own=own)
        self.theta = theta.to(nodes.dtype).unsqueeze(-1)
        self.step, self.rows = step, rows
        self.table = self._polynomials(nodes, slopes)
        small = self.path.n_steps * self.table.shape[2] <= _PRODUCT_UP_TO
        self.product = _Product(self) if small and own else None

    def answer(self) -> Tensor:
        """Return the solution at every query, (series, time, latent)."""
        return self._reading().read()

    def transpose(self, g: Tensor) -> tuple[Tensor, Tensor]:
        """Return what nodes and slopes receive when the answers receive ``g``, (series, time, latent)."""
        n, m = self.path.n_steps, self.method.tableau.stages
        self.g_table = self._reading().write(g)
        g_nodes = g.new_zeros(n + 1, self.n_rows, self.latent)
        g_nodes[:n] = self.g_table[:, :, 0]
        scaled = (self.g_table[:, :, 1:] * self._scale().unsqueeze(2)).transpose(1, 2)
        each = torch.matmul(self.weights, scaled.reshape(n, scaled.shape[1], self.n_rows * self.latent))
        each = each.view(n, len(self.weights), self.n_rows, self.latent)
        return g_nodes, self.path.spread(each[:, :m], each[:, m] if self.method.uses_end_slope else None)

    def _reading(self) -> "_Gather | _Product":
        """The way to read, made anew where it knows this object: a cycle would keep all steps alive."""
        return self.product or _Gather(self)

    def span_gradient(self) -> Tensor:
        """Return what the spans receive by the dense output alone, (piece, row, 1); after :meth:`transpose`."""
        each = (self.g_table[:, :, 1:] * self.table[:, :, 1:]).sum((2, 3)).unsqueeze(2)
        if self.route.n_pieces == 1:
            return each.sum(0, keepdim=True) / self.span
        pieces = torch.tensor(self.path.pieces, device=each.device)
        return each.new_zeros(self.span.shape).index_add_(0, pieces, each) / self.span

    def clock_gradient(self, g: Tensor) -> Tensor:
        """Return what the clocks of the queries receive, (series, time)."""
        picked = _Gather(self).picked()
        rate = picked[:, :, -1] * (picked.shape[2] - 1)
        for power in range(picked.shape[2] - 2, 0, -1):
            rate = torch.addcmul(picked[:, :, power] * power, rate, self.theta)
        per_step = self.path.lengths(g).reciprocal()[..., 0]
        if self.path.each:
            per_row = per_step.t() if self.own else per_step.t()[self.rows[:, 0]]
            return (rate * g).sum(-1) * per_row.gather(1, self.step)
        return (rate * g).sum(-1) * per_step[:, 0][self.step]

    def _polynomials(self, nodes: Tensor, slopes: Tensor) -> Tensor:
        """The coefficients of every step, (step, row, power, latent), the constant first."""
        n, m, width = self.path.n_steps, self.method.tableau.stages, self.n_rows * self.latent
        inner = self.path.inner(slopes).reshape(n, m, width)
        powers = torch.matmul(self.weights[:m].t(), inner)
        if self.method.uses_end_slope:
            powers = torch.addcmul(powers, self.path.ends(slopes).reshape(n, 1, width), self.weights[m].view(1, -1, 1))
        powers = powers.view(n, self.weights.shape[1], self.n_rows, self.latent).transpose(1, 2)
        return torch.cat([nodes[:n].unsqueeze(2), powers * self._scale().unsqueeze(2)], 2)

    def _scale(self) -> Tensor:
        """Each step in the caller's time, (step or 1, row, 1)."""
        if self.path.uniform:
            return self.span / self.path.n_steps
        lengths = self.path.lengths(self.span)
        return lengths * (self.span if self.route.n_pieces == 1 else self.span[self.path.pieces])

    def powers(self) -> Tensor:
        """1, theta, theta^2, ... of each query, (series, time, power)."""
        powers = [torch.ones_like(self.theta), self.theta]
        for _ in range(self.table.shape[2] - 2):
            powers.append(powers[-1] * self.theta)
        return torch.cat(powers, -1)


def locate(path: Path, clock: Tensor, rows: Tensor, *, own: bool) -> tuple[Tensor, Tensor]:
    """Find each query's step, and how far into it the query is, (series, time) each.

    A query at a node belongs to the step that ends there, as one at a border does to the piece: its clock runs so fast.
    """
    n = path.n_steps
    if path.uniform:
        place = clock * n
        step = place.detach().long().clamp_(0, n - 1)
        return step, place - step
    knots = path.knot_clocks(clock)[..., 0]
    if path.each:
        knots = (knots.t() if own else knots.t()[rows[:, 0]]).contiguous()
        step = torch.searchsorted(knots, clock.detach().contiguous()) - 1
        ends = knots[:, [0, -1]]  # a row may stand still at first and at last: such steps have no length
        first = torch.searchsorted(knots, ends[:, :1].contiguous(), right=True) - 1
        last = torch.searchsorted(knots, ends[:, 1:].contiguous()) - 1
        step = torch.maximum(torch.minimum(step, last), first)
        return step, (clock - knots.gather(1, step)) / knots.diff(dim=1).gather(1, step)
    knots = knots[:, 0]
    step = torch.searchsorted(knots, clock.detach().contiguous()).sub_(1).clamp_(0, n - 1)
    return step, (clock - knots[step]) / (knots[1:] - knots[:-1])[step]


class _Gather:
    """Each query picks its polynomial from the table: the way for many steps."""

    def __init__(self, dense: DenseOutput) -> None:
        self.dense = dense
        self.index = (dense.step * dense.n_rows + dense.rows).reshape(-1)

    def picked(self) -> Tensor:
        """Each query's polynomial, (series, time, power, latent)."""
        table = self.dense.table
        flat = table.flatten(2).flatten(0, 1)
        return flat.index_select(0, self.index).view(*self.dense.theta.shape[:2], *table.shape[2:])

    def read(self) -> Tensor:
        *lower, z = self.picked().unbind(2)
        for coefficient in reversed(lower):
            z = torch.addcmul(coefficient, z, self.dense.theta)
        return z

    def write(self, g: Tensor) -> Tensor:
        """What the table receives: one product per query, then one scatter."""
        g_table = torch.zeros_like(self.dense.table)
        spread = (self.dense.powers().unsqueeze(-1) * g.unsqueeze(2)).flatten(2).flatten(0, 1)
        index = self.index.unsqueeze(1).expand_as(spread)
        g_table.view(-1, spread.shape[1]).scatter_add_(0, index, spread)
        return g_table


class _Product:
    """All polynomials of a series times the powers of its queries, zero but for the query's own step.

    For few steps one small matrix product per series is faster than moving each query's polynomial about.
    """

    def __init__(self, dense: DenseOutput) -> None:
        self.shape = dense.table.shape
        own = dense.step.unsqueeze(-1) == constant(tuple(range(self.shape[0])), dense.step)
        self.basis = (own.unsqueeze(-1) * dense.powers().unsqueeze(2)).flatten(2)
        self.table = dense.table.transpose(0, 1).flatten(1, 2)

    def read(self) -> Tensor:
        return torch.bmm(self.basis, self.table)

    def write(self, g: Tensor) -> Tensor:
        """What the table receives, (step, row, power, latent)."""
        n, rows, power, latent = self.shape
        return torch.bmm(self.basis.transpose(1, 2), g).view(rows, n, power, latent).transpose(0, 1)
