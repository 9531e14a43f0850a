"""Scoring: which rows of a frame are forecast, from which history, and how far the forecast is off."""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from latentode.data import DataError, values_of
from latentode.data.columns import LARGEST
from latentode.data.scaling import FARTHEST
from latentode.estimators.frames import last_third
from latentode.estimators.query import ids_of
from latentode.estimators.support import refuse_unsupported
from latentode.estimators.warnings import warn_data
from latentode.persistence.state import FittedState

__all__ = ["ScoredRows", "negative_squared_error", "observed_targets", "rows_to_score"]

Floats = NDArray[np.float64]

_ADVICE = "where rows were split at random, split by series (GroupKFold) or in time (CutoffSplit) instead"


@dataclass(frozen=True)
class ScoredRows:
    """The rows of a frame that are forecast for the score.

    Parameters
    ----------
    chosen : array of bool
        (row,), which rows.
    queried : array of bool
        (row,), these and the rows without a channel that hold known covariates or amounts, which act on them.
    truth : array of float
        (row, target), observed values of all rows; NaN where missing.
    history : DataFrame or None
        The other rows of series that fit has not seen.
    """

    chosen: NDArray[np.bool_]
    queried: NDArray[np.bool_]
    truth: Floats
    history: pd.DataFrame | None


def observed_targets(df: pd.DataFrame, state: FittedState) -> Floats:
    """The targets of a frame, (row, target), NaN where missing or too large to be used."""
    values = values_of(df, state.schema)[:, : state.n_targets]
    refuse_unsupported(df, state.schema, state.model.config.likelihoods)
    return np.where(np.abs(values) > LARGEST, np.nan, values)


def rows_to_score(df: pd.DataFrame, state: FittedState) -> ScoredRows:
    """Choose the rows to forecast: of a series seen in fit those after its end, else its last third.

    Raises
    ------
    DataError
        When there is no such row.

    Warns
    -----
    DataWarning
        When rows lie before or between those seen in fit.
    """
    truth = observed_targets(df, state)
    times, ids = state.time_axis.to_float(state.schema.times_of(df)), ids_of(df, state)
    panel = state.panel
    fitted_end = panel.end_of(panel.ids.get_indexer(ids))
    unseen, observed = np.isnan(fitted_end), ~np.isnan(truth).all(1)
    chosen = np.where(unseen, last_third(times, ids), times > fitted_end) & observed
    between = ~unseen & (times <= fitted_end) & observed & ~panel.holds(ids, times)
    if not chosen.any():
        raise DataError(
            "no row to score: series seen in fit are scored on rows after their last fitted time, "
            f"and there are none{f'; {_ADVICE}' if between.any() else ''}"
        )
    if between.any():
        n_between = int(between.sum())
        warn_data([f"{n_between} rows lie before or between rows that fit saw and were not scored: {_ADVICE}"])
    rest = ~chosen & unseen
    driven = bool(state.schema.known_cols or state.schema.impulse_cols)
    return ScoredRows(chosen, chosen | (driven & ~observed), truth, df[rest] if rest.any() else None)


def negative_squared_error(predicted: Floats, truth: Floats, weights: Floats, spread: Floats) -> float:
    """Minus the weighted mean squared error in units of each channel's spread.

    Parameters
    ----------
    predicted, truth : array of float
        (row, target); NaN in either is left out.
    weights : array of float
        (row,).
    spread : array of float
        (target,).
    """
    with np.errstate(over="ignore"):
        scaled = (predicted - truth) / spread
    error = np.clip(scaled, -FARTHEST, FARTHEST) ** 2
    used = np.where(np.isnan(error), 0.0, weights[:, None])
    return -float((np.nan_to_num(error) * used).sum() / used.sum())
