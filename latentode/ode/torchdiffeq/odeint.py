"""``odeint``, ``odeint_adjoint`` and ``odeint_event`` with the arguments of torchdiffeq, solved by this package."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor

from latentode.ode.field import State
from latentode.ode.solve import solve
from latentode.ode.torchdiffeq.arguments import Settings, SingleSeries, as_single_series, read_settings
from latentode.ode.torchdiffeq.backsolve import BackwardSolve, backsolved_answers
from latentode.ode.torchdiffeq.callbacks import adjoint_callbacks
from latentode.ode.torchdiffeq.complex_state import ComplexState, is_complex
from latentode.ode.torchdiffeq.event import until_event
from latentode.ode.torchdiffeq.stepped import stepped_answers

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
        Of any shape, real or complex.
    t : Tensor
        (time,), strictly rising or falling; the first is the time of ``y0``.
    rtol, atol : float, or Tensor or sequence of float
        Tolerances of the adaptive methods, for the root mean square over the whole state. One number, or one for each
        part of a tuple, or a tensor that is broadcast to the state.
    method : str, optional
        With adaptive steps "adaptive_heun", "fehlberg2", "bosh3", "dopri5" (when None) and "dopri8". On a fixed grid,
        from each time to the next, "euler", "midpoint", "heun2", "heun3", "rk4" (the 3/8 rule, as in torchdiffeq),
        "explicit_adams", "implicit_adams" ("fixed_adams" is the same), and for stiff fields "implicit_euler",
        "implicit_midpoint", "trapezoid", "sdirk2", "trbdf2", "gl4", "gl6", "radauIIA3" and "radauIIA5". "scipy_solver"
        is SciPy's, which has no gradient. Or any of :data:`latentode.ode.METHODS`.
    options : mapping, optional
        ``dtype`` is the dtype of the times. On a fixed grid: ``step_size`` or ``grid_constructor`` (a finer grid),
        ``perturb`` (``func`` may jump at its nodes, and is evaluated on both sides of them), and ``interp``, "linear"
        or "cubic", for times between the nodes (when left out, a line for Euler's method and a cubic for the others).
        Adams methods have ``max_order`` and ``max_iters``, the methods with coupled stages ``max_iters``. With adaptive
        steps: ``step_t`` and ``jump_t`` (times where a step ends, or where ``func`` jumps), ``max_num_steps`` (in
        total, with rejected steps; 10,000 if not given), ``max_step``, ``min_step`` (such a step is accepted whatever
        its error), ``first_step``, ``norm`` (from a state to the number that is compared with 1), ``safety``,
        ``ifactor`` and ``dfactor``. SciPy: ``solver`` ("LSODA" when left out), ``max_step`` and ``min_step``.
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
        If the times or slopes are complex where the state is real, the state is sparse, or one is no tensor.
    SolveError
        If the equation cannot be solved.

    Warns
    -----
    UserWarning
        If ``func`` has a callback that the method never calls, or steps of "implicit_adams" did not converge.

    Notes
    -----
    Attributes ``callback_step``, ``callback_accept_step`` and ``callback_reject_step`` of ``func`` are called with
    (t, y, step) before a step and after its error is known; the first may change y in place. With "_adjoint" after the
    name they are called in a backward solve.

    Callbacks and a few options (norm, first_step, min_step, safety, ifactor, dfactor, interp where it is not the
    method's own, tolerances of each part) and methods (those of Adams, and with coupled stages) are not those of
    :func:`latentode.ode.solve`. There autograd records every step.

    Examples
    --------
    >>> odeint(lambda t, y: -y, torch.ones(2), torch.tensor([0.0, 1.0, 2.0]), method="dopri5")
    tensor([[1.0000, 1.0000],
            [0.3679, 0.3679],
            [0.1353, 0.1353]])
    """
    if is_complex(y0):
        given = {"rtol": rtol, "atol": atol, "method": method, "event_fn": event_fn}
        return ComplexState(y0).solve(odeint, func, t, options or {}, **given)
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
    adjoint: str | None = None,
) -> Any:
    """Solve as :func:`odeint` does, with an adjoint for the gradient.

    Parameters
    ----------
    func, y0, t, rtol, atol, method, options, event_fn
        As in :func:`odeint`. Only the parameters of an ``nn.Module``, and ``adjoint_params``, receive gradients; any
        other trainable tensor that ``func`` reads raises an error.
    adjoint_rtol, adjoint_atol, adjoint_method, adjoint_options
        How ``adjoint="backsolve"`` solves the augmented equation; each is that of the equation itself when None. The
        norm in ``adjoint_options`` may be "seminorm", or a function of the tuple ``(a_t, *y, *a, *a_theta)``. Every
        other adjoint follows the steps that were taken, and needs none of these.
    adjoint_params : iterable of Tensor, optional
        Other tensors the function reads that should receive gradients.
    adjoint : {"discrete", "checkpointed", "continuous", "backsolve"}, optional
        The exact adjoint of the steps; the same in less memory; the adjoint equation along the stored solution; or
        the augmented solve of Chen et al. (2018), as in torchdiffeq. See :func:`latentode.ode.solve`. None means
        "discrete", and "backsolve" where something of the caller's is to be called backwards (a norm, a callback) or
        SciPy takes the steps. Where autograd records the steps (see Notes), "discrete" is what autograd computes.

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
    if adjoint not in (None, *KINDS):
        raise ValueError(f"adjoint must be one of {', '.join(KINDS)}, not {adjoint!r}")
    if is_complex(y0):
        return ComplexState(y0).solve(
            odeint_adjoint, func, t, options or {}, rtol=rtol, atol=atol, method=method, event_fn=event_fn,
            adjoint_rtol=adjoint_rtol, adjoint_atol=adjoint_atol, adjoint_method=adjoint_method,
            adjoint_options=adjoint_options, adjoint_params=adjoint_params, adjoint=adjoint,
        )  # fmt: skip
    settings = read_settings(method, rtol, atol, options)
    extra, backward = tuple(adjoint_params or ()), None
    if adjoint is None:
        own_norm = callable((adjoint_options or {}).get("norm"))
        needed = own_norm or settings.method == "scipy_solver" or adjoint_callbacks(func)
        adjoint = "backsolve" if needed else "discrete"
    if adjoint == "backsolve":
        forward = {"rtol": rtol, "atol": atol, "method": method or "dopri5", "options": options}
        given = (adjoint_rtol, adjoint_atol, adjoint_method, adjoint_options)
        backward = BackwardSolve.of(odeint, func, forward, dict(zip(forward, given, strict=True)))
    return _odeint(func, extra, y0, t, settings, event_fn, adjoint, backward)


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
    backward: BackwardSolve | None = None,
) -> Any:
    """Solve for one series whose latent state is all of y0."""
    series = as_single_series(func, extra, y0, t, settings)
    if series.stepped and (adjoint in ("checkpointed", "continuous") or _without_gradient(settings, adjoint)):
        raise ValueError(f'adjoint="{adjoint}" is not possible with this method and options: use "backsolve"')
    own: Callable[[Tensor], Tensor] | None = partial(stepped_answers, series, settings) if series.stepped else None
    if backward is not None:
        forward = own or partial(_solved, series, settings, func, "discrete")
        own = partial(backsolved_answers, series, forward, backward)
    if event_fn is not None:
        if len(t) != 2:
            raise ValueError(
                f"with event_fn, t must be two times (where to start, and in which direction), not {len(t)}"
            )
        event_t, solution = until_event(series, settings, event_fn, adjoint, own)
        return event_t.to(t.dtype), solution
    if len(t) == 1:
        return series.unflatten(series.flat)
    return series.unflatten(_solved(series, settings, func, adjoint, series.t) if own is None else own(series.t))


def _solved(series: SingleSeries, settings: Settings, func: Callable[..., Any], adjoint: str, t: Tensor) -> Tensor:
    """Return the states at all times, (time, latent), by :func:`latentode.ode.solve`."""
    begin = t[0]  # t_back is the same tensor as t0: nothing to solve there
    steps = settings.options_through(func, series.y0, t, exact=adjoint != "continuous")
    return solve(series.field, series.flat, t.unsqueeze(0), begin, t[-1], t_back=begin, adjoint=adjoint, **steps).z[0]


def _without_gradient(settings: Settings, adjoint: str) -> bool:
    """Whether an adjoint was chosen that follows steps, and the steps are SciPy's."""
    return settings.method == "scipy_solver" and adjoint == "discrete"
