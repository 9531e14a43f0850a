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
from latentode.ode.dense import DenseOutput
from latentode.ode.field import FieldGradients, Tape
from latentode.ode.methods import Method
from latentode.ode.stepping import Ledger, Path, Tolerance, march

__all__ = ["DiscreteAdjoint", "Plan", "run_plain", "run_taped", "sealed"]


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

    def evaluate(slot: int, s: float, z: Tensor) -> Tensor:
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
    return ledger


class DiscreteAdjoint(torch.autograd.Function):
    """Answers of a solve, with the transposed steps as their gradient."""

    @staticmethod
    def forward(
        ctx: Any, plan: Plan, rows: Tensor, z0: Tensor, start: Tensor, span: Tensor, clock: Tensor, *leaves: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Take the steps and answer; ``leaves`` are the field's parameters, then its args."""
        n = plan.n_parameters
        tape = plan.tape(leaves[:n], leaves[n:], True)
        ledger = run_taped(plan, tape, z0.detach(), start, span)
        nodes, slopes = ledger.gather(plan.taken().n_steps, plan.method)
        dense = DenseOutput(nodes, slopes, plan.taken(), span, plan.method, clock, rows)
        ctx.plan, ctx.tape, ctx.ledger, ctx.dense = plan, tape, ledger, dense
        ctx.save_for_backward(start, span, *leaves)  # their versions are checked when they come back
        ctx.set_materialize_grads(False)
        nodes, slopes = nodes.clone(), slopes.clone()
        ctx.mark_non_differentiable(nodes, slopes)
        return dense.answer(), nodes, slopes

    @staticmethod
    def backward(ctx: Any, g: Tensor | None, *_: Any) -> Any:
        """Transpose the reading, then the steps."""
        start, span, *leaves = ctx.saved_tensors
        if g is None:
            return (None,) * (6 + len(leaves))
        _, _, _, needs_start, needs_span, needs_clock, *_ = ctx.needs_input_grad
        with torch.no_grad():
            dense: DenseOutput = ctx.dense
            given = dense.transpose(g)
            field, g_z0, g_start, g_span = _sweep(
                ctx.plan, ctx.tape, ctx.ledger, start, span, needs_start or needs_span, needs_span, *given
            )
            if g_span is not None:
                g_span = g_span + dense.span_gradient().to(span.dtype)
            g_clock = dense.clock_gradient(g).to(span.dtype) if needs_clock else None
        return None, None, *sealed([g_z0, g_start, g_span, g_clock, *field.parameters, *field.args])


def _sweep(
    plan: Plan,
    tape: Tape,
    ledger: Ledger,
    start: Tensor,
    span: Tensor,
    needs_times: bool,
    needs_span: bool,
    g_nodes: Tensor,
    g_slopes: Tensor,
) -> tuple[FieldGradients, Tensor, Tensor | None, Tensor | None]:
    """Return the gradients of the field, and of z0, start and span, when nodes and slopes receive these."""
    path, tableau, n_slots = plan.taken(), plan.method.tableau, _n_slots(plan)
    m, (rows, latent) = tableau.stages, g_nodes.shape[1:]
    kept = n_slots if needs_span else 1
    cotangents = torch.empty_like(g_slopes)  # kappa, of every slot
    weights = g_slopes.new_zeros(kept, rows, latent)  # kappa less the dense output's part, per step size
    pulls = g_nodes.new_empty(m + 1, rows * latent)  # u_1 ... u_m, and lambda
    u = [row.view(rows, latent) for row in pulls.unbind(0)]
    below = [pulls[j + 1 :].t() for j in range(m)]
    columns = [g_nodes.new_tensor([tableau.a[i][j] for i in range(j + 1, m)] + [tableau.b[j]]) for j in range(m)]
    kappa, weight, given, received = cotangents.unbind(0), weights.unbind(0), g_slopes.unbind(0), g_nodes.unbind(0)
    flat = [row.view(-1) for row in weight]
    everything, ones, total = pulls.t(), pulls.new_ones(m + 1), torch.empty_like(pulls[0])
    total_rows = total.view(rows, latent)
    if plan.method.uses_end_slope:
        kappa[-1].copy_(given[-1])
        tape.pull(n_slots - 1, kappa[-1], total_rows)
        torch.add(total_rows, received[-1], out=u[m])
    else:
        u[m].copy_(received[-1])
    for n in range(path.n_steps - 1, -1, -1):
        for j in range(m - 1, -1, -1):
            slot = n * m + j
            torch.mv(below[j], columns[j], out=flat[slot % kept])
            torch.addcmul(given[slot], weight[slot % kept], path.scaled[n], out=kappa[slot])
            tape.pull(slot, kappa[slot], u[j])
        torch.mv(everything, ones, out=total)
        torch.add(total_rows, received[n], out=u[m])
    states, slopes = ledger.stacked(n_slots)
    clocks = times = g_start = g_span = None
    if tape.reads_time:
        clocks = start.new_tensor(_clocks(path, tableau.c))[:n_slots].view(-1, 1, 1)
        times = torch.addcmul(start, clocks, span).to(g_nodes.dtype)
    field = tape.gradients(states, cotangents, times)
    if needs_span:
        used = path.n_steps * m
        parts = (weights[:used] * slopes[:used]).sum(-1).view(path.n_steps, m, rows).sum(1)
        g_span = torch.mv(parts.t(), path.lengths(g_nodes)).unsqueeze(1).to(span.dtype)
    if needs_times and field.times is not None and clocks is not None:
        at = field.times.to(start.dtype)
        g_start = at.sum(0)
        if g_span is not None:
            g_span = g_span + (at * clocks).sum(0)
    return field, u[m], g_start, g_span


def _clocks(path: Path, c: Sequence[float]) -> list[float]:
    """The clock of every slot, and of the end."""
    steps = zip(path.knots[:-1], path.knots[1:], strict=True)
    return [s + place * (end - s) for s, end in steps for place in c] + [1.0]


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
