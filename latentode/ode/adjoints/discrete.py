r"""The discrete adjoint: the exact gradient of the steps that were taken, by one sweep back over them.

A step is ``y_j = z_n + h sum_l a_jl k_l``, ``k_j = f(t_j, y_j)``, ``z_{n+1} = z_n + h sum_j b_j k_j``. With
lambda = dL/dz_{n+1} its transpose is, from the last stage to the first,

    kappa_j = dL/dk_j = h (b_j lambda + sum_{l>=j} a_lj u_l) + (the gradient of k_j through the dense output),
    u_j = kappa_j df/dz(t_j, y_j),        dL/dz_n = lambda + sum_j u_j + (that of z_n through the dense output),

and dL/dtheta is the sum of kappa_j df/dtheta over all stages of all steps, formed once, at the end. A stage of an
implicit method has an a_jj, so that kappa_j solves (1 - h a_jj df/dz)^T kappa_j = (the rest of the right-hand side).

In the limit of small steps lambda is the adjoint a(t) of Chen et al. (2018), da/dt = -a df/dz, and kappa_j / (h b_j) is
its value at a stage. But the sweep is exact for any step, solves nothing again, and does not restart at the queries.

References
----------
Chen, Rubanova, Bettencourt & Duvenaud (2018), Neural ordinary differential equations, appendix B.
Onken & Ruthotto (2020), Discretize-optimize vs. optimize-discretize for time-series regression.
Zhuang et al. (2020), Adaptive checkpoint adjoint. Matsubara et al. (2021), Symplectic adjoint method.
"""

from typing import Any

import torch
from torch import Tensor

from latentode.ode.adjoints.gradients import Gradients, Record, Wanted, collect
from latentode.ode.autocast import without_autocast
from latentode.ode.dense import DenseOutput
from latentode.ode.diagnostics import Diagnostics
from latentode.ode.field import RecordedTape
from latentode.ode.implicit import transposed_solve
from latentode.ode.problem import SolverSetup

__all__ = ["DiscreteAdjoint", "Sweep"]


class DiscreteAdjoint(torch.autograd.Function):
    """The answers of a solve, with the transposed steps as their gradient."""

    @staticmethod
    def forward(
        ctx: Any, setup: SolverSetup, z0: Tensor, start: Tensor, span: Tensor, clock: Tensor, *leaves: Tensor
    ) -> tuple[Tensor, Diagnostics]:
        """Take the steps and answer; ``leaves`` are the field's parameters, its args and the control's tensors."""
        tape = setup.tape(leaves, z0, record=True)
        inputs = setup.inputs_of(tape, leaves, z0.dtype)
        loop = setup.loop(tape, inputs, z0.detach(), leaves)
        steps = loop.advance()
        nodes, slopes = loop.nodes_and_slopes(steps)
        dense = DenseOutput(nodes, slopes, steps, clock, setup.rows)
        ctx.dense, ctx.tape, ctx.inputs, ctx.stages = dense, tape, inputs, loop.stages(steps)
        # Neither the setup nor the tape of an explicit method keeps the field: a module that stores its own solution
        # would be kept by it for good, because Python's garbage collector cannot see into the autograd graph.
        ctx.setup = setup if setup.problem.method.implicit else None
        ctx.n_controls = len(setup.problem.split(leaves)[2])
        if isinstance(tape, RecordedTape):
            tape.close()
        ctx.save_for_backward(start, span, *leaves)  # PyTorch checks that they are unchanged when they come back
        return dense.answer(), Diagnostics.of(nodes, slopes, steps, setup.copies)

    @staticmethod
    def backward(ctx: Any, g: Tensor, _: None) -> Any:
        """Transpose the dense output, then the steps."""
        start, _span, *leaves = ctx.saved_tensors
        dense, setup, wanted = ctx.dense, ctx.setup, Wanted(*ctx.needs_input_grad[2:5])
        control_leaves = leaves[len(leaves) - ctx.n_controls :]
        with torch.no_grad(), without_autocast(g.device):
            g_nodes, g_slopes = dense.transpose(g)
            states, slopes = ctx.stages
            jacobian = None if setup is None else setup.slot_jacobian(dense.steps, states, ctx.inputs, leaves)
            record = Record(ctx.tape, ctx.inputs, dense.steps, states, slopes, control_leaves, jacobian)
            gradients = Sweep(record).run(g_nodes, g_slopes, wanted)
            if wanted.span:
                gradients.add_span(dense.span_gradient())
            g_clock = dense.clock_gradient(g).to(start.dtype) if wanted.clock else None
        return gradients.returned(1, g_clock)


