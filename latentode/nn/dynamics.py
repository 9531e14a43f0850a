"""The dynamics of a latent state: the built-in multilayer perceptron, which knows its own derivatives."""

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from latentode.ode.field import FieldGradients

__all__ = ["MLPDynamics"]


@dataclass(frozen=True)
class _Activation:
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
_ACTIVATIONS = {
    "elu": _Activation(
        nn.ELU,
        lambda x, out: _aten.elu.out(x, out=out),
        lambda g, y, out: _aten.elu_backward.grad_input(g, 1.0, 1.0, 1.0, True, y, grad_input=out),
    ),
    "silu": _Activation(
        nn.SiLU,
        lambda x, out: _aten.silu.out(x, out=out),
        lambda g, x, out: _aten.silu_backward.grad_input(g, x, grad_input=out),
        saves_input=True,
    ),
    "softplus": _Activation(
        nn.Softplus,
        lambda x, out: _aten.softplus.out(x, out=out),
        lambda g, x, out: _aten.softplus_backward.grad_input(g, x, 1.0, 20.0, grad_input=out),
        saves_input=True,
    ),
    # tanh x = 2 sigmoid(2x) - 1, and on a CPU the sigmoid takes a third of the time.
    "tanh": _Activation(
        nn.Tanh,
        lambda x, out: torch.sigmoid(x, out=out),
        lambda g, y, out: _aten.sigmoid_backward.grad_input(g, y, grad_input=out),
        inner=2.0,
        outer=2.0,
        shift=-1.0,
    ),
}


class MLPDynamics(nn.Module):
    """The field dz/dt = MLP([z, context, t]).

    Parameters
    ----------
    latent_dim : int
        Size of the latent state z.
    hidden_dims : sequence of int
        Widths of the hidden layers.
    activation : {"tanh", "softplus", "silu", "elu"}
        Between the layers. Smooth ones only: a Runge-Kutta method has its order on smooth fields.
    context_dim : int
        Size of a context per series, constant along a solve; pass it as ``solve(..., args=(context,))``.
    time_dependent : bool
        Whether the field reads the time.

    Notes
    -----
    The parameters come in the order W1, b1, W2, b2, ..., and W1 multiplies [z, context, t]. Inside
    :func:`latentode.ode.solve` the field is evaluated and differentiated by hand: the context's part of the
    first layer is formed once, and the parameters' gradients once, by one product per layer over all stages.

    Examples
    --------
    >>> import torch
    >>> from latentode.ode import solve
    >>> field = MLPDynamics(latent_dim=2, hidden_dims=(8,))
    >>> solve(field, torch.zeros(3, 2), torch.rand(3, 5)).z.shape
    torch.Size([3, 5, 2])
    """

    def __init__(
        self,
        latent_dim: int,
        hidden_dims: Sequence[int] = (100, 100),
        activation: str = "tanh",
        context_dim: int = 0,
        time_dependent: bool = False,
    ) -> None:
        super().__init__()
        if activation not in _ACTIVATIONS:
            raise ValueError(f"activation must be one of {', '.join(_ACTIVATIONS)}, not {activation!r}")
        self.latent_dim = latent_dim
        self.context_dim = context_dim
        self.time_dependent = time_dependent
        self.activation = activation
        widths = [latent_dim + context_dim + int(time_dependent), *hidden_dims, latent_dim]
        self.layers = nn.ModuleList(nn.Linear(i, o) for i, o in itertools.pairwise(widths))

    def extra_repr(self) -> str:
        """Name the activation."""
        return f"activation={self.activation!r}"

    def forward(self, t: Tensor | float, z: Tensor, context: Tensor | None = None) -> Tensor:
        """Return dz/dt.

        Parameters
        ----------
        t : Tensor or float
            The time, (series, 1) or one for all; ignored unless ``time_dependent``.
        z : Tensor
            (series, latent)
        context : Tensor, optional
            (series, context)

        Returns
        -------
        Tensor
            (series, latent)
        """
        parts = [z]
        if context is not None:
            parts.append(context)
        self._check(z, context)
        if self.time_dependent:
            parts.append(torch.as_tensor(t, dtype=z.dtype, device=z.device).expand(*z.shape[:-1], 1))
        x = torch.cat(parts, -1) if len(parts) > 1 else z
        activate = _ACTIVATIONS[self.activation].module()
        for layer in self.layers[:-1]:
            x = activate(layer(x))
        slope: Tensor = self.layers[-1](x)
        return slope

    def tape(self, args: Sequence[Tensor], like: Tensor, *, copies: int, record: bool) -> "_MLPTape":
        """Prepare one solve by hand; see :class:`latentode.ode.AnalyticField`."""
        if len(args) > 1:
            raise ValueError(f"MLPDynamics takes a context and nothing else, but {len(args)} args were given")
        context = args[0] if args else None
        self._check(like, context)
        return _MLPTape(self, context, like, copies, record)

    def _check(self, z: Tensor, context: Tensor | None) -> None:
        if z.shape[-1] != self.latent_dim:
            raise ValueError(f"z has {z.shape[-1]} latent dimensions, but the field has {self.latent_dim}")
        given = 0 if context is None else context.shape[-1]
        if given != self.context_dim:
            raise ValueError(
                f"the field has context_dim={self.context_dim}, but a context of {given} was given; "
                "inside solve, pass it as args=(context,)"
            )


