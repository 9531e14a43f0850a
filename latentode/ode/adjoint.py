"""The discrete adjoint: the exact gradient of the steps that were taken, from one sweep back over them.

A step is ``y_j = z_n + h sum_l a_jl k_l``, ``k_j = f(t_j, y_j)``, ``z_{n+1} = z_n + h sum_j b_j k_j``. With
lambda = dL/dz_{n+1} its transpose is, from the last stage to the first,

    kappa_j = dL/dk_j = h (b_j lambda + sum_{l>j} a_lj u_l) + (what the dense output gives k_j),
    u_j = kappa_j df/dz(t_j, y_j),        dL/dz_n = lambda + sum_j u_j + (what the dense output gives z_n),

and dL/dtheta is the sum of kappa_j df/dtheta over all stages of all steps, formed once, at the end. In the limit of
small steps lambda is the adjoint a(t) of Chen et al. (2018), da/dt = -a df/dz, and kappa_j / (h b_j) its value at a
stage; but the sweep is exact for any step, solves nothing again, and does not restart at the queries.

References
----------
Chen, Rubanova, Bettencourt & Duvenaud (2018), Neural ordinary differential equations, appendix B.
Onken & Ruthotto (2020), Discretize-optimize vs. optimize-discretize for time-series regression.
Zhuang et al. (2020), Adaptive checkpoint adjoint. Matsubara et al. (2021), Symplectic adjoint method.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from latentode.ode.control import Controller, FixedSteps
from latentode.ode.field import Tape
from latentode.ode.methods import Method
from latentode.ode.stepping import Ledger, Path, Tolerance, march

__all__ = ["Plan", "run_plain", "run_taped"]


@dataclass
class Plan:
    """Everything one solve needs besides tensors that receive gradients.

    ``tape`` makes a tape from (parameters, args, record); the path taken is left in ``path``.
    """

    method: Method
    controller: Controller
    tolerance: Tolerance
    n_slots: int
    tape: Callable[[Sequence[Tensor], Sequence[Tensor], bool], Tape]
    n_parameters: int
    path: Path | None = None
    clocks: list[float] | None = None

    def taken(self) -> Path:
        """Return the path, once taken."""
        if self.path is None:
            raise RuntimeError("the steps have to be taken first")
        return self.path


def _timer(plan: Plan, start: Tensor, span: Tensor, like: Tensor) -> Callable[[int, float], Tensor]:
    """Return what tells the time of a slot at clock ``s``, (series, 1), in the state's dtype.

    On equal steps it counts them, so that steps of exactly 1 give times that are exactly whole.
    """
    if not isinstance(plan.controller, FixedSteps):
        return lambda slot, s: torch.add(start, span, alpha=s).to(like.dtype)
    step, m, c = span / plan.controller.n_steps, plan.method.tableau.stages, plan.method.tableau.c
    return lambda slot, s: torch.add(start, step, alpha=slot // m + c[slot % m]).to(like.dtype)


def _n_slots(plan: Plan) -> int:
    return plan.taken().n_steps * plan.method.tableau.stages + plan.method.uses_end_slope


def run_plain(
    plan: Plan, field: Callable[..., Tensor], z0: Tensor, start: Tensor, span: Tensor
) -> tuple[Tensor, Tensor]:
    """Take the steps with operations autograd sees; return nodes and slopes."""
    ledger, time_of = Ledger(plan.n_slots, None), _timer(plan, start, span, z0)

    def evaluate(slot: int, s: float, z: Tensor) -> Tensor:
        ledger.states[slot] = z
        slope = ledger.slopes[slot] = field(time_of(slot, s), z)
        return slope

    plan.path, _ = march(
        evaluate, z0, span.to(z0.dtype), plan.method.tableau, plan.controller, ledger, plan.tolerance,
        end_slope=plan.method.uses_end_slope, reserve=ledger.reserve,
    )  # fmt: skip
    return ledger.gather(plan.path.n_steps, plan.method)


def run_taped(plan: Plan, tape: Tape, z0: Tensor, start: Tensor, span: Tensor) -> Ledger:
    """Take the steps with a tape, in place; the path is left in ``plan``."""
    ledger, time_of = Ledger(plan.n_slots, z0), _timer(plan, start, span, z0)
    clocks: dict[int, float] = {}

    def evaluate(slot: int, s: float, z: Tensor) -> Tensor:
        clocks[slot] = s
        slope = ledger.slope_buffer(slot)
        tape.evaluate(slot, time_of(slot, s) if tape.reads_time else None, z, slope)
        return slope

    def reserve(n_slots: int) -> None:
        ledger.reserve(n_slots)
        tape.reserve(n_slots)

    tape.reserve(plan.n_slots)
    plan.path, _ = march(
        evaluate, ledger.enter(z0), span.to(z0.dtype), plan.method.tableau, plan.controller, ledger, plan.tolerance,
        end_slope=plan.method.uses_end_slope, reserve=reserve,
    )  # fmt: skip
    plan.clocks = [clocks[slot] for slot in range(_n_slots(plan))]
    return ledger


class DiscreteAdjoint(torch.autograd.Function):
    """Nodes and slopes of a solve, with the transposed steps as their gradient."""

    @staticmethod
    def forward(
        ctx: Any, plan: Plan, z0: Tensor, start: Tensor, span: Tensor, *leaves: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Take the steps; ``leaves`` are the field's parameters, then its args."""
        n = plan.n_parameters
        tape = plan.tape(leaves[:n], leaves[n:], True)
        ledger = run_taped(plan, tape, z0.detach(), start, span)
        ctx.plan, ctx.tape, ctx.ledger = plan, tape, ledger
        ctx.save_for_backward(start, span, *leaves)  # their versions are checked when they come back
        nodes, slopes = ledger.gather(plan.taken().n_steps, plan.method)
        return nodes.clone(), slopes.clone()

    @staticmethod
    def backward(ctx: Any, *grads: Any) -> Any:
        """Sweep back."""
        start, span, *_ = ctx.saved_tensors
        with torch.no_grad():
            received = _sweep(ctx.plan, ctx.tape, ctx.ledger, start, span, ctx.needs_input_grad, *grads)
        return None, *sealed(received)


