"""Answering while stepping: a few steps are kept at a time, until their queries are answered."""

from collections.abc import Callable, Iterator
from typing import Any

from torch import Tensor

from latentode.ode.dense import DenseOutput
from latentode.ode.diagnostics import Diagnostics
from latentode.ode.loop import IntegrationLoop
from latentode.ode.steps import AcceptedSteps

__all__ = ["Answers", "answer_in_chunks", "queries_on", "read"]

Answers = tuple[Tensor, Diagnostics]  # (series, time, latent), and what is known of the steps


def answer_in_chunks(
    loop: IntegrationLoop, lengths: Iterator[int], clock: Tensor, queried: Tensor,
    on_chunk: Callable[[Tensor, list[Any], int], None] | None = None,
) -> Answers:  # fmt: skip
    """Step to the end, and return the answers, (series, time, latent), and the diagnostics.

    Parameters
    ----------
    loop : IntegrationLoop
        What steps; row i is series i.
    lengths : iterator of int
        How many steps each chunk has.
    clock, queried : Tensor
        (series, time): the queries on the clock, and where there is one; elsewhere the answer is zero.
    on_chunk : callable, optional
        Called with the first node of every chunk (row, latent), the clocks of its nodes, and the number of steps taken
        before.
    """
    z, diagnostics = loop.z.new_zeros(*clock.shape, loop.z.shape[1]), Diagnostics(copies=1)
    while not loop.done:
        steps = loop.advance(next(lengths))
        nodes, slopes = loop.nodes_and_slopes(steps)
        diagnostics.add(nodes, slopes, steps)
        which = queries_on(steps, clock, queried, last=loop.done)
        if len(which[0]):
            z[which] = read(nodes, slopes, steps, clock, which).answer().squeeze(1)
        if on_chunk is not None:
            on_chunk(nodes[0], steps.clocks, steps.taken_before)
    return z, diagnostics


def queries_on(steps: AcceptedSteps, clock: Tensor, queried: Tensor, *, last: bool) -> tuple[Tensor, Tensor]:
    """Return which queries lie on these steps: their series and their places, (query,) each."""
    begin, end = steps.clocks[0], steps.clocks[-1]
    # A query at a node belongs to the step that ends there. The last chunk takes all that rounding has put beyond.
    on = queried & (clock <= end) if not last else queried.clone()
    if steps.taken_before:
        on &= clock > begin
    series, place = on.nonzero(as_tuple=True)
    return series, place


def read(
    nodes: Tensor, slopes: Tensor, steps: AcceptedSteps, clock: Tensor, which: tuple[Tensor, Tensor]
) -> DenseOutput:
    """Return the dense output of these steps at some of the queries, (query, 1)."""
    return DenseOutput(nodes, slopes, steps, clock[which].unsqueeze(1), which[0].unsqueeze(1))
