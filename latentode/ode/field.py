"""What the solver asks of a field, and how any module or function answers it.

A *tape* evaluates the field stage by stage, remembers what the backward sweep will need, and answers it. A field
which knows its own derivatives brings its own tape (:class:`AnalyticField`); every other one gets
:class:`RecordedTape`, which records each stage with autograd.
"""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, Protocol, runtime_checkable

import torch
from torch import Tensor, nn
from torch.nn.utils.parametrize import is_parametrized

__all__ = ["AnalyticField", "Field", "FieldGradients", "Tape", "called", "is_analytic", "parameters_of"]

Field = Callable[..., Tensor]


class FieldGradients(NamedTuple):
    """Gradients of everything a field reads besides the state.

    ``parameters`` and ``args`` follow the order of ``field.parameters()`` and of ``args``; ``times`` is
    (stage, series, 1), or None for a field that does not read the time; ``controls`` is (stage, series, channel), or
    None where there is no control.
    """

    parameters: Sequence[Tensor | None]
    args: Sequence[Tensor | None]
    times: Tensor | None
    controls: Tensor | None = None


class Tape(Protocol):
    """One solve's worth of a field: slots are numbered as the stages are evaluated.

    A slot may be evaluated again (after a rejected step); the last evaluation counts.
    """

    reads_time: bool

    def reserve(self, n_slots: int) -> None:
        """Make room for that many slots, keeping what the present ones hold."""

    def evaluate(self, slot: int, t: Tensor | None, u: Tensor | None, z: Tensor, out: Tensor) -> None:
        """Write f(t, z) or f(t, z, u) to ``out`` and remember the stage.

        ``t`` is (series, 1), None unless ``reads_time``; the control ``u`` is (series, channel), None where there is
        none.
        """

    def pull(self, slot: int, cotangent: Tensor, out: Tensor) -> None:
        """Write the cotangent times df/dz at that slot to ``out``, and remember the cotangent's way down."""

    def gradients(
        self, states: Tensor, cotangents: Tensor, times: Tensor | None, controls: Tensor | None
    ) -> FieldGradients:
        """Add up, over all slots pulled, what the parameters, args, times and controls receive.

        All are stacked over slots: (stage, series, latent), (stage, series, 1) for the times (None unless
        ``reads_time``), and (stage, series, channel) for the controls (None where there are none).
        """


@runtime_checkable
class AnalyticField(Protocol):
    """A field that knows its own vector-Jacobian product.

    Its rows must be independent of each other, and every one of its ``args`` per series: the solver may hand it
    each series twice, once per direction of time, and then asks for ``copies=2``.
    """

    def tape(self, args: Sequence[Tensor], like: Tensor, *, copies: int, record: bool) -> Tape:
        """Prepare one solve: ``like`` is a state (series * copies, latent); without ``record`` one slot is reused."""


def is_analytic(field: Field) -> bool:
    """Whether the solver may use the field's own derivatives.

    Not where a subclass has overridden ``forward`` without ``tape``, nor where a hook or a parametrization
    stands between the parameters and the result: there autograd is asked instead.
    """
    if not isinstance(field, nn.Module) or not isinstance(field, AnalyticField):
        return False
    depth = {
        name: next(i for i, c in enumerate(type(field).__mro__) if name in vars(c)) for name in ("forward", "tape")
    }
    if "forward" in vars(field) or depth["forward"] < depth["tape"]:
        return False
    return not any(
        m._forward_hooks or m._forward_pre_hooks or m._backward_hooks or m._backward_pre_hooks or is_parametrized(m)
        for m in field.modules()
    )


def parameters_of(field: Field) -> tuple[Tensor, ...]:
    """Return the parameters of a module, and nothing for a function."""
    return tuple(field.parameters()) if isinstance(field, nn.Module) else ()


def called(field: Field, t: Tensor, u: Tensor | None, z: Tensor, args: Sequence[Tensor]) -> Tensor:
    """Return f(t, z, *args), or f(t, z, u, *args) with a control; refuse what is not shaped like the state."""
    return checked(field(t, z, *args) if u is None else field(t, z, u, *args), z)


class PlainTape:
    """A tape for solves that nobody differentiates."""

    reads_time = True

    def __init__(self, field: Field, parameters: Sequence[Tensor], args: Sequence[Tensor], *, wary: bool) -> None:
        self.field = field
        self.args = args
        self.known = frozenset(map(id, (*parameters, *args)))
        self.wary = wary  # whether the caller expects gradients, if there are any to be had

    def reserve(self, n_slots: int) -> None:
        """Nothing is kept."""

    def evaluate(self, slot: int, t: Tensor | None, u: Tensor | None, z: Tensor, out: Tensor) -> None:
        """Write the slope to ``out``."""
        with torch.set_grad_enabled(self.wary and slot == 0):
            slope = called(self.field, _given(t), u, z, self.args)
        if slope.requires_grad:
            _refuse_strangers(slope, self.known)
        out.copy_(slope.detach())

    def pull(self, slot: int, cotangent: Tensor, out: Tensor) -> None:
        """Refuse: nothing was recorded."""
        raise RuntimeError("this tape records nothing")

    def gradients(
        self, states: Tensor, cotangents: Tensor, times: Tensor | None, controls: Tensor | None
    ) -> FieldGradients:
        """Refuse: nothing was recorded."""
        raise RuntimeError("this tape records nothing")


