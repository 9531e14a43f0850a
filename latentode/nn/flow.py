"""The interface of all dynamics: from a latent state to its trajectory."""

from dataclasses import dataclass

from torch import Tensor, nn

from latentode.nn.node_path import NodePath
from latentode.ode import solve

__all__ = ["Dynamics", "Grid"]


@dataclass(frozen=True)
class Grid:
    """How a trajectory is solved; the steps do not depend on the queries.

    Parameters
    ----------
    reach : int
        Spans ahead of the start.
    backward : bool
        Whether the trajectory also goes as far back.
    n_steps : int
        Solver steps per span.
    method, adjoint : str
        Of :func:`latentode.ode.solve`.
    control : NodePath, optional
        The known covariates along the trajectory.
    """

    reach: int = 1
    backward: bool = False
    n_steps: int = 6
    method: str = "rk4"
    adjoint: str = "discrete"
    control: NodePath | None = None


class Dynamics(nn.Module):
    """A vector field ``forward(t, z, *context)`` that returns dz/dt, and its flow; closed forms override the solver."""

    def flow(self, z0: Tensor, times: Tensor, *context: Tensor, grid: Grid | None = None) -> Tensor:
        """The states at all query times.

        Parameters
        ----------
        z0 : Tensor
            (series, latent), at time 0.
        times : Tensor
            (series, time), of any sign.
        *context : Tensor
            (series, context), where the field has one.
        grid : Grid, optional
            How to solve; None for six steps of rk4 over one span ahead.

        Returns
        -------
        Tensor
            (series, time, latent)
        """
        grid = grid or Grid()
        solution = solve(
            self,
            z0,
            times,
            t0=0.0,
            t1=float(grid.reach),
            t_back=-float(grid.reach) if grid.backward else 0.0,
            args=context,
            control=grid.control,
            method=grid.method,
            n_steps=grid.n_steps * grid.reach,
            adjoint=grid.adjoint,
            watch=False,
        )
        z: Tensor = solution.z
        return z
