"""The estimator: fit on a long frame, predict any series at any time."""

import threading
from pathlib import Path
from typing import Any, Self

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike
from sklearn.base import BaseEstimator

from latentode.data.native import as_given, as_pandas
from latentode.estimators.callbacks import CallbackSupportMixin, FitMonitor, runs_callbacks
from latentode.estimators.encoding import encoded_frame
from latentode.estimators.fitting import fit_model, fitted_state
from latentode.estimators.frames import join_targets, keys_of, weights_of
from latentode.estimators.native import any_frame
from latentode.estimators.prediction import PredictionMixin
from latentode.estimators.preparation import prepare
from latentode.estimators.query import panel_of
from latentode.estimators.scoring import negative_squared_error, rows_to_score
from latentode.estimators.settings import LIMITS, Settings, check, settings_of
from latentode.estimators.solver_errors import solver_sentences
from latentode.estimators.time_limit import time_limit_of
from latentode.estimators.warnings import no_data_warnings, warn_data
from latentode.persistence import saving

__all__ = ["LatentODEForecaster", "load"]

_UPDATING = threading.Lock()


class LatentODEForecaster(PredictionMixin, CallbackSupportMixin, Settings, BaseEstimator):
    """Forecasts and interpolates irregular series with a latent ODE.

    A recurrent encoder reads each series' observations and gives a latent state at the end of the history. A neural ODE
    carries the state to every query time, forward or backward. A decoder turns it into a distribution over the
    channels. No grid, imputation, scaling or tuning is needed.

    Parameters
    ----------
    id_col, time_col : hashable, optional
        The columns of series and times. None means infer: ``unique_id``, ``item_id`` or ``id``; ``ds``, ``timestamp``
        or ``time``; a two-level index; a DatetimeIndex. A frame of one series needs no id.
    target_cols : sequence of hashable, optional
        The channels. None means every other numeric column.
    static_cols : sequence of hashable, optional
        Columns of numbers or categories that are constant within a series.
    known_cols : sequence of hashable, optional
        Columns of numbers or categories that are known in the future too (a holiday, a setting, a temperature). Rows to
        predict contain them; otherwise the last known value is held. Each value drives the dynamics until the next.
    impulse_cols : sequence of hashable, optional
        Columns of amounts that are given at an instant, in the future too (a dose, a feeding, an irrigation). Their
        effect decays over several time scales. Simultaneous amounts are added up, and a missing one is zero.
    past_cols : sequence of hashable, optional
        Columns of numbers that are read like channels but not forecast.
    horizon : str, Timedelta or number, optional
        The farthest lead time of interest, as a duration ("30D") or, for numeric times, a number. Training does not go
        beyond it. None means the duration that 95 % of the series do not exceed.
    seasonality : "auto", None, duration or list of durations
        Periods in which the data repeat ("1D", "365.25D", or numbers), None for none. "auto" tests day, week and year
        for dates, otherwise one period that all series share.
    encoder : {"gru", "odernn"}
        The encoder of the history: a GRU over the rows beside a summary of the history; or the published ODE-RNN alone.
    dynamics : {"mixed", "mlp", "linear"}
        The dynamics of the latent state: a neural ODE for one half and damped rotations in closed form for the other;
        a neural ODE for all of it; or rotations for all of it, without a solver.
    decoder : {"skip", "mlp", "linear"}
        The decoder to channels: a network that corrects an interpolation of the history, a network, or a linear layer.
    likelihood : {"auto", "gaussian", "fixed", "bernoulli", "poisson", "negative_binomial"} or dict
        The distribution of observations: Gaussian with learned scales, or with the published one (0.01); or those of 0
        and 1 and of counts. "auto" means negative binomial for channels of counts with zeros, Gaussian for others. A
        dict names it by channel, ``{"lapwing": "poisson"}``; channels that are not in it are Gaussian.
    bounds : "auto", None or dict
        Bounds of every forecast. "auto" bounds a channel by 0 from below if none of its values in fit is negative. A
        dict gives others, ``{"share": (0, 1), "balance": (None, None)}``, None for no bound; channels it does not name
        keep "auto". The probability beyond a bound is put on the bound; quantiles within the bounds do not change.
    latent_dim, hidden_dim : int, optional
        Sizes of the latent state and of the hidden layers. None means by the number of observations.
    anchor : {"end", "start"}
        Where in the history the trajectory starts.
    n_steps : int, optional
        Steps of the ODE solver per horizon. None means 2, doubled in training while their error, which every validation
        check measures, is more than a tenth of the noise of a channel.
    method : str
        Method of the ODE solver, one of :data:`latentode.ode.METHODS`; see :func:`latentode.ode.solve`.
    adjoint : {"discrete", "checkpointed", "continuous", "backsolve", "autograd"}
        How the gradient of the solver is computed; see :func:`latentode.ode.solve`.
    kl_weight : float, optional
        Final weight of the Kullback-Leibler divergence in the objective: the latent state at the origin is then a
        distribution, and 1 is the evidence lower bound. None makes it a point, without a divergence.
    stacking : bool
        Whether the network's forecast is combined with that of a Gaussian process, by weights learned on held-out
        series. The process matters most where series are few. Channels of counts use the network alone.
    n_models : int, optional
        Models of the ensemble, with different initial weights and held-out series; the prediction is their mean. None
        means 3 with 8 to 24 series and fewer than 10,000 values, else 1.
    max_steps : int, optional
        Training steps at most, for each model. None means 6 per series, from 600 to 3,000; with many observations
        up to 1,500, or 6,000 for 8,000 series; 400 for each of several models.
    time_limit : number, str or Timedelta, optional
        How long ``fit`` may take in all, in seconds or as a duration ("10min"). It is exceeded by a tenth at most; if
        it is only seconds, also by the time to read the frame, take a step and calibrate. If it shortens the fit, this
        is logged at level INFO and the fit is not reproducible. Otherwise it changes nothing.
    batch_size : int, optional
        Series in a batch. None means by the number of series.
    learning_rate : float
        The highest learning rate of the optimiser, AdamW.
    patience : int
        Validation checks (one every 25 steps) without improvement before early stopping: training returns to the best
        weights, anneals the learning rate from there, and ends.
    validation_fraction : float
        Fraction of the series held out for early stopping and calibration: at most 500 and at least 5 of them, or a
        third of fewer than 15. With fewer than 8 series the last part of each is held out.
    warm_start : bool
        Whether a second fit continues from the weights of the first, with its scales, times and horizon.
    accelerator : {"cpu", "gpu", "mps", "auto"}
        Where networks train and predict: "auto" is a CUDA GPU if there is one, else the CPU. A fitted model predicts on
        the CPU where there is nothing else.
    devices, num_nodes : int
        Processes per machine, and machines, that share every training batch, as in Lightning. More than one process
        needs an integer ``random_state``. See the guide on scaling.
    checkpoint_dir : str or Path, optional
        Directory of checkpoints, one at every validation check. A ``fit`` with the same data, parameters and
        ``random_state`` resumes from the last and ends with the weights of an uninterrupted fit, on the CPU of the same
        machine bit for bit; ``random_state=None`` resumes the interrupted random state. A finished fit removes its
        file; a checkpoint of other data, parameters or versions is left alone, with a warning.
    verbose : bool or int, optional
        Whether to show a progress bar; 2 also prints a line at every validation check. None shows a bar in a terminal
        or a notebook; elsewhere True shows these lines instead, by the program's logging or on the standard error. The
        logger ``latentode`` gets them at level INFO.
    random_state : int, RandomState, Generator or None
        The only source of randomness: the same seed gives the same fit.

    Attributes
    ----------
    channels_ : tuple
        The channels.
    horizon_ : float
        The farthest lead time of training, in seconds (dates) or in the unit of numeric times.
    seasons_ : Seasons
        The periods the model knows, in the unit of ``horizon_``.
    model_ : LatentODE or Ensemble
        The fitted module; an ensemble has ``members``.
    weights_ : DataFrame or None
        Weight of the Gaussian process in a forecast, by lead time (0 inside the history), observations and channel.
    calibration_ : DataFrame or None
        Coverage of the prediction intervals on held-out series, by channel, lead time and level, with standard errors.
    history_ : DataFrame
        Losses by model and step.
    feature_names_in_ : array of str
        Columns seen in fit.
    n_features_in_ : int
        The number of columns seen in fit.

    References
    ----------
    Chen et al. (2018), Neural ordinary differential equations. Rubanova et al. (2019), Latent ODEs for
    irregularly-sampled time series.

    Examples
    --------
    >>> import pandas as pd
    >>> from latentode import LatentODEForecaster
    >>> from latentode.datasets import make_spirals
    >>> df = make_spirals(n_series=30, n_points=20, random_state=0)
    >>> forecaster = LatentODEForecaster(max_steps=50, random_state=0).fit(df)
    >>> forecaster.forecast(horizon=1.0, freq=0.5, level=(80,)).columns.tolist()
    ['id', 'time', 'x', 'y', 'x-lo-80', 'x-hi-80', 'y-lo-80', 'y-hi-80']
    """

    @runs_callbacks
    def fit(
        self,
        X: pd.DataFrame,
        y: pd.DataFrame | pd.Series | ArrayLike | None = None,
        sample_weight: ArrayLike | None = None,
    ) -> Self:
        """Fit to a long frame, a row per (series, time).

        Parameters
        ----------
        X : DataFrame, or path of a Parquet file, or pyarrow dataset
            Ids, times and, when ``y`` is None, the channels; NaN where a channel was not measured then. A stored table
            is read by :func:`latentode.data.read_parquet`; of one larger than memory only some series are read.
        y : DataFrame, Series or array, optional
            The channels apart, row by row as ``X``.
        sample_weight : array, optional
            (rows,), the weight of each row in the training loss. Weights change neither the histories nor the scales of
            the channels.

        Returns
        -------
        self

        Raises
        ------
        DataError
            When the frame cannot be used, or a value lies outside the ``bounds`` given for its channel; the message
            says what is wrong, where, and what to do.
        OSError
            When ``checkpoint_dir`` cannot be written to, for instance on a full disk. The last checkpoint is complete,
            and the next fit resumes from it.
        ValueError
            When a parameter is outside its limits, or the checkpoint of this fit cannot be read.

        Warns
        -----
        DataWarning
            When rows were left out or merged, or a channel has no values; the warning counts them. When the role of a
            column may not be the one you meant: times that are numbers but read as dates, columns that are not used
            because they hold no numbers, channels that never change within a series.
        UserWarning
            When ``checkpoint_dir`` holds a checkpoint of another fit, when the loss or a gradient was not finite, when
            the error of the ODE solver is more than a tenth of the noise of a channel, or when the coverage of the 80 %
            intervals on held-out series has a standard error of more than ten points, or is of one series only.
        """
        settings = settings_of(self)
        check(settings)
        limit = time_limit_of(settings)
        previous = self.state_ if self.warm_start and self.__sklearn_is_fitted__() else None
        data = prepare(as_given(X), settings, as_pandas(y), as_pandas(sample_weight), previous)
        metadata = {} if sample_weight is None else {"sample_weight": sample_weight}
        monitor = FitMonitor(
            self, data.df, data.targets, metadata, lambda fitted: {"state_": fitted_state(data, fitted)}
        )
        fitted = fit_model(data, settings, monitor, limit)
        self.state_ = fitted_state(data, fitted)
        monitor.end()
        sentences = solver_sentences(fitted.solver_error, data.schema.channels, fitted.model.config.n_steps)
        warn_data(sentences + fitted.doubts, UserWarning)
        if fitted.interrupted:
            raise KeyboardInterrupt(f"training was interrupted {fitted.interrupted} and can be used as it is")
        return self

    @any_frame
    def update(self, X: pd.DataFrame) -> Self:
        """Add observations, of series seen before or of new ones, without training again.

        They are merged with the others at the next prediction, so that the time of a call does not grow with the number
        of observations.

        Parameters
        ----------
        X : DataFrame
            In the shape of the frame given to fit. At a series and time seen before the new value replaces the old.

        Returns
        -------
        self

        Raises
        ------
        DataError
            When the frame cannot be used. The observations are then unchanged.

        Examples
        --------
        >>> from latentode import LatentODEForecaster
        >>> from latentode.datasets import make_spirals
        >>> df = make_spirals(n_series=25, n_points=10, random_state=0)
        >>> early = df["time"] < 3
        >>> forecaster = LatentODEForecaster(max_steps=20, random_state=0).fit(df[early])
        >>> bool(forecaster.update(df[~early]).panel_.times.max() == df["time"].max())
        True
        """
        new = panel_of(X, self._fitted(), "the update")
        with _UPDATING:  # otherwise one of two threads could lose what the other adds
            self.state_ = self.state_.updated(new)
        return self

    @any_frame
    def score(
        self,
        X: pd.DataFrame,
        y: pd.DataFrame | pd.Series | ArrayLike | None = None,
        sample_weight: ArrayLike | None = None,
    ) -> float:
        """Accuracy of forecasts: minus the mean squared error of the mean, in units of each channel's spread.

        Rows that the encoder reads are not scored. For a series seen in fit, the rows after its last fitted row are
        forecast; for an unseen series, the last third of its rows (at least one) from the rows before.

        Parameters
        ----------
        X : DataFrame
            Ids, times and, when ``y`` is None, the channels.
        y : DataFrame, Series or array, optional
            The channels apart, row by row.
        sample_weight : array, optional
            (rows,), weights of the forecast rows.

        Returns
        -------
        float
            Higher is better; 0 is perfect, the mean of all observations would score about -1.

        Raises
        ------
        DataError
            When there is no row to forecast.

        Warns
        -----
        DataWarning
            When rows lie before or between those seen in fit, which has learned from their future. They are not scored.
        """
        state = self._fitted()
        df = join_targets(X, y, self.target_cols)
        rows = rows_to_score(df, state)
        weights = np.ones(len(df)) if sample_weight is None else weights_of(sample_weight, len(df))
        with no_data_warnings():  # a series of one row has no history, which is no surprise here
            predicted = self.predict(df[rows.queried], history=rows.history).to_numpy()[rows.chosen[rows.queried]]
        spread = state.scaler.spread[: state.n_targets]
        return negative_squared_error(predicted, rows.truth[rows.chosen], weights[rows.chosen], spread)

    @any_frame
    def encode(self, X: pd.DataFrame | None = None) -> pd.DataFrame:
        """Features of each series for other models, such as a classifier: the output of the encoder.

        An ensemble encodes with its first model: the latent spaces of two models are unrelated.

        Parameters
        ----------
        X : DataFrame, optional
            Observations, in the shape of the frame given to fit. None means those seen in fit.

        Returns
        -------
        DataFrame
            A row per series, its id as index; columns ``z0`` ... (the mean of the latent state at the end of the
            history) and ``context0`` ... (the context, constant along the trajectory).

        Examples
        --------
        >>> from latentode import LatentODEForecaster
        >>> from latentode.datasets import make_spirals
        >>> df = make_spirals(n_series=25, n_points=10, random_state=0)
        >>> LatentODEForecaster(max_steps=20, latent_dim=4, random_state=0).fit(df).encode().shape
        (25, 12)
        """
        state = self._fitted()
        if X is None:
            return encoded_frame(state, state.panel, state.keys)
        return encoded_frame(state, panel_of(X, state, "the frame"), keys_of(X.iloc[:0], state.schema))

    def plot(self, series: Any = None, channels: Any = None, **options: Any) -> Any:
        """Draw forecasts with their prediction intervals: :func:`latentode.plotting.plot_forecast` of this forecaster.

        Parameters
        ----------
        series, channels : hashable or sequence of hashable, optional
            What to draw. None means the first four.
        **options
            The other parameters of :func:`latentode.plotting.plot_forecast`, by name: ``horizon``, ``history``, ...

        Returns
        -------
        array of Axes
            (series, channel).

        Raises
        ------
        DataError
            When a series has no observations, or a channel is not one of the model's.
        ImportError
            When matplotlib is not installed.

        Examples
        --------
        >>> from latentode import LatentODEForecaster
        >>> from latentode.datasets import make_spirals
        >>> df = make_spirals(n_series=25, n_points=10, random_state=0)
        >>> LatentODEForecaster(max_steps=20, random_state=0).fit(df).plot([0, 1], "x", horizon=1.0).shape
        (2, 1)
        """
        from latentode.plotting import plot_forecast  # a floor above, and slow: imported only for drawing

        return plot_forecast(self, series, channels, **options)

    def save(self, path: str | Path, include_history: bool = True) -> None:
        """Write the fitted forecaster to a directory: ``config.json`` and a file of weights.

        A model in the directory is replaced, and at every moment either the old or the new one can be loaded. Replaced
        files keep their mode; new files follow the umask.

        Parameters
        ----------
        path : str or Path
            The directory; created if it does not exist.
        include_history : bool
            Whether to save the observations seen in fit. Without them, pass ``history=`` when predicting.

        Raises
        ------
        ValueError
            When ids, column names or parameters are of a kind that cannot be read back.
        OSError
            When a file cannot be written.
        """
        state = self._fitted()
        saving.save(state if include_history else state.without_observations(), self.get_params(deep=False), Path(path))

    @classmethod
    def load(cls, path: str | Path) -> Self:
        """Read a forecaster written by :meth:`save`; nothing in the directory is executed.

        Parameters
        ----------
        path : str or Path
            The directory.

        Returns
        -------
        LatentODEForecaster
            Predicts bit for bit what the saved one did.

        Raises
        ------
        ValueError
            When the directory does not hold a model this version can read; the message says what is wrong.

        Examples
        --------
        >>> import tempfile
        >>> from latentode import LatentODEForecaster
        >>> from latentode.datasets import make_spirals
        >>> df = make_spirals(n_series=25, n_points=10, random_state=0)
        >>> forecaster = LatentODEForecaster(max_steps=5, random_state=0).fit(df)
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     forecaster.save(folder)
        ...     bool(LatentODEForecaster.load(folder).predict(df).equals(forecaster.predict(df)))
        True
        """
        forecaster, state = saving.load(Path(path), LIMITS, cls)
        forecaster.state_ = state
        return forecaster

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.two_d_array = False
        tags.input_tags.allow_nan = True
        tags.target_tags.required = False
        return tags


def load(path: str | Path) -> LatentODEForecaster:
    """Read a forecaster from a directory: the same as :meth:`LatentODEForecaster.load`."""
    return LatentODEForecaster.load(path)