class RecordedTape:
    """A tape for any field: each stage is recorded by autograd, alone, and asked when the sweep comes by.

    Because the graph of the forward pass is kept, not made again, a field with dropout or with buffers that
    change as it is evaluated gets the gradient of exactly what was computed.
    """

    reads_time = True

    def __init__(self, field: Field, parameters: Sequence[Tensor], args: Sequence[Tensor]) -> None:
        self.field = field
        self.args = tuple(arg.detach().requires_grad_(arg.requires_grad) for arg in args)
        self.parameters = tuple(parameters)
        self.leaves = tuple(leaf for leaf in (*self.parameters, *self.args) if leaf.requires_grad)
        self.totals: list[Tensor | None] = [None] * len(self.leaves)
        self.stages: dict[int, tuple[list[Tensor], Tensor]] = {}
        self.received: dict[int, tuple[Tensor | None, ...]] = {}

    def reserve(self, n_slots: int) -> None:
        """Graphs are kept one by one: there is nothing to reserve."""

    def evaluate(self, slot: int, t: Tensor | None, u: Tensor | None, z: Tensor, out: Tensor) -> None:
        """Write the slope to ``out`` and keep the graph behind it."""
        with torch.enable_grad():
            given = [x.detach().clone().requires_grad_() for x in (z, _given(t), u) if x is not None]
            state, time, *control = given
            slope = called(self.field, time, control[0] if control else None, state, self.args)
        if not self.stages:
            _refuse_strangers(slope, frozenset(map(id, (*self.leaves, *given))))
        self.stages[slot] = (given, slope)
        out.copy_(slope.detach())

    def pull(self, slot: int, cotangent: Tensor, out: Tensor) -> None:
        """Ask autograd for this stage, adding to the totals on the way."""
        given, slope = self.stages[slot]
        if not slope.requires_grad:
            out.zero_()
            self.received[slot] = ()
            return
        pulled: tuple[Tensor | None, ...] = torch.autograd.grad(
            slope, (*given, *self.leaves), cotangent, retain_graph=True, allow_unused=True
        )
        by_state, *others = pulled[: len(given)]
        self.received[slot] = tuple(others)
        if by_state is None:
            out.zero_()
        else:
            out.copy_(by_state)
        for i, extra in enumerate(pulled[len(given) :]):
            if extra is not None:
                total = self.totals[i]
                self.totals[i] = extra if total is None else total + extra

    def gradients(
        self, states: Tensor, cotangents: Tensor, times: Tensor | None, controls: Tensor | None
    ) -> FieldGradients:
        """Hand over the totals, and start again from nothing."""
        totals = iter(self.totals)
        each = [next(totals) if leaf.requires_grad else None for leaf in (*self.parameters, *self.args)]
        of_time = self._stacked(len(states), 0, states[0, :, :1])
        of_control = None if controls is None else self._stacked(len(states), 1, controls[0])
        self.totals, self.received = [None] * len(self.leaves), {}
        n = len(self.parameters)
        return FieldGradients(each[:n], each[n:], of_time, of_control)

    def _stacked(self, n_slots: int, which: int, like: Tensor) -> Tensor:
        """What the time or the control of every slot received, nothing being zero."""
        zero = torch.zeros_like(like)
        received = [self.received.get(slot, ()) for slot in range(n_slots)]
        found = [each[which] if which < len(each) else None for each in received]
        return torch.stack([zero if x is None else x for x in found])


def _given(t: Tensor | None) -> Tensor:
    if t is None:
        raise RuntimeError("this tape reads the time")
    return t


def _refuse_strangers(slope: Tensor, known: frozenset[int]) -> None:
    """Refuse a field that reads trainable tensors nobody declared: they would get no gradient, in silence."""
    seen: set[Any] = set()
    waiting = [slope.grad_fn]
    while waiting:
        node = waiting.pop()
        if node is None or node in seen:
            continue
        seen.add(node)
        leaf = getattr(node, "variable", None)
        if leaf is not None and id(leaf) not in known:
            raise ValueError(
                f"the field uses a trainable tensor of shape {tuple(leaf.shape)} which the solver cannot see, so "
                "it would get no gradient. Pass it through args, make it a parameter of the field (an "
                'nn.Module), use adjoint="autograd", or solve under torch.no_grad().'
            )
        waiting.extend(parent for parent, _ in node.next_functions)


def checked(slope: Any, z: Tensor) -> Tensor:
    """Refuse a slope which is not shaped like the state."""
    if not isinstance(slope, Tensor) or slope.shape != z.shape:
        got = f"shape {tuple(slope.shape)}" if isinstance(slope, Tensor) else type(slope).__name__
        raise ValueError(f"field(t, z) must return a tensor shaped like z, {tuple(z.shape)}, but returned {got}")
    return slope