class Sweep:
    """The transpose of recorded steps.

    Parameters
    ----------
    record : Record
        What the forward pass left.
    """

    def __init__(self, record: Record) -> None:
        self.record, self.steps, self.tape = record, record.steps, record.tape

    def run(self, g_nodes: Tensor, g_slopes: Tensor, wanted: Wanted) -> Gradients:
        """Return all gradients, from those of nodes (step + 1, row, latent) and slopes (slot, row, latent)."""
        steps, (rows, latent) = self.steps, g_nodes.shape[1:]
        weights = g_slopes.new_zeros(steps.n_slots if wanted.span else 1, rows, latent)
        cotangents, g_z0 = self._back(g_nodes, g_slopes, weights)
        by_step = None
        if wanted.span:
            per_step = (steps.inner(weights) * steps.inner(self.record.slopes)).sum((1, 3)).unsqueeze(2)
            by_step = per_step * steps.clock_sizes(g_nodes)
        return collect(g_z0, by_step, self.record, cotangents, wanted)

    def _back(self, g_nodes: Tensor, g_slopes: Tensor, weights: Tensor) -> tuple[Tensor, Tensor]:
        """Sweep back; return kappa of every slot, and the gradient of the first node.

        If ``weights`` has room for all slots, it is filled with kappa, without the dense output's part, over step size.
        """
        steps, tape = self.steps, self.tape
        m, gamma, (rows, latent) = steps.stages, steps.method.tableau.diagonal, g_nodes.shape[1:]
        # Without room for all slots, one row serves them in turn: a weight is then read by its own stage only.
        kept, cotangents = len(weights), torch.empty_like(g_slopes)
        # u_1 ... u_m and lambda are the rows of one matrix: the sum over stages is then one product with a column.
        pulls = g_nodes.new_empty(m + 1, rows * latent)
        u = [row.view(rows, latent) for row in pulls.unbind(0)]
        below, columns = [pulls[j + 1 :].t() for j in range(m)], steps.method.columns(g_nodes)
        kappa, weight, given, g_node = cotangents.unbind(0), weights.unbind(0), g_slopes.unbind(0), g_nodes.unbind(0)
        flat = [row.view(-1) for row in weight]
        everything, ones, total = pulls.t(), pulls.new_ones(m + 1), torch.empty_like(pulls[0])
        total_rows = total.view(rows, latent)
        u[m].copy_(g_node[-1])
        next_first = -1
        for n in range(steps.n_steps - 1, -1, -1):
            first, size = steps.first_slot[n], steps.sizes[n]
            end = first + m
            if end != next_first and end < steps.n_slots:  # the end is no stage of a later step: at the end, or a jump
                kappa[end].copy_(given[end])
                tape.pull(end, kappa[end], total_rows)
                u[m].add_(total_rows)
            for j in range(m - 1, -1, -1):
                slot = first + j
                torch.mv(below[j], columns[j], out=flat[slot % kept])
                torch.addcmul(given[slot], weight[slot % kept], size, out=kappa[slot])
                if gamma and j and self.record.jacobian is not None:
                    kappa[slot].copy_(transposed_solve(self.record.jacobian(slot), gamma * size, kappa[slot]))
                tape.pull(slot, kappa[slot], u[j])
                if gamma and j:  # the sum includes the stage itself: l = j
                    weight[slot % kept].add_(u[j], alpha=gamma)
            torch.mv(everything, ones, out=total)
            torch.add(total_rows, g_node[n], out=u[m])
            next_first = first
        return cotangents, u[m]
