"""Compiled solves: the steps of a fixed grid and its dense output as fused programs, with their gradients.

On a long grid only a few steps are compiled, and run repeatedly, so that compile time does not grow with the grid.
Programs are kept with the field they were made for. Everything else is as in an uncompiled solve, and the gradient is
that of the same steps.
"""

import types
import warnings
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any
from weakref import WeakKeyDictionary

import torch
from torch import Tensor
from torch._dynamo.exc import TorchDynamoException
from torch._dynamo.utils import counters

from latentode.ode.failures import NotCompiledWarning
from latentode.ode.field import Field, called
from latentode.ode.methods import Method
from latentode.ode.problem import SolverSetup

__all__ = ["Compiled", "compiled_solve"]

MOST_AT_ONCE = 8  # steps in one program: more would take longer to compile than they save
Program = Callable[..., Any]


class Compiled:
    """The programs for one field, one method and one number of steps.

    Parameters
    ----------
    method : Method
        An explicit method.
    n_steps : int
        The number of steps. They are one program, or equal parts if that would be too long to compile.
    """

    def __init__(self, method: Method, n_steps: int) -> None:
        self.n_steps = n_steps
        self.at_once = max(n for n in range(1, min(n_steps, MOST_AT_ONCE) + 1) if n_steps % n == 0)
        self.steps: Program = partial(_steps, method, self.at_once)
        self.read: Program = partial(_read, method)
        self.whole: Program = self._solved
        if self.at_once == n_steps:
            self.whole = _program(self._solved)
        else:
            self.steps, self.read = _program(self.steps), _program(self.read)

    def solve(
        self, field: Field, z0: Tensor, start: Tensor, span: Tensor, clock: Tensor, args: Sequence[Tensor]
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Return the answers (series, time, latent), nodes (step + 1, series, latent) and slopes by slot."""
        answers, nodes, end, slopes = self.whole(field, z0, start, span, clock, *args)
        with torch.no_grad():
            by_slot = torch.cat([slopes[:, :-1].flatten(0, 1), slopes[-1, -1:]])
            return answers, torch.cat([nodes, end.unsqueeze(0)]), by_slot

    def _solved(
        self, field: Field, z0: Tensor, start: Tensor, span: Tensor, clock: Tensor, *args: Tensor
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        step, start = (span / self.n_steps).to(z0.dtype), start.to(z0.dtype)
        z, slope = z0, called(field, start, None, z0, args)
        parts = []
        for first in range(0, self.n_steps, self.at_once):
            z, slope, *part = self.steps(field, z, slope, start + first * step, step, *args)
            parts.append(part)
        nodes, slopes = (torch.cat(each) if len(parts) > 1 else each[0] for each in zip(*parts, strict=True))
        return self.read(nodes, slopes, step, clock), nodes, z, slopes


def _steps(
    method: Method, n: int, field: Field, z: Tensor, slope: Tensor, start: Tensor, step: Tensor, *args: Tensor
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Take n steps; return their end and its slope, the nodes, and the slopes (step, stage + 1, series, latent)."""
    tableau, nodes, slopes = method.tableau, [], []
    for i in range(n):
        stages = [slope]
        for j in range(1, tableau.stages):
            t = start + (i + tableau.c[j]) * step
            stages.append(called(field, t, None, _moved(z, stages, tableau.a[j], step), args))
        nodes.append(z)
        z = _moved(z, stages, tableau.b, step)
        slope = called(field, start + (i + 1) * step, None, z, args)
        slopes.append(torch.stack([*stages, slope]))
    return z, slope, torch.stack(nodes), torch.stack(slopes)


def _read(method: Method, nodes: Tensor, slopes: Tensor, step: Tensor, clock: Tensor) -> Tensor:
    """Answer the queries, (series, time, latent)."""
    powers = torch.einsum("nmbd,mp->bnpd", slopes, nodes.new_tensor(_padded(method))) * step[:, None, None]
    table = torch.cat([nodes.transpose(0, 1).unsqueeze(2), powers], 2)
    place = clock * len(nodes)
    number = place.detach().long().clamp(0, len(nodes) - 1)
    theta = (place - number).to(nodes.dtype).unsqueeze(-1)
    picked = table.gather(1, number[:, :, None, None].expand(-1, -1, *table.shape[2:]))
    z = picked[:, :, -1]
    for power in range(table.shape[2] - 2, -1, -1):
        z = picked[:, :, power] + z * theta
    return z


_KEPT: "WeakKeyDictionary[Any, dict[tuple[str, int], Compiled | None]]" = WeakKeyDictionary()


def compiled_solve(setup: SolverSetup, z0: Tensor) -> tuple[Tensor, Tensor, Tensor] | None:
    """Solve by compiled programs; None if that is not possible, of which a warning says once per field.

    Parameters
    ----------
    setup : SolverSetup
        What is solved, by equal steps over one segment.
    z0 : Tensor
        (series, latent)

    Returns
    -------
    tuple of Tensor or None
        Answers (series, time, latent), nodes (step + 1, series, latent) and slopes (slot, series, latent).

    Raises
    ------
    ValueError
        If the grid is not one of equal steps.

    Warns
    -----
    NotCompiledWarning
        If there is no compiler, or the field cannot be traced.
    """
    problem, n_steps = setup.problem, setup.n_steps
    if n_steps is None:
        raise ValueError("compile=True needs a grid of equal steps: give n_steps, and neither jump nor step times")
    field, method = problem.field, problem.method
    given = (field, z0, setup.segments.start[0], setup.segments.span[0], setup.clock, problem.args)
    kept, key = _KEPT.setdefault(field, {}), (method.name, n_steps)
    if key in kept:
        known = kept[key]
        return None if known is None else known.solve(*given)
    # Switched off, torch.compile runs the function as it is and does not say so: only a new graph proves that it
    # compiled.
    made_before = counters["stats"]["unique_graphs"]
    programs, cause = Compiled(method, n_steps), "torch.compile is switched off"
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # torch's own, about itself
            answer = programs.solve(*given)
        if counters["stats"]["unique_graphs"] > made_before:
            kept[key] = programs
            return answer
    except (TorchDynamoException, RuntimeError) as failure:
        cause = str(failure).strip().splitlines()[0]
    kept[key] = None
    warnings.warn(f"this solve runs uncompiled: {cause}", NotCompiledWarning, stacklevel=5)
    return None


def _program(function: Callable[..., Any]) -> Program:
    """Compile a function under a code object of its own: torch keeps programs by code, and only a few for each."""

    def program(*given: Any) -> Any:
        return function(*given)

    own = types.FunctionType(program.__code__.replace(), globals(), "program", None, program.__closure__)
    return torch.compile(own, fullgraph=True)


def _moved(z: Tensor, slopes: Sequence[Tensor], weights: Sequence[float], step: Tensor) -> Tensor:
    """Return ``z + step * sum_j weights_j slopes_j``."""
    total = None
    for slope, weight in zip(slopes, weights, strict=False):
        if weight:
            total = weight * slope if total is None else total + weight * slope
    return z if total is None else z + step * total


def _padded(method: Method) -> tuple[tuple[float, ...], ...]:
    """Return the interpolant's weights, with a row of zeros for the end slope if it is not used."""
    rows = method.dense
    return rows if method.uses_end_slope else (*rows, (0.0,) * len(rows[0]))
