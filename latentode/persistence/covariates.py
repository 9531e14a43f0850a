"""The arrays of covariates in a saved model."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from latentode.data import Coding, Covariates, TimedRows
from latentode.persistence.validation import require_arrays, require_rows

__all__ = ["arrays_of_covariates", "covariates_from_arrays", "shapes_of_covariates"]

Shapes = dict[str, tuple[type, tuple[int, ...]]]

KNOWN = {"offsets": "covariates.offsets", "times": "covariates.times", "values": "covariates.known"}
IMPULSES = {name: f"impulses.{name}" for name in KNOWN}
"""Names of arrays in the file, by part of :class:`~latentode.data.TimedRows`."""


def arrays_of_covariates(covariates: Covariates) -> dict[str, NDArray[Any]]:
    """The arrays of covariates by name; those of impulses only where there are such columns."""
    arrays = {"covariates.static": covariates.static}
    arrays |= {name: getattr(covariates.known, part) for part, name in KNOWN.items()}
    if covariates.impulses.n_features:
        arrays |= {name: getattr(covariates.impulses, part) for part, name in IMPULSES.items()}
    return arrays


def covariates_from_arrays(arrays: Mapping[str, NDArray[Any]], coding: Coding, n_series: int) -> Covariates:
    """The covariates in the arrays of a model.

    Raises
    ------
    ValueError
        When an array has another dtype or shape than the coding says, or rows are not in order.
    KeyError
        When an array is missing.
    """
    n_rows = {name: arrays[names["times"]].size for name, names in _parts(coding).items()}
    require_arrays(arrays, shapes_of_covariates(coding, n_series, n_rows.get("known", 0), n_rows.get("impulses", 0)))
    parts = {
        name: TimedRows(**{part: arrays[stored] for part, stored in names.items()})
        for name, names in _parts(coding).items()
    }
    for name, rows in parts.items():
        require_rows("covariates" if name == "known" else name, rows.offsets, rows.times)
    return Covariates(arrays["covariates.static"], **{"impulses": TimedRows.empty(n_series), **parts})


def shapes_of_covariates(coding: Coding | None, n_series: int, n_rows: int = 0, n_impulse_rows: int = 0) -> Shapes:
    """Dtype and shape of every array of covariates."""
    coding = Coding() if coding is None else coding
    shapes: Shapes = {"covariates.static": (np.float32, (n_series, coding.n_static))}
    sizes = {"known": (n_rows, coding.n_known), "impulses": (n_impulse_rows, coding.n_impulses)}
    for name, names in _parts(coding).items():
        rows, features = sizes[name]
        shapes[names["offsets"]] = (np.int64, (n_series + 1,))
        shapes[names["times"]] = (np.float64, (rows,))
        shapes[names["values"]] = (np.float32, (rows, features))
    return shapes


def _parts(coding: Coding) -> dict[str, dict[str, str]]:
    return {"known": KNOWN, "impulses": IMPULSES} if coding.n_impulses else {"known": KNOWN}
