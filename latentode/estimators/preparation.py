"""From the frame given to fit to data that a model can be trained on."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from latentode.data import (
    ChannelScaler,
    Coding,
    DataError,
    Panel,
    Schema,
    Seasons,
    TimeAxis,
    find_seasons,
    infer_schema,
    is_stored,
    panel_from_frame,
    read_parquet,
    values_of,
)
from latentode.data.doubtful import constant_channels, dates_as_numbers, left_out
from latentode.data.native import Given
from latentode.estimators.bounds import bounds_for
from latentode.estimators.frames import join_targets, weights_of
from latentode.estimators.holdout import FEWEST_SERIES
from latentode.estimators.likelihoods import likelihoods_for
from latentode.estimators.settings import Settings
from latentode.estimators.support import refuse_unsupported
from latentode.estimators.warnings import warn_data
from latentode.nn import LIKELIHOODS
from latentode.persistence.state import FittedState

__all__ = ["SAMPLE_ID", "TrainingData", "prepare"]

Floats = NDArray[np.float64]

SAMPLE_ID = "sample_id"
"""The column of ``sample`` that numbers the samples."""


@dataclass(frozen=True, eq=False)
class TrainingData:
    """What a fit learns from.

    Parameters
    ----------
    df : DataFrame
        The frame, targets among its columns.
    schema : Schema
        The roles of its columns.
    time_axis : TimeAxis
        Kind, zone and origin of its times.
    coding : Coding or None
        How covariates become features; None where there are none.
    panel : Panel
        The observations, at least one value in every row.
    likelihoods : tuple of str
        (channel,), the likelihood of each channel.
    bounds : array of float
        (2, channel), the lower and upper bound of each channel; NaN where there is none.
    scaler : ChannelScaler
        The scaling of the channels.
    seasons : Seasons
        Periods in which the data repeat.
    horizon : float or None
        The horizon on the axis; None means that the durations of the series give it.
    weights : array of float, optional
        (row,), the sample weight of every row of the panel.
    feature_names : array of str
        Columns of the frame given to fit.
    previous : FittedState, optional
        The fit that training continues (``warm_start``).
    given : Given, optional
        The frame given to fit without its rows, in the library it came from.
    """

    df: pd.DataFrame
    schema: Schema
    time_axis: TimeAxis
    coding: Coding | None
    panel: Panel
    likelihoods: tuple[str, ...]
    bounds: Floats
    scaler: ChannelScaler
    seasons: Seasons
    horizon: float | None
    weights: Floats | None
    feature_names: NDArray[Any]
    previous: FittedState | None = None
    given: Given | None = None

    @property
    def unobserved(self) -> NDArray[np.bool_]:
        """(channel,), which channels hold no value at all."""
        return np.asarray(np.isnan(self.panel.values).all(0))

    @property
    def targets(self) -> pd.DataFrame:
        """The targets alone."""
        # By position: a column may be named False, and a list of that is a mask.
        positions = self.df.columns.get_indexer_for(pd.Index(self.schema.target_cols, dtype=object))
        return self.df.take(positions, axis=1)


def prepare(
    given: Given,
    settings: Settings,
    y: pd.DataFrame | pd.Series | ArrayLike | None = None,
    sample_weight: ArrayLike | None = None,
    previous: FittedState | None = None,
) -> TrainingData:
    """Read a frame for training.

    Parameters
    ----------
    given : Given
        The long frame, or a stored table.
    settings : Settings
        The estimator's parameters.
    y : DataFrame, Series or array, optional
        The targets apart, row by row.
    sample_weight : array, optional
        (row,), the weight of every row of the frame.
    previous : FittedState, optional
        The fit to continue: its columns, times, scales, seasons and horizon are kept.

    Raises
    ------
    DataError
        When the frame cannot be used.
    ValueError
        When a weight is negative, not finite or missing, or all are 0.

    Warns
    -----
    DataWarning
        When rows were left out or merged, a channel holds no value or never changes within a series, a column is not
        used, times read as dates are numbers, or no gap is as short as the horizon.
    """
    X = _stored(given.frame, settings, y, sample_weight) if is_stored(given.frame) else given.frame
    df = join_targets(X, y, settings.target_cols)
    schema = _schema_of(df, y, settings)
    if previous is not None and schema != previous.schema:
        raise DataError(
            "warm_start=True continues the previous fit and needs its columns; these are others: "
            f"{list(schema.channels)!r} instead of {list(previous.schema.channels)!r} (or other covariates)"
        )
    axis = TimeAxis.from_times(schema.times_of(df)) if previous is None else previous.time_axis
    coding = None
    roles = (schema.static_cols, schema.known_cols, schema.impulse_cols)
    if any(roles):
        coding = Coding.from_frame(df, *roles) if previous is None else previous.coding
    likelihoods = likelihoods_for(settings.likelihood, schema.channels, values_of(df, schema), previous)
    refuse_unsupported(df, schema, likelihoods)
    panel, treatment = panel_from_frame(df, schema, axis, coding)
    sentences = treatment.sentences()
    if previous is None:
        sentences += dates_as_numbers(schema.times_of(df))
    if previous is None and y is None and settings.target_cols is None:
        sentences += left_out(df, schema) + constant_channels(panel, schema)
    by_process = settings.stacking and not any(LIKELIHOODS[name].counts for name in likelihoods)
    _check_panel(panel, schema, sentences, by_process)
    # The response to amounts is linear in them: in logarithms it is not, and forecasts after doses were worse.
    logarithms = np.array([not LIKELIHOODS[name].counts and not schema.impulse_cols for name in likelihoods])
    return TrainingData(
        df=df,
        schema=schema,
        time_axis=axis,
        coding=coding,
        panel=panel,
        likelihoods=likelihoods,
        bounds=bounds_for(settings.bounds, df, panel, schema, likelihoods, previous),
        scaler=ChannelScaler.from_values(panel.values, logarithms) if previous is None else previous.scaler,
        seasons=find_seasons(panel, axis, settings.seasonality) if previous is None else previous.seasons,
        horizon=_horizon_of(settings, panel, axis, previous),
        weights=None if sample_weight is None else _weights_of(sample_weight, len(df), treatment.rows),
        feature_names=np.array([str(c) for c in X.columns], dtype=object),
        previous=previous,
        given=given.emptied() if isinstance(given.frame, pd.DataFrame) else None,
    )


def _stored(table: Any, settings: Settings, *apart: object) -> pd.DataFrame:
    """A stored table as a frame."""
    if any(one is not None for one in apart):
        raise DataError("y and sample_weight need a frame; a stored table contains its channels")
    return read_parquet(table, settings.id_col)


def _schema_of(df: pd.DataFrame, y: Any, settings: Settings) -> Schema:
    # With y its columns are the targets: other columns of X are not channels.
    apart = list(df.columns[len(df.columns) - _width(y) :]) if y is not None and isinstance(df, pd.DataFrame) else None
    schema = infer_schema(
        df,
        settings.id_col,
        settings.time_col,
        apart if settings.target_cols is None else settings.target_cols,
        settings.static_cols,
        settings.known_cols,
        settings.past_cols,
        settings.impulse_cols,
    )
    if len(df) == 0:
        raise DataError("the frame has no rows")
    if SAMPLE_ID in schema.target_cols:
        raise DataError(
            f"channel {SAMPLE_ID!r} has the name of the column that numbers the samples of sample(); rename it, or, if "
            "it is not a channel, leave it out with target_cols=[...] (id_col= if it names the series)"
        )
    return schema


def _width(y: Any) -> int:
    shape: Sequence[int] = np.shape(y)
    return shape[1] if len(shape) > 1 else 1


def _check_panel(panel: Panel, schema: Schema, sentences: list[str], by_process: bool) -> None:
    """Warn of what happened to the rows and of channels without values; refuse a panel with too little data.

    Single rows are learned from only where the Gaussian process forecasts all channels.
    """
    unobserved = np.asarray(np.isnan(panel.values).all(0))
    if unobserved.any():
        names = [c for c, empty in zip(schema.channels, unobserved, strict=True) if empty]
        sentences.append(f"channels {names!r} hold no value at all: their predictions will be NaN")
    if panel.lengths.max(initial=0) < 2:
        found = f"{len(panel.times)} observations in {panel.n_series} series, none with two or more"
        if len(panel.times) < FEWEST_SERIES or not by_process:
            raise DataError(
                f"{found}: too little data to learn from; at least one series needs observations at two times"
            )
        sentences.append(
            f"{found}: nothing says how a series changes; predictions come from the population, by static and known "
            "columns"
        )
    warn_data(sentences)


def _horizon_of(settings: Settings, panel: Panel, axis: TimeAxis, previous: FittedState | None) -> float | None:
    horizon = None if settings.horizon is None else axis.length_of(settings.horizon, "horizon")
    if horizon is not None:
        same = np.diff(panel.series_of_row) == 0
        if same.any() and not (np.diff(panel.times)[same] <= horizon).any():
            warn_data(
                [f"horizon={settings.horizon!r} is shorter than any gap between observations: no forecast is learned"]
            )
    return horizon if previous is None else previous.horizon


def _weights_of(sample_weight: ArrayLike, n_rows: int, rows: NDArray[np.int64]) -> Floats:
    weights = weights_of(sample_weight, n_rows)[rows]
    if not weights.any():
        raise ValueError("sample_weight is 0 for every row that could be learned from")
    return weights
