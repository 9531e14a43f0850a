"""A multilayer perceptron that evaluates and differentiates itself by hand, stage by stage of a solve."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from latentode.ode.field import FieldGradients

__all__ = ["ACTIVATIONS", "MLPVJP", "Activation"]


@dataclass(frozen=True)
class Activation:
    """A smooth activation as ``outer * forward(inner * x) + shift``, and the derivative of ``forward``.

    The three numbers are folded into the weights around it. ``saves_input`` says whether the derivative is taken
    from the input of ``forward`` or from its output.
    """

    module: type[nn.Module]
    forward: Callable[[Tensor, Tensor], object]
    backward: Callable[[Tensor, Tensor, Tensor], object]
    saves_input: bool = False
    inner: float = 1.0
    outer: float = 1.0
    shift: float = 0.0


_aten = torch.ops.aten
ACTIVATIONS = {
    "elu": Activation(
        nn.ELU,
        lambda x, out: _aten.elu.out(x, out=out),
        lambda g, y, out: _aten.elu_backward.grad_input(g, 1.0, 1.0, 1.0, True, y, grad_input=out),
    ),
    "silu": Activation(
        nn.SiLU,
        lambda x, out: _aten.silu.out(x, out=out),
        lambda g, x, out: _aten.silu_backward.grad_input(g, x, grad_input=out),
        saves_input=True,
    ),
    "softplus": Activation(
        nn.Softplus,
        lambda x, out: _aten.softplus.out(x, out=out),
        lambda g, x, out: _aten.softplus_backward.grad_input(g, x, 1.0, 20.0, grad_input=out),
        saves_input=True,
    ),
    # tanh x = 2 sigmoid(2x) - 1, and on a CPU the sigmoid takes a third of the time.
    "tanh": Activation(
        nn.Tanh,
        lambda x, out: torch.sigmoid(x, out=out),
        lambda g, y, out: _aten.sigmoid_backward.grad_input(g, y, grad_input=out),
        inner=2.0,
        outer=2.0,
        shift=-1.0,
    ),
}


class MLPVJP:
    """One solve of a multilayer perceptron: activations in, cotangents out, all stacked by stage.

    Parameters
    ----------
    layers : sequence of (weight, bias)
        The layers, none of which wants a gradient by itself.
    widths : tuple of int
        How many columns of the first weight belong to the state, the context, the control and the time.
    activations : sequence of Activation
        After each layer but the last.
    context : Tensor, optional
        (series, context)
    like : Tensor
        A state, (series * copies, latent).
    copies : int
        How often every series is among the rows.
    record : bool
        Whether a backward sweep will come; without, one slot is used again and again.
    """

    def __init__(
        self,
        layers: Sequence[tuple[Tensor, Tensor]],
        widths: tuple[int, int, int, int],
        activations: Sequence[Activation],
        context: Tensor | None,
        like: Tensor,
        *,
        copies: int,
        record: bool,
    ) -> None:
        weights, biases_given = [weight for weight, _ in layers], [bias for _, bias in layers]
        self.activations = list(activations)
        by_state, self.by_context, by_control, by_time = torch.split(weights[0], list(widths), 1)
        state = by_state.contiguous()
        self.inward, outward, biases = [state], [state], [biases_given[0]]
        # An activation is outer * forward(inner * x) + shift. What is linear in that goes into the layers on both
        # sides, once per solve instead of once per stage.
        for weight, bias, below in zip(weights[1:], biases_given[1:], self.activations, strict=True):
            self.inward.append(_times(weight, below.inner * below.outer))
            outward.append(_times(weight, below.outer))
            biases.append(torch.add(bias, weight.sum(1), alpha=below.shift) if below.shift else bias)
        scales = [above.inner for above in self.activations] + [1.0]  # of what each layer hands on
        self.scale = scales[0]
        self.outward = [_times(w, scale).t() for w, scale in zip(outward, scales, strict=True)]
        self.biases = [_times(b, scale) for b, scale in zip(biases, scales, strict=True)]
        self.context = context
        self.by_control = by_control.t().contiguous() if widths[2] else None
        self.by_time = by_time.t().contiguous() if widths[3] else None
        self.reads_time = bool(widths[3])
        self.copies, self.record, self.like = copies, record, like
        self.base = self.biases[0]
        if context is not None:
            self.base = torch.addmm(self.biases[0], context, self.by_context.t(), alpha=self.scale)
            if copies > 1:
                self.base = self.base.repeat(copies, 1)
        self.inputs: list[Tensor] = []  # by hidden layer: (slot, series, hidden) before the activation ...
        self.outputs: list[Tensor] = []  # ... and after it
        self.cotangents: list[Tensor] = []
        self._forward: list[list[tuple[Any, ...]]] = []
        self._saved: list[list[tuple[Tensor, ...]]] = []
        self._backward: list[list[tuple[Any, ...]]] = []
        self._scratch = [like.new_empty(like.shape[0], w.shape[0]) for w in self.inward[:-1]]

    def reserve(self, n_slots: int) -> None:
        """Make room for that many slots; without recording, one is enough."""
        n_slots = n_slots if self.record else 1
        if self.outputs and len(self.outputs[0]) >= n_slots:
            return
        layers = range(len(self.activations))
        self.outputs = [self._grown(self.outputs, layer, n_slots) for layer in layers]
        self.inputs = [
            self._grown(self.inputs, layer, n_slots) if self.activations[layer].saves_input else self.outputs[layer]
            for layer in layers
        ]
        if self.cotangents:
            self.cotangents = [self._grown(self.cotangents, layer, n_slots) for layer in layers]
        # The operands of every slot are listed once, so that no stage of the solve slices a tensor.
        post = [x.unbind(0) for x in self.outputs]
        pre = [x.unbind(0) for x in self.inputs]
        weights = self.outward[:-1]
        biases = [self.base, *self.biases[1:]][: len(weights)]
        activate = [a.forward for a in self.activations]
        self._forward = [list(zip(biases, weights, *at, activate, strict=True)) for at in _by_slot(n_slots, pre, post)]
        self._saved = _by_slot(n_slots, pre)
        self._backward = []

    def evaluate(self, slot: int, t: Tensor | None, u: Tensor | None, z: Tensor, out: Tensor) -> None:
        """Write the slope to ``out``, keeping every layer's activations."""
        base = None
        if u is None and self.by_control is not None:
            raise ValueError(f"the field has control_dim={len(self.by_control)}: solve needs control=")
        if u is not None:
            base = torch.addmm(self.base, u, self._driven(u), alpha=self.scale)
        if t is not None and self.by_time is not None:
            base = torch.addmm(self.base if base is None else base, t, self.by_time, alpha=self.scale)
        x = z
        for bias, weight, pre, post, activate in self._forward[slot if self.record else 0]:
            torch.addmm(bias if base is None else base, x, weight, out=pre)
            activate(pre, post)
            x, base = post, None
        last = self.base if len(self.inward) == 1 else self.biases[-1]
        torch.addmm(last if base is None else base, x, self.outward[-1], out=out)

    def pull(self, slot: int, cotangent: Tensor, out: Tensor) -> None:
        """Write the cotangent times df/dz to ``out``, keeping what reaches every layer."""
        if not self._backward:
            self.cotangents = self.cotangents or [torch.empty_like(x) for x in self.outputs]
            rows = _by_slot(len(self._saved), [x.unbind(0) for x in self.cotangents])
            back = [a.backward for a in reversed(self.activations)]
            self._backward = [
                list(zip(self.inward[:0:-1], self._scratch[::-1], saved[0][::-1], row[0][::-1], back, strict=True))
                for saved, row in zip(self._saved, rows, strict=True)
            ]
        g = cotangent
        for weight, scratch, saved, into, differentiate in self._backward[slot]:
            torch.mm(g, weight, out=scratch)
            differentiate(scratch, saved, into)
            g = into
        torch.mm(g, self.inward[0], out=out)

    pull_state = pull  # what is kept of a slot is what it was pulled with last

    def weighted_gradients(
        self, states: Tensor, cotangents: Tensor, times: Tensor | None, controls: Tensor | None, weights: Tensor
    ) -> FieldGradients:
        """Form the parameters' gradients of stages that have weights, (stage, 1, 1)."""
        above = [*(x[: len(states)] * weights for x in self.cotangents), cotangents * weights]
        return self._summed(states, above, times, controls)

    def gradients(
        self, states: Tensor, cotangents: Tensor, times: Tensor | None, controls: Tensor | None
    ) -> FieldGradients:
        """Form the parameters' gradients, by one product per layer over all stages."""
        above = [*(x[: len(states)] for x in self.cotangents), cotangents]
        return self._summed(states, above, times, controls)

    def _summed(
        self, states: Tensor, above: list[Tensor], times: Tensor | None, controls: Tensor | None
    ) -> FieldGradients:
        """The gradients, from what reaches every layer."""
        below = [states, *(x[: len(states)] for x in self.outputs)]
        parameters: list[Tensor | None] = []
        for layer, (x, g) in enumerate(zip(below, above, strict=True)):
            flat = g.flatten(0, 1)
            by_bias = flat.sum(0)
            if layer == 0:
                by_weight = flat.t() @ x.flatten(0, 1)
            else:
                a = self.activations[layer - 1]
                by_weight = torch.addmm(by_bias.unsqueeze(1), flat.t(), x.flatten(0, 1), beta=a.shift, alpha=a.outer)
            parameters += [by_weight, by_bias]
        first, for_times, for_controls = above[0], None, None
        columns, args = [parameters[0]], []
        if self.context is not None:
            # The context is the same at all stages: its gradient needs their sum only.
            total = first.sum(0).view(self.copies, *self.context.shape[:1], -1).sum(0)
            columns.append(total.t() @ self.context)
            args.append(total @ self.by_context)
        if controls is not None:
            columns.append(first.flatten(0, 1).t() @ controls.flatten(0, 1))
            for_controls = first @ self._driven(controls).t()
        if self.by_time is not None and times is not None:
            columns.append(first.flatten(0, 1).t() @ times.flatten(0, 1))
            for_times = first @ self.by_time.t()
        parameters[0] = torch.cat([c for c in columns if c is not None], 1)
        return FieldGradients(parameters, args, for_times, for_controls)

    def _driven(self, u: Tensor) -> Tensor:
        """The control's part of the first layer."""
        if self.by_control is None or self.by_control.shape[0] != u.shape[-1]:
            wanted = 0 if self.by_control is None else self.by_control.shape[0]
            raise ValueError(f"the control has {u.shape[-1]} channels, but the field has control_dim={wanted}")
        return self.by_control

    def _grown(self, old: list[Tensor], layer: int, n_slots: int) -> Tensor:
        new = self.like.new_empty(n_slots, self.like.shape[0], self.inward[layer].shape[0])
        if old:
            new[: len(old[layer])].copy_(old[layer])
        return new


def _times(x: Tensor, scale: float) -> Tensor:
    return x if scale == 1.0 else x * scale


def _by_slot(n_slots: int, *layers: Sequence[tuple[Tensor, ...]]) -> list[list[tuple[Tensor, ...]]]:
    """Turn rows by layer and slot, of each kind given, into rows by slot, kind and layer."""
    return [[tuple(layer[slot] for layer in kind) for kind in layers] for slot in range(n_slots)]
