"""Where the rows of a solve go: one piece of time after the other, each at a speed of the row's own.

Every row runs on a clock s of its own, from 0 to the number of pieces; on piece p it shows
``t = start_p + (s - p) span_p``. All rows enter and leave every piece together, so that a step is one number for all
of them, and a time at which the field jumps is the border of two pieces for every series, wherever it lies for each.
"""

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

__all__ = ["Moment", "Route"]


class Moment(NamedTuple):
    """When a stage is evaluated.

    It is ``place`` of a step, and ``clock`` on ``piece``: one for all rows, or one per row, (row, 1). The end of a
    piece lies before whatever jumps there, the beginning of the next one after it.
    """

    step: int
    place: float
    piece: int
    clock: float | Tensor


@dataclass(frozen=True)
class Route:
    """The pieces of time every row goes through.

    Parameters
    ----------
    start, span : Tensor
        (piece, row, 1): where each piece begins, and how far it goes.
    jumps : bool
        Whether the field may jump between the pieces.
    """

    start: Tensor
    span: Tensor
    jumps: bool = False

    @property
    def n_pieces(self) -> int:
        """How many pieces there are."""
        return len(self.span)

    def detached(self) -> "Route":
        """The same, for those who want no gradient."""
        return Route(self.start.detach(), self.span.detach(), self.jumps)

    def time(self, moment: Moment) -> Tensor:
        """The time of every row, (row, 1), in the route's own dtype."""
        start, span, inside = self.start[moment.piece], self.span[moment.piece], moment.clock
        if isinstance(inside, Tensor):
            return torch.addcmul(start, span, inside - moment.piece)
        return torch.add(start, span, alpha=inside - moment.piece)
