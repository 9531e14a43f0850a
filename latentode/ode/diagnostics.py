"""The diagnostics of a solve: its cost, its estimated error, and where it stopped being finite.

They are formed from the stages a solve has computed anyway: no evaluation of the field is added, and nothing is read by
the host before it is needed.
"""

import warnings
from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from latentode.ode.dense import DenseOutput
from latentode.ode.failures import CoarseGridWarning, FailurePoint, StepFailure
from latentode.ode.steps import AcceptedSteps

__all__ = ["Diagnostics", "refuse_not_finite", "warn_if_coarse"]


@dataclass
class _Summary:
    """What is known of some of the steps."""

    error: Tensor  # (row, latent), the sum of the errors of the steps
    size: Tensor  # (row,), of the largest state
    probe: Tensor  # (row,), zero, or NaN if the last values are not finite

    def __add__(self, later: "_Summary") -> "_Summary":
        return _Summary(self.error + later.error, torch.maximum(self.size, later.size), self.probe + later.probe)


class Diagnostics:
    """What is known of one batch of rows, which holds every series once, or once per direction.

    Parameters
    ----------
    copies : int
        How many rows every series has.
    """

    def __init__(self, copies: int) -> None:
        self.copies = copies
        self.evaluations = self.n_steps = self.rejected = 0
        self.steps: AcceptedSteps  # those added last, without gradients
        self._kept: tuple[Tensor, Tensor, AcceptedSteps] | None = None
        self._summary: _Summary | None = None
        self._error: Tensor | None = None
        self._not_finite: tuple[Tensor, Tensor] | None = None  # as :func:`_first_not_finite` returns it

    @classmethod
    def of(cls, nodes: Tensor, slopes: Tensor, steps: AcceptedSteps, copies: int) -> "Diagnostics":
        """Keep all steps of a solve: the diagnostics are formed from them when they are first read."""
        diagnostics = cls(copies)
        diagnostics._count(steps)
        diagnostics._kept = (nodes.detach(), slopes.detach(), diagnostics.steps)
        return diagnostics

    def add(self, nodes: Tensor, slopes: Tensor, steps: AcceptedSteps) -> None:
        """Summarise some of the steps, which are not kept."""
        self._count(steps)
        summary, found = self._summarised(nodes, slopes, steps), _first_not_finite(nodes, slopes, steps)
        if self._summary is not None and self._not_finite is not None:
            summary, finite = self._summary + summary, torch.isinf(self._not_finite[0])
            clocks = [torch.where(finite, new, old) for old, new in zip(self._not_finite, found, strict=True)]
            found = clocks[0], clocks[1]
        self._summary, self._not_finite = summary, found

    def read(self, clock: Tensor, copy: int) -> Tensor:
        """Return the solution at these clocks, (series, time, latent), from one of the rows of every series."""
        nodes, slopes, steps = self._all_steps()
        rows = None
        if self.copies > 1:
            rows = torch.arange(len(clock), device=clock.device).unsqueeze(1) + copy * len(clock)
        return DenseOutput(nodes, slopes, steps, clock, rows).answer()

    @torch.no_grad()
    def error(self) -> Tensor:
        """Estimate the error of every series, (series,), relative to the size of its state.

        This is the sum of the local errors of all steps, as if none of them decayed or grew. They are given by the
        error weights of the tableau and the slopes there are. It is not finite where the solution is not.
        """
        if self._error is not None:
            return self._error
        summary = self._summarised(*self._all_steps()) if self._summary is None else self._summary
        size = summary.size.clamp_min(torch.finfo(summary.size.dtype).tiny)
        error = torch.linalg.vector_norm(summary.error, dim=-1) / size
        self._error = (error + summary.probe).view(self.copies, -1).amax(0)
        return self._error

    def first_not_finite(self, series: list[int]) -> dict[int, FailurePoint]:
        """Return, for each of these series, the row that failed first and its first node that is not finite."""
        failed, good = self._not_finite or _first_not_finite(*self._all_steps())
        clocks, copy = failed.view(self.copies, -1).min(0)
        points = {}
        for i in series:
            row = i + len(clocks) * int(copy[i])
            clock = float(failed[row])
            points[row] = FailurePoint(clock, self._time(row, clock), self._time(row, float(good[row])))
        return points

    def _time(self, row: int, clock: float) -> float:
        segments = self.steps.segments
        clock = min(clock, float(segments.count))  # inf: every node is finite, only the sum of its squares is not
        segment = min(int(clock), segments.count - 1)
        return float(segments.start[segment, row, 0] + (clock - segment) * segments.span[segment, row, 0])

    def _count(self, steps: AcceptedSteps) -> None:
        self.evaluations += steps.evaluations
        self.rejected += steps.rejected
        self.n_steps += steps.n_steps
        # A solution that is kept must not keep the graph behind its times alive.
        self.steps = replace(steps, segments=steps.segments.detached())

    def _all_steps(self) -> tuple[Tensor, Tensor, AcceptedSteps]:
        if self._kept is None:
            raise RuntimeError("the steps were not kept: solve with another adjoint, or without gradients")
        return self._kept

    @torch.no_grad()
    def _summarised(self, nodes: Tensor, slopes: Tensor, steps: AcceptedSteps) -> _Summary:
        m, tableau = steps.stages, steps.method.tableau
        rows, latent = nodes.shape[1:]
        weights = steps.method.error_weights(nodes)
        local = torch.matmul(weights[:m], steps.inner(slopes).reshape(steps.n_steps, m, rows * latent))
        if end_weight := tableau.error[-1]:
            ends = steps.ends(slopes)  # without the last slope if nothing needed it: then that error is not known
            local = local[: len(ends)].add_(ends.reshape(len(ends), rows * latent), alpha=end_weight)
        local = local.view(len(local), rows, latent)
        if steps.uniform:
            total = local.abs_().sum(0).mul_(steps.sizes[0].abs())
        else:
            sizes = torch.stack(steps.sizes[: len(local)]) if len(local) else nodes.new_zeros(0, rows, 1)
            total = local.mul(sizes).abs_().sum(0)
        # Zero, or NaN if any value is not finite: added to the error, it needs no check of its own by the host.
        probe = (nodes[-1] + slopes[-1]).sum(-1).mul_(0.0)
        return _Summary(total, torch.linalg.vector_norm(nodes, dim=-1).amax(0), probe)


