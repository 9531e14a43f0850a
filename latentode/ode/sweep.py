"""The transpose of the steps that were taken: one sweep back over them.

A step is ``y_j = z_n + h sum_l a_jl k_l``, ``k_j = f(t_j, y_j)``, ``z_{n+1} = z_n + h sum_j b_j k_j``. With
lambda = dL/dz_{n+1} its transpose is, from the last stage to the first,

    kappa_j = dL/dk_j = h (b_j lambda + sum_{l>=j} a_lj u_l) + (what the dense output gives k_j),
    u_j = kappa_j df/dz(t_j, y_j),        dL/dz_n = lambda + sum_j u_j + (what the dense output gives z_n),

and dL/dtheta is the sum of kappa_j df/dtheta over all stages of all steps, formed once, at the end. The stage of an
implicit method has an a_jj, so that kappa_j solves (1 - h a_jj df/dz)^T kappa_j = (the rest of the right-hand side).
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from latentode.ode.constants import constant
from latentode.ode.drive import Drive
from latentode.ode.field import Tape
from latentode.ode.implicit import StageJacobian, transposed_solve
from latentode.ode.received import Received, Wanted, receive
from latentode.ode.run import Plan, Record

__all__ = ["Sweep"]


class Sweep:
    """The transpose of one record.

    Parameters
    ----------
    plan, tape, drive, record
        What was done, by which tape, at which times.
    control_leaves : sequence of Tensor
        The control's tensors.
    jacobian : callable, optional
        For implicit methods: df/dz of a slot.
    """

    def __init__(
        self, plan: Plan, tape: Tape, drive: Drive, record: Record, control_leaves: Sequence[Tensor],
        jacobian: StageJacobian | None,
    ) -> None:  # fmt: skip
        self.plan, self.tape, self.drive, self.record = plan, tape, drive, record
        self.control_leaves, self.jacobian = control_leaves, jacobian

    def run(self, g_nodes: Tensor, g_slopes: Tensor, wanted: Wanted) -> Received:
        """Return what everything receives when nodes and slopes receive these.

        Parameters
        ----------
        g_nodes, g_slopes : Tensor
            (step + 1, row, latent) and (slot, row, latent).
        wanted : Wanted
            Which gradients of the route are asked for.
        """
        path, (rows, latent) = self.record.path, g_nodes.shape[1:]
        weights = g_slopes.new_zeros(path.n_slots if wanted.span else 1, rows, latent)
        cotangents, g_z0 = self._back(g_nodes, g_slopes, weights)
        states, slopes = self.record.ledger.stacked(path.n_slots)
        by_step = None
        if wanted.span:
            per_stage = (path.inner(weights) * path.inner(slopes)).sum((1, 3)).unsqueeze(2)
            by_step = per_stage * path.lengths(g_nodes)
        places = self.plan.method.tableau.c
        return receive(
            g_z0, by_step, self.tape, self.drive, path, places, states, cotangents,
            self.control_leaves, wanted,
        )  # fmt: skip

    def _back(self, g_nodes: Tensor, g_slopes: Tensor, weights: Tensor) -> tuple[Tensor, Tensor]:
        """Sweep: return kappa of every slot, and what the first node receives.

        ``weights`` takes, where it has room for all slots, kappa less the dense output's part, per step size.
        """
        path, tableau, tape = self.record.path, self.plan.method.tableau, self.tape
        m, (rows, latent) = tableau.stages, g_nodes.shape[1:]
        kept, gamma = len(weights), tableau.diagonal
        cotangents = torch.empty_like(g_slopes)
        pulls = g_nodes.new_empty(m + 1, rows * latent)  # u_1 ... u_m, and lambda
        u = [row.view(rows, latent) for row in pulls.unbind(0)]
        below = [pulls[j + 1 :].t() for j in range(m)]
        columns = _columns(tableau.a, tableau.b, g_nodes)
        kappa, weight, given, received = cotangents.unbind(0), weights.unbind(0), g_slopes.unbind(0), g_nodes.unbind(0)
        flat = [row.view(-1) for row in weight]
        everything, ones, total = pulls.t(), pulls.new_ones(m + 1), torch.empty_like(pulls[0])
        total_rows = total.view(rows, latent)
        u[m].copy_(received[-1])
        next_first = -1
        for n in range(path.n_steps - 1, -1, -1):
            end = path.first[n] + m
            if end != next_first and end < path.n_slots:
                kappa[end].copy_(given[end])
                tape.pull(end, kappa[end], total_rows)
                u[m].add_(total_rows)
            for j in range(m - 1, -1, -1):
                slot = path.first[n] + j
                torch.mv(below[j], columns[j], out=flat[slot % kept])
                torch.addcmul(given[slot], weight[slot % kept], path.scaled[n], out=kappa[slot])
                if gamma and j and self.jacobian is not None:
                    kappa[slot].copy_(transposed_solve(self.jacobian(slot), gamma * path.scaled[n], kappa[slot]))
                tape.pull(slot, kappa[slot], u[j])
                if gamma and j:
                    weight[slot % kept].add_(u[j], alpha=gamma)
            torch.mv(everything, ones, out=total)
            torch.add(total_rows, received[n], out=u[m])
            next_first = path.first[n]
        return cotangents, u[m]


def _columns(a: Sequence[Sequence[float]], b: Sequence[float], like: Tensor) -> list[Tensor]:
    """Column j of the tableau below the diagonal, and b_j."""
    m = len(b)
    return [constant((*(a[i][j] for i in range(j + 1, m)), b[j]), like) for j in range(m)]
