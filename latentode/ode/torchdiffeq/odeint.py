"""``odeint``, ``odeint_adjoint`` and ``odeint_event`` with the arguments of torchdiffeq, solved by this package."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from latentode.ode.field import State
from latentode.ode.solve import solve
from latentode.ode.torchdiffeq.arguments import Settings, as_single_series, read_settings
from latentode.ode.torchdiffeq.event import until_event

__all__ = ["odeint", "odeint_adjoint", "odeint_event"]

KINDS = ("backsolve", "checkpointed", "continuous", "discrete")


def odeint(
    func: Callable[..., Any],
    y0: State,
    t: Tensor,
    *,
    rtol: float = 1e-7,
    atol: float = 1e-9,
    method: str | None = None,
    options: Mapping[str, Any] | None = None,
    event_fn: Callable[..., Tensor] | None = None,
) -> Any:
    """Solve dy/dt = func(t, y), y(t[0]) = y0, and return y at every time of ``t``.

    The gradient goes through every step ("backpropagation through the solver"). It reaches every tensor that ``func``
    reads, and can be differentiated again.

    Parameters
    ----------
    func : nn.Module or callable
        ``func(t, y)`` for a 0-dimensional time; returns a tensor or a tuple of tensors, each shaped as that of y is.
    y0 : Tensor or tuple of Tensor
        Of any shape, real.
    t : Tensor
        (time,), strictly rising or falling; the first is the time of ``y0``.
    rtol, atol : float
        Tolerances of the adaptive methods, for the root mean square over the whole state.
    method : str, optional
        torchdiffeq's "euler", "midpoint", "heun2", "heun3", "rk4" (the 3/8 rule, as there) on a fixed grid,
        "adaptive_heun", "fehlberg2", "bosh3", "dopri5" (when None) and "dopri8" with adaptive steps; or any of
        :data:`latentode.ode.METHODS`. Fixed grids step from each time to the next.
    options : mapping, optional
        For a fixed grid: ``step_size`` or ``grid_constructor`` (a finer grid), ``perturb`` (``func`` may jump at its
        nodes, and is evaluated on both sides of them), and ``interp``. Whether that is "linear" or "cubic", times
        between the nodes are read from the method's own interpolant: a line for Euler's method, otherwise a cubic. For
        adaptive steps: ``step_t`` and ``jump_t`` (times where a step ends, or where ``func`` jumps), ``max_num_steps``
        (in total, with rejected steps; 10,000 if not given), ``max_step``, and ``min_step`` (a smaller step is an
        error; in torchdiffeq it is accepted whatever its error). ``dtype`` is the dtype of the times, for both.
    event_fn : callable, optional
        Solve until any element of ``event_fn(t, y)``, of any shape, changes sign, towards t[1] and beyond; ``t`` then
        has two times. Unlike in torchdiffeq, time and state have the gradients of the event, as from
        :func:`odeint_event`.

    Returns
    -------
    Tensor or tuple of Tensor
        ``(time, *y0.shape)`` each. With ``event_fn`` a pair: the time of the event, and y0 with the state at the event,
        ``(2, *y0.shape)``.

    Raises
    ------
    ValueError
        If ``t`` is not finite or not strictly monotonic, ``func`` does not return what y is, or a tolerance, a method
        or an option is unknown or cannot be honoured.
    TypeError
        If state, times or slopes are complex, or the state is sparse.
    SolveError
        If the equation cannot be solved.

    Examples
    --------
    >>> odeint(lambda t, y: -y, torch.ones(2), torch.tensor([0.0, 1.0, 2.0]), method="dopri5")
    tensor([[1.0000, 1.0000],
            [0.3679, 0.3679],
            [0.1353, 0.1353]])
    """
    return _odeint(func, (), y0, t, read_settings(method, rtol, atol, options), event_fn, "autograd")


def odeint_adjoint(
    func: Callable[..., Any],
    y0: State,
    t: Tensor,
    *,
    rtol: float = 1e-7,
    atol: float = 1e-9,
    method: str | None = None,
    options: Mapping[str, Any] | None = None,
    event_fn: Callable[..., Tensor] | None = None,
    adjoint_rtol: float | None = None,
    adjoint_atol: float | None = None,
    adjoint_method: str | None = None,
    adjoint_options: Mapping[str, Any] | None = None,
    adjoint_params: Sequence[Tensor] | None = None,
    adjoint: str = "discrete",
) -> Any:
    """Solve as :func:`odeint` does, with an adjoint for the gradient.

    Parameters
    ----------
    func, y0, t, rtol, atol, method, options, event_fn
        As in :func:`odeint`. Only the parameters of an ``nn.Module``, and ``adjoint_params``, receive gradients; any
        other trainable tensor that ``func`` reads raises an error.
    adjoint_rtol, adjoint_atol, adjoint_method, adjoint_options
        How torchdiffeq solves the adjoint equation. With ``adjoint="backsolve"`` it is solved here as the equation
        itself is: each of these must be None or equal the value given for that (the norm in ``adjoint_options`` may be
        "seminorm", which is what is used). Every other adjoint follows the steps that were taken, and ignores these.
    adjoint_params : iterable of Tensor, optional
        Other tensors the function reads that should receive gradients.
    adjoint : {"discrete", "checkpointed", "continuous", "backsolve"}
        The exact adjoint of the steps; the same in less memory; the adjoint equation along the stored solution; or
        the augmented solve of Chen et al. (2018), as in torchdiffeq. See :func:`latentode.ode.solve`.

    Returns
    -------
    Tensor or tuple of Tensor
        As :func:`odeint`.

    Raises
    ------
    ValueError, TypeError, SolveError
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
    if adjoint not in KINDS:
        raise ValueError(f"adjoint must be one of {', '.join(KINDS)}, not {adjoint!r}")
    settings = read_settings(method, rtol, atol, options)
    if adjoint == "backsolve":
        _check_same("adjoint_rtol", adjoint_rtol, rtol)
        _check_same("adjoint_atol", adjoint_atol, atol)
        _check_same("adjoint_method", adjoint_method, method or "dopri5")
        for key, value in (adjoint_options or {}).items():
            if (key, value) != ("norm", "seminorm"):
                _check_same(f"adjoint_options[{key!r}]", value, (options or {}).get(key))
    return _odeint(func, tuple(adjoint_params or ()), y0, t, settings, event_fn, adjoint)


