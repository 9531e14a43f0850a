"""The arguments of ``odeint`` as :func:`latentode.ode.solve` takes them: its options, and its state as one series."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from latentode.ode.field import State
from latentode.ode.flat_field import FlatField
from latentode.ode.methods import METHODS
from latentode.ode.torchdiffeq.callbacks import has_callbacks
from latentode.ode.torchdiffeq.checks import check_state, check_times, slope_like
from latentode.ode.torchdiffeq.collocation import COLLOCATION
from latentode.ode.torchdiffeq.equal_steps import inner_nodes, steps_of_size

__all__ = ["ADAMS", "Settings", "SingleSeries", "as_single_series", "read_settings"]

SAME = {"adaptive_heun": "heun", "heun2": "heun", "rk4": "rk4_38"}
ADAMS = ("explicit_adams", "fixed_adams", "implicit_adams")
OTHERS = (*ADAMS, *COLLOCATION, "scipy_solver")  # methods that `solve` does not have
OF_GRIDS = ("grid_constructor", "interp", "perturb", "step_size")
OF_CONTROL = {"dfactor": 0.2, "ifactor": 10.0, "safety": 0.9}  # what `solve` always uses
OF_ERRORS = ("first_step", "jump_t", "max_num_steps", "max_step", "min_step", "norm", "step_t", *OF_CONTROL)
OF_SCIPY = ("max_step", "min_step", "solver")
MOST_STEPS = 10_000  # if max_num_steps is not given, as in solve
LEAST = 1e-14  # of the span: smaller steps are lost in rounding

GridConstructor = Callable[[Any, Any, Tensor], Tensor]


@dataclass(frozen=True)
class Settings:
    """A method, its tolerances and its options, after they were checked.

    Parameters
    ----------
    method : str
        The name of the method in :data:`latentode.ode.METHODS`, or one of those that only torchdiffeq has.
    adaptive : bool
        Whether the error chooses the steps; otherwise there is a fixed grid.
    rtol, atol : float, or as the caller gave them
        Tolerances.
    options : mapping
        The options of torchdiffeq that were given.
    """

    method: str
    adaptive: bool
    rtol: Any
    atol: Any
    options: Mapping[str, Any]

    @property
    def by_solve(self) -> bool:
        """Whether :func:`latentode.ode.solve` has the method and every option; otherwise autograd records the steps."""
        own = [*OF_CONTROL.items(), ("first_step", None), ("norm", None)]
        if self.method in OTHERS or any(self.options.get(key, usual) != usual for key, usual in own):
            return False
        line = self.options.get("interp") == ("cubic" if self.method == "euler" else "linear")
        return not line and not self.options.get("min_step") and type(self.rtol) is type(self.atol) is float

    @property
    def max_steps(self) -> int:
        """The limit of steps, with rejected ones."""
        return int(self.options.get("max_num_steps", MOST_STEPS))

    def time_dtype(self, t: Tensor, y0: Tensor) -> torch.dtype:
        """Return the dtype of the times; with a float32 state those of an adaptive method are float64."""
        default = torch.float64 if self.adaptive else t.dtype if t.is_floating_point() else y0.dtype
        return torch.promote_types(self.options.get("dtype", default), y0.dtype)

    def shared_options(self, begin: Tensor, end: Tensor) -> dict[str, Any]:
        """Return the options of any solve between two times."""
        span = abs(float(end.detach() - begin.detach()))
        common = {"method": self.method, "rtol": self.rtol, "atol": self.atol, "coarse": None, "min_step": LEAST}
        common["max_steps"] = self.max_steps
        if "jump_t" in self.options:
            common["jump_times"] = self.options["jump_t"]
        given = self.options.get("step_t")
        stops = [] if given is None else [torch.as_tensor(given, dtype=begin.dtype, device=begin.device)]
        if (longest := float(self.options.get("max_step", float("inf")))) < span:
            stops.append(inner_nodes(begin, end, longest))
        return {**common, "step_times": torch.cat(stops)} if stops else common

    def options_through(self, func: Any, y0: Any, t: Tensor, *, exact: bool) -> dict[str, Any]:
        """Return the options of a solve through all times of ``t``.

        A fixed grid moves with the times. With ``exact``, times that require gradients get the derivatives of the steps
        on that moving grid; otherwise they get those of the solution.
        """
        common = self.shared_options(t[0], t[-1])
        if self.adaptive:
            return common
        inner = self.inner_nodes(func, y0, t)
        if self.options.get("perturb"):
            return {**common, "jump_times": inner, "n_steps": 1}
        if exact and inner.requires_grad:
            return {**common, "step_times": inner, "n_steps": 1}
        begin, end = t[0].detach().double(), t[-1].detach().double()
        nodes = (inner.detach() - begin) / (end - begin)
        return {**common, "n_steps": [0.0, *nodes.tolist(), 1.0]}

    def options_for_event(self, begin: Tensor, end: Tensor) -> dict[str, Any]:
        """Return the options of a solve that searches for an event between two times."""
        common = self.shared_options(begin, end)
        if self.adaptive:
            return common
        return {**common, "n_steps": steps_of_size(begin, end, self.event_step())}

    def event_step(self) -> float:
        """Return the step of a fixed grid that has no last time."""
        if "step_size" not in self.options:
            raise ValueError(f"options['step_size'] is needed to find an event by the fixed grid of {self.method}")
        return float(self.options["step_size"])

    def inner_nodes(self, func: Any, y0: Any, t: Tensor) -> Tensor:
        """Return the nodes of the grid between the first time and the last."""
        if "grid_constructor" in self.options:
            return _constructed(self.options["grid_constructor"], func, y0, t)
        step_size = self.options.get("step_size")
        return t[1:-1] if step_size is None else inner_nodes(t[0], t[-1], float(step_size))


def read_settings(
    method: str | None, rtol: float | Tensor, atol: float | Tensor, options: Mapping[str, Any] | None
) -> Settings:
    """Return the settings for torchdiffeq's arguments; raise if one cannot be honoured.

    Parameters
    ----------
    method : str, optional
        A name of torchdiffeq, or one of :data:`latentode.ode.METHODS`; "dopri5" when None.
    rtol, atol : float, or Tensor or sequence of float
        Tolerances: one number each, or as many as the state has numbers, or parts.
    options : mapping, optional
        The options of torchdiffeq.

    Returns
    -------
    Settings

    Raises
    ------
    ValueError
        Naming the method or the option that cannot be honoured.

    Examples
    --------
    >>> read_settings("rk4", 1e-7, 1e-9, None).method
    'rk4_38'
    >>> read_settings("adaptive_heun", 1e-7, 1e-9, {"max_num_steps": 9}).adaptive
    True
    """
    name = "dopri5" if method is None else method
    if name not in (*SAME, *METHODS, *OTHERS):
        raise ValueError(f"no method is called {name!r}; there are {', '.join(sorted({*METHODS, *SAME, *OTHERS}))}")
    ours = SAME.get(name, name)
    adaptive = ours in METHODS and METHODS[ours].adaptive and name != "heun2"
    options = {key: value for key, value in (options or {}).items() if value is not None}
    _check_options(name, adaptive, options)
    return Settings(ours, adaptive, _number(rtol), _number(atol), options)


def _check_options(name: str, adaptive: bool, options: Mapping[str, Any]) -> None:
    usable = {"dtype", *(OF_SCIPY if name == "scipy_solver" else OF_ERRORS if adaptive else OF_GRIDS)}
    if name in ADAMS or name in COLLOCATION:
        usable |= {"max_iters", "max_order"} if name in ADAMS else {"max_iters"}
    for key in options:
        if key in (*OF_GRIDS, *OF_ERRORS) and key not in usable:
            kind = "chooses its own steps" if adaptive else "has a fixed grid"
            raise ValueError(f"the option {key} means nothing to {name}, which {kind}: use {', '.join(sorted(usable))}")
        if key not in usable:
            raise ValueError(f"unknown option {key}: {name} has {', '.join(sorted(usable))}")
    if options.get("interp", "linear") not in ("cubic", "linear"):
        raise ValueError(f"the option interp must be cubic or linear, not {options['interp']!r}")
    if "step_size" in options and "grid_constructor" in options:
        raise ValueError("the options step_size and grid_constructor exclude each other: give one")
    for key in ("max_step", "step_size"):
        if key in options and not float(options[key]) > 0:
            raise ValueError(f"the option {key} must be positive, not {options[key]}")


def _number(value: Any) -> Any:
    """Return one number as a float, and anything else as it is."""
    if isinstance(value, Tensor) and value.numel() == 1:
        return float(value)
    return value if isinstance(value, Tensor | tuple | list) else float(value)


def _constructed(constructor: GridConstructor, func: Any, y0: Any, t: Tensor) -> Tensor:
    """Return the inner nodes of the caller's own grid."""
    grid = constructor(func, y0, t).to(t)
    gaps = (grid.detach().diff() * (t[-1] - t[0]).detach().sign()) if grid.dim() == 1 else grid
    if grid.dim() != 1 or len(grid) < 2 or grid[0] != t[0] or grid[-1] != t[-1] or not bool((gaps > 0).all()):
        raise ValueError("grid_constructor must return (time,) strictly from t[0] to t[-1]")
    return grid[1:-1]


