"""A panel that grows by many small additions at a cost that does not depend on its size."""

from latentode.data.panel import Panel

__all__ = ["GrowingPanel"]


class GrowingPanel:
    """Observations to which others can be added; they are merged when they are read.

    Merging two panels costs as much as the larger one. Additions therefore wait as separate parts. A part is merged
    into its neighbour once the neighbour is at most twice as large. So each row moves a logarithmic number of times,
    and the time of an addition does not grow with the number of rows.

    Parameters
    ----------
    *parts : Panel
        The observations, the oldest first.

    Examples
    --------
    >>> import numpy as np, pandas as pd
    >>> from latentode.data import GrowingPanel, Panel
    >>> def one(time):
    ...     return Panel(pd.Index(["a"]), np.array([0, 1]), np.array([time]), np.array([[1.0]]))
    >>> GrowingPanel(one(0.0)).with_rows(one(2.0)).with_rows(one(1.0)).panel.times
    array([0., 1., 2.])
    """

    def __init__(self, *parts: Panel) -> None:
        self._parts = parts

    def with_rows(self, new: Panel) -> "GrowingPanel":
        """The panel with further rows and series; at the same series and time the new value replaces the old."""
        parts = [*self._parts, new]  # two parts if the panel was read since the last addition
        while len(parts) > 2 and 2 * _size(parts[-1]) >= _size(parts[-2]):
            last = parts.pop()
            parts[-1] = parts[-1].updated(last)
        return GrowingPanel(*parts)

    @property
    def panel(self) -> Panel:
        """All observations; merged once."""
        parts = list(self._parts)
        while len(parts) > 1:  # small parts first
            last = parts.pop()
            parts[-1] = parts[-1].updated(last)
        self._parts = tuple(parts)
        return parts[0]


def _size(panel: Panel) -> int:
    covariates = 0 if panel.covariates is None else panel.covariates.n_rows
    return len(panel.times) + panel.n_series + covariates
