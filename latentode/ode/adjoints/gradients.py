"""The gradients of everything a solve is given, once every slot has its cotangent."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor

from latentode.ode.field import Tape
from latentode.ode.field_inputs import FieldInputs
from latentode.ode.steps import AcceptedSteps

__all__ = ["Gradients", "Record", "Wanted", "collect", "once_differentiable"]


class Record(NamedTuple):
    """What a forward pass leaves for the backward sweep.

    ``states`` and ``slopes`` are (slot, row, latent). ``inputs`` is None for a field that reads neither time nor
    control; ``jacobian`` returns df/dz of a slot for implicit methods. ``control_leaves`` are the control's tensors.
    """

    tape: Tape
    inputs: FieldInputs | None
    steps: AcceptedSteps
    states: Tensor
    slopes: Tensor
    control_leaves: Sequence[Tensor]
    jacobian: Callable[[int], Tensor] | None = None


class Wanted(NamedTuple):
    """Which gradients of the segments and of the queries are wanted."""

    start: bool
    span: bool
    clock: bool


@dataclass
class Gradients:
    """Gradients of z0 (row, latent), of starts and spans (segment, row, 1), and of the leaves."""

    z0: Tensor
    start: Tensor | None
    span: Tensor | None
    leaves: list[Tensor | None]

    def add_span(self, more: Tensor) -> None:
        """Add to the gradient of the spans."""
        self.span = more if self.span is None else self.span + more.to(self.span.dtype)

    def plus(self, later: "Gradients | None") -> "Gradients":
        """Add the gradients of a later part of the same solve, whose z0 is the end of this part."""
        if later is None:
            return self
        leaves = [_sum(a, b) for a, b in zip(self.leaves, later.leaves, strict=True)]
        return Gradients(self.z0, _sum(self.start, later.start), _sum(self.span, later.span), leaves)

    def returned(self, n_others: int, clock: Tensor | None) -> tuple[Tensor | None, ...]:
        """Return what ``backward`` returns: None for the first ``n_others`` arguments, then all gradients."""
        gradients = [self.z0, self.start, self.span, clock, *self.leaves]
        return (*[None] * n_others, *once_differentiable(gradients))


def collect(g_z0: Tensor, by_step: Tensor | None, record: Record, cotangents: Tensor, wanted: Wanted) -> Gradients:
    """Form the gradients of all that the field reads, and pass them on to the segments and the control.

    Parameters
    ----------
    g_z0 : Tensor
        (row, latent), the gradient of z0.
    by_step : Tensor, optional
        (step, row, 1), the gradient of the spans through the sizes of the steps.
    record : Record
        The slots, and what was read there.
    cotangents : Tensor
        (slot, row, latent): the cotangents that the tape has pulled.
    wanted : Wanted
        Which gradients are wanted.
    """
    inputs, steps, tape = record.inputs, record.steps, record.tape
    times = given = controls = by_time = None
    if inputs is not None and (tape.reads_time or inputs.control is not None):
        times = inputs.slot_times(steps)
        given, controls = inputs.at_slots(times)
    by_field = tape.gradients(record.states, cotangents, given, controls)
    by_control: list[Tensor | None] = [None] * len(record.control_leaves)
    if inputs is not None and times is not None:
        by_time = None if by_field.times is None else by_field.times.to(times.exact.dtype)
        if by_field.controls is not None:
            through_control, by_control = inputs.control_gradients(
                times.exact, times.side, by_field.controls, record.control_leaves
            )
            by_time = _sum(by_time, through_control)
    span_dtype = steps.segments.span.dtype
    start, span = None, None if by_step is None else steps.by_segment(by_step.to(span_dtype))
    if by_time is not None and (wanted.start or wanted.span):
        start, inside = _by_segment(by_time, steps)
        span = _sum(span, inside)
    return Gradients(g_z0, start, span, [*by_field.parameters, *by_field.args, *by_control])


def _by_segment(by_time: Tensor, steps: AcceptedSteps) -> tuple[Tensor, Tensor]:
    """Return the gradients of starts and spans, (segment, row, 1), from those of the time of every slot."""
    clocks = steps.slot_clocks(by_time)
    if steps.segments.count == 1:
        return by_time.sum(0, keepdim=True), (by_time * clocks).sum(0, keepdim=True)
    index, zero = steps.slot_segments(by_time.device), torch.zeros_like(steps.segments.span)
    inside = clocks - index.view(-1, 1, 1)
    return zero.index_add(0, index, by_time), zero.index_add(0, index, by_time * inside)


def _sum(a: Tensor | None, b: Tensor | None) -> Tensor | None:
    if a is None or b is None:
        return b if a is None else a
    return a + b


class _OnceDifferentiable(torch.autograd.Function):
    """Pass gradients on, and refuse to be differentiated."""

    @staticmethod
    def forward(ctx: Any, mark: Tensor, *grads: Tensor) -> tuple[Tensor, ...]:
        return tuple(g.view_as(g) for g in grads)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> Any:
        raise RuntimeError(
            "this solve's gradient was computed by an adjoint, which cannot be differentiated again; "
            'for second derivatives solve with adjoint="autograd".'
        )


def once_differentiable(grads: Sequence[Tensor | None]) -> list[Tensor | None]:
    """Return gradients that raise when differentiated, if a second differentiation is prepared (``create_graph``).

    PyTorch's own decorator of this name only says that a function is "marked with @once_differentiable".
    """
    if not torch.is_grad_enabled():
        return list(grads)
    mark = torch.zeros((), requires_grad=True)
    given = iter(_OnceDifferentiable.apply(mark, *(g for g in grads if g is not None)))  # type: ignore[no-untyped-call]
    return [None if g is None else next(given) for g in grads]