class SingleSeries:
    """A problem of torchdiffeq as one series, whose latent state is all of y0.

    Parameters
    ----------
    func, y0, t
        As the caller gave them; the times may be in another dtype.
    extra : sequence of Tensor
        Trainable tensors that ``func`` reads besides its own parameters.
    stepped : bool
        Whether autograd records the steps, because :func:`latentode.ode.solve` has not all that is wanted.
    """

    def __init__(
        self, func: Callable[..., Any], extra: Sequence[Tensor], y0: State, t: Tensor, *, stepped: bool
    ) -> None:
        self.func, self.y0, self.t, self.stepped = func, y0, t, stepped
        parts = y0 if isinstance(y0, tuple) else (y0,)
        self.field = FlatField(_OneSeries(func, extra), [part.shape for part in parts], is_tuple=isinstance(y0, tuple))
        self.flat = _flat(y0)

    def unflatten(self, flat: Tensor) -> Any:
        """Return states (time, latent) in the caller's shape, the times first."""
        return self.field.unflatten(flat)


def as_single_series(
    func: Callable[..., Any], extra: Sequence[Tensor], y0: State, t: Tensor, settings: Settings
) -> SingleSeries:
    """Check what the caller gave, and return it as a problem of one series.

    Raises
    ------
    ValueError
        If the times are not one finite, strictly monotonic row, or the state is empty.
    TypeError
        If the state or the times are not tensors, the times are complex, or the state is sparse.
    """
    check_state(y0)
    check_times(t)
    like = _flat(y0)
    dtype = settings.time_dtype(t, like)
    t = t.to(like.device, dtype)
    stepped = not settings.by_solve or has_callbacks(func)
    if settings.options.get("perturb") and not stepped:
        func = _InsideOfSpan(func, t)
    return SingleSeries(func, extra, y0, t, stepped=stepped)


