"""Checkpointing: the discrete adjoint of a long solve in the memory of the square root of its steps.

The steps are taken in chunks of 1, 2, 3, ... steps, and only the state at the beginning of each chunk is kept. The
sweep takes the chunks again, the last one first, each with a tape of its own. N steps make about sqrt(2N) chunks, and
the longest has about as many steps, though N is not known beforehand.

References
----------
Griewank (1992), Achieving logarithmic growth of temporal and spatial complexity in reverse automatic differentiation.
"""

from collections.abc import Sequence
from itertools import count
from typing import Any, NamedTuple

import torch
from torch import Tensor

from latentode.ode.adjoints.chunked import Answers, answer_in_chunks, queries_on, read
from latentode.ode.adjoints.discrete import Sweep
from latentode.ode.adjoints.gradients import Gradients, Record, Wanted
from latentode.ode.autocast import without_autocast
from latentode.ode.problem import SolverSetup
from latentode.ode.step_size import RepeatedSteps

__all__ = ["CheckpointedAdjoint"]


class _Checkpoint(NamedTuple):
    """The state at the beginning of a chunk, the clocks of its nodes, and the number of steps taken before."""

    z: Tensor
    clocks: list[float]
    taken_before: int


class CheckpointedAdjoint(torch.autograd.Function):
    """The answers of a solve; their gradient takes the steps again, chunk by chunk, and transposes them."""

    @staticmethod
    def forward(
        ctx: Any, setup: SolverSetup, z0: Tensor, start: Tensor, span: Tensor, clock: Tensor, *leaves: Tensor
    ) -> Answers:
        """Take the steps and answer; ``leaves`` are the field's parameters, its args and the control's tensors."""
        tape = setup.tape(leaves, z0, record=False)
        loop = setup.loop(tape, setup.inputs_of(tape, leaves, z0.dtype), z0.detach(), leaves)
        checkpoints: list[_Checkpoint] = []

        def keep(z: Tensor, clocks: list[float], taken_before: int) -> None:
            checkpoints.append(_Checkpoint(z.clone(), clocks, taken_before))

        z, diagnostics = answer_in_chunks(loop, count(1), clock, setup.queried, keep)
        ctx.setup, ctx.checkpoints = setup, checkpoints
        ctx.save_for_backward(start, span, clock, *leaves)
        return z, diagnostics

    @staticmethod
    def backward(ctx: Any, g: Tensor, _: None) -> Any:
        """Take every chunk again, and sweep back over it."""
        start, span, clock, *leaves = ctx.saved_tensors
        wanted, gradients = Wanted(*ctx.needs_input_grad[2:5]), None
        with torch.no_grad(), without_autocast(g.device):
            again = _Backward(ctx.setup.on(start, span), leaves, clock, g, wanted)
            for checkpoint in reversed(ctx.checkpoints):
                gradients = again.sweep(checkpoint, gradients, last=checkpoint is ctx.checkpoints[-1])
        if gradients is None:
            raise RuntimeError("a solve has at least one chunk")
        return gradients.returned(1, again.g_clock if wanted.clock else None)


class _Backward:
    """The backward pass of one solve."""

    def __init__(self, setup: SolverSetup, leaves: Sequence[Tensor], clock: Tensor, g: Tensor, wanted: Wanted) -> None:
        self.setup, self.leaves, self.clock, self.g, self.wanted = setup, leaves, clock, g, wanted
        self.g_clock = torch.zeros_like(clock)

    def sweep(self, checkpoint: _Checkpoint, later: Gradients | None, *, last: bool) -> Gradients:
        """Take one chunk again; return the gradients through it and all later ones."""
        setup, leaves, z = self.setup, self.leaves, checkpoint.z
        tape = setup.tape(leaves, z, record=True)
        inputs = setup.inputs_of(tape, leaves, z.dtype)
        controller = RepeatedSteps(checkpoint.clocks, checkpoint.taken_before, setup.controller)
        loop = setup.loop(
            tape, inputs, z, leaves, controller=controller, clock=checkpoint.clocks[0], taken=checkpoint.taken_before
        )
        steps = loop.advance(len(checkpoint.clocks) - 1)
        which = queries_on(steps, self.clock, setup.queried, last=last)
        dense = read(*loop.nodes_and_slopes(steps), steps, self.clock, which)
        g = self.g[which].unsqueeze(1)
        g_nodes, g_slopes = dense.transpose(g)
        # The end of this chunk is the beginning of the next one, whose sweep has found its gradient.
        if later is not None:
            g_nodes[-1] += later.z0
        if self.wanted.clock:
            self.g_clock[which] += dense.clock_gradient(g).squeeze(1).to(self.g_clock.dtype)
        states, slopes = loop.stages(steps)
        jacobian = setup.slot_jacobian(steps, states, inputs, leaves)
        record = Record(tape, inputs, steps, states, slopes, setup.problem.split(leaves)[2], jacobian)
        gradients = Sweep(record).run(g_nodes, g_slopes, self.wanted)
        if self.wanted.span:
            gradients.add_span(dense.span_gradient())
        return gradients.plus(later)
