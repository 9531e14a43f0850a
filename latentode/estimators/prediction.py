"""The methods of a fitted forecaster that predict the rows of a frame."""

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray

from latentode.estimators.attributes import FittedAttributes
from latentode.estimators.forecast_times import forecast_times, series_of
from latentode.estimators.frames import as_dtype, filled_column, keys_of, refuse_duplicates
from latentode.estimators.inference import Predictor
from latentode.estimators.native import any_frame
from latentode.estimators.preparation import SAMPLE_ID
from latentode.estimators.query import panel_of, resolve_query
from latentode.estimators.random import as_generator
from latentode.estimators.scoring import observed_targets
from latentode.nn import device_of

__all__ = ["PredictionMixin"]

Floats = NDArray[np.float64]
Levels = Sequence[float] | float


class PredictionMixin(FittedAttributes):
    """Predicts with the fitted state: expected values, quantiles, intervals, samples, the future, missing values."""

    accelerator: str  # of the settings

    @any_frame
    def predict(
        self, X: pd.DataFrame, history: pd.DataFrame | None = None, point: Literal["mean", "median"] = "mean"
    ) -> pd.DataFrame:
        """The mean or the median of every channel, for the series and time of every row.

        The mean has the least squared error, the median the least absolute error. They differ where a distribution is
        skewed: for counts, and for a positive channel that is closer to lognormal than to normal, and so modelled in
        logarithms. The mean of such a channel lies above its median by as much as lowers the squared error on held-out
        series; if these are few, it is near the median.

        Parameters
        ----------
        X : DataFrame
            Ids and times, in any order: any series, and any time before, between or after its observations. Target
            columns in it are ignored.
        history : DataFrame, optional
            Observations of series that fit has not seen, in the shape of the frame given to fit. For a series of fit
            they replace what fit saw.
        point : {"mean", "median"}
            Which of them. The mean of counts is a number such as 2.3, the median a whole one. The median is the
            quantile 0.5 of :meth:`predict_quantiles` and takes as long.

        Returns
        -------
        DataFrame
            One row out per row in, same index, same order, a column per channel.

        Raises
        ------
        DataError
            When a column is missing, or the times are of another kind than in fit.
        ValueError
            When `point` is neither.

        Warns
        -----
        DataWarning
            For series without observations (the prediction is that of the population), rows without a time (their
            prediction is NaN), rows far in the future, known columns that `X` lacks (their last values are held) or of
            which it has two values at one time (they are averaged), and unknown categories (treated as unknown).
        """
        if point not in ("mean", "median"):
            raise ValueError(f"point={point!r} must be 'mean' or 'median'")
        predictor = self._predictor(X, history)
        points = predictor.means() if point == "mean" else predictor.quantiles(np.array([0.5]))[0]
        return self._frame(X, points, list(self.channels_))

    @any_frame
    def predict_quantiles(
        self, X: pd.DataFrame, quantiles: Sequence[float] = (0.1, 0.5, 0.9), history: pd.DataFrame | None = None
    ) -> pd.DataFrame:
        """Quantiles of every channel, row by row; they cannot cross.

        Parameters
        ----------
        X, history : DataFrame
            As in :meth:`predict`.
        quantiles : sequence of float
            Between 0 and 1.

        Returns
        -------
        DataFrame
            Rows as ``X``; columns ``{channel}-q{quantile}``, channel by channel.

        Raises
        ------
        ValueError
            When a quantile does not lie between 0 and 1.
        """
        wanted = np.asarray(quantiles, dtype=float).ravel()
        if not ((wanted > 0) & (wanted < 1)).all() or len(wanted) == 0:
            raise ValueError(f"quantiles={quantiles!r} must lie between 0 and 1, for instance (0.1, 0.5, 0.9)")
        names = [f"{c}-q{q:g}" for c in self.channels_ for q in wanted]
        return self._by_channel(X, self._predictor(X, history).quantiles(wanted), names)

    @any_frame
    def predict_interval(
        self, X: pd.DataFrame, level: Levels = (80, 95), history: pd.DataFrame | None = None
    ) -> pd.DataFrame:
        """Prediction intervals of every channel, row by row.

        Parameters
        ----------
        X, history : DataFrame
            As in :meth:`predict`.
        level : float or sequence of float
            Coverage in per cent, between 0 and 100: 90 for intervals that hold nine of ten values.

        Returns
        -------
        DataFrame
            Rows as ``X``; columns ``{channel}-lo-{level}`` and ``{channel}-hi-{level}``.

        Raises
        ------
        ValueError
            When a level does not lie between 0 and 100.
        """
        return self._intervals(X, self._predictor(X, history), _checked_levels(level))

    @any_frame
    def sample(
        self, X: pd.DataFrame, n_samples: int = 100, random_state: Any = None, history: pd.DataFrame | None = None
    ) -> pd.DataFrame:
        """Joint samples: each is one possible trajectory of all channels of a series, at all its rows.

        Parameters
        ----------
        X, history : DataFrame
            As in :meth:`predict`.
        n_samples : int
            Number of samples.
        random_state : int, RandomState, Generator or None
            The source of randomness.

        Returns
        -------
        DataFrame
            The rows of ``X`` once per sample, with its ids and times, a column ``sample_id`` and a column per channel.
            For one `random_state` they do not depend on the order of the rows; rows of one series and time are one
            point of the trajectory.

        Raises
        ------
        DataError
            As :meth:`predict`, and when the column of ids or times is named ``sample_id``.
        ValueError
            When `n_samples` is less than 1.
        """
        if n_samples < 1:
            raise ValueError(f"n_samples={n_samples} must be at least 1")
        drawn = self._predictor(X, history).samples(n_samples, as_generator(random_state))
        keys = keys_of(X, self.schema_)
        refuse_duplicates([*keys.columns, SAMPLE_ID, *self.channels_])
        repeated = keys.loc[np.tile(np.arange(len(keys)), n_samples)].reset_index(drop=True)
        repeated[SAMPLE_ID] = np.repeat(np.arange(n_samples), len(keys))
        values = pd.DataFrame(drawn.reshape(-1, len(self.channels_)), columns=list(self.channels_))
        return pd.concat([repeated, values], axis=1)

    @any_frame
    def forecast(
        self,
        horizon: Any = None,
        freq: Any = None,
        level: Levels = (80,),
        history: pd.DataFrame | None = None,
        ids: Sequence[Any] | None = None,
        align: Literal["last", "clock"] = "last",
    ) -> pd.DataFrame:
        """The future of every series in one tidy frame.

        Parameters
        ----------
        horizon : str, Timedelta or number, optional
            How far after each series' last observation. None means the horizon of the fit.
        freq : str, Timedelta, offset or number, optional
            Distance between the times. None means a tenth of the horizon. A duration has a fixed length: ``"1D"`` is 24
            hours also where clocks change. An offset such as ``"D"`` or ``"MS"`` steps by the calendar.
        level : float or sequence of float
            Levels of the intervals, in per cent; an empty sequence for none.
        history : DataFrame, optional
            Forecast the series of this frame instead of those seen in fit.
        ids : sequence, optional
            Forecast only these series, in this order. None means all.
        align : {"last", "clock"}
            Whether times are counted from the last observation of each series, or lie on the clock: multiples of
            `freq`, such as full hours for ``"1h"`` and midnights for ``"1D"``, counted from 1970-01-01 in the time zone
            of the data, and from 0 where times are numbers. All lie after the last observation and within `horizon`.

        Returns
        -------
        DataFrame
            A row per series and time: id, time, the means of the channels as :meth:`predict` gives them, and their
            intervals. Ids have the dtype of the frame given, also as categories. Integer times stay integers if all
            of them are whole, as with a whole ``freq``, and become floats otherwise.

        Raises
        ------
        DataError
            When there is nothing to forecast, one of `ids` is not among the series, or a channel is named like the
            interval of another.
        ValueError
            When `align` is neither.
        """
        state = self._fitted()
        panel = state.panel if history is None else panel_of(history, state)
        panel = panel if ids is None else series_of(panel, ids)
        query = forecast_times(state, panel, horizon, freq, align)
        keys = state.keys if history is None else keys_of(history.iloc[:0], state.schema)
        if keys is not None:
            query = pd.DataFrame({c: as_dtype(query[c], keys[c].dtype) for c in query.columns})
        parts = [query, *self._means_and_intervals(query, level, history)]
        refuse_duplicates(c for part in parts for c in part.columns)
        return pd.concat(parts, axis=1)

    @any_frame
    def impute(self, X: pd.DataFrame) -> pd.DataFrame:
        """The same frame with the missing values of its channels filled, conditioned on everything else in it.

        Parameters
        ----------
        X : DataFrame
            Any series, in the shape of the frame given to fit.

        Returns
        -------
        DataFrame
            A copy. Observed values and complete columns are unchanged; missing (or infinite) values become their
            expected value. A row without a time is not filled. Expected values are not whole numbers: a column of
            integers with missing values becomes one of floats of its kind, ``Int64`` ``Float64``.

        Raises
        ------
        DataError
            As :meth:`predict`.

        Examples
        --------
        >>> from latentode import LatentODEForecaster
        >>> from latentode.datasets import make_spirals
        >>> df = make_spirals(n_series=25, n_points=10, random_state=0)
        >>> df.loc[3, "y"] = float("nan")
        >>> forecaster = LatentODEForecaster(max_steps=20, random_state=0).fit(df)
        >>> int(forecaster.impute(df)["y"].isna().sum())
        0
        """
        observed = observed_targets(X, self._fitted())
        predicted = self.predict(X, history=X).to_numpy()
        filled = X.copy()
        for k, name in enumerate(self.channels_):
            missing = np.isnan(observed[:, k])
            if missing.any():
                filled[name] = filled_column(X[name], np.where(missing, predicted[:, k], observed[:, k]))
        return filled

    def _predictor(
        self, X: pd.DataFrame, history: pd.DataFrame | None, covariates: pd.DataFrame | None = None
    ) -> Predictor:
        """The predictor of a frame's rows; `covariates` are the rows with static and known columns, if not those."""
        state = self._fitted()
        device = device_of(self.accelerator) or torch.device("cpu")  # a fitted model may meet a machine without its own
        return Predictor(state, resolve_query(X, state, history, covariates), device)

    def _means_and_intervals(
        self,
        X: pd.DataFrame,
        level: Levels,
        history: pd.DataFrame | None,
        covariates: pd.DataFrame | None = None,
    ) -> tuple[pd.DataFrame, pd.DataFrame]:
        """Expected values, and intervals if there is a level; `covariates` as in `_predictor`."""
        levels = _checked_levels(level)
        predictor = self._predictor(X, history, covariates)
        means = self._frame(X, predictor.means(), list(self.channels_))
        return means, self._intervals(X, predictor, levels) if levels else means.iloc[:, :0]

    def _intervals(self, X: pd.DataFrame, predictor: Predictor, levels: list[float]) -> pd.DataFrame:
        tails = np.array([[0.5 - v / 200, 0.5 + v / 200] for v in levels]).ravel()
        names = [f"{c}-{side}-{v:g}" for c in self.channels_ for v in levels for side in ("lo", "hi")]
        return self._by_channel(X, predictor.quantiles(tails), names)

    def _by_channel(self, X: pd.DataFrame, quantiles: Floats, names: list[str]) -> pd.DataFrame:
        """Quantiles, (quantile, row, channel), as columns channel by channel."""
        return self._frame(X, np.moveaxis(quantiles, 0, 2).reshape(len(X), len(names)), names)

    @staticmethod
    def _frame(X: pd.DataFrame, values: Floats, names: list[Any]) -> pd.DataFrame:
        refuse_duplicates(names)
        return pd.DataFrame(values, index=X.index, columns=names)


def _checked_levels(level: Levels) -> list[float]:
    levels = [float(v) for v in np.atleast_1d(np.asarray(level, dtype=float))]
    if levels and min(levels) > 0 and max(levels) <= 1:
        raise ValueError(f"level={level!r} is in per cent: 90 for nine of ten, not 0.9")
    if not all(0 < v < 100 for v in levels):
        raise ValueError(f"level={level!r} is in per cent, between 0 and 100: for instance (80, 95)")
    return levels