def _sweep(
    plan: Plan,
    tape: Tape,
    ledger: Ledger,
    start: Tensor,
    span: Tensor,
    needs: Sequence[bool],
    g_nodes: Tensor,
    g_slopes: Tensor,
) -> list[Tensor | None]:
    """Return the gradients of z0, start, span, and every leaf."""
    path, tableau, n_slots = plan.taken(), plan.method.tableau, _n_slots(plan)
    if plan.clocks is None:
        raise RuntimeError("the steps have to be taken before they are swept")
    m, (rows, latent) = tableau.stages, g_nodes.shape[1:]
    cotangents = torch.empty_like(g_slopes)  # kappa, of every slot
    weights = torch.empty_like(g_slopes)  # kappa less the dense output's part, per step size
    pulls = g_nodes.new_empty(m + 1, rows * latent)  # u_1 ... u_m, and lambda
    u = [row.view(rows, latent) for row in pulls.unbind(0)]
    below = [pulls[j + 1 :].t() for j in range(m)]
    columns = [g_nodes.new_tensor([tableau.a[i][j] for i in range(j + 1, m)] + [tableau.b[j]]) for j in range(m)]
    kappa, weight, given = cotangents.unbind(0), weights.unbind(0), g_slopes.unbind(0)
    flat = [row.view(-1) for row in weight]
    if plan.method.uses_end_slope:
        weights[-1].zero_()
        kappa[-1].copy_(given[-1])
        tape.pull(n_slots - 1, kappa[-1], u[m])
        u[m].add_(g_nodes[-1])
    else:
        u[m].copy_(g_nodes[-1])
    for n in range(path.n_steps - 1, -1, -1):
        for j in range(m - 1, -1, -1):
            slot = n * m + j
            torch.mv(below[j], columns[j], out=flat[slot])
            torch.addcmul(given[slot], weight[slot], path.scaled[n], out=kappa[slot])
            tape.pull(slot, kappa[slot], u[j])
        u[m].copy_(torch.sum(pulls, 0).view(rows, latent).add_(g_nodes[n]))
    states, slopes = ledger.stacked(n_slots)
    times = None
    clocks = torch.tensor(plan.clocks, dtype=start.dtype, device=start.device).view(-1, 1, 1)
    if tape.reads_time:
        times = torch.addcmul(start, clocks, span).to(g_nodes.dtype)
    field = tape.gradients(states, cotangents, times)
    g_start = g_span = None
    if needs[3]:
        used = path.n_steps * m
        parts = (weights[:used] * slopes[:used]).sum(-1).view(path.n_steps, m, rows).sum(1)
        g_span = torch.mv(parts.t(), path.lengths(g_nodes)).unsqueeze(1).to(span.dtype)
    if field.times is not None:
        at = field.times.to(start.dtype)
        g_start = at.sum(0)
        if g_span is not None:
            g_span = g_span + (at * clocks).sum(0)
    return [u[m], g_start, g_span, *field.parameters, *field.args]


class _Sealed(torch.autograd.Function):
    """Pass gradients on, and refuse to be differentiated."""

    @staticmethod
    def forward(ctx: Any, seal: Tensor, *grads: Tensor) -> tuple[Tensor, ...]:
        return tuple(g.view_as(g) for g in grads)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> Any:
        raise RuntimeError(
            "this solve's gradient was computed by an adjoint, which cannot be differentiated again; "
            'for second derivatives solve with adjoint="autograd".'
        )


def sealed(grads: Sequence[Tensor | None]) -> list[Tensor | None]:
    """Make the gradients refuse a second differentiation, where one is being prepared (``create_graph``)."""
    if not torch.is_grad_enabled():
        return list(grads)
    seal = torch.zeros((), requires_grad=True)
    given = iter(_Sealed.apply(seal, *(g for g in grads if g is not None)))  # type: ignore[no-untyped-call]
    return [None if g is None else next(given) for g in grads]
