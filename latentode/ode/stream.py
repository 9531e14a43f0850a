"""Answering while stepping: a few steps are kept at a time, their queries answered, and let go."""

from collections.abc import Callable, Iterator

from torch import Tensor

from latentode.ode.dense import DenseOutput, Queries
from latentode.ode.path import Path
from latentode.ode.run import Record, TapedRun
from latentode.ode.trace import Trace

__all__ = ["answer", "queries_on", "read", "stream"]


def stream(run: TapedRun, lengths: Iterator[int], clock: Tensor, queries: Queries, trace: Trace) -> Iterator[Record]:
    """Step to the end, so many steps at a time; yield each record before it is let go."""
    while not run.march.done:
        record = run.advance(next(lengths))
        trace.look(*record.ledger.gather(record.path), record.path)
        yield record


def queries_on(path: Path, clock: Tensor, queries: Queries, *, last: bool) -> tuple[Tensor, Tensor]:
    """Which queries lie on these steps: their series and their places, (query,) each."""
    begin, end = (_of_rows(knot, queries) for knot in (path.knots[0], path.knots[-1]))
    on = queries.here & (clock <= end) if not last else queries.here.clone()
    if path.begun:
        on &= clock > begin
    series, place = on.nonzero(as_tuple=True)
    return series, place


def read(record: Record, run: TapedRun, clock: Tensor, queries: Queries, which: tuple[Tensor, Tensor]) -> DenseOutput:
    """The dense output of these steps at some of the queries, (query, 1)."""
    rows = queries.rows.expand_as(clock)[which].unsqueeze(1)
    nodes, slopes = record.ledger.gather(record.path)
    route = run.drive.route
    return DenseOutput(nodes, slopes, record.path, route, run.plan.method, clock[which].unsqueeze(1), rows, own=False)


def answer(
    run: TapedRun, lengths: Iterator[int], clock: Tensor, queries: Queries, trace: Trace,
    on_record: Callable[[Record], None] = lambda record: None,
) -> Tensor:  # fmt: skip
    """Step to the end and return the answers, (series, time, latent), zero where a query is not asked here."""
    z = run.z0.new_zeros(*clock.shape, run.z0.shape[1])
    for record in stream(run, lengths, clock, queries, trace):
        which = queries_on(record.path, clock, queries, last=run.march.done)
        if len(which[0]):
            z[which] = read(record, run, clock, queries, which).answer().squeeze(1)
        on_record(record)
    return z


def _of_rows(knot: float | Tensor, queries: Queries) -> float | Tensor:
    """The clock of a node for the row every query reads."""
    return knot[queries.rows, 0] if isinstance(knot, Tensor) else knot