class _OneSeries(nn.Module):
    """A function of a time and a state, as a field of one series with the same parameters, and extra ones."""

    def __init__(self, func: Callable[..., Any], extra: Sequence[Tensor]) -> None:
        super().__init__()
        self.func, self.extra = func, extra

    def parameters(self, recurse: bool = True) -> Iterator[nn.Parameter]:
        """Yield the function's parameters, then the extra tensors."""
        known = {id(p) for p in super().parameters(recurse)}
        yield from super().parameters(recurse)
        yield from (p for p in self.extra if id(p) not in known)  # type: ignore[misc]

    def forward(self, t: Tensor, y: Any) -> Any:
        time = t.view(())
        if isinstance(y, tuple):
            state = tuple(part[0] for part in y)
            return tuple(slope.unsqueeze(0) for slope in slope_like(self.func(time, state), state, time))
        return slope_like(self.func(time, y[0]), y[0], time).unsqueeze(0)


class _InsideOfSpan(nn.Module):
    """A function that is evaluated just inside the span instead of at its ends, where it may jump."""

    def __init__(self, func: Callable[..., Any], t: Tensor) -> None:
        super().__init__()
        self.func, self.ends = func, (t[0].detach(), t[-1].detach())

    def forward(self, t: Tensor, y: Any) -> Any:
        begin, end = (x.to(t) for x in self.ends)
        at, rounding = t.detach(), 4 * torch.finfo(t.dtype).eps * torch.maximum(begin.abs(), end.abs())
        # The solver's times are those of the ends up to rounding.
        at_begin, at_end = ((at - x).abs() <= rounding for x in (begin, end))
        within = torch.where(
            at_begin, torch.nextafter(begin, end), torch.where(at_end, torch.nextafter(end, begin), at)
        )
        return self.func(t + (within - at), y)


def _flat(y0: State) -> Tensor:
    """Return the whole state in one row, (1, latent)."""
    flat = torch.cat([part.reshape(-1) for part in (y0 if isinstance(y0, tuple) else (y0,))]).unsqueeze(0)
    return flat if flat.is_floating_point() else flat.to(torch.get_default_dtype())
