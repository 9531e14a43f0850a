"""The contract all naive forecasters share: fit on a long frame, then predict a frame of queries row by row."""

from abc import ABC, abstractmethod
from collections.abc import Hashable, Iterator, Sequence
from contextlib import contextmanager
from copy import copy
from typing import Self

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from latentode.data import DataError, Panel, TimeAxis, infer_schema, panel_from_frame
from latentode.evaluation.observations import Floats, Integers, Observations

__all__ = ["LEVELS", "Baseline"]

LEVELS = tuple(round(0.05 * k, 2) for k in range(1, 20))


class Baseline(ABC):
    """What all baselines share.

    Parameters
    ----------
    id_col : hashable, default="id"
        The column that names the series.
    time_col : hashable, default="time"
        The column that holds the times: dates or numbers.
    target_cols : sequence of hashable, optional
        The channels. By default every other numeric column.
    hidden_fraction : float, default=1/3
        The part of each fitted series hidden to learn residuals from. Choose it so that the hidden part lies as
        far ahead as later queries do.

    Attributes
    ----------
    target_cols_ : list of hashable
        The channels.
    population_mean_ : Series
        The mean of each channel over all fitted observations; NaN for a channel without any.
    residuals_ : dict of hashable to array
        The residuals of each channel, truth minus prediction. A channel in which no value could be hidden has its
        deviations from the population's mean instead.
    """

    def __init__(
        self,
        id_col: Hashable = "id",
        time_col: Hashable = "time",
        target_cols: Sequence[Hashable] | None = None,
        hidden_fraction: float = 1 / 3,
    ) -> None:
        self.id_col = id_col
        self.time_col = time_col
        self.target_cols = target_cols
        self.hidden_fraction = hidden_fraction

    def fit(self, history: pd.DataFrame) -> Self:
        """Keep the history, and learn the population's means and the residuals.

        Parameters
        ----------
        history : DataFrame
            A row per series and time, in any order, with a column per channel, NaN where it was not measured.
            Values given twice for one series, time and channel are averaged.

        Returns
        -------
        self

        Raises
        ------
        ValueError
            If columns are missing, a row has no series or time, or `hidden_fraction` is not between 0 and 1.
        """
        if not 0 < self.hidden_fraction < 1:
            raise ValueError(f"hidden_fraction={self.hidden_fraction} must lie between 0 and 1")
        self._learn(history)
        self.residuals_ = self._residuals(history)
        return self

    def predict(self, query: pd.DataFrame, history: pd.DataFrame | None = None) -> pd.DataFrame:
        """Predict each row of the query.

        Parameters
        ----------
        query : DataFrame
            The series and times to predict at. Other columns are ignored.
        history : DataFrame, optional
            The observations to predict from, instead of all those given to ``fit``. A series without history gets
            the population's mean.

        Returns
        -------
        DataFrame
            The rows of the query, same index, same order, a float column per channel.
        """
        self._check_fitted()
        panel = self._panel if history is None else self._read(history, "history")
        with _naming("query"):
            ids = self._schema.ids_of(query)
            assert ids is not None  # baselines have a column of ids
            times = self._axis.to_float(self._schema.times_of(query)) if len(query) else np.empty(0)
            _refuse_missing(self.id_col, int(np.count_nonzero(ids.isna())))
            _refuse_missing(self.time_col, int(np.count_nonzero(np.isnan(times))))
        series = panel.ids.get_indexer(ids)
        predicted, means = {}, self.population_mean_.to_dict()
        for k, channel in enumerate(self.target_cols_):
            observations = Observations.of_channel(panel, k)
            values = self._predict_channel(observations, series, times)
            predicted[channel] = np.where(np.isnan(values), means[channel], values)
        return pd.DataFrame(predicted, index=query.index, columns=pd.Index(self.target_cols_))

    def predict_quantiles(
        self,
        query: pd.DataFrame,
        quantiles: Sequence[float] = LEVELS,
        history: pd.DataFrame | None = None,
    ) -> pd.DataFrame:
        """Quantiles: each prediction plus the quantiles of its channel's residuals.

        The residuals are one pool per channel: intervals are as wide just after the last observation as far from it.

        Parameters
        ----------
        query, history : DataFrame
            As in ``predict``.
        quantiles : sequence of float, default=(0.05, 0.1, ..., 0.95)
            The levels.

        Returns
        -------
        DataFrame
            The rows of the query, with the columns ``{channel}-q{level}``, channel by channel.
        """
        points = self.predict(query, history)
        bands = {}
        for channel in self.target_cols_:
            residuals = self.residuals_[channel]
            for level in quantiles:
                shift = np.quantile(residuals, level) if len(residuals) else np.nan
                bands[f"{channel}-q{level:g}"] = points[channel] + shift
        return pd.DataFrame(bands, index=query.index)

    @abstractmethod
    def _predict_channel(self, observations: Observations, series: Integers, times: Floats) -> Floats:
        """Predict the queries of one channel; NaN where the method has too little data. An unknown series is -1."""

    def _hide(self, position: Integers, size: Integers) -> NDArray[np.bool_]:
        """Say which rows to hide for the residuals, by each row's place in its series and the series' length."""
        kept = size - np.floor(size * self.hidden_fraction + 0.5)
        return np.asarray(position >= kept)

    def _learn(self, history: pd.DataFrame) -> None:
        with _naming("history"):
            self._schema = infer_schema(history, self.id_col, self.time_col, self.target_cols)
            self._axis = TimeAxis.from_times(self._schema.times_of(history))
        self.target_cols_ = [*self._schema.target_cols]
        self._panel = self._read(history, "history")
        self.population_mean_ = history[self.target_cols_].mean().astype(np.float64)

    def _read(self, frame: pd.DataFrame, role: str) -> Panel:
        with _naming(role):
            panel, treatment = panel_from_frame(frame, self._schema, self._axis)
            _refuse_missing(self.id_col, treatment.rows_without_id)
            _refuse_missing(self.time_col, treatment.rows_without_time)
        return panel

    def _residuals(self, history: pd.DataFrame) -> dict[Hashable, Floats]:
        codes = pd.factorize(history[self.id_col])[0]
        order = np.lexsort((self._axis.to_float(history[self.time_col]), codes))
        size = np.bincount(codes)
        position = np.empty(len(order), dtype=np.intp)
        position[order] = np.arange(len(order)) - np.repeat(np.cumsum(size) - size, size)
        hidden = self._hide(position, size[codes])

        # A copy that has not seen the hidden rows predicts them: residuals of rows it learned from would be too small.
        # Where nothing can be hidden, the deviations from the population's mean are used instead.
        pools = _by_channel(history[self.target_cols_] - self.population_mean_)
        if hidden.any() and not hidden.all():
            blind = copy(self)
            blind._learn(history[~hidden])
            missed = _by_channel(history.loc[hidden, self.target_cols_] - blind.predict(history[hidden]))
            pools |= {channel: pool for channel, pool in missed.items() if len(pool)}
        return pools

    def _check_fitted(self) -> None:
        if not hasattr(self, "_panel"):
            raise ValueError(f"this {type(self).__name__} is not fitted; call fit(history) first")


@contextmanager
def _naming(role: str) -> Iterator[None]:
    """Say which of two frames an error is about."""
    try:
        yield
    except DataError as error:
        raise DataError(f"{role}: {error}") from None


def _refuse_missing(column: Hashable, n_rows: int) -> None:
    """Refuse a frame in which rows have no series or no time."""
    if n_rows:
        raise DataError(f"column {column!r} is missing in {n_rows} rows")


def _by_channel(residuals: pd.DataFrame) -> dict[Hashable, Floats]:
    return {channel: np.asarray(pool.dropna(), dtype=np.float64) for channel, pool in residuals.items()}
