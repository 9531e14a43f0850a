"""The vector field f: what the solver requires of it, and how any module or function meets that.

A *tape* evaluates the field stage by stage and keeps what the backward sweep will need. A field that knows its own
derivatives brings its own tape (:class:`AnalyticField`). Every other field gets a :class:`RecordedTape`, which records
each stage with autograd. A field of states of any other shape than (series, latent) is wrapped (see
:mod:`latentode.ode.flat_field`).
"""

import weakref
from collections.abc import Callable, Sequence, Set
from typing import Any, NamedTuple, Protocol, runtime_checkable

import torch
from torch import Tensor, nn
from torch.nn.utils.parametrize import is_parametrized

__all__ = [
    "AnalyticField",
    "Field",
    "FieldGradients",
    "PlainTape",
    "RecordedTape",
    "State",
    "Tape",
    "called",
    "is_analytic",
    "parameters_of",
    "trainable_behind",
]

Field = Callable[..., Tensor]
State = Tensor | tuple[Tensor, ...]


class FieldGradients(NamedTuple):
    """Gradients of everything a field reads besides the state.

    ``parameters`` and ``args`` are in the order of ``field.parameters()`` and of ``args``. ``times`` is
    (stage, series, 1), or None for a field that does not read the time. ``controls`` is (stage, series, channel), or
    None without a control.
    """

    parameters: Sequence[Tensor | None]
    args: Sequence[Tensor | None]
    times: Tensor | None
    controls: Tensor | None = None


class Tape(Protocol):
    """The field during one solve: each stage that is evaluated has a slot.

    A slot may be evaluated again (after a rejected step); the last evaluation counts.
    """

    reads_time: bool

    def reserve(self, n_slots: int) -> None:
        """Make room for ``n_slots`` slots, and keep what the present ones hold."""

    def evaluate(self, slot: int, t: Tensor | None, u: Tensor | None, z: Tensor, out: Tensor) -> None:
        """Write f(t, z) or f(t, z, u) to ``out``, and keep what the stage's derivatives need.

        ``t`` is (series, 1), or None unless ``reads_time``; the control ``u`` is (series, channel), or None without a
        control.
        """

    def pull(self, slot: int, cotangent: Tensor, out: Tensor) -> None:
        """Write the cotangent times df/dz of a slot to ``out``, and keep what :meth:`gradients` needs of it."""

    def pull_state(self, slot: int, cotangent: Tensor, out: Tensor) -> None:
        """Write the cotangent times df/dz of a slot to ``out``; :meth:`gradients` does not count it."""

    def gradients(
        self, states: Tensor, cotangents: Tensor, times: Tensor | None, controls: Tensor | None
    ) -> FieldGradients:
        """Return the gradients of parameters and args, summed over all slots pulled, and of times and controls.

        The arguments are stacked over slots: (stage, series, latent) for states and cotangents, (stage, series, 1) for
        the times (None unless ``reads_time``), and (stage, series, channel) for the controls (None without a control).
        """

    def weighted_gradients(
        self, states: Tensor, cotangents: Tensor, times: Tensor | None, controls: Tensor | None, weights: Tensor
    ) -> FieldGradients:
        """As :meth:`gradients`, of slots that :meth:`pull_state` has pulled last with these cotangents, weighted.

        ``weights`` is (stage, 1, 1).
        """


@runtime_checkable
class AnalyticField(Protocol):
    """A field that knows its own vector-Jacobian product.

    Its rows must be independent of each other, and each of its ``args`` must be per series: the solver may give it
    every series twice, once per direction of time, and then requests ``copies=2``.
    """

    def tape(self, args: Sequence[Tensor], like: Tensor, *, copies: int, record: bool) -> Tape:
        """Return a tape for one solve; ``like`` is a state, (series * copies, latent).

        Without ``record`` there will be no backward sweep, so that one slot can be used again and again.
        """


