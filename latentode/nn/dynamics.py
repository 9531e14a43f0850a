"""The dynamics of a latent state: the built-in multilayer perceptron, which knows its own derivatives."""

import itertools
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from latentode.nn.mlp_tape import ACTIVATIONS, MLPTape

__all__ = ["MLPDynamics"]


class MLPDynamics(nn.Module):
    """The field dz/dt = MLP([z, context, control, t]).

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
    control_dim : int
        Size of a known input u(t) that drives the field; pass it as ``solve(..., control=path)``.
    time_dependent : bool
        Whether the field reads the time.

    Notes
    -----
    The parameters come in the order W1, b1, W2, b2, ..., and W1 multiplies [z, context, control, t]. Inside
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
        control_dim: int = 0,
        time_dependent: bool = False,
    ) -> None:
        super().__init__()
        if activation not in ACTIVATIONS:
            raise ValueError(f"activation must be one of {', '.join(ACTIVATIONS)}, not {activation!r}")
        self.latent_dim = latent_dim
        self.context_dim = context_dim
        self.control_dim = control_dim
        self.time_dependent = time_dependent
        self.activation = activation
        widths = [latent_dim + context_dim + control_dim + int(time_dependent), *hidden_dims, latent_dim]
        self.layers = nn.ModuleList(nn.Linear(i, o) for i, o in itertools.pairwise(widths))

    def extra_repr(self) -> str:
        """Name the activation."""
        return f"activation={self.activation!r}"

    def forward(self, t: Tensor | float, z: Tensor, *given: Tensor) -> Tensor:
        """Return dz/dt.

        Parameters
        ----------
        t : Tensor or float
            The time, (series, 1) or one for all; ignored unless ``time_dependent``.
        z : Tensor
            (series, latent)
        *given : Tensor
            The control's value (series, control), where the field has a ``control_dim``; then the context (series,
            context), where it has a ``context_dim``.

        Returns
        -------
        Tensor
            (series, latent)
        """
        self._check(z, given)
        parts = [z, *reversed(given)]
        if self.time_dependent:
            parts.append(torch.as_tensor(t, dtype=z.dtype, device=z.device).expand(*z.shape[:-1], 1))
        x = torch.cat(parts, -1) if len(parts) > 1 else z
        activate = ACTIVATIONS[self.activation].module()
        for layer in self.layers[:-1]:
            x = activate(layer(x))
        slope: Tensor = self.layers[-1](x)
        return slope

    def tape(self, args: Sequence[Tensor], like: Tensor, *, copies: int, record: bool) -> MLPTape:
        """Prepare one solve by hand; see :class:`latentode.ode.AnalyticField`."""
        if len(args) > 1:
            raise ValueError(f"MLPDynamics takes a context and nothing else, but {len(args)} args were given")
        self._check(like, [like.new_empty(1, self.control_dim)] * (self.control_dim > 0) + list(args))
        layers = [(layer.weight.detach(), layer.bias.detach()) for layer in self.layers if isinstance(layer, nn.Linear)]
        context = args[0].detach() if args else None
        widths = (self.latent_dim, self.context_dim, self.control_dim, int(self.time_dependent))
        return MLPTape(layers, widths, ACTIVATIONS[self.activation], context, like, copies=copies, record=record)

    def _check(self, z: Tensor, given: Sequence[Tensor]) -> None:
        if z.shape[-1] != self.latent_dim:
            raise ValueError(f"z has {z.shape[-1]} latent dimensions, but the field has {self.latent_dim}")
        wanted = [dim for dim in (self.control_dim, self.context_dim) if dim]
        got = [x.shape[-1] for x in given]
        if got != wanted:
            raise ValueError(
                f"the field has control_dim={self.control_dim} and context_dim={self.context_dim}, but was given "
                f"{got or 'neither'}; inside solve, pass control=path and args=(context,)"
            )