@torch.no_grad()
def _first_not_finite(nodes: Tensor, slopes: Tensor, steps: AcceptedSteps) -> tuple[Tensor, Tensor]:
    """Return the clock of each row's first node that is not finite, and of the node before; inf if all are finite.

    A node counts as not finite if the field is not finite in the step that begins there.
    """
    finite = torch.isfinite(nodes.sum(-1))
    finite[:-1] &= torch.isfinite(steps.inner(slopes).sum((1, 3)))
    if steps.last_end_evaluated:
        finite[-1] &= torch.isfinite(slopes[-1].sum(-1))
    clocks = steps.node_clocks(nodes.new_empty(0, dtype=torch.float64))[..., 0].expand(-1, nodes.shape[1])
    all_finite, first = finite.all(0), (~finite).to(torch.uint8).argmax(0, keepdim=True)
    failed, good = clocks.gather(0, first)[0], clocks.gather(0, (first - 1).clamp_min(0))[0]
    return torch.where(all_finite, float("inf"), failed), torch.where(all_finite, float("inf"), good)


def refuse_not_finite(batches: Sequence[Diagnostics]) -> None:
    """Raise if a solution is not finite; the host reads the errors once.

    Raises
    ------
    StepFailure
        Naming the rows whose values are not finite.
    """
    for diagnostics in batches:
        series = [i for i, e in enumerate(diagnostics.error().tolist()) if not e < float("inf")]
        if series:
            raise StepFailure.solution_not_finite(diagnostics.first_not_finite(series))


def warn_if_coarse(batches: Sequence[Diagnostics], coarse: float) -> None:
    """Warn of series whose fixed grid has a greater estimated error than ``coarse``."""
    for diagnostics in batches:
        errors = [] if diagnostics.steps.adaptive else diagnostics.error().tolist()
        series = [i for i, e in enumerate(errors) if e > coarse]
        if series:
            shown = ", ".join(map(str, series[:8])) + (f" and {len(series) - 8} more" if len(series) > 8 else "")
            warnings.warn(
                f"the grid of {diagnostics.n_steps} {diagnostics.steps.method.name} steps is too coarse for series "
                f"{shown}: estimated relative error up to {max(errors):.2g}, above {coarse:g}; gradients suffer more. "
                "Raise n_steps, or use an adaptive method.",
                CoarseGridWarning,
                stacklevel=3,
            )
            return
