"""Looking at a solve: whether it is finite, its grid fine enough, and its queries within the span."""

import warnings
from dataclasses import dataclass

import torch
from torch import Tensor

from latentode.ode.errors import CoarseGridWarning, SolveError
from latentode.ode.methods import Method
from latentode.ode.spans import Schedule
from latentode.ode.stepping import Path, Stuck

__all__ = ["Estimate", "named", "refuse_outside", "watch"]


@dataclass(frozen=True)
class Estimate:
    """What is needed to say how good a group of rows is: every series once, or once per side."""

    nodes: Tensor
    slopes: Tensor
    path: Path
    method: Method
    start: Tensor
    span: Tensor
    copies: int

    @torch.no_grad()
    def error(self) -> Tensor:
        """Estimate the error of every series, (series,), relative to the size of its state.

        The local errors of the steps, by the tableau's error weights and the slopes there are (no evaluation is
        added), summed over the steps as if none of them decayed or grew.
        """
        m, n = self.method.tableau.stages, self.path.n_steps
        if not self.method.uses_end_slope and self.method.tableau.error[-1]:
            n -= 1  # the last step's end slope was not needed, so it was not evaluated
        rows, latent = self.nodes.shape[1:]
        weights = self.nodes.new_tensor(self.method.tableau.error)
        inner = self.slopes[: n * m].reshape(n, m, rows * latent)
        local = torch.matmul(weights[:m], inner)
        if self.method.tableau.error[-1] and n:
            local += weights[m] * self.slopes[m : n * m + 1 : m].reshape(n, rows * latent)
        step = torch.stack(self.path.scaled[:n]) if n else self.span.new_zeros(0, rows, 1)
        total = local.view(n, rows, latent).mul(step).abs_().sum(0)
        size = torch.linalg.vector_norm(self.nodes, dim=-1).amax(0)
        error = torch.linalg.vector_norm(total, dim=-1) / size.clamp_min(torch.finfo(size.dtype).tiny)
        worst: Tensor = error.view(self.copies, -1).amax(0)
        return worst

    def first_broken(self, series: list[int]) -> list[float]:
        """Return the time of the first node that is not finite, for each of these series."""
        finite = torch.isfinite(self.nodes).all(-1).view(len(self.nodes), self.copies, -1).all(1)
        knots = torch.tensor(self.path.knots, dtype=self.start.dtype, device=self.start.device)
        place = (~finite).float().argmax(0)
        place = torch.where(finite.all(0), torch.full_like(place, len(self.nodes) - 1), place)
        n = len(place)
        when = self.start[:n, 0] + knots[place] * self.span[:n, 0]
        return [float(when[i]) for i in series]


def watch(estimates: tuple[Estimate, ...], coarse: float | None) -> None:
    """Read the errors, once: refuse what is not finite, and warn of a coarse grid (where ``coarse`` is given).

    Raises
    ------
    SolveError
        Naming the series whose values are not finite.
    """
    for estimate in estimates:
        probe = estimate.error() + 0.0 * (estimate.nodes[-1] + estimate.slopes[-1]).sum(-1).view(
            estimate.copies, -1
        ).sum(0)
        errors = probe.tolist()
        broken = [i for i, e in enumerate(errors) if not e < float("inf")]
        if broken:
            raise SolveError(
                "the solution is not finite",
                broken,
                estimate.first_broken(broken),
                "The field may be broken there, or the grid too coarse for it: check its inputs, or take more steps.",
            )
        if coarse is None or estimate.path.adaptive:
            continue
        rough = [i for i, e in enumerate(errors) if e > coarse]
        if rough:
            shown = ", ".join(map(str, rough[:8])) + (f" and {len(rough) - 8} more" if len(rough) > 8 else "")
            warnings.warn(
                f"the grid of {estimate.path.n_steps} {estimate.method.name} steps is too coarse for series {shown}: "
                f"estimated relative error up to {max(errors):.2g}, above {coarse:g}; gradients suffer more. "
                "Raise n_steps, or use an adaptive method.",
                CoarseGridWarning,
                stacklevel=3,
            )
            return


def refuse_outside(schedule: Schedule, times: Tensor) -> None:
    """Refuse queries beyond the span, naming the series.

    Raises
    ------
    ValueError
        If there are any.
    """
    if not bool(schedule.outside.any()):
        return
    series = schedule.outside.any(1).nonzero().flatten().tolist()
    worst = float(times[series[0]][schedule.outside[series[0]]][0])
    raise ValueError(
        f"series {', '.join(map(str, series[:8]))} have queries outside the span "
        f"(series {series[0]} at t = {worst:.6g}): "
        "t1 and t_back must reach every query, or be None"
    )


def named(stuck: Stuck, start: Tensor, span: Tensor, n_series: int) -> SolveError:
    """Say of a stuck loop which series it was, and when."""
    times = (start + stuck.s * span).flatten().tolist()
    when = {row % n_series: times[row] for row in stuck.rows}
    return stuck.named(list(when), list(when.values()))
