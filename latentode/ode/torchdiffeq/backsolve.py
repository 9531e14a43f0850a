r"""The adjoint of Chen et al. (2018) for any method, norm and tolerances: :func:`odeint` of the augmented state.

From the last time back to the first, (a_t, y, a, a_theta) are solved as one tuple, with

.. math::
    \dot a = -a\,\partial f/\partial y, \qquad \dot a_\theta = -a\,\partial f/\partial\theta, \qquad
    \dot a_t = -a\,\partial f/\partial t.

At every time y is reset to the answer that was given, and a jumps by the gradient of that answer.

References
----------
Chen, Rubanova, Bettencourt & Duvenaud (2018), Neural ordinary differential equations, appendix B.
Kidger, Chen & Lyons (2021), "Hey, that's not an ODE": the seminorm, which leaves a_theta out.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from latentode.ode.adjoints.gradients import once_differentiable
from latentode.ode.field import RecordedTape
from latentode.ode.torchdiffeq.arguments import SingleSeries, read_settings
from latentode.ode.torchdiffeq.by_error import default_norm
from latentode.ode.torchdiffeq.callbacks import Callback, adjoint_callbacks
from latentode.ode.torchdiffeq.complex_state import real_pairs

__all__ = ["BackwardSolve", "backsolved_answers"]

Answers = Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class BackwardSolve:
    """How the augmented state is solved: the adjoint arguments of torchdiffeq, with what they are when left out.

    Parameters
    ----------
    odeint : callable
        Solves it.
    arguments : mapping
        rtol, atol and method for that.
    options : mapping
        The options; of its norm only what the caller gave.
    state_norm : callable
        The norm of a state in the forward solve.
    callbacks : mapping
        Of the backward solve, by the names they have in a solve.
    """

    odeint: Callable[..., Any]
    arguments: Mapping[str, Any]
    options: Mapping[str, Any]
    state_norm: Callable[[Any], Any]
    callbacks: Mapping[str, Callback]

    @classmethod
    def of(
        cls, odeint: Callable[..., Any], func: Any, forward: Mapping[str, Any], given: Mapping[str, Any]
    ) -> "BackwardSolve":
        """Return what is left out by the arguments of the forward solve.

        Parameters
        ----------
        odeint, func
            What solves, and the function with its callbacks.
        forward, given : mapping
            rtol, atol, method and options of the forward solve, and of the backward solve, None where left out.

        Raises
        ------
        ValueError
            If the options of another method, or tolerances of one state for another, would be used.
        """
        options, other = forward["options"] or {}, given["method"] not in (None, forward["method"])
        if other and options and given["options"] is None:
            raise ValueError("adjoint_method differs from method: give its adjoint_options, which options are not for")
        arguments = {key: forward[key] if given[key] is None else given[key] for key in ("rtol", "atol", "method")}
        for key in ("rtol", "atol"):
            each = given[key] is None and not isinstance(forward[key], float | int)
            if each and not (isinstance(forward[key], Tensor) and forward[key].numel() == 1):
                raise ValueError(
                    f"{key} differs between parts of the state: give adjoint_{key}, for the backward solve"
                )
        own = {key: value for key, value in options.items() if key != "norm"}
        chosen = own if given["options"] is None else dict(given["options"])
        checked = read_settings(arguments["method"], 1.0, 1.0, {k: v for k, v in chosen.items() if k != "norm"})
        if not checked.adaptive:
            chosen.pop("norm", None)
        return cls(odeint, arguments, chosen, options.get("norm") or default_norm, adjoint_callbacks(func))

    def solve(self, series: SingleSeries, dynamics: Any, state: tuple[Tensor, ...], t: Tensor) -> tuple[Tensor, ...]:
        """Solve the augmented state between two times, and return it at the second."""
        options, adaptive = dict(self.options), read_settings(self.arguments["method"], 1.0, 1.0, None).adaptive
        if adaptive:
            options["norm"] = self._norm(series, options.get("norm"))
        for name, callback in self.callbacks.items():
            setattr(dynamics, name, callback)
        return tuple(part[1] for part in self.odeint(dynamics, state, t, options=options, **self.arguments))

    def _norm(self, series: SingleSeries, given: Any) -> Callable[[tuple[Tensor, ...]], Any]:
        def parts(flat: Tensor) -> tuple[Tensor, ...]:
            shaped = series.unflatten(flat.reshape(-1))
            return shaped if isinstance(shaped, tuple) else (shaped,)

        def norm(state: tuple[Tensor, ...]) -> Any:
            a_t, y, a, *a_theta = state
            if callable(given):
                return given((a_t, *parts(y), *parts(a), *a_theta))
            sizes = [a_t.abs(), *(self.state_norm(series.unflatten(x.reshape(-1))) for x in (y, a))]
            if given != "seminorm" and a_theta:
                sizes.append(default_norm(tuple(a_theta)))
            return max(float(size) for size in sizes)

        return norm


def backsolved_answers(series: SingleSeries, forward: Answers, backward: BackwardSolve, t: Tensor) -> Tensor:
    """Return the states at all times, (time, latent), with the backward solve as their gradient.

    Parameters
    ----------
    series : SingleSeries
        What is solved.
    forward : callable
        From times, (time,), to states, (time, latent).
    backward : BackwardSolve
        How the augmented state is solved.
    t : Tensor
        (time,)

    Raises
    ------
    ValueError
        If the function reads a trainable tensor that would get no gradient.
    """
    parameters = [p for p in series.field.parameters() if p.requires_grad]
    if torch.is_grad_enabled():
        begin = t[:1].detach().view(1, 1).to(series.flat.dtype)
        RecordedTape(series.field, parameters, ()).evaluate(0, begin, None, series.flat, torch.empty_like(series.flat))
    y: Tensor = _Backsolved.apply(series, forward, backward, series.flat[0], t, *parameters)  # type: ignore[no-untyped-call]
    return y


class _Backsolved(torch.autograd.Function):
    """The answers of a solve, with the augmented solve as their gradient."""

    @staticmethod
    def forward(
        ctx: Any, series: SingleSeries, forward: Answers, backward: BackwardSolve, _y0: Tensor, t: Tensor,
        *parameters: Tensor,
    ) -> Tensor:  # fmt: skip
        """Solve; only the answers are kept."""
        y = forward(t.detach()).detach()
        ctx.series, ctx.backward_solve = series, backward
        ctx.save_for_backward(t, y, *parameters)
        return y

    @staticmethod
    def backward(ctx: Any, g: Tensor) -> Any:
        """Solve the augmented state from time to time."""
        t, y, *parameters = ctx.saved_tensors
        series, moving = ctx.series, ctx.needs_input_grad[4]
        with torch.no_grad():
            dynamics = _Augmented(series, parameters, moving=moving)
            shape = y.shape[1:] if isinstance(series.y0, tuple) else series.y0.shape
            by_time = torch.zeros_like(t)
            a_t, a = y.new_zeros(()), g[-1]
            a_theta = [torch.zeros_like(_real(p), dtype=y.dtype) for p in parameters]
            for i in range(len(t) - 1, 0, -1):
                if moving:
                    rate = dynamics.slope(t[i], y[i]).dot(g[i])
                    by_time[i] = rate
                    a_t = a_t - rate
                state = (a_t, y[i].view(shape), a.view(shape), *a_theta)
                a_t, _, a, *a_theta = ctx.backward_solve.solve(
                    series, dynamics, state, t[i - 1 : i + 1].detach().flip(0)
                )
                a = a.reshape(-1) + g[i - 1]
            by_time[0] = a_t
            by_parameter = [
                torch.view_as_complex(x.contiguous()).to(p.dtype) if p.is_complex() else x.to(p.dtype)
                for x, p in zip(a_theta, parameters, strict=True)
            ]
        gradients = [a, by_time if moving else None, *by_parameter]
        return None, None, None, *once_differentiable(gradients)


class _Augmented:
    """The slope of the augmented state; its attributes are the callbacks of the backward solve."""

    def __init__(self, series: SingleSeries, parameters: Sequence[Tensor], *, moving: bool) -> None:
        self.field, self.parameters, self.moving = series.field, tuple(parameters), moving

    def slope(self, t: Tensor, y: Tensor) -> Tensor:
        """Return the slope of a flat state."""
        slope: Tensor = self.field(t.reshape(1, 1).to(y.dtype), y.reshape(1, -1))[0]
        return slope

    def __call__(self, t: Tensor, state: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        """Return the slopes of all parts; differentiable, where an implicit method needs that."""
        y, a = state[1:3]
        recording = torch.is_grad_enabled()
        with torch.enable_grad():
            time = t.detach().requires_grad_(self.moving)
            state_leaf = y if recording and y.requires_grad else y.detach().requires_grad_()
            slope = self.slope(time, state_leaf).view(y.shape)
            leaves = [x for x in (state_leaf, *self.parameters, time) if x.requires_grad]
            pulled = (
                torch.autograd.grad(slope, leaves, -a, allow_unused=True, create_graph=recording, retain_graph=True)
                if slope.requires_grad
                else [None] * len(leaves)
            )
        by_y, *others = [torch.zeros_like(x) if d is None else d for d, x in zip(pulled, leaves, strict=True)]
        by_time = others.pop() if self.moving else torch.zeros_like(t)
        out = (by_time, slope, by_y, *(_real(d).to(y.dtype) for d in others))
        return out if recording else tuple(part.detach() for part in out)


def _real(x: Tensor) -> Tensor:
    """Return a complex tensor as pairs."""
    return real_pairs(x) if x.is_complex() else x
