"""What a pass leaves for those who look at it: its cost, its estimated error, and where it broke."""

from dataclasses import dataclass

import torch
from torch import Tensor

from latentode.ode.constants import constant
from latentode.ode.dense import DenseOutput
from latentode.ode.errors import Whereabouts
from latentode.ode.methods import Method
from latentode.ode.path import Path
from latentode.ode.route import Route

__all__ = ["Trace"]


@dataclass
class _Part:
    """What some of the steps came to."""

    error: Tensor  # (row, latent), the steps' errors, added up
    size: Tensor  # (row,), of the greatest state
    probe: Tensor  # (row,), zero, or NaN where the last values are not finite

    def __add__(self, later: "_Part") -> "_Part":
        """The same of both."""
        return _Part(self.error + later.error, torch.maximum(self.size, later.size), self.probe + later.probe)


class Trace:
    """What is known of one group of rows, which holds every series once, or once per side.

    Parameters
    ----------
    method, route
        How they were solved, and where to.
    copies : int
        How often every series is among the rows.
    """

    def __init__(self, method: Method, route: Route, copies: int) -> None:
        self.method, self.route, self.copies = method, route.detached(), copies
        self.evaluations = self.steps = self.rejected = 0
        self.adaptive = False
        self._kept: tuple[Tensor, Tensor, Path] | None = None
        self._part: _Part | None = None
        self._error: Tensor | None = None
        self._broken: tuple[Tensor, Tensor] | None = None  # clocks, as :meth:`_first_not_finite` returns them

    def keep(self, nodes: Tensor, slopes: Tensor, path: Path) -> None:
        """Keep all steps, to look at them if somebody asks."""
        self._count(path)
        self._kept = (nodes.detach(), slopes.detach(), path)

    def look(self, nodes: Tensor, slopes: Tensor, path: Path) -> None:
        """Look at some of the steps and let them go, for solves that keep little."""
        self._count(path)
        part, broken = self._looked_at(nodes, slopes, path), _first_not_finite(nodes, slopes, path)
        if self._part is not None and self._broken is not None:
            part, whole = self._part + part, torch.isinf(self._broken[0])
            clocks = [torch.where(whole, new, old) for old, new in zip(self._broken, broken, strict=True)]
            broken = clocks[0], clocks[1]
        self._part, self._broken = part, broken

    def read(self, clock: Tensor, copy: int) -> Tensor:
        """The solution at these places on the clock, (series, time, latent), of one of the rows of every series."""
        nodes, slopes, path = self._steps()
        rows = torch.arange(len(clock), device=clock.device).unsqueeze(1) + copy * len(clock)
        return DenseOutput(nodes, slopes, path, self.route, self.method, clock, rows, own=self.copies == 1).answer()

    @torch.no_grad()
    def error(self) -> Tensor:
        """Estimate the error of every series, (series,), relative to the size of its state.

        The local errors of the steps, by the tableau's error weights and the slopes there are (no evaluation is
        added), summed over the steps as if none of them decayed or grew. Not finite where the solution is not.
        """
        if self._error is not None:
            return self._error
        part = self._looked_at(*self._steps()) if self._part is None else self._part
        error = torch.linalg.vector_norm(part.error, dim=-1) / part.size.clamp_min(torch.finfo(part.size.dtype).tiny)
        self._error = (error + part.probe).view(self.copies, -1).amax(0)
        return self._error

    def first_broken(self, series: list[int]) -> dict[int, Whereabouts]:
        """Return, for each of these series, its row that broke first, and its first node that is not finite."""
        broken, good = self._broken or _first_not_finite(*self._steps())
        clocks, copy = broken.view(self.copies, -1).min(0)
        n, each = len(clocks), {}
        for i in series:
            row = i + n * int(copy[i])
            clock = float(broken[row])
            each[row] = Whereabouts(clock, self._time(row, clock), self._time(row, float(good[row])))
        return each

    def _time(self, row: int, clock: float) -> float:
        clock = min(clock, float(self.route.n_pieces))  # inf: finite to the end, and too large to be squared
        piece = min(int(clock), self.route.n_pieces - 1)
        return float(self.route.start[piece, row, 0] + (clock - piece) * self.route.span[piece, row, 0])

    def _count(self, path: Path) -> None:
        self.evaluations += path.evaluations
        self.rejected += path.rejected
        self.steps += path.n_steps
        self.adaptive = path.adaptive

    def _steps(self) -> tuple[Tensor, Tensor, Path]:
        if self._kept is None:
            raise RuntimeError("the steps were not kept: solve with another adjoint, or without gradients")
        return self._kept

    @torch.no_grad()
    def _looked_at(self, nodes: Tensor, slopes: Tensor, path: Path) -> _Part:
        m = self.method.tableau.stages
        weights = constant(self.method.tableau.error, nodes)
        rows, latent = nodes.shape[1:]
        local = torch.matmul(weights[:m], path.inner(slopes).reshape(path.n_steps, m, rows * latent))
        by_end = self.method.tableau.error[-1]
        if by_end:
            ends = path.ends(slopes)  # the last step's is missing where nobody needed it: then its error is not known
            local = local[: len(ends)].add_(ends.reshape(len(ends), rows * latent), alpha=by_end)
        local = local.view(len(local), rows, latent)
        if path.uniform:
            total = local.abs_().sum(0).mul_(path.scaled[0].abs())
        else:
            step = torch.stack(path.scaled[: len(local)]) if len(local) else nodes.new_zeros(0, rows, 1)
            total = local.mul(step).abs_().sum(0)
        probe = (nodes[-1] + slopes[-1]).sum(-1).mul_(0.0)
        return _Part(total, torch.linalg.vector_norm(nodes, dim=-1).amax(0), probe)


@torch.no_grad()
def _first_not_finite(nodes: Tensor, slopes: Tensor, path: Path) -> tuple[Tensor, Tensor]:
    """The clock of each row's first node that is not finite, and of the one before it; inf where there is none.

    A node counts as not finite if the field, in the step that begins there, is not.
    """
    finite = torch.isfinite(nodes.sum(-1))
    finite[:-1] &= torch.isfinite(path.inner(slopes).sum((1, 3)))
    if path.last_end_evaluated:
        finite[-1] &= torch.isfinite(slopes[-1].sum(-1))
    clocks = path.knot_clocks(nodes.new_empty(0, dtype=torch.float64))[..., 0].expand(-1, nodes.shape[1])
    whole, first = finite.all(0), (~finite).to(torch.uint8).argmax(0, keepdim=True)
    broken, good = clocks.gather(0, first)[0], clocks.gather(0, (first - 1).clamp_min(0))[0]
    return torch.where(whole, float("inf"), broken), torch.where(whole, float("inf"), good)
