r"""The continuous adjoint of Chen et al. (2018): one augmented state, solved backwards, in constant memory.

With :math:`a(t) = dL/dz(t)`, going from the furthest query back to the start,

.. math::
    \dot z = f, \qquad \dot a = -a\,\partial f/\partial z, \qquad
    \dot a_\theta = -a\,\partial f/\partial\theta, \qquad \dot a_t = -a\,\partial f/\partial t,

and at every query :math:`t_i`, whose answer receives the gradient :math:`g_i`, the state is put back on the answer
that was given, :math:`a` jumps by :math:`g_i` and :math:`a_t` by :math:`-g_i f(z(t_i), t_i)`. Between jumps
:math:`a_t = -a f`, so at the start :math:`a = dL/dz_0`, :math:`a_\theta = dL/d\theta`, :math:`a_t = dL/dt_0`, while
:math:`dL/dt_i = g_i f(z(t_i), t_i)`. The end :math:`t_1` of the span, where it is not a query, receives nothing.

Nothing of the forward solve is kept but its answers. The price: each stretch between two queries is solved again, so
the cost grows with the number of queries (the longest series', not the union's: every series runs each stretch on a
clock of its own), and the gradient is that of the equation, not of the steps. It is here for fidelity and for long
solves in little memory.

References
----------
Chen, Rubanova, Bettencourt & Duvenaud (2018), Neural ordinary differential equations, section 2 and appendix B.2.
Kidger, Chen & Lyons (2021), "Hey, that's not an ODE": the error of the quadratures a_theta and a_t is not controlled.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import ceil
from typing import Any

import torch
from torch import Tensor

from latentode.ode.adjoint import Plan, run_taped, sealed
from latentode.ode.control import AdaptiveSteps, Controller, FixedSteps, error_norm
from latentode.ode.dense import DenseOutput
from latentode.ode.field import Tape
from latentode.ode.stepping import Stuck, march

__all__ = ["BacksolveAdjoint"]


class BacksolveAdjoint(torch.autograd.Function):
    """Answers of a solve, with the augmented solve as their gradient."""

    @staticmethod
    def forward(
        ctx: Any, plan: Plan, asked: Tensor, z0: Tensor, start: Tensor, span: Tensor, clock: Tensor, *leaves: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Take the steps and answer; ``asked`` (series, time) says which queries lie on this side."""
        n = plan.n_parameters
        ledger = run_taped(plan, plan.tape(leaves[:n], leaves[n:], False), z0, start, span)
        path = plan.taken()
        nodes, slopes = ledger.gather(path.n_steps, plan.method)
        rows = torch.arange(len(z0), device=z0.device).unsqueeze(1)
        z = DenseOutput(nodes, slopes, path, span, plan.method, clock, rows).answer()
        ctx.plan = plan
        ctx.save_for_backward(asked, z, start, span, clock, *leaves)
        ctx.mark_non_differentiable(nodes, slopes)
        return z, nodes, slopes

    @staticmethod
    def backward(ctx: Any, g: Tensor, *_: Any) -> Any:
        """Solve the augmented state."""
        asked, z, start, span, clock, *leaves = ctx.saved_tensors
        n = ctx.plan.n_parameters
        with torch.no_grad():
            g = torch.where(asked.unsqueeze(-1), g, 0.0)
            scale = g.abs().amax().clamp_min(torch.finfo(g.dtype).tiny)  # so that the tolerances mean something
            tape = ctx.plan.tape(leaves[:n], leaves[n:], True)
            received = _Backsolve(ctx.plan, tape, leaves, z, g / scale, asked, start, span, clock).run()
            received = [x if x is None else x * scale.to(x.dtype) for x in received]
        return None, None, *sealed(received)


