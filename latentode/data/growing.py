"""A panel that grows by many small additions, each of which costs little whatever is there already."""

from latentode.data.panel import Panel

__all__ = ["GrowingPanel"]


class GrowingPanel:
    """Observations that others can be added to, merged when they are read.

    Merging costs as much as the larger of two panels. What is added therefore waits, and is merged with what waits
    beside it once that is no more than twice as large: a row is moved a logarithmic number of times in all, and the
    time of an addition does not grow with the number of rows.

    Parameters
    ----------
    *parts : Panel
        What is known, the oldest first.

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
        """These, further rows and further series; at one time a new value takes the place of the old."""
        parts = [*self._parts, new]  # one and the new, where the panel has been read since
        while len(parts) > 2 and 2 * _size(parts[-1]) >= _size(parts[-2]):
            last = parts.pop()
            parts[-1] = parts[-1].updated(last)
        return GrowingPanel(*parts)

    @property
    def panel(self) -> Panel:
        """All that is known; it is put together once."""
        parts = list(self._parts)
        while len(parts) > 1:  # the small ones first
            last = parts.pop()
            parts[-1] = parts[-1].updated(last)
        self._parts = tuple(parts)
        return parts[0]


def _size(panel: Panel) -> int:
    covariates = 0 if panel.covariates is None else len(panel.covariates.times)
    return len(panel.times) + panel.n_series + covariates
