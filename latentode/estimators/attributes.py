"""The fitted attributes of a forecaster, which end in ``_`` as scikit-learn's do: views of its one fitted state."""

from collections.abc import Hashable
from typing import Any

import pandas as pd
from numpy.typing import NDArray
from sklearn.utils.validation import check_is_fitted

from latentode.data import ChannelScaler, Coding, Panel, Schema, Seasons, TimeAxis
from latentode.estimators.calibration_table import calibration_frame
from latentode.estimators.stacking_weights import weights_frame
from latentode.nn import Model
from latentode.persistence.leaderboard import leaderboard_frame
from latentode.persistence.state import FittedState

__all__ = ["FittedAttributes"]


class FittedAttributes:
    """Read-only attributes of a fitted forecaster. Before fit each raises a NotFittedError."""

    state_: FittedState

    def __sklearn_is_fitted__(self) -> bool:
        return "state_" in vars(self)

    def _fitted(self) -> FittedState:
        """The fitted state.

        Raises
        ------
        NotFittedError
            Before fit.
        """
        check_is_fitted(self)
        return self.state_

    @property
    def channels_(self) -> tuple[Hashable, ...]:
        """The channels that are forecast, in the order of the predicted columns."""
        return self._fitted().schema.target_cols

    @property
    def horizon_(self) -> float:
        """The farthest lead time of training, in seconds (dates) or in the unit of numeric times."""
        return self._fitted().horizon

    @property
    def seasons_(self) -> Seasons:
        """The periods the model knows, in the unit of ``horizon_``."""
        return self._fitted().seasons

    @property
    def model_(self) -> Model:
        """The trained module; an ensemble has ``members``."""
        return self._fitted().model

    @property
    def weights_(self) -> pd.DataFrame | None:
        """The weight of the Gaussian process in a forecast; the rest is that of the network.

        A row per lead time (in the unit of ``horizon_``; 0 for a time within the history) and number of observations of
        the channel, a column per channel. None with ``stacking=False``. Channels of counts use the network alone.
        """
        state = self._fitted()
        if state.stacking is None:
            return None
        channels = pd.Index(state.schema.channels, tupleize_cols=False)
        return weights_frame(state.stacking, channels, state.model.likelihood.of_counts, state.horizon)

    @property
    def history_(self) -> pd.DataFrame:
        """Losses by model and step."""
        return self._fitted().history

    @property
    def solver_error_(self) -> "pd.Series[float] | None":
        """The error of the ODE solver by channel, in standard deviations of a predicted value.

        None where it is not known: nothing was held out, or the model was saved by an earlier version.
        """
        state = self._fitted()
        errors = state.solver_error
        return None if errors is None else pd.Series(errors, pd.Index(state.schema.channels, tupleize_cols=False))

    def leaderboard(self, by_channel: bool = False) -> pd.DataFrame:
        """Scores of several forecasts on the held-out series of the fit, the lowest RMSE first.

        The candidates are ``"latentode"``, network and Gaussian process stacked; ``"network"`` and
        ``"Gaussian process"``, each alone (not with ``stacking=False``); and three naive forecasts: ``"last value"``,
        ``"series' mean"`` and ``"overall mean"``. All forecast the same values from the same forecast origins.

        Parameters
        ----------
        by_channel : bool
            Whether to give a row per channel and candidate, with errors in the channel's own unit. Otherwise a row is
            the average over channels, with errors in units of each channel's spread.

        Returns
        -------
        DataFrame
            ``n``, scored values; ``mae`` and ``rmse`` of the mean; ``crps``, over the levels 0.05, 0.1, ..., 0.95, and
            ``coverage`` of the 90 % interval, NaN for candidates without a distribution. Indexed by ``forecast``, or
            ``channel`` and ``forecast``.

        Raises
        ------
        ValueError
            When there are no scores: no forecast was held out, or the model was saved before there were any.

        Notes
        -----
        Weights and calibration are learned on one half of the held-out series and scored on the other. Scores are still
        a little optimistic for ``"latentode"`` and ``"network"``, as early stopping saw the same series; compare on
        new data with :func:`latentode.evaluation.backtest`. The models of an ensemble are scored one by one; their mean
        is usually better.

        Examples
        --------
        >>> from latentode import LatentODEForecaster
        >>> from latentode.datasets import make_spirals
        >>> df = make_spirals(n_series=25, n_points=10, random_state=0)
        >>> board = LatentODEForecaster(max_steps=20, random_state=0).fit(df).leaderboard()
        >>> board.columns.tolist()
        ['n', 'mae', 'rmse', 'crps', 'coverage']
        """
        state = self._fitted()
        if state.leaderboard is None:
            raise ValueError(
                "this model has no leaderboard: no forecast was held out in its fit, or it was saved by an earlier "
                "version of latentode; fit it again, or score it on new data with latentode.evaluation.backtest"
            )
        targets = slice(0, state.n_targets)
        scores, spread = state.leaderboard[:, targets], state.scaler.spread[targets]
        return leaderboard_frame(scores, spread, state.schema.target_cols, by_channel)

    @property
    def panel_(self) -> Panel:
        """The observations that predictions start from: those of ``fit`` and of every ``update``."""
        return self._fitted().panel

    @property
    def schema_(self) -> Schema:
        """The roles of the columns."""
        return self._fitted().schema

    @property
    def time_axis_(self) -> TimeAxis:
        """Kind, zone and origin of the times."""
        return self._fitted().time_axis

    @property
    def coding_(self) -> Coding | None:
        """How covariates become features; None where there are none."""
        return self._fitted().coding

    @property
    def scaler_(self) -> ChannelScaler:
        """The scaling of the channels."""
        return self._fitted().scaler

    @property
    def calibration_(self) -> pd.DataFrame | None:
        """Coverage of the prediction intervals on held-out series: a row per channel, range of lead times and level.

        The columns are:

        - ``channel``;
        - ``lead``: the end of the range, which begins where the range before it ends; 0 for times within the history.
          A Timedelta, or a number in the unit of the times;
        - ``nominal``: the level, in per cent;
        - ``achieved``: the percentage of held-out values inside their interval, calibrated on other series;
        - ``standard_error`` of that percentage, which counts whole series;
        - ``n``, ``n_series``: how many values of how many held-out series.

        With fewer than 8 series in fit, the end of each series is held out. Values are NaN where nothing was held out,
        and for channels of counts, which are not calibrated. None for a model saved by an earlier version.
        """
        state = self._fitted()
        if state.coverage is None:
            return None
        return calibration_frame(state.coverage, state.schema.channels, state.time_axis, state.horizon)

    @property
    def feature_names_in_(self) -> NDArray[Any]:
        """Columns seen in fit."""
        return self._fitted().feature_names

    @property
    def n_features_in_(self) -> int:
        """The number of columns seen in fit."""
        return len(self._fitted().feature_names)
