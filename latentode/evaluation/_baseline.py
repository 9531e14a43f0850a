"""The contract all naive forecasters share: fit on a long frame, answer a frame of questions row by row."""

from abc import ABC, abstractmethod
from collections.abc import Hashable, Sequence
from copy import copy
from typing import Self

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from latentode.evaluation._history import (
    Floats,
    History,
    Integers,
    Observations,
    build_history,
    channels_of,
    read_ids,
    read_times,
    require_columns,
)

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
        far ahead as later questions do.

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
        """Answer each row of the query.

        Parameters
        ----------
        query : DataFrame
            The series and times asked for. Other columns are ignored.
        history : DataFrame, optional
            The observations to answer from, instead of all those given to ``fit``. A series without history gets
            the population's mean.

        Returns
        -------
        DataFrame
            The rows of the query, same index, same order, a float column per channel.
        """
        self._check_fitted()
        known = self._history if history is None else self._read(history, "history")
        require_columns(query, [self.id_col, self.time_col], "query")
        series = known.ids.get_indexer(pd.Index(read_ids(query, self.id_col, "query")))
        times = read_times(query, self.time_col, self._origin, "query")
        answers, means = {}, self.population_mean_.to_dict()
        for channel, observations in known.channels.items():
            answer = self._answer(observations, series, times)
            answers[channel] = np.where(np.isnan(answer), means[channel], answer)
        return pd.DataFrame(answers, index=query.index, columns=pd.Index(self.target_cols_))

    def predict_quantiles(
        self,
        query: pd.DataFrame,
        quantiles: Sequence[float] = LEVELS,
        history: pd.DataFrame | None = None,
    ) -> pd.DataFrame:
        """Give quantiles: each answer of ``predict`` plus the quantiles of its channel's residuals.

        The residuals are one pool per channel: the fan is as wide just after the last observation as far from it.

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
        fan = {}
        for channel in self.target_cols_:
            residuals = self.residuals_[channel]
            for level in quantiles:
                shift = np.quantile(residuals, level) if len(residuals) else np.nan
                fan[f"{channel}-q{level:g}"] = points[channel] + shift
        return pd.DataFrame(fan, index=query.index)

    @abstractmethod
    def _answer(self, observations: Observations, series: Integers, times: Floats) -> Floats:
        """Answer queries of one channel; NaN where the method has nothing to say. An unknown series is -1."""

    def _hide(self, position: Integers, size: Integers) -> NDArray[np.bool_]:
        """Say which rows to hide for the residuals, by each row's place in its series and the series' length."""
        kept = size - np.floor(size * self.hidden_fraction + 0.5)
        return np.asarray(position >= kept)

    def _learn(self, history: pd.DataFrame) -> None:
        require_columns(history, [self.id_col, self.time_col], "history")
        self.target_cols_ = channels_of(history, self.id_col, self.time_col, self.target_cols)
        if not self.target_cols_:
            raise ValueError("history has no channels: no numeric column besides the series and the time")
        times = history[self.time_col]
        self._origin = times.min() if pd.api.types.is_datetime64_any_dtype(times.dtype) else None
        self._history = self._read(history, "history")
        self.population_mean_ = history[self.target_cols_].mean().astype(np.float64)

    def _read(self, frame: pd.DataFrame, role: str) -> History:
        require_columns(frame, [self.id_col, self.time_col, *self.target_cols_], role)
        ids = read_ids(frame, self.id_col, role)
        return build_history(ids, read_times(frame, self.time_col, self._origin, role), frame[self.target_cols_])

    def _residuals(self, history: pd.DataFrame) -> dict[Hashable, Floats]:
        codes = pd.factorize(history[self.id_col])[0]
        order = np.lexsort((read_times(history, self.time_col, self._origin, "history"), codes))
        size = np.bincount(codes)
        position = np.empty(len(order), dtype=np.intp)
        position[order] = np.arange(len(order)) - np.repeat(np.cumsum(size) - size, size)
        hidden = self._hide(position, size[codes])

        pools = _by_channel(history[self.target_cols_] - self.population_mean_)
        if hidden.any() and not hidden.all():
            blind = copy(self)
            blind._learn(history[~hidden])
            missed = _by_channel(history.loc[hidden, self.target_cols_] - blind.predict(history[hidden]))
            pools |= {channel: pool for channel, pool in missed.items() if len(pool)}
        return pools

    def _check_fitted(self) -> None:
        if not hasattr(self, "_history"):
            raise ValueError(f"this {type(self).__name__} is not fitted; call fit(history) first")


def _by_channel(residuals: pd.DataFrame) -> dict[Hashable, Floats]:
    return {channel: np.asarray(pool.dropna(), dtype=np.float64) for channel, pool in residuals.items()}
