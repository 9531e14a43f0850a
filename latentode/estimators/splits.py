"""Splits in time for scikit-learn's model selection: train on the past, test on what follows."""

from collections.abc import Hashable, Iterator
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from latentode.data import DataError, TimeAxis, infer_keys
from latentode.data.native import as_pandas

__all__ = ["CutoffSplit"]

Ints = NDArray[np.int64]


class CutoffSplit:
    """Split by a cut-off in time: rows up to it are the training part, later rows the test part.

    A forecaster's ``score`` then forecasts the rows after the fitted end of each series from all rows before, as a user
    would. Dates are cut at the same time in all series, so that no training row is later than a test row. Numeric
    times, which may count from an event of each series, are cut at the same fraction of each series' own span.

    Parameters
    ----------
    n_splits : int
        Cut-offs, evenly spaced over the second half.
    horizon : str, Timedelta or number, optional
        Length of the test part after the cut-off. None means to the end.
    id_col, time_col : hashable, optional
        Columns; None means infer as :class:`LatentODEForecaster` does.

    Examples
    --------
    >>> import pandas as pd
    >>> df = pd.DataFrame({"id": 1, "time": [0.0, 1.0, 2.0, 3.0, 4.0], "y": 1.0})
    >>> [(train.tolist(), test.tolist()) for train, test in CutoffSplit(n_splits=2).split(df)]
    [([0, 1, 2], [3, 4]), ([0, 1, 2, 3], [4])]
    """

    def __init__(
        self,
        n_splits: int = 3,
        horizon: Any = None,
        id_col: Hashable | None = None,
        time_col: Hashable | None = None,
    ) -> None:
        self.n_splits = n_splits
        self.horizon = horizon
        self.id_col = id_col
        self.time_col = time_col

    def get_n_splits(self, X: Any = None, y: Any = None, groups: Any = None) -> int:
        """The number of splits."""
        return self.n_splits

    def split(self, X: pd.DataFrame, y: Any = None, groups: Any = None) -> Iterator[tuple[Ints, Ints]]:
        """Yield the row numbers of the training and the test part, the earliest cut-off first.

        Parameters
        ----------
        X : DataFrame
            Ids and times, in any order. A row without a time is in neither part.
        y, groups : object
            Ignored.

        Raises
        ------
        DataError
            When the columns cannot be inferred, or a part would be empty.
        ValueError
            When `n_splits` is less than 1.
        """
        if self.n_splits < 1:
            raise ValueError(f"n_splits={self.n_splits!r} must be at least 1")
        X = as_pandas(X)
        keys = infer_keys(X, self.id_col, self.time_col)
        axis = TimeAxis.from_times(keys.times_of(X))
        times = axis.to_float(keys.times_of(X))
        length = np.inf if self.horizon is None else axis.length_of(self.horizon, "horizon")
        first, last = self._spans(keys.ids_of(X), times, axis)
        for k in range(self.n_splits):
            cut = first + (last - first) * (0.5 + 0.5 * k / self.n_splits)
            train, test = np.flatnonzero(times <= cut), np.flatnonzero((times > cut) & (times <= cut + length))
            if len(train) == 0 or len(test) == 0:
                raise DataError(f"split {k} has no rows before or none after its cut-off; use fewer splits")
            yield train, test

    @staticmethod
    def _spans(ids: pd.Index | None, times: Any, axis: TimeAxis) -> tuple[Any, Any]:
        """First and last time for every row: of all series, or of its own series."""
        if axis.kind in ("datetime", "period") or ids is None:
            return np.nanmin(times), np.nanmax(times)
        grouped = pd.Series(times).groupby(np.asarray(ids), dropna=False)
        return grouped.transform("min").to_numpy(), grouped.transform("max").to_numpy()
