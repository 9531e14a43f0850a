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

__all__ = ["AnalyticField", "Field", "FieldGradients", "Tape", "is_analytic", "parameters_of"]

Field = Callable[..., Tensor]


class FieldGradients(NamedTuple):
    """Gradients of everything a field reads besides the state.

    ``parameters`` and ``args`` follow the order of ``field.parameters()`` and of ``args``; ``times`` is
    (stage, series, 1), or None for a field that does not read the time.
    """

    parameters: Sequence[Tensor | None]
    args: Sequence[Tensor | None]
    times: Tensor | None


class Tape(Protocol):
    """One solve's worth of a field: slots are numbered as the stages are evaluated.

    A slot may be evaluated again (after a rejected step); the last evaluation counts.
    """

    reads_time: bool

    def reserve(self, n_slots: int) -> None:
        """Make room for that many slots, keeping what the present ones hold."""

    def evaluate(self, slot: int, t: Tensor | None, z: Tensor, out: Tensor) -> None:
        """Write f(t, z) to ``out`` and remember the stage; ``t`` is (series, 1), None unless ``reads_time``."""

    def pull(self, slot: int, cotangent: Tensor, out: Tensor) -> None:
        """Write the cotangent times df/dz at that slot to ``out``, and remember the cotangent's way down."""

    def gradients(self, states: Tensor, cotangents: Tensor, times: Tensor | None) -> FieldGradients:
        """Add up, over all slots pulled, what the parameters, args and times receive.

        All three are stacked over slots: (stage, series, latent), and (stage, series, 1) for the times.
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

    def evaluate(self, slot: int, t: Tensor | None, z: Tensor, out: Tensor) -> None:
        """Write f(t, z) to ``out``."""
        with torch.set_grad_enabled(self.wary and slot == 0):
            slope = checked(self.field(t, z, *self.args), z)
        if slope.requires_grad:
            _refuse_strangers(slope, self.known)
        out.copy_(slope.detach())

    def pull(self, slot: int, cotangent: Tensor, out: Tensor) -> None:
        """Refuse: nothing was recorded."""
        raise RuntimeError("this tape records nothing")

    def gradients(self, states: Tensor, cotangents: Tensor, times: Tensor | None) -> FieldGradients:
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
        self.stages: dict[int, tuple[Tensor, Tensor, Tensor]] = {}
        self.times: dict[int, Tensor | None] = {}

    def reserve(self, n_slots: int) -> None:
        """Graphs are kept one by one: there is nothing to reserve."""

    def evaluate(self, slot: int, t: Tensor | None, z: Tensor, out: Tensor) -> None:
        """Write f(t, z) to ``out`` and keep the graph behind it."""
        with torch.enable_grad():
            state = z.detach().clone().requires_grad_()
            time = torch.zeros_like(z[:, :1]) if t is None else t.detach().clone()
            time.requires_grad_()
            slope = checked(self.field(time, state, *self.args), z)
        if not self.stages:
            _refuse_strangers(slope, frozenset(map(id, (*self.leaves, time, state))))
        self.stages[slot] = (time, state, slope)
        out.copy_(slope.detach())

    def pull(self, slot: int, cotangent: Tensor, out: Tensor) -> None:
        """Ask autograd for this stage, adding to the totals on the way."""
        time, state, slope = self.stages[slot]
        if not slope.requires_grad:
            out.zero_()
            self.times[slot] = None
            return
        pulled: tuple[Tensor | None, ...] = torch.autograd.grad(
            slope, (time, state, *self.leaves), cotangent, retain_graph=True, allow_unused=True
        )
        self.times[slot] = pulled[0]
        if pulled[1] is None:
            out.zero_()
        else:
            out.copy_(pulled[1])
        for i, extra in enumerate(pulled[2:]):
            if extra is not None:
                total = self.totals[i]
                self.totals[i] = extra if total is None else total + extra

    def gradients(self, states: Tensor, cotangents: Tensor, times: Tensor | None) -> FieldGradients:
        """Hand over the totals, and start again from nothing."""
        received = iter(self.totals)
        each = [next(received) if leaf.requires_grad else None for leaf in (*self.parameters, *self.args)]
        zero = torch.zeros_like(states[0, :, :1])
        at = [self.times.get(slot) for slot in range(len(states))]
        self.totals = [None] * len(self.leaves)
        n = len(self.parameters)
        return FieldGradients(each[:n], each[n:], torch.stack([zero if g is None else g for g in at]))


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
