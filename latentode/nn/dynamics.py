"""The dynamics of a latent state: a multilayer perceptron, with analytic derivatives, and damped rotations."""

import itertools
import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from latentode.nn.flow import Dynamics, Grid
from latentode.nn.mlp_vjp import ACTIVATIONS, MLPVJP

__all__ = ["LinearDynamics", "MLPDynamics", "MixedDynamics"]


class MLPDynamics(Dynamics):
    """The field dz/dt = MLP([z, context, control, t]).

    Parameters
    ----------
    latent_dim : int
        Size of the latent state z.
    hidden_dims : sequence of int
        Widths of the hidden layers.
    activation : {"tanh", "softplus", "silu", "elu"} or sequence of them
        Between the layers; one for all, or one after each hidden layer. Smooth ones only: a Runge-Kutta method has its
        order on smooth fields. Where the last is ``"tanh"`` the slope is bounded, and no trajectory runs away.
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
        activation: str | Sequence[str] = "tanh",
        context_dim: int = 0,
        control_dim: int = 0,
        time_dependent: bool = False,
    ) -> None:
        super().__init__()
        names = (activation,) * len(hidden_dims) if isinstance(activation, str) else tuple(activation)
        unknown = [name for name in names if name not in ACTIVATIONS]
        if unknown or (isinstance(activation, str) and activation not in ACTIVATIONS):
            raise ValueError(f"activation must be one of {', '.join(ACTIVATIONS)}, not {activation!r}")
        if len(names) != len(hidden_dims):
            raise ValueError(f"activation={activation!r} names {len(names)}, for {len(hidden_dims)} hidden layers")
        self.latent_dim = latent_dim
        self.context_dim = context_dim
        self.control_dim = control_dim
        self.time_dependent = time_dependent
        self.activations = names
        widths = [latent_dim + context_dim + control_dim + int(time_dependent), *hidden_dims, latent_dim]
        self.layers = nn.ModuleList(nn.Linear(i, o) for i, o in itertools.pairwise(widths))

    def extra_repr(self) -> str:
        """Name the activation."""
        return f"activations={self.activations!r}"

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
        for layer, name in zip(self.layers[:-1], self.activations, strict=True):
            x = ACTIVATIONS[name].module()(layer(x))
        slope: Tensor = self.layers[-1](x)
        return slope

    def tape(self, args: Sequence[Tensor], like: Tensor, *, copies: int, record: bool) -> MLPVJP:
        """Prepare one solve by hand; see :class:`latentode.ode.AnalyticField`."""
        if len(args) > 1:
            raise ValueError(f"MLPDynamics takes a context and nothing else, but {len(args)} args were given")
        self._check(like, [like.new_empty(1, self.control_dim)] * (self.control_dim > 0) + list(args))
        layers = [(layer.weight.detach(), layer.bias.detach()) for layer in self.layers if isinstance(layer, nn.Linear)]
        context = args[0].detach() if args else None
        widths = (self.latent_dim, self.context_dim, self.control_dim, int(self.time_dependent))
        activations = [ACTIVATIONS[name] for name in self.activations]
        return MLPVJP(layers, widths, activations, context, like, copies=copies, record=record)

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


class LinearDynamics(Dynamics):
    """Damped rotations around a centre, dz/dt = A(context) (z - m(context)), solved in closed form: no solver at all.

    The state is pairs; each turns at its own frequency and decays at its own rate, both read off the context: every
    series may have its own period.

    Parameters
    ----------
    latent_dim : int
        Size of the state: even.
    context_dim : int
        Size of the context.

    Raises
    ------
    ValueError
        If ``latent_dim`` is odd.

    References
    ----------
    Scholz et al. (2023), Latent linear ODEs with neural Kalman filtering (LinODEnet).

    Examples
    --------
    >>> import torch
    >>> field = LinearDynamics(latent_dim=4)
    >>> field.flow(torch.ones(3, 4), torch.rand(3, 5)).shape
    torch.Size([3, 5, 4])
    """

    LONGEST_DECAY, SLOWEST, FASTEST = 3.0, 0.5, 40.0

    def __init__(self, latent_dim: int, context_dim: int = 0) -> None:
        super().__init__()
        if latent_dim % 2:
            raise ValueError(f"latent_dim={latent_dim} must be even: pairs that turn")
        self.n_pairs = latent_dim // 2
        spread = torch.logspace(math.log10(self.SLOWEST), math.log10(self.FASTEST), self.n_pairs).log()
        self.log_frequency = nn.Parameter(spread)
        self.decay = nn.Parameter(torch.full((self.n_pairs,), -3.0))
        self.centre = nn.Parameter(torch.zeros(latent_dim))
        self.from_context = nn.Linear(context_dim, 2 * self.n_pairs + latent_dim) if context_dim else None

    def forward(self, t: Tensor | float, z: Tensor, *context: Tensor) -> Tensor:
        """Return dz/dt, (series, latent); the time is not read."""
        frequency, decay, centre = self._coefficients(z, context)
        x, y = (z - centre).chunk(2, -1)
        return torch.cat([-decay * x - frequency * y, frequency * x - decay * y], -1)

    def flow(self, z0: Tensor, times: Tensor, *context: Tensor, grid: Grid | None = None) -> Tensor:
        """The states at all query times in closed form, without a grid; a control is ignored.

        Parameters
        ----------
        z0 : Tensor
            (series, latent), at time 0.
        times : Tensor
            (series, time), of any sign.
        *context : Tensor
            (series, context), where the field has one.
        grid : Grid, optional
            Not read.

        Returns
        -------
        Tensor
            (series, time, latent)
        """
        frequency, decay, centre = (c[..., None, :] for c in self._coefficients(z0, context))
        x, y = (z0[:, None] - centre).chunk(2, -1)
        # Backward in time a decay is a growth, which is bounded before it overflows.
        angle, shrunk = frequency * times[..., None], torch.exp((-decay * times[..., None]).clamp_max(20.0))
        cos, sin = shrunk * torch.cos(angle), shrunk * torch.sin(angle)
        return centre + torch.cat([cos * x - sin * y, sin * x + cos * y], -1)

    def _coefficients(self, z: Tensor, context: tuple[Tensor, ...]) -> tuple[Tensor, Tensor, Tensor]:
        frequency = decay = centre = z.new_zeros(1)
        if self.from_context is not None:
            sizes = [self.n_pairs, self.n_pairs, 2 * self.n_pairs]
            frequency, decay, centre = self.from_context(context[0]).split(sizes, -1)
        return (
            torch.exp((self.log_frequency + frequency).clamp(-4.0, 5.0)),
            self.LONGEST_DECAY * torch.sigmoid(self.decay + decay),
            self.centre + centre,
        )


class MixedDynamics(Dynamics):
    """A neural ODE for one part of the state, damped rotations in closed form for the other.

    Oscillations, for which a solver would need many steps, are rotations in closed form; everything else is integrated.
    Both parts read the context, and the decoder reads both.

    Parameters
    ----------
    neural : MLPDynamics
        Of the first part of the state.
    rotations : LinearDynamics
        Of the rest.
    """

    def __init__(self, neural: MLPDynamics, rotations: LinearDynamics) -> None:
        super().__init__()
        self.neural, self.rotations = neural, rotations
        self.sizes = (neural.latent_dim, 2 * rotations.n_pairs)

    def forward(self, t: Tensor | float, z: Tensor, *context: Tensor) -> Tensor:
        """Return dz/dt, (series, latent)."""
        neural, rotations = torch.split(z, list(self.sizes), dim=-1)
        return torch.cat([self.neural(t, neural, *context), self.rotations(t, rotations, *context)], -1)

    def flow(self, z0: Tensor, times: Tensor, *context: Tensor, grid: Grid | None = None) -> Tensor:
        """The states at all query times: the neural part by the solver, the rotations in closed form."""
        neural, rotations = torch.split(z0, list(self.sizes), dim=-1)
        solved = self.neural.flow(neural, times, *context, grid=grid)
        return torch.cat([solved, self.rotations.flow(rotations, times, *context)], dim=-1)