def is_analytic(field: Field) -> bool:
    """Return whether the solver may use the field's own derivatives.

    It may not if a subclass overrides ``forward`` without ``tape``, or if a hook or a parametrization changes what the
    module computes: there autograd is used instead.
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
    """Return f(t, z, *args), or f(t, z, u, *args) with a control.

    Raises
    ------
    ValueError
        If the slope is not shaped like the state, or the field changes the state in place.
    TypeError
        If the slope is complex.
    """
    compiling = torch.compiler.is_compiling()
    inference = not compiling and z.is_inference()
    if inference:
        z = z.clone()  # changes of tensors of the inference mode are not counted: the field may have a state of its own
    counted = not compiling and not inference
    changes = z._version if counted else 0
    slope = field(t, z, *args) if u is None else field(t, z, u, *args)
    if counted and z._version != changes:
        raise ValueError(
            "the field changes the state it is given in place (by an operation like z.neg_() or z[:, 0] = 0), and so "
            "the solution: it must return a new tensor. Use the operation that does not end with _, or z.clone()"
        )
    return checked(slope, z, t)


class PlainTape:
    """A tape for solves that are not differentiated.

    With ``expects_gradient`` the caller records gradients, though no tensor known to the solver requires one: then the
    first evaluation checks that the field does not read a trainable tensor the solver cannot see.
    """

    reads_time = True

    def __init__(
        self, field: Field, parameters: Sequence[Tensor], args: Sequence[Tensor], *, expects_gradient: bool
    ) -> None:
        self.field = field
        self.args = args
        self.known = frozenset(map(id, (*parameters, *args)))
        self.expects_gradient = expects_gradient

    def reserve(self, n_slots: int) -> None:
        """Do nothing: no stage is kept."""

    def evaluate(self, slot: int, t: Tensor | None, u: Tensor | None, z: Tensor, out: Tensor) -> None:
        """Write the slope to ``out``."""
        with torch.set_grad_enabled(self.expects_gradient and slot == 0):
            slope = called(self.field, _required(t), u, z.detach(), self.args)
        undeclared: list[weakref.ref[Tensor]] = []
        if slope.requires_grad and self.expects_gradient:
            undeclared = [weakref.ref(leaf) for leaf in trainable_behind(slope, self.known)]
        out.copy_(slope.detach())
        del slope  # and its graph, with the tensors that only the field itself made, to differentiate by them
        _refuse([leaf for leaf in (each() for each in undeclared) if leaf is not None])

    def pull(self, slot: int, cotangent: Tensor, out: Tensor) -> None:
        """Raise: nothing was recorded."""
        raise RuntimeError("this tape records nothing")

    pull_state = pull

    def weighted_gradients(
        self, states: Tensor, cotangents: Tensor, times: Tensor | None, controls: Tensor | None, weights: Tensor
    ) -> FieldGradients:
        """Raise: nothing was recorded."""
        raise RuntimeError("this tape records nothing")

    def gradients(
        self, states: Tensor, cotangents: Tensor, times: Tensor | None, controls: Tensor | None
    ) -> FieldGradients:
        """Raise: nothing was recorded."""
        raise RuntimeError("this tape records nothing")


class RecordedTape:
    """A tape for any field: autograd records each stage on its own, and the backward sweep pulls through the records.

    The graph of the forward pass is kept, not made again. A field with dropout, or with buffers that change as it is
    evaluated, therefore gets the gradient of exactly what was computed.
    """

    reads_time = True

    def __init__(self, field: Field, parameters: Sequence[Tensor], args: Sequence[Tensor]) -> None:
        self.field = field
        self.args = tuple(arg.detach().requires_grad_(arg.requires_grad) for arg in args)
        self.parameters = tuple(parameters)
        self.leaves = tuple(leaf for leaf in (*self.parameters, *self.args) if leaf.requires_grad)
        self.totals: list[Tensor | None] = [None] * len(self.leaves)
        self.stages: dict[int, tuple[list[Tensor], Tensor]] = {}
        self.by_input: dict[int, tuple[Tensor | None, ...]] = {}

    def reserve(self, n_slots: int) -> None:
        """Do nothing: graphs are kept one by one."""

    def evaluate(self, slot: int, t: Tensor | None, u: Tensor | None, z: Tensor, out: Tensor) -> None:
        """Write the slope to ``out``, and keep its graph."""
        with torch.enable_grad():
            # Copies: a rejected step is taken again in the same slots, which must not change what this graph has saved.
            given = [x.detach().clone().requires_grad_() for x in (z, _required(t), u) if x is not None]
            state, time, *control = given
            slope = called(self.field, time, control[0] if control else None, state, self.args)
        if not self.stages:
            _refuse(trainable_behind(slope, frozenset(map(id, (*self.leaves, *given)))))
        self.stages[slot] = (given, slope)
        out.copy_(slope.detach())

    def close(self) -> None:
        """Forget the field: the forward pass is over, and its graphs are all that the backward sweep needs."""
        del self.field

    def pull(self, slot: int, cotangent: Tensor, out: Tensor) -> None:
        """Differentiate one stage by autograd, and add to the sums over all stages."""
        given, slope = self.stages[slot]
        if not slope.requires_grad:
            out.zero_()
            self.by_input[slot] = ()
            return
        # Retained: the adjoint equation pulls a slot several times, and a caller may go backward twice.
        pulled: tuple[Tensor | None, ...] = torch.autograd.grad(
            slope, (*given, *self.leaves), cotangent, retain_graph=True, allow_unused=True
        )
        by_state, *others = pulled[: len(given)]
        self.by_input[slot] = tuple(others)
        _write(by_state, out)
        for i, extra in enumerate(pulled[len(given) :]):
            if extra is not None:
                total = self.totals[i]
                # Not in less precision than the state has: many small parts are added.
                wide = torch.promote_types(extra.dtype, slope.dtype)
                self.totals[i] = extra.to(wide) if total is None else total + extra

    def pull_state(self, slot: int, cotangent: Tensor, out: Tensor) -> None:
        """Differentiate one stage by its state."""
        given, slope = self.stages[slot]
        by_state = None
        if slope.requires_grad:
            (by_state,) = torch.autograd.grad(slope, given[:1], cotangent, retain_graph=True, allow_unused=True)
        _write(by_state, out)

    def gradients(
        self, states: Tensor, cotangents: Tensor, times: Tensor | None, controls: Tensor | None
    ) -> FieldGradients:
        """Return the sums over the slots pulled, and start new ones."""
        totals = iter(self.totals)
        each = [next(totals) if leaf.requires_grad else None for leaf in (*self.parameters, *self.args)]
        of_time = self._stacked(len(states), 0, states[0, :, :1])
        of_control = None if controls is None else self._stacked(len(states), 1, controls[0])
        self.totals, self.by_input = [None] * len(self.leaves), {}
        n = len(self.parameters)
        return FieldGradients(each[:n], each[n:], of_time, of_control)

    def weighted_gradients(
        self, states: Tensor, cotangents: Tensor, times: Tensor | None, controls: Tensor | None, weights: Tensor
    ) -> FieldGradients:
        """Differentiate the stages once more, by all but the state, and sum."""
        unused = torch.empty_like(states[0])
        for slot, cotangent in enumerate(cotangents * weights):
            self.pull(slot, cotangent, unused)
        return self.gradients(states, cotangents, times, controls)

    def _stacked(self, n_slots: int, which: int, like: Tensor) -> Tensor:
        """Return the gradients of the time or the control of every slot, zero if a slot has none."""
        zero = torch.zeros_like(like)
        by_slot = [self.by_input.get(slot, ()) for slot in range(n_slots)]
        found = [each[which] if which < len(each) else None for each in by_slot]
        return torch.stack([zero if x is None else x for x in found])


def _write(found: Tensor | None, out: Tensor) -> None:
    """Write a gradient, None being zero."""
    if found is None:
        out.zero_()
    else:
        out.copy_(found)


def _required(t: Tensor | None) -> Tensor:
    if t is None:
        raise RuntimeError("this tape reads the time")
    return t


def trainable_behind(slope: Tensor, known: Set[int]) -> list[Tensor]:
    """Return the trainable tensors behind a slope that are not among the known ones."""
    found: list[Tensor] = []
    seen: set[Any] = set()
    waiting = [slope.grad_fn]
    while waiting:
        node = waiting.pop()
        if node is None or node in seen:
            continue
        seen.add(node)
        leaf = getattr(node, "variable", None)
        if leaf is not None and id(leaf) not in known:
            found.append(leaf)
        waiting.extend(parent for parent, _ in node.next_functions)
    return found


def _refuse(undeclared: Sequence[Tensor]) -> None:
    """Raise if the field reads a trainable tensor the solver does not know: it would silently get no gradient."""
    if undeclared:
        raise ValueError(
            f"the field uses a trainable tensor of shape {tuple(undeclared[0].shape)} that the solver cannot see, so "
            "it would get no gradient. Pass it through args, make it a parameter of the field (an nn.Module), use "
            'adjoint="autograd", or solve under torch.no_grad(). If the field makes it, to differentiate a potential '
            "by its state: use the state itself, z if z.requires_grad else z.detach().requires_grad_()."
        )


def checked(slope: Any, z: Tensor, t: Tensor) -> Tensor:
    """Return the slope; raise unless it is real, and shaped like the state."""
    if not isinstance(slope, Tensor) or slope.shape != z.shape:
        got = f"shape {tuple(slope.shape)}" if isinstance(slope, Tensor) else type(slope).__name__
        swapped = isinstance(slope, Tensor) and slope.shape == t.shape
        hint = ", which is that of t: the arguments of a field are t, then z" if swapped else ""
        raise ValueError(f"field(t, z) must return a tensor shaped like z, {tuple(z.shape)}, but returned {got}{hint}")
    if slope.is_complex():
        raise TypeError(
            f"field(t, z) returned {slope.dtype} for a real state, so that the imaginary part would be lost: solve for "
            "real and imaginary parts as two real dimensions (torch.view_as_real, torch.view_as_complex)"
        )
    return slope
