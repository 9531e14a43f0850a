"""What everything a solve is given receives, once every slot has its cotangent."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from latentode.ode.drive import Drive
from latentode.ode.field import Tape
from latentode.ode.path import Path

__all__ = ["Received", "Wanted", "receive"]


@dataclass(frozen=True)
class Wanted:
    """Which gradients of the route and of the queries are asked for."""

    start: bool
    span: bool
    clock: bool


@dataclass
class Received:
    """Gradients of z0 (row, latent), of starts and spans (piece, row, 1), and of the leaves."""

    z0: Tensor
    start: Tensor | None
    span: Tensor | None
    leaves: list[Tensor | None]

    def add_span(self, more: Tensor) -> None:
        """Add to what the spans receive."""
        self.span = more if self.span is None else self.span + more.to(self.span.dtype)

    def after(self, later: "Received | None") -> "Received":
        """Add what a later stretch of the same solve gives; z0 is this one's."""
        if later is None:
            return self
        leaves = [_sum(a, b) for a, b in zip(self.leaves, later.leaves, strict=True)]
        return Received(self.z0, _sum(self.start, later.start), _sum(self.span, later.span), leaves)


def receive(
    g_z0: Tensor,
    by_step: Tensor | None,
    tape: Tape,
    drive: Drive,
    path: Path,
    places: Sequence[float],
    states: Tensor,
    cotangents: Tensor,
    control_leaves: Sequence[Tensor],
    wanted: Wanted,
) -> Received:
    """Ask the tape what the field's inputs receive, and pass it on to the route and the control.

    Parameters
    ----------
    g_z0 : Tensor
        (row, latent), what z0 receives.
    by_step : Tensor, optional
        (step, row, 1), what the span receives because every step is a part of it.
    tape, drive, path, places
        Where the slots are, and what was read there.
    states, cotangents : Tensor
        (slot, row, latent); the tape has pulled these very cotangents.
    control_leaves, wanted
        What is asked for.
    """
    times = seen = controls = at = None
    if tape.reads_time or drive.control is not None:
        times = drive.times(path, places)
        seen, controls = drive.given(times)
    field = tape.gradients(states, cotangents, seen, controls)
    by_control: list[Tensor | None] = [None] * len(control_leaves)
    if times is not None:
        at = None if field.times is None else field.times.to(times.exact.dtype)
        if field.controls is not None:
            by_time, by_control = drive.control_gradients(times, field.controls, control_leaves)
            at = _sum(at, by_time)
    start, span = None, None if by_step is None else _by_piece(by_step, path, drive)
    if at is not None and (wanted.start or wanted.span):
        start, inside = _by_slot(at, path, places, drive)
        span = _sum(span, inside)
    return Received(g_z0, start, span, [*field.parameters, *field.args, *by_control])


def _by_piece(each: Tensor, path: Path, drive: Drive) -> Tensor:
    """Add up by piece what every step gives, (step, row, 1)."""
    each = each.to(drive.route.span.dtype)
    if drive.route.n_pieces == 1:
        return each.sum(0, keepdim=True)
    pieces = torch.tensor(path.pieces, device=each.device)
    return torch.zeros_like(drive.route.span).index_add_(0, pieces, each)


def _by_slot(at: Tensor, path: Path, places: Sequence[float], drive: Drive) -> tuple[Tensor, Tensor]:
    """What starts and spans receive, (piece, row, 1), when the time of every slot receives ``at``."""
    clocks = path.clocks(tuple(places), at)
    if drive.route.n_pieces == 1:
        return at.sum(0, keepdim=True), (at * clocks).sum(0, keepdim=True)
    pieces, zero = path.pieces_by_slot(at.device), torch.zeros_like(drive.route.span)
    return zero.index_add(0, pieces, at), zero.index_add(0, pieces, at * (clocks - pieces.view(-1, 1, 1)))


def _sum(a: Tensor | None, b: Tensor | None) -> Tensor | None:
    if a is None or b is None:
        return b if a is None else a
    return a + b
