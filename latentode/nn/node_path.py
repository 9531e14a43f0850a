"""Known covariates as an input of the dynamics, on the nodes of the solver's own grid."""

import torch
from torch import Tensor

from latentode.ode import PiecewiseLinear

__all__ = ["NodePath", "path_on_nodes"]


class NodePath(PiecewiseLinear):
    """A control path whose knots are nodes of the solver's grid: steps end there anyway, so none must be added.

    Its numbers are made by :func:`path_on_nodes` and not checked, so that the host need not read them.
    """

    def __init__(self, times: Tensor, values: Tensor) -> None:
        self._lay_out(times, values)

    @property
    def kinks(self) -> None:
        """None that the solver must stop at."""
        return None


def path_on_nodes(knot_times: Tensor, knots: Tensor, n_steps: int, reach: int, backward: bool) -> NodePath:
    """Piecewise constant values, averaged around each node of the grid: no pulse between two nodes is lost.

    Parameters
    ----------
    knot_times : Tensor
        (series, knot), rising, inf where padded; in spans from the start of the trajectory.
    knots : Tensor
        (series, knot, feature)
    n_steps : int
        Solver steps per span.
    reach : int
        Spans ahead.
    backward : bool
        Whether the trajectory also goes as far back.

    Returns
    -------
    NodePath

    Examples
    --------
    >>> import torch
    >>> path = path_on_nodes(torch.tensor([[0.0, 0.5]]), torch.tensor([[[0.0], [1.0]]]), 4, 1, False)
    >>> path.values[0, :, 0]
    tensor([0.0000, 0.0000, 0.5000, 1.0000, 1.0000])
    """
    nodes = torch.arange(-reach * n_steps if backward else 0, reach * n_steps + 1, device=knots.device) / n_steps
    half = torch.full_like(nodes, 0.5 / n_steps)
    whole = _integral(knot_times, knots, torch.cat([nodes - half, nodes + half]).to(knots.dtype))
    before, after = whole.chunk(2, dim=1)
    values = (after - before) * n_steps
    return NodePath(nodes.to(knots.dtype).expand(len(knots), -1), values)


def _integral(knot_times: Tensor, knots: Tensor, times: Tensor) -> Tensor:
    """The integral of the piecewise constant values from the first knot, (series, time, feature)."""
    start = torch.where(torch.isinf(knot_times[:, :1]), 0.0, knot_times[:, :1])  # a series without knots
    begins = torch.cat([start, knot_times[:, 1:]], dim=1)
    gaps = torch.nan_to_num(begins.diff(dim=1), nan=0.0, posinf=0.0, neginf=0.0)
    until = torch.cat([torch.zeros_like(knots[:, :1]), (knots[:, :-1] * gaps[..., None]).cumsum(1)], dim=1)
    wide = times.expand(len(knots), -1).contiguous()
    at = (torch.searchsorted(begins.contiguous(), wide, right=True) - 1).clamp_min(0)
    passed = (wide - begins.gather(1, at))[..., None]
    at = at[..., None].expand(-1, -1, knots.shape[-1])
    return until.gather(1, at) + knots.gather(1, at) * passed
