"""The method names and options of torchdiffeq, as options of :func:`latentode.ode.solve`."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from math import ceil
from typing import Any

import torch
from torch import Tensor

from latentode.ode.methods import METHODS, find_method

__all__ = ["Settings", "read_settings"]

SAME = {"adaptive_heun": "heun", "heun2": "heun", "rk4": "rk4_38"}
ABSENT = {"explicit_adams": "dopri8", "fixed_adams": "dopri8", "implicit_adams": "kvaerno5", "scipy_solver": "dopri5"}
OF_GRIDS = ("grid_constructor", "interp", "perturb", "step_size")
OF_ERRORS = ("jump_t", "max_num_steps", "max_step", "min_step", "step_t")
OUR_CONTROL = {"dfactor": 0.2, "first_step": None, "ifactor": 10.0, "safety": 0.9}
REMAINDER = 1e-6  # of a step: so little is not worth a step of its own
LEAST = 1e-14  # of the span: steps beneath it are lost in rounding

GridConstructor = Callable[[Any, Any, Tensor], Tensor]


@dataclass(frozen=True)
class Settings:
    """A method, its tolerances and its options, read and found fit.

    Parameters
    ----------
    method : str
        Our name of it.
    adaptive : bool
        Whether the error chooses the steps; if not, the grid does.
    rtol, atol : float
        Tolerances.
    options : mapping
        What of torchdiffeq's options was given.
    """

    method: str
    adaptive: bool
    rtol: float
    atol: float
    options: Mapping[str, Any]

    def time_dtype(self, t: Tensor, y0: Tensor) -> torch.dtype:
        """In what the times are: beside a float32 state those of an adaptive method are float64."""
        default = torch.float64 if self.adaptive else t.dtype if t.is_floating_point() else y0.dtype
        return torch.promote_types(self.options.get("dtype", default), y0.dtype)

    def common(self, begin: Tensor, end: Tensor) -> dict[str, Any]:
        """Return what any solve between these times is told."""
        span = abs(float(end.detach() - begin.detach()))
        least = max(LEAST, float(self.options.get("min_step", 0.0)) / span)
        common = {"method": self.method, "rtol": self.rtol, "atol": self.atol, "coarse": None, "min_step": least}
        common["max_steps"] = int(self.options.get("max_num_steps", 2**31 - 1))
        if "jump_t" in self.options:
            common["jump_times"] = self.options["jump_t"]
        stops = [torch.as_tensor(self.options["step_t"]).to(begin)] if "step_t" in self.options else []
        if (longest := float(self.options.get("max_step", float("inf")))) < span:
            stops.append(_inner_nodes(begin, end, longest))
        return {**common, "step_times": torch.cat(stops)} if stops else common

    def along(self, func: Any, y0: Any, t: Tensor, *, exact: bool) -> dict[str, Any]:
        """Return what a solve through these times is told.

        With ``exact``, and times that ask for gradients, these get the derivatives of the very steps, which move as the
        times do; else they get those of the solution.
        """
        common = self.common(t[0], t[-1])
        if self.adaptive:
            return common
        inner = self._inner(func, y0, t)
        if self.options.get("perturb"):
            return {**common, "jump_times": inner, "n_steps": 1}
        if exact and inner.requires_grad:
            return {**common, "step_times": inner, "n_steps": 1}
        nodes = (inner.detach() - t[0].detach()) / (t[-1] - t[0]).detach()
        return {**common, "n_steps": [0.0, *nodes.tolist(), 1.0]}

    def towards(self, begin: Tensor, end: Tensor) -> dict[str, Any]:
        """Return what a solve that looks for an event between these times is told."""
        common = self.common(begin, end)
        if self.adaptive:
            return common
        if "step_size" not in self.options:
            raise ValueError(f"options['step_size'] is needed to look for an event by the fixed grid of {self.method}")
        span = abs(float(end.detach() - begin.detach()))
        return {**common, "n_steps": max(1, ceil(span / float(self.options["step_size"]) - REMAINDER))}

    def _inner(self, func: Any, y0: Any, t: Tensor) -> Tensor:
        """Nodes of the grid between the first time and the last."""
        if "grid_constructor" in self.options:
            return _constructed(self.options["grid_constructor"], func, y0, t)
        step_size = self.options.get("step_size")
        return t[1:-1] if step_size is None else _inner_nodes(t[0], t[-1], float(step_size))


def read_settings(
    method: str | None, rtol: float | Tensor, atol: float | Tensor, options: Mapping[str, Any] | None
) -> Settings:
    """Translate; refuse what cannot be honoured.

    Parameters
    ----------
    method : str, optional
        A name of torchdiffeq's, or one of :data:`latentode.ode.METHODS`; "dopri5" when None.
    rtol, atol : float
        Tolerances, one number each.
    options : mapping, optional
        torchdiffeq's.

    Returns
    -------
    Settings

    Raises
    ------
    ValueError
        Naming the method or the option.

    Examples
    --------
    >>> read_settings("rk4", 1e-7, 1e-9, None).method
    'rk4_38'
    >>> read_settings("adaptive_heun", 1e-7, 1e-9, {"max_num_steps": 9}).adaptive
    True
    """
    name = "dopri5" if method is None else method
    if name in ABSENT:
        raise ValueError(f"method {name!r} is not among ours: use {ABSENT[name]!r}")
    if name not in SAME and name not in METHODS:
        raise ValueError(f"no method is called {name!r}; there are {', '.join(sorted({*METHODS, *SAME}))}")
    ours = SAME.get(name, name)
    adaptive = find_method(ours).adaptive and name != "heun2"
    options = {key: value for key, value in (options or {}).items() if value is not None}
    _check_options(name, adaptive, options)
    return Settings(ours, adaptive, _number("rtol", rtol), _number("atol", atol), options)


def _check_options(name: str, adaptive: bool, options: Mapping[str, Any]) -> None:
    usable = {"dtype", *(OF_ERRORS if adaptive else OF_GRIDS)}
    for key, value in options.items():
        if key == "norm":
            raise ValueError(
                "the option norm cannot be honoured: ours is the root mean square over the whole state (and, in "
                "latentode.ode.solve, the maximum over series). Leave it out, or scale the state"
            )
        if key in OUR_CONTROL:
            if value != OUR_CONTROL[key]:
                fixed = "the solver chooses it" if OUR_CONTROL[key] is None else f"ours is always {OUR_CONTROL[key]}"
                raise ValueError(f"the option {key}={value!r} cannot be honoured: {fixed}. Leave it out")
        elif key in (*OF_GRIDS, *OF_ERRORS) and key not in usable:
            kind = "chooses its own steps" if adaptive else "has a fixed grid"
            raise ValueError(f"the option {key} means nothing to {name}, which {kind}: use {', '.join(sorted(usable))}")
        elif key not in usable:
            raise ValueError(f"unknown option {key}: {name} has {', '.join(sorted(usable))}")
    if options.get("interp", "linear") not in ("cubic", "linear"):
        raise ValueError(f"the option interp must be cubic or linear, not {options['interp']!r}")
    if "step_size" in options and "grid_constructor" in options:
        raise ValueError("the options step_size and grid_constructor exclude each other: give one")
    for key in ("max_step", "step_size"):
        if key in options and not float(options[key]) > 0:
            raise ValueError(f"the option {key} must be positive, not {options[key]}")


def _number(name: str, value: float | Tensor) -> float:
    if isinstance(value, Tensor) and value.numel() == 1:
        return float(value)
    if isinstance(value, Tensor | tuple | list):
        raise ValueError(f"{name} must be one number for the whole state: scale the parts of the state instead")
    return float(value)


def _inner_nodes(begin: Tensor, end: Tensor, step: float) -> Tensor:
    """Times a step apart between two times."""
    span = float(end.detach() - begin.detach())
    n = max(1, ceil(abs(span) / step - REMAINDER))
    steps = torch.arange(1, n, dtype=begin.dtype, device=begin.device)
    return begin + steps * (step if span > 0 else -step)


def _constructed(constructor: GridConstructor, func: Any, y0: Any, t: Tensor) -> Tensor:
    """The inner nodes of the caller's own grid."""
    grid = constructor(func, y0, t).to(t)
    way = (grid.detach().diff() * (t[-1] - t[0]).detach().sign()) if grid.dim() == 1 else grid
    if grid.dim() != 1 or len(grid) < 2 or grid[0] != t[0] or grid[-1] != t[-1] or not bool((way > 0).all()):
        raise ValueError("grid_constructor must return (time,) strictly from t[0] to t[-1]")
    return grid[1:-1]
