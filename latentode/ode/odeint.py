"""``odeint`` and ``odeint_adjoint``: the calls torchdiffeq's users know, on this solver."""

from collections.abc import Callable, Mapping, Sequence
from math import ceil
from typing import Any

import torch
from torch import Tensor, nn

from latentode.ode.methods import find_method
from latentode.ode.shapes import Flattened, State
from latentode.ode.solve import Steps, solve

__all__ = ["odeint", "odeint_adjoint"]


def odeint(
    func: Callable[[Tensor, Any], Any],
    y0: State,
    t: Tensor,
    *,
    rtol: float = 1e-7,
    atol: float = 1e-9,
    method: str | None = None,
    options: Mapping[str, Any] | None = None,
) -> Any:
    """Solve dy/dt = func(t, y), y(t[0]) = y0, and return y at every time of ``t``.

    The gradient goes through every step ("backpropagation through the solver") and may be differentiated again.

    Parameters
    ----------
    func : nn.Module or callable
        ``func(t, y)`` for a time of no dimension; returns what y is, a tensor or a tuple of tensors.
    y0 : Tensor or tuple of Tensor
        Of any shape.
    t : Tensor
        (time,), rising or falling strictly; the first is where ``y0`` is.
    rtol, atol : float
        Tolerances of the adaptive methods.
    method : str, optional
        Any of :data:`latentode.ode.METHODS`; "dopri5" when None. The methods of a fixed grid step from each time to the
        next, or by ``options["step_size"]``. "rk4" is the classic rule (torchdiffeq's is the 3/8 rule, of the same
        order).
    options : mapping, optional
        ``step_size`` (fixed grid) and ``max_num_steps`` (adaptive).

    Returns
    -------
    Tensor or tuple of Tensor
        (time, *y0.shape) each.

    Raises
    ------
    ValueError
        If ``t`` is not one strictly monotonic row of times, or an option is unknown.
    SolveError
        If the equation cannot be solved.

    Examples
    --------
    >>> odeint(lambda t, y: -y, torch.ones(2), torch.tensor([0.0, 1.0, 2.0]), method="dopri5")
    tensor([[1.0000, 1.0000],
            [0.3679, 0.3679],
            [0.1353, 0.1353]])
    """
    return _odeint(func, (), y0, t, rtol, atol, method, options, "autograd")


def odeint_adjoint(
    func: Callable[[Tensor, Any], Any],
    y0: State,
    t: Tensor,
    *,
    rtol: float = 1e-7,
    atol: float = 1e-9,
    method: str | None = None,
    options: Mapping[str, Any] | None = None,
    adjoint: str = "discrete",
    adjoint_params: Sequence[Tensor] | None = None,
) -> Any:
    """Like :func:`odeint`, with an adjoint for the gradient.

    Parameters
    ----------
    func, y0, t, rtol, atol, method, options
        As in :func:`odeint`. Only the parameters of an ``nn.Module``, and ``adjoint_params``, receive gradients.
    adjoint : {"discrete", "backsolve"}
        The exact adjoint of the steps, or the augmented solve of Chen et al. (2018), which is what torchdiffeq does.
    adjoint_params : sequence of Tensor, optional
        Further tensors the function reads which are to receive gradients.

    Returns
    -------
    Tensor or tuple of Tensor
        (time, *y0.shape) each.

    Raises
    ------
    ValueError, SolveError
        As :func:`odeint`.

    Examples
    --------
    >>> rate = torch.tensor(0.5, requires_grad=True)
    >>> y = odeint_adjoint(
    ...     lambda t, y: -rate * y, torch.ones(1), torch.tensor([0.0, 2.0]), adjoint_params=(rate,)
    ... )
    >>> torch.autograd.grad(y[-1], rate)  # -2 exp(-1)
    (tensor(-0.7358),)
    """
    if adjoint not in ("backsolve", "discrete"):
        raise ValueError(f"adjoint must be backsolve or discrete, not {adjoint!r}")
    return _odeint(func, tuple(adjoint_params or ()), y0, t, rtol, atol, method, options, adjoint)


def _odeint(
    func: Callable[[Tensor, Any], Any],
    extra: tuple[Tensor, ...],
    y0: State,
    t: Tensor,
    rtol: float,
    atol: float,
    method: str | None,
    options: Mapping[str, Any] | None,
    adjoint: str,
) -> Any:
    """Solve for one series whose state is all of y0, flat."""
    options = dict(options or {})
    name = method or "dopri5"
    _check_times(t)
    parts = y0 if isinstance(y0, tuple) else (y0,)
    if any(part.is_complex() for part in parts):
        raise TypeError("complex states are not supported: use torch.view_as_real and a real state")
    flat = torch.cat([part.reshape(-1) for part in parts]).unsqueeze(0)
    if not flat.is_floating_point():
        flat = flat.to(torch.get_default_dtype())
    if not t.is_floating_point():
        t = t.to(flat.dtype)
    field = Flattened(_Single(func, extra), [part.shape for part in parts], is_tuple=isinstance(y0, tuple))
    steps = None if find_method(name).adaptive else _grid(t.detach(), options.pop("step_size", None))
    limit = int(options.pop("max_num_steps", 2**31 - 1))
    if options:
        raise ValueError(f"unknown options {', '.join(sorted(options))}: there are step_size and max_num_steps")
    solution = solve(
        field, flat, t.unsqueeze(0), t[0], t[-1], t_back=t[0], method=name, n_steps=steps, rtol=rtol, atol=atol,
        adjoint=adjoint, max_steps=limit, min_step=1e-14, coarse=None,
    )  # fmt: skip
    return field.unpack(solution.z[0])


class _Single(nn.Module):
    """A function of a time and a state, as a field of one series; its parameters and extra tensors stay visible."""

    def __init__(self, func: Callable[..., Any], extra: Sequence[Tensor]) -> None:
        super().__init__()
        self.func, self.extra = func, extra

    def parameters(self, recurse: bool = True) -> Any:
        """Yield the function's parameters, then the tensors it was said to read."""
        known = {id(p) for p in super().parameters(recurse)}
        yield from super().parameters(recurse)
        yield from (p for p in self.extra if id(p) not in known)

    def forward(self, t: Tensor, y: Any) -> Any:
        if isinstance(y, tuple):
            return tuple(slope.unsqueeze(0) for slope in self.func(t[0, 0], tuple(part[0] for part in y)))
        return self.func(t.view(()), y[0]).unsqueeze(0)


def _check_times(t: Tensor) -> None:
    if t.dim() != 1 or len(t) < 2:
        raise ValueError(f"t must be (time,) with at least two times, not {tuple(t.shape)}")
    gaps = t.detach().diff()
    if not bool((gaps > 0).all() | (gaps < 0).all()):
        raise ValueError("t must rise or fall strictly")


def _grid(t: Tensor, step_size: float | None) -> Steps:
    """Nodes of a fixed grid as fractions of the span: the times themselves, or equal steps with a remainder."""
    span = float(t[-1] - t[0])
    if step_size is None:
        inner = ((t[1:-1] - t[0]).double() / span).tolist()
    else:
        inner = [i * step_size / abs(span) for i in range(1, ceil(abs(span) / step_size - 1e-9))]
    return [0.0, *inner, 1.0]