@dataclass
class _Backsolve:
    """One augmented solve: [z, a, a_t] per series and a_theta for all, as one row of numbers."""

    plan: Plan
    tape: Tape
    leaves: Sequence[Tensor]
    z: Tensor
    g: Tensor
    asked: Tensor
    start: Tensor
    span: Tensor
    clock: Tensor

    def run(self) -> list[Tensor | None]:
        """Return the gradients of z0, start, span, clock and the leaves."""
        self.tape.reserve(1)
        self.sizes = [leaf.numel() for leaf in self.leaves]
        series, _, latent = self.z.shape
        a, a_t = self.z.new_zeros(series, latent), self.z.new_zeros(series, 1)
        a_theta = self.z.new_zeros(sum(self.sizes))
        g_clock = torch.zeros_like(self.clock)
        g_start, g_span = torch.zeros_like(a_t), torch.zeros_like(a_t)
        pick, clocks, n_steps = self._stretches()
        row = torch.arange(series, device=self.z.device)
        for k, n in enumerate(n_steps):
            i, s = pick[:, k], clocks[k]
            z, g = self.z[row, i], self.g[row, i]
            rate = (g * self._slope(s, z)).sum(-1, keepdim=True)
            a, a_t = a + g, a_t - rate
            g_clock[row, i] += (rate * self.span.to(rate.dtype)).squeeze(1).to(g_clock.dtype)
            g_start, g_span = g_start + rate, g_span + rate * s.to(rate.dtype)
            z, a, a_t, a_theta = self._stretch(z, a, a_t, a_theta, s, clocks[k + 1], n)
        by_leaf = [
            part.view(leaf.shape) for part, leaf in zip(torch.split(a_theta, self.sizes), self.leaves, strict=True)
        ]
        dtype = self.start.dtype
        return [a, (g_start + a_t).to(dtype), g_span.to(dtype), g_clock, *by_leaf]

    def _stretches(self) -> tuple[Tensor, list[Tensor], list[int]]:
        """Sort the queries, the furthest first; those of the other side wait at the start, where nothing happens.

        Returns which query comes when, (series, time), the clocks the stretches lie between, and their steps: a
        fixed grid's steps are shared out among the stretches, at least one each.
        """
        clock = torch.where(self.asked, self.clock, 0.0).detach()
        count = int(self.asked.sum(1).max()) if clock.numel() else 0
        clock, pick = clock.sort(1, descending=True)
        bounds = torch.cat([clock[:, :count], torch.zeros_like(self.start)], 1)
        clocks = [column.unsqueeze(1) for column in bounds.unbind(1)]
        controller = self.plan.controller
        if isinstance(controller, AdaptiveSteps):
            return pick, clocks, [0] * count
        total = self.plan.taken().n_steps
        shares = (bounds[:, :-1] - bounds[:, 1:]).amax(0).tolist()
        return pick, clocks, [max(1, ceil(total * share - 1e-6)) for share in shares]

    def _slope(self, s: Tensor, z: Tensor) -> Tensor:
        slope = torch.empty_like(z)
        self.tape.evaluate(0, self._time(s), z, slope)
        return slope

    def _time(self, s: Tensor) -> Tensor:
        return torch.addcmul(self.start, s, self.span).to(self.z.dtype)

    def _stretch(
        self, z: Tensor, a: Tensor, a_t: Tensor, a_theta: Tensor, s: Tensor, to: Tensor, n_steps: int
    ) -> tuple[Tensor, ...]:
        """Carry the augmented state from one query to the next, on a clock from 0 to 1."""
        length = ((to - s) * self.span).to(z.dtype)
        shapes = [z.shape, a.shape, a_t.shape, a_theta.shape]
        sizes = [shape.numel() for shape in shapes]

        def unpack(state: Tensor) -> list[Tensor]:
            return [part.view(shape) for part, shape in zip(torch.split(state[0], sizes), shapes, strict=True)]

        def evaluate(slot: int, u: float, state: Tensor) -> Tensor:
            z, a, _, _ = unpack(state)
            time = self._time(s + u * (to - s))
            slope, pulled = torch.empty_like(z), torch.empty_like(z)
            self.tape.evaluate(0, time, z.contiguous(), slope)
            cotangent = a * length
            self.tape.pull(0, cotangent, pulled)
            received = self.tape.gradients(z.unsqueeze(0), cotangent.unsqueeze(0), time.unsqueeze(0))
            each = [*received.parameters, *received.args]
            theta = [
                torch.zeros_like(leaf) if grad is None else grad for grad, leaf in zip(each, self.leaves, strict=True)
            ]
            by_time = torch.zeros_like(a_t) if received.times is None else received.times[0]
            parts = [slope * length, -pulled, -by_time, *(-grad for grad in theta)]
            return torch.cat([part.reshape(-1) for part in parts]).unsqueeze(0)

        def norm(error: Tensor, scale: Tensor) -> Tensor:
            return torch.cat([error_norm(e, c) for e, c in zip(unpack(error)[:2], unpack(scale)[:2], strict=True)])

        state = torch.cat([part.reshape(-1) for part in (z, a, a_t, a_theta)]).unsqueeze(0)
        z, a, a_t, a_theta = unpack(self._march(evaluate, state, n_steps, norm, s, to))
        return z, a, a_t, a_theta

    def _march(
        self,
        evaluate: Callable[[int, float, Tensor], Tensor],
        state: Tensor,
        n_steps: int,
        norm: Callable[[Tensor, Tensor], Tensor],
        s: Tensor,
        to: Tensor,
    ) -> Tensor:
        controller: Controller = FixedSteps(n_steps) if n_steps else AdaptiveSteps(self.plan.method.tableau.error_order)
        one = state.new_ones(1, 1)
        try:
            tableau, tolerance = self.plan.method.tableau, self.plan.tolerance
            _, end = march(evaluate, state, one, tableau, controller, None, tolerance, end_slope=False, norm=norm)
        except Stuck as stuck:
            at = (self.start + (s + stuck.s * (to - s)) * self.span).flatten().tolist()
            rows = sorted({row % len(at) for row in stuck.rows})
            raise stuck.named(rows, [at[row] for row in rows], " (in the backward solve)") from None
        return end