def odeint_event(
    func: Callable[..., Any],
    y0: State,
    t0: Tensor,
    *,
    event_fn: Callable[..., Tensor],
    reverse_time: bool = False,
    odeint_interface: Callable[..., Any] = odeint,
    **kwargs: Any,
) -> tuple[Tensor, Any]:
    """Solve dy/dt = func(t, y), y(t0) = y0, until ``event_fn(t, y)`` passes through zero.

    Parameters
    ----------
    func, y0
        As in :func:`odeint`.
    t0 : Tensor
        One time.
    event_fn : callable
        ``event_fn(t, y)`` returns a tensor of any shape, of numbers or of booleans: the event is where any element
        of it first changes its sign, or from True to False or back. If an element is zero at t0, the event is at t0.
    reverse_time : bool
        Whether to solve backwards from t0.
    odeint_interface : callable
        :func:`odeint` or :func:`odeint_adjoint`.
    **kwargs
        For the interface: rtol, atol, method, options, ... A fixed grid needs ``options["step_size"]``, and takes equal
        steps of at most that size up to the event itself.

    Returns
    -------
    event_t : Tensor
        0-dimensional.
    solution : Tensor or tuple of Tensor
        ``(2, *y0.shape)`` each: y0 and the state at the event. Both are differentiable in y0, t0, the parameters of
        ``func`` and, unlike in torchdiffeq, every tensor that ``event_fn`` reads.

    Raises
    ------
    ValueError, TypeError
        As the interface raises.
    SolveError
        If the equation cannot be solved, or there is no event in 10,000 steps (or ``options["max_num_steps"]``).

    Notes
    -----
    The event is looked for in windows of doubling length. The first is the time in which the first slope would change
    the state by its own size. Each window has a hundred checks, and four more for every step; if the event happens
    twice between two checks, it is missed.

    Examples
    --------
    A ball falls from a height of 10:

    >>> fall = lambda t, state: (state[1], torch.full_like(state[1], -9.81))
    >>> ball = (torch.tensor(10.0), torch.tensor(0.0))
    >>> event_t, (height, speed) = odeint_event(fall, ball, torch.tensor(0.0), event_fn=lambda t, state: state[0])
    >>> event_t, speed[-1]
    (tensor(1.4278), tensor(-14.0071))

    References
    ----------
    Chen, Amos & Nickel (2021), Learning neural event functions for ordinary differential equations.
    """
    begin = torch.as_tensor(t0).reshape(-1)
    if not begin.is_floating_point() and not begin.is_complex():
        begin = begin.to(torch.get_default_dtype())
    t = torch.cat([begin, begin.detach() + (-1.0 if reverse_time else 1.0)])
    event_t, solution = odeint_interface(func, y0, t, event_fn=event_fn, **kwargs)
    return event_t, solution


def _odeint(
    func: Callable[..., Any],
    extra: tuple[Tensor, ...],
    y0: State,
    t: Tensor,
    settings: Settings,
    event_fn: Callable[..., Tensor] | None,
    adjoint: str,
) -> Any:
    """Solve for one series whose latent state is all of y0."""
    series = as_single_series(func, extra, y0, t, settings)
    if event_fn is not None:
        if len(t) != 2:
            raise ValueError(
                f"with event_fn, t must be two times (where to start, and in which direction), not {len(t)}"
            )
        event_t, solution = until_event(series, settings, event_fn, adjoint)
        return event_t.to(t.dtype), solution
    if len(t) == 1:
        return series.unflatten(series.flat)
    t, begin = series.t, series.t[0]  # t_back is the same tensor as t0: nothing to solve there
    steps = settings.options_through(func, y0, t, exact=adjoint not in ("backsolve", "continuous"))
    solution = solve(series.field, series.flat, t.unsqueeze(0), begin, t[-1], t_back=begin, adjoint=adjoint, **steps)
    return series.unflatten(solution.z[0])


def _check_same(name: str, value: Any, forward: Any) -> None:
    if value is not None and value != forward:
        raise ValueError(
            f'{name}={value!r} cannot be honoured: adjoint="backsolve" solves backwards as forwards, with {forward!r}. '
            'Leave it out, or use adjoint="discrete", which is exact and needs no tolerance'
        )
