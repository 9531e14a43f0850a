"""What a fit leaves behind, in one frozen object."""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray

from latentode.data import ChannelScaler, Coding, GrowingPanel, Panel, Schema, Seasons, TimeAxis
from latentode.data.native import Given
from latentode.nn import DeviceCopy, Model, Stacked, Stacking, on_device
from latentode.persistence.calibration import Calibration
from latentode.persistence.coverage import HeldOutCoverage

__all__ = ["FittedState"]


@dataclass(frozen=True, eq=False)
class FittedState:
    """All that predicting, saving and callbacks need of a fit.

    Parameters
    ----------
    schema : Schema
        The roles of the columns.
    time_axis : TimeAxis
        Kind, zone and origin of the times.
    coding : Coding or None
        How covariates become features; None where there are none.
    scaler : ChannelScaler
        The scaling of the channels.
    seasons : Seasons
        Periods in which the data repeat, in the unit of `horizon`.
    horizon : float
        The farthest lead time of training, and the unit of the model's time: seconds for dates, else the unit of the
        times.
    model : LatentODE or Ensemble
        The trained module.
    calibration : Calibration
        The calibration of its uncertainty.
    observed : GrowingPanel
        The observations of the fit and of every update.
    history : DataFrame
        Losses by model and step.
    feature_names : array of str
        Columns of the frame given to fit.
    reached : array of float, optional
        (level,), how far ahead the held-out forecasts went, in spans: quantiles at
        :data:`~latentode.persistence.calibration.REACHED`. None where it is not known, as in models saved by earlier
        versions.
    stacking : Stacking, optional
        The Gaussian process beside the network, and its weight. None where the network is alone.
    solver_error : array of float, optional
        (channel,), error of the ODE solver, in standard deviations of a predicted value. None where it is not known.
    coverage : HeldOutCoverage, optional
        Coverage of the prediction intervals on held-out series. None where it is not known.
    bounds : array of float, optional
        (2, channel), lower and upper bounds of every forecast; NaN where there is none. None for models
        saved by earlier versions, which have no bounds.
    leaderboard : array of float, optional
        (candidate, channel, score), as the module of that name has them. None where it is not known.
    keys : DataFrame, optional
        Ids and times of that frame without its rows, for their dtypes. A saved model has none.
    given : Given, optional
        That frame without its rows, in the library it came from. A saved model has none.
    """

    schema: Schema
    time_axis: TimeAxis
    coding: Coding | None
    scaler: ChannelScaler
    seasons: Seasons
    horizon: float
    model: Model
    calibration: Calibration
    observed: GrowingPanel
    history: pd.DataFrame
    feature_names: NDArray[Any]
    stacking: Stacking | None = None
    reached: NDArray[np.float64] | None = None
    solver_error: NDArray[np.float64] | None = None
    coverage: HeldOutCoverage | None = None
    bounds: NDArray[np.float64] | None = None
    leaderboard: NDArray[np.float64] | None = None
    keys: pd.DataFrame | None = None
    given: Given | None = None

    @property
    def panel(self) -> Panel:
        """The observations, merged."""
        return self.observed.panel

    def predictive_on(self, device: torch.device) -> Model | DeviceCopy | Stacked:
        """What predicts: the network on a device, with the Gaussian process beside it, on the CPU, if there is one."""
        network = on_device(self.model, device)
        return network if self.stacking is None else Stacked(network, self.stacking)

    @property
    def n_targets(self) -> int:
        """Channels that are forecast; they stand before those that are only read."""
        return len(self.schema.target_cols)

    def within_bounds(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """Values in their own unit, (..., channel), clipped to the bounds; NaN stays."""
        if self.bounds is None:
            return values
        lowest, highest = np.where(np.isnan(self.bounds), [[-np.inf], [np.inf]], self.bounds)
        return np.clip(values, lowest, highest)

    def updated(self, new: Panel) -> "FittedState":
        """The state with further observations; at the same series and time the new value replaces the old."""
        return replace(self, observed=self.observed.with_rows(new))

    def without_observations(self) -> "FittedState":
        """The state without series and observations, to be saved without the data."""
        panel = self.panel
        empty = panel.where(np.zeros(len(panel.times), dtype=bool)).take(np.empty(0, dtype=np.int64))
        return replace(self, observed=GrowingPanel(empty))