class _MLPTape:
    """One solve of an :class:`MLPDynamics`: activations in, cotangents out, all stacked by stage."""

    def __init__(self, field: MLPDynamics, context: Tensor | None, like: Tensor, copies: int, record: bool) -> None:
        layers = [layer for layer in field.layers if isinstance(layer, nn.Linear)]
        self.weights = [layer.weight.detach() for layer in layers]
        self.biases = [layer.bias.detach() for layer in layers]
        d, k = field.latent_dim, field.context_dim
        self.activation = _ACTIVATIONS[field.activation]
        inner, outer, shift = self.activation.inner, self.activation.outer, self.activation.shift
        state = self.weights[0][:, :d].contiguous()
        self.inward, outward, biases = [state], [state], [self.biases[0]]
        for weight, bias in zip(self.weights[1:], self.biases[1:], strict=True):
            self.inward.append(_times(weight, inner * outer))
            outward.append(_times(weight, outer))
            biases.append(torch.add(bias, weight.sum(1), alpha=shift) if shift else bias)
        self.scale = inner if len(layers) > 1 else 1.0
        scales = [self.scale] * (len(layers) - 1) + [1.0]  # of what each layer hands on
        self.outward = [_times(w, scale).t() for w, scale in zip(outward, scales, strict=True)]
        self.biases = [_times(b, scale) for b, scale in zip(biases, scales, strict=True)]
        self.context = None if context is None else context.detach()
        self.by_context = self.weights[0][:, d : d + k]
        self.by_time = self.weights[0][:, d + k :].t().contiguous() if field.time_dependent else None
        self.reads_time = field.time_dependent
        self.copies, self.record, self.like = copies, record, like
        self.base = self.biases[0]
        if self.context is not None:
            self.base = torch.addmm(self.biases[0], self.context, self.by_context.t(), alpha=self.scale)
            if copies > 1:
                self.base = self.base.repeat(copies, 1)
        self.inputs: list[Tensor] = []  # by hidden layer: (slot, series, hidden) before the activation ...
        self.outputs: list[Tensor] = []  # ... and after it
        self.cotangents: list[Tensor] = []
        self._forward: list[list[tuple[Tensor, Tensor, Tensor, Tensor]]] = []
        self._saved: list[list[tuple[Tensor, ...]]] = []
        self._backward: list[list[tuple[Tensor, Tensor, Tensor, Tensor]]] = []
        self._scratch = [like.new_empty(like.shape[0], w.shape[0]) for w in self.inward[:-1]]

    def reserve(self, n_slots: int) -> None:
        """Make room for that many slots; without recording, one is enough."""
        n_slots = n_slots if self.record else 1
        if self.outputs and len(self.outputs[0]) >= n_slots:
            return
        self.outputs = self._grown(self.outputs, n_slots)
        self.inputs = self._grown(self.inputs, n_slots) if self.activation.saves_input else self.outputs
        post = [x.unbind(0) for x in self.outputs]
        pre = [x.unbind(0) for x in self.inputs] if self.activation.saves_input else post
        weights = self.outward[:-1]
        biases = [self.base, *self.biases[1:]][: len(weights)]
        self._forward = [list(zip(biases, weights, *at, strict=True)) for at in _by_slot(n_slots, pre, post)]
        self._saved = _by_slot(n_slots, pre)
        self._backward = []

    def evaluate(self, slot: int, t: Tensor | None, z: Tensor, out: Tensor) -> None:
        """Write f(t, z) to ``out``, keeping every layer's activations."""
        base = None
        if t is not None and self.by_time is not None:
            base = torch.addmm(self.base, t, self.by_time, alpha=self.scale)
        x, activate = z, self.activation.forward
        for bias, weight, pre, post in self._forward[slot if self.record else 0]:
            torch.addmm(bias if base is None else base, x, weight, out=pre)
            activate(pre, post)
            x, base = post, None
        last = self.base if len(self.inward) == 1 else self.biases[-1]
        torch.addmm(last if base is None else base, x, self.outward[-1], out=out)

    def pull(self, slot: int, cotangent: Tensor, out: Tensor) -> None:
        """Write the cotangent times df/dz to ``out``, keeping what reaches every layer."""
        if not self._backward:
            self.cotangents = [torch.empty_like(x) for x in self.outputs]
            rows = _by_slot(len(self._saved), [x.unbind(0) for x in self.cotangents])
            self._backward = [
                list(zip(self.inward[:0:-1], self._scratch[::-1], saved[0][::-1], row[0][::-1], strict=True))
                for saved, row in zip(self._saved, rows, strict=True)
            ]
        g, differentiate = cotangent, self.activation.backward
        for weight, scratch, saved, into in self._backward[slot]:
            torch.mm(g, weight, out=scratch)
            differentiate(scratch, saved, into)
            g = into
        torch.mm(g, self.inward[0], out=out)

    def gradients(self, states: Tensor, cotangents: Tensor, times: Tensor | None) -> FieldGradients:
        """Form the parameters' gradients, by one product per layer over all stages."""
        n = len(states)
        below = [states, *(x[:n] for x in self.outputs)]
        above = [*(x[:n] for x in self.cotangents), cotangents]
        outer, shift = self.activation.outer, self.activation.shift
        parameters: list[Tensor | None] = []
        for layer, (x, g) in enumerate(zip(below, above, strict=True)):
            flat = g.flatten(0, 1)
            by_bias = flat.sum(0)
            if layer == 0:
                by_weight = flat.t() @ x.flatten(0, 1)
            else:
                by_weight = torch.addmm(by_bias.unsqueeze(1), flat.t(), x.flatten(0, 1), beta=shift, alpha=outer)
            parameters += [by_weight, by_bias]
        first, for_times = above[0], None
        columns, args = [parameters[0]], []
        if self.context is not None:
            total = first.sum(0).view(self.copies, *self.context.shape[:1], -1).sum(0)
            columns.append(total.t() @ self.context)
            args.append(total @ self.by_context)
        if self.by_time is not None and times is not None:
            columns.append(first.flatten(0, 1).t() @ times.flatten(0, 1))
            for_times = first @ self.by_time.t()
        parameters[0] = torch.cat([c for c in columns if c is not None], 1)
        return FieldGradients(parameters, args, for_times)

    def _grown(self, old: list[Tensor], n_slots: int) -> list[Tensor]:
        rows = self.like.shape[0]
        new = [self.like.new_empty(n_slots, rows, w.shape[0]) for w in self.inward[:-1]]
        for into, x in zip(new, old, strict=False):
            into[: len(x)].copy_(x)
        return new


def _times(x: Tensor, scale: float) -> Tensor:
    return x if scale == 1.0 else x * scale


def _by_slot(n_slots: int, *layers: Sequence[tuple[Tensor, ...]]) -> list[list[tuple[Tensor, ...]]]:
    """Turn rows by layer and slot, of each kind given, into rows by slot, kind and layer."""
    return [[tuple(layer[slot] for layer in kind) for kind in layers] for slot in range(n_slots)]
