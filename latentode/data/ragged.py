"""Ragged rows as padded arrays."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["average_groups", "pad", "slices", "sum_groups"]


def pad(flat: NDArray[Any], starts: NDArray[np.int64], lengths: NDArray[np.int64], fill: float) -> NDArray[Any]:
    """Slices of a flat array as one padded array.

    Parameters
    ----------
    flat : array
        (rows, ...).
    starts, lengths : array of int
        Row i of the result is ``flat[starts[i]:starts[i] + lengths[i]]``, (series,).
    fill : float
        What stands where a slice has ended.

    Returns
    -------
    array
        (series, longest, ...), at least one step long.

    Examples
    --------
    >>> import numpy as np
    >>> pad(np.arange(4.0), np.array([0, 1]), np.array([1, 3]), fill=-1.0)
    array([[ 0., -1., -1.],
           [ 1.,  2.,  3.]])
    """
    steps = np.arange(int(lengths.max(initial=1)))
    inside = steps < lengths[:, None]
    padded = np.full(inside.shape + flat.shape[1:], fill, dtype=flat.dtype)
    padded[inside] = flat[(starts[:, None] + steps)[inside]]
    return padded


def slices(starts: NDArray[np.int64], lengths: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Concatenated slices of flat rows.

    Parameters
    ----------
    starts, lengths : array of int
        Slice i is the rows ``starts[i]:starts[i] + lengths[i]``, (series,).

    Returns
    -------
    offsets : array of int
        (series + 1,), where each slice begins in the result, and the end of the last.
    rows : array of int
        The rows to take.

    Examples
    --------
    >>> import numpy as np
    >>> slices(np.array([4, 0]), np.array([2, 1]))
    (array([0, 2, 3]), array([4, 5, 0]))
    """
    offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
    rows = np.repeat(starts - offsets[:-1], lengths) + np.arange(offsets[-1])
    return offsets, rows


def average_groups(values: NDArray[Any], starts: NDArray[np.int64]) -> NDArray[Any]:
    """One row per group of rows, each column averaged over its known values; overwrites the values.

    Parameters
    ----------
    values : array of float
        (rows, column), NaN where missing; the rows of a group one after the other, in any order.
    starts : array of int
        (group,), the first row of each.

    Examples
    --------
    >>> import numpy as np
    >>> average_groups(np.array([[1.0, 4.0], [3.0, np.nan], [5.0, 6.0]]), np.array([0, 2]))
    array([[2., 4.],
           [5., 6.]])
    """
    sizes = np.diff(np.append(starts, len(values)))
    several = sizes > 1
    repeated = np.repeat(several, sizes)
    within = np.concatenate([[0], np.cumsum(sizes[several])[:-1]])
    group = np.repeat(np.arange(int(several.sum())), sizes[several])
    for column in values.T:  # column by column: the values may take gigabytes
        x = column[repeated]
        x = x[np.lexsort((x, group))]  # the order of terms changes the rounding of sums
        present = ~np.isnan(x)
        count = np.add.reduceat(present, within, dtype=np.int64)
        total = np.add.reduceat(np.where(present, x, 0.0), within, dtype=np.float64)
        column[: len(starts)] = column[starts]
        column[: len(starts)][several] = np.where(count > 0, total / np.maximum(count, 1), np.nan)
    return values[: len(starts)]


def sum_groups(values: NDArray[Any], starts: NDArray[np.int64]) -> NDArray[Any]:
    """One row per group of rows, each column added up over its known values, NaN where a group has none.

    Parameters
    ----------
    values : array of float
        (rows, column), NaN where missing; the rows of a group one after the other, in any order.
    starts : array of int
        (group,), the first row of each.

    Examples
    --------
    >>> import numpy as np
    >>> sum_groups(np.array([[1.0, 4.0], [3.0, np.nan], [np.nan, 6.0]]), np.array([0, 2]))
    array([[ 4.,  4.],
           [nan,  6.]])
    """
    sums = np.full((len(starts), values.shape[1]), np.nan)
    group = np.repeat(np.arange(len(starts)), np.diff(np.append(starts, len(values))))
    for k, x in enumerate(values.T):
        x = x[np.lexsort((x, group))]  # the order of terms changes the rounding of sums
        present = ~np.isnan(x)
        counts = np.add.reduceat(present, starts, dtype=np.int64)
        sums[:, k] = np.where(counts > 0, np.add.reduceat(np.where(present, x, 0.0), starts), np.nan)
    return sums
