"""The scikit-learn face: fit on a long frame, predict any series at any time."""

import threading
from collections.abc import Hashable, Sequence
from dataclasses import fields, replace
from pathlib import Path
from typing import Any, Self

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator
from sklearn.utils.validation import check_is_fitted

from latentode.data import (
    ChannelScaler,
    Coding,
    DataError,
    GrowingPanel,
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
from latentode.data.columns import LARGEST
from latentode.data.scaling import FARTHEST
from latentode.estimators import storage
from latentode.estimators.answers import Answers
from latentode.estimators.asked import Told, asked_of
from latentode.estimators.encoding import encoded
from latentode.estimators.fitting import FittedModel, fit_model, is_of_counts
from latentode.estimators.frames import (
    alike,
    filled_column,
    forecast_times,
    join_targets,
    keys_of,
    last_third,
    refuse_doubled,
    refuse_outside,
    summary_of,
    weights_of,
)
from latentode.estimators.native import any_frame
from latentode.estimators.randomness import as_generator
from latentode.estimators.saying import nothing_said, say
from latentode.estimators.settings import FitSettings
from latentode.estimators.watching import CallbackSupportMixin, Watch, watched
from latentode.nn import Model

__all__ = ["LatentODEForecaster", "load"]

Floats = NDArray[np.float64]

_UPDATING = threading.Lock()

SAMPLE_ID = "sample_id"
"""The column that numbers the samples."""

HISTORY = ["model", "step", "loss", "validation_crps", "learning_rate", "seconds"]
"""Columns of a history."""

FAR = 2.0
"""Horizons beyond which a forecast is said to be a guess."""


class LatentODEForecaster(CallbackSupportMixin, BaseEstimator):
    """Forecasts and interpolates irregular series with a latent ODE.

    A recurrent encoder reads each series' observations into a distribution over a latent state at the end of
    the history; a neural ODE carries it to every query time, forward or backward; a decoder turns it into a
    distribution over the channels. Nothing needs a grid, imputation, scaling or tuning.

    Parameters
    ----------
    id_col, time_col : hashable, optional
        The columns that name the series and hold the times. None means infer: ``unique_id``, ``item_id`` or
        ``id``; ``ds``, ``timestamp`` or ``time``; a two-level index; a DatetimeIndex. A frame of one series
        needs no id.
    target_cols : sequence of hashable, optional
        The channels. None means every other numeric column.
    static_cols : sequence of hashable, optional
        Columns, of numbers or categories, that say something of a series for good; one value a series.
    known_cols : sequence of hashable, optional
        Columns, of numbers or categories, that are known of the future too (a dose, a holiday, a setting): every row to
        predict at has them, or what was last known is held. They drive the dynamics, and a value holds until the next.
    past_cols : sequence of hashable, optional
        Columns of numbers that are read like channels and not forecast.
    horizon : str, Timedelta or number, optional
        How far ahead will be asked, as a duration ("30D") or, for numeric times, a number. Training then asks
        no farther. None means as far as the series are long.
    seasonality : "auto", None, duration or list of durations
        Periods in which the data repeat ("1D", "365.25D", or numbers for numeric times), None for none. "auto"
        looks for them: day, week and year where times are dates, else one period that all series share.
    encoder : {"gru", "odernn"}
        What reads the observations: a GRU over the rows, with a summary of the history beside it; or the published
        ODE-RNN, with neither a summary nor a context beside z.
    dynamics : {"mixed", "mlp", "linear"}
        What moves the latent state: a neural ODE for one half and damped rotations in closed form for the other; a
        neural ODE for all of it; or rotations for all of it, without a solver.
    decoder : {"skip", "mlp", "linear"}
        What turns the state into channels: a network that corrects what the history already says; a network alone; or
        one linear layer.
    likelihood : {"gaussian", "fixed", "bernoulli", "poisson", "negative_binomial"}
        How far an observation may lie from what is predicted: a Gaussian with learned scales; one with a fixed
        ``observation_std``; or, for channels of 0 and 1 or of counts, their own distributions.
    latent_dim, hidden_dim : int, optional
        Sizes of the latent state and of the hidden layers. None means by the number of observations.
    anchor : {"end", "start"}
        Where in the history the trajectory starts.
    observation_std : float
        Of the ``"fixed"`` likelihood, in units of a channel's spread.
    n_steps : int
        Steps of the ODE solver per horizon.
    method : str
        Method of the ODE solver, see :func:`latentode.ode.solve`.
    adjoint : {"discrete", "backsolve", "autograd"}
        How gradients pass the solver.
    variational : bool
        Whether the latent state is a distribution, or a point.
    kl_weight : float
        Final weight of the Kullback-Leibler divergence in the objective; 1 is the evidence lower bound.
    dropout : float
        Dropout of encoder and decoder in training.
    n_models : int, optional
        Models that are trained one after another, from other first weights and with other series held out each, and
        answer together by their mean. None means 3 with 8 to 24 series and fewer than 10,000 values, else 1.
    max_steps : int, optional
        Steps of the optimiser at most, for each model. None means 6 per series, from 600 to 3,000 (1,500
        where there are many observations); 400 for each of several.
    batch_size : int, optional
        Series in a batch. None means by the number of series.
    learning_rate : float
        The highest of the optimiser, AdamW.
    patience : int
        Validation checks, one every 25 steps, without improvement after which training goes back to the best weights,
        anneals the learning rate from there, and ends.
    validation_fraction : float
        Part of the series held out for early stopping and calibration, at most 500 of them and at least 5, or a
        third of fewer than 15; with fewer than 8, the last part of each.
    n_samples : int
        Draws of the latent state behind quantiles and intervals.
    warm_start : bool
        Whether a second fit goes on from the weights of the first, with its scales, times and horizon.
    devices, num_nodes : int
        Processes that share every batch of training, on each machine, and machines. More than one needs an integer as
        ``random_state``. As usual with Lightning, the script itself is started once for every process, which all read
        the same data, and all have the same fitted forecaster afterwards; see the guide on scaling.
    strategy : {"auto", "ddp"}
        How Lightning has several processes work together.
    checkpoint_dir : str or Path, optional
        A directory in which training keeps its state at every look at the held-out part, so that a fit that was killed
        can go on: ``fit`` with the same data, parameters and ``random_state`` finds the state, goes on from it, and
        ends with the weights of a fit that was not broken off, bit for bit (on the same machine, with the same versions
        of torch and latentode). With ``random_state=None`` it goes on with the random numbers of the fit that was
        killed. A finished fit takes its file away; after an interrupt (Ctrl-C) the file stays. The state of a fit with
        other data, parameters or versions is never gone on from: a warning says what differs, it is left as it is, and
        training begins anew beside it; so several fits may share a directory, at the same time too. The files are
        safetensors and hold weights, not data; reading them executes nothing. None keeps nothing.
    verbose : bool or int, optional
        Whether to show a progress bar; 2 to say a line at every look at the held-out part, too. None means a bar when a
        person is watching (a terminal). The logger ``latentode`` has the same lines at its level INFO.
    random_state : int, RandomState, Generator or None
        The only source of randomness: the same seed gives the same fit.

    Attributes
    ----------
    channels_ : tuple
        The channels.
    horizon_ : float
        How far ahead training asked, in seconds (dates) or in the unit of numeric times.
    seasons_ : Seasons
        The periods the model knows of, in the unit of ``horizon_``.
    model_ : LatentODE or Ensemble
        The fitted module; an ensemble has ``members``.
    history_ : DataFrame
        Losses by model and step.
    feature_names_in_ : array of str
        Columns seen in fit.
    n_features_in_ : int
        How many.

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

    schema_: Schema
    time_axis_: TimeAxis
    coding_: Coding | None
    scaler_: ChannelScaler
    seasons_: Seasons
    horizon_: float
    model_: Model

    _keys_: pd.DataFrame | None = None
    """The ids and times of the frame given to fit without its rows, for their dtypes; a model in a file has none."""

    def __init__(
        self,
        id_col: Hashable | None = None,
        time_col: Hashable | None = None,
        target_cols: Sequence[Hashable] | Hashable | None = None,
        *,
        static_cols: Sequence[Hashable] | Hashable | None = None,
        known_cols: Sequence[Hashable] | Hashable | None = None,
        past_cols: Sequence[Hashable] | Hashable | None = None,
        horizon: Any = None,
        seasonality: Any = "auto",
        encoder: str = "gru",
        dynamics: str = "mixed",
        decoder: str = "skip",
        likelihood: str = "gaussian",
        latent_dim: int | None = None,
        hidden_dim: int | None = None,
        anchor: str = "end",
        observation_std: float = 0.01,
        n_steps: int = 6,
        method: str = "rk4",
        adjoint: str = "discrete",
        variational: bool = True,
        kl_weight: float = 0.1,
        dropout: float = 0.1,
        n_models: int | None = None,
        max_steps: int | None = None,
        batch_size: int | None = None,
        learning_rate: float = 3e-3,
        patience: int = 6,
        validation_fraction: float = 0.15,
        n_samples: int = 32,
        warm_start: bool = False,
        devices: int = 1,
        num_nodes: int = 1,
        strategy: str = "auto",
        checkpoint_dir: str | Path | None = None,
        verbose: bool | int | None = None,
        random_state: Any = None,
    ) -> None:
        self.id_col = id_col
        self.time_col = time_col
        self.target_cols = target_cols
        self.static_cols = static_cols
        self.known_cols = known_cols
        self.past_cols = past_cols
        self.horizon = horizon
        self.seasonality = seasonality
        self.encoder = encoder
        self.dynamics = dynamics
        self.decoder = decoder
        self.likelihood = likelihood
        self.latent_dim = latent_dim
        self.hidden_dim = hidden_dim
        self.anchor = anchor
        self.observation_std = observation_std
        self.n_steps = n_steps
        self.method = method
        self.adjoint = adjoint
        self.variational = variational
        self.kl_weight = kl_weight
        self.dropout = dropout
        self.n_models = n_models
        self.max_steps = max_steps
        self.batch_size = batch_size
        self.learning_rate = learning_rate
        self.patience = patience
        self.validation_fraction = validation_fraction
        self.n_samples = n_samples
        self.warm_start = warm_start
        self.devices = devices
        self.num_nodes = num_nodes
        self.strategy = strategy
        self.checkpoint_dir = checkpoint_dir
        self.verbose = verbose
        self.random_state = random_state

    # ------------------------------------------------------------------------------------------ fitting

    @any_frame
    @watched
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
            Ids, times and, when ``y`` is None, the channels; NaN where a channel was not measured then. What is stored
            is read by :func:`latentode.data.read_parquet`: of a table larger than memory some of the series, whole.
        y : DataFrame, Series or array, optional
            The channels apart, row by row as ``X``.
        sample_weight : array, optional
            (rows,), what each row counts as a question in training; all are read as history. The scales of the
            channels take no notice of it.

        Returns
        -------
        self

        Raises
        ------
        DataError
            When the frame cannot be used; the message says what is wrong, where, and what to do.
        OSError
            When ``checkpoint_dir`` cannot be written to, because the disk is full for one: the last state kept there
            is whole, and the next fit goes on from it.
        ValueError
            When a parameter is out of its range, or a file in ``checkpoint_dir`` with this fit's name cannot be read.

        Warns
        -----
        DataWarning
            When rows were left out or merged, or a channel holds no value: what, and how many.
        UserWarning
            When ``checkpoint_dir`` holds the training of another fit, or training left the finite numbers.
        """
        if is_stored(X):
            if y is not None or sample_weight is not None:
                raise DataError("y and sample_weight go with a frame; a stored table holds its channels itself")
            X = read_parquet(X, self.id_col)
        df = join_targets(X, y, self.target_cols)
        # What stands in y is what is to be forecast: whatever else X holds is no channel.
        targets = (
            list(df.columns[len(df.columns) - _width(y) :]) if y is not None and isinstance(df, pd.DataFrame) else None
        )
        schema = infer_schema(
            df,
            self.id_col,
            self.time_col,
            targets if self.target_cols is None else self.target_cols,
            self.static_cols,
            self.known_cols,
            self.past_cols,
        )
        if len(df) == 0:
            raise DataError("the frame has no rows")
        if SAMPLE_ID in schema.target_cols:
            raise DataError(
                f"channel {SAMPLE_ID!r} is named like the column that numbers the samples of sample(); rename it, or, "
                "if it is no channel, leave it out with target_cols=[...] (id_col= if it names the series)"
            )
        if self.n_samples < 1:
            raise ValueError(f"n_samples={self.n_samples!r} must be at least 1")
        before = self._before(schema)
        axis = TimeAxis.from_times(schema.times_of(df)) if before is None else self.time_axis_
        coding = None
        if schema.static_cols or schema.known_cols:
            coding = Coding.from_frame(df, schema.static_cols, schema.known_cols) if before is None else self.coding_
        refuse_outside(df, schema, self.likelihood)
        panel, treatment = panel_from_frame(df, schema, axis, coding)
        said = treatment.sentences()
        empty = np.asarray(np.isnan(panel.values).all(0))
        if empty.any():
            names = [c for c, e in zip(schema.channels, empty, strict=True) if e]
            said.append(f"channels {names!r} hold no value at all: their predictions will be NaN")
        _require_something_to_learn(panel)
        say(said)

        logarithms = not is_of_counts(self.likelihood)
        scaler = ChannelScaler.from_values(panel.values, logarithms) if before is None else self.scaler_
        seasons = find_seasons(panel, axis, self.seasonality) if before is None else self.seasons_
        horizon = None if self.horizon is None else axis.length_of(self.horizon, "horizon")
        if horizon is not None and not _any_gap_within(panel, horizon):
            say([f"horizon={self.horizon!r} is shorter than any gap between observations: no forecast is learned"])
        horizon = horizon if before is None else self.horizon_
        weights = None if sample_weight is None else weights_of(sample_weight, len(df))[treatment.rows]
        if weights is not None and not weights.any():
            raise ValueError("sample_weight is 0 for every row that could be learned from")

        def learned(fitted: FittedModel) -> dict[str, Any]:
            factor = np.where(empty, np.nan, fitted.calibration.factor)
            return {
                "schema_": schema,
                "time_axis_": axis,
                "coding_": coding,
                "scaler_": scaler,
                "seasons_": seasons,
                "model_": fitted.model,
                "horizon_": fitted.span,
                "calibration_": replace(fitted.calibration, factor=factor),
                "history_": pd.DataFrame(fitted.history, columns=HISTORY),
                "_keys_": keys_of(df.iloc[:0], schema),
                "panel_": panel if fitted.learned_from is None else panel.where(fitted.learned_from),
                "feature_names_in_": np.array([str(c) for c in X.columns], dtype=object),
                "n_features_in_": X.shape[1],
            }

        metadata = {} if sample_weight is None else {"sample_weight": sample_weight}
        # By place: a column may be named False, and a list of that is a mask.
        channels = df.take(df.columns.get_indexer_for(pd.Index(schema.target_cols, dtype=object)), axis=1)
        watch = Watch(self, df, channels, metadata, learned)
        fitted = fit_model(panel, scaler, seasons, self._settings(horizon), before, weights, watch)
        for name, value in learned(fitted).items():
            setattr(self, name, value)
        watch.end()
        if fitted.interrupted:
            raise KeyboardInterrupt(f"training was interrupted {fitted.interrupted} and can be used as it is")
        return self

    def _before(self, schema: Schema) -> Model | None:
        """The model to go on from, where that is wanted and there is one."""
        if not self.warm_start or not hasattr(self, "model_"):
            return None
        if schema != self.schema_:
            raise DataError(
                "warm_start=True goes on with the columns of the fit before; these are others: "
                f"{list(schema.channels)!r} instead of {list(self.schema_.channels)!r} (or other covariates)"
            )
        return self.model_

    def _settings(self, horizon: float | None) -> FitSettings:
        given = {f.name: getattr(self, f.name) for f in fields(FitSettings)}
        return FitSettings(**{**given, "horizon": horizon})

    @property
    def panel_(self) -> Panel:
        """The observations that answers are given from: those of ``fit`` and of every ``update``."""
        return self._seen_.panel

    @panel_.setter
    def panel_(self, panel: Panel) -> None:
        self._seen_ = GrowingPanel(panel)

    @property
    def channels_(self) -> tuple[Hashable, ...]:
        """The channels, in the order of the columns predicted."""
        check_is_fitted(self, "model_")
        return self.schema_.target_cols

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.two_d_array = False
        tags.input_tags.allow_nan = True
        tags.target_tags.required = False
        return tags

    def __sklearn_is_fitted__(self) -> bool:
        return hasattr(self, "model_")

    # ------------------------------------------------------------------------------------------ answers

    @any_frame
    def predict(self, X: pd.DataFrame, history: pd.DataFrame | None = None) -> pd.DataFrame:
        """The expected value of every channel at every row's series and time.

        Of a positive channel that is closer to lognormal than to normal, and so read in logarithms, it is the
        geometric mean.

        Parameters
        ----------
        X : DataFrame
            Ids and times, in any order, any series, any time: before, between or after its observations.
            Target columns in it are ignored.
        history : DataFrame, optional
            Observations of series that fit has not seen, in the shape of the frame given to fit. For a
            series it holds, it takes the place of what fit saw.

        Returns
        -------
        DataFrame
            One row out per row in, same index, same order, a column per channel.

        Raises
        ------
        DataError
            When a column is missing or the times are of another kind than in fit.

        Warns
        -----
        DataWarning
            For series of which nothing is known (the population's answer is given), rows without a time (their answer
            is NaN), known columns that `X` lacks (their last values are held) or of which it has two values at one time
            (they are averaged), and categories that are not told apart (taken as unknown).
        """
        answers = self._answers(X, history)
        return self._frame(X, self._asked(answers.means()), list(self.channels_))

    @any_frame
    def predict_quantiles(
        self,
        X: pd.DataFrame,
        quantiles: Sequence[float] = (0.1, 0.5, 0.9),
        history: pd.DataFrame | None = None,
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
        found = self._asked(self._answers(X, history).quantiles(wanted))
        names = [f"{c}-q{q:g}" for c in self.channels_ for q in wanted]
        return self._frame(X, np.moveaxis(found, 0, 2).reshape(len(X), len(names)), names)

    @any_frame
    def predict_interval(
        self, X: pd.DataFrame, level: Sequence[float] | float = (80, 95), history: pd.DataFrame | None = None
    ) -> pd.DataFrame:
        """Intervals that hold the true value in so many cases of a hundred.

        Parameters
        ----------
        X, history : DataFrame
            As in :meth:`predict`.
        level : float or sequence of float
            Per cent between 0 and 100: 90 for intervals that hold nine of ten.

        Returns
        -------
        DataFrame
            Rows as ``X``; columns ``{channel}-lo-{level}`` and ``{channel}-hi-{level}``.

        Raises
        ------
        ValueError
            When a level does not lie between 0 and 100.
        """
        return self._intervals(X, self._answers(X, history), _levels(level))

    @any_frame
    def sample(
        self,
        X: pd.DataFrame,
        n_samples: int = 100,
        random_state: Any = None,
        history: pd.DataFrame | None = None,
    ) -> pd.DataFrame:
        """Joint samples: each is one possible course of all channels of a series at all its rows.

        Parameters
        ----------
        X, history : DataFrame
            As in :meth:`predict`.
        n_samples : int
            Number of samples.
        random_state : int, RandomState, Generator or None
            Where the draws come from.

        Returns
        -------
        DataFrame
            The rows of ``X`` once per sample, with its ids and times, a column ``sample_id`` and a column per
            channel. With one `random_state` they are the same in whatever order the rows stand; rows of one series and
            time are one point of the course.

        Raises
        ------
        DataError
            As :meth:`predict`, and when the ids or times stand in a column named ``sample_id``.
        """
        if n_samples < 1:
            raise ValueError(f"n_samples={n_samples} must be at least 1")
        drawn = self._asked(self._answers(X, history).samples(n_samples, as_generator(random_state)))
        keys = keys_of(X, self.schema_)
        refuse_doubled([*keys.columns, SAMPLE_ID, *self.channels_])
        repeated = keys.loc[np.tile(np.arange(len(keys)), n_samples)].reset_index(drop=True)
        repeated[SAMPLE_ID] = np.repeat(np.arange(n_samples), len(keys))
        values = pd.DataFrame(drawn.reshape(-1, len(self.channels_)), columns=list(self.channels_))
        return pd.concat([repeated, values], axis=1)

    @any_frame
    def forecast(
        self,
        horizon: Any = None,
        freq: Any = None,
        level: Sequence[float] | float = (80,),
        history: pd.DataFrame | None = None,
    ) -> pd.DataFrame:
        """The future of every series in one tidy frame.

        Parameters
        ----------
        horizon : str, Timedelta or number, optional
            How far beyond each series' last observation. None means the horizon of the fit.
        freq : str, Timedelta, offset or number, optional
            Distance between the times forecast. None means a tenth of the horizon. A duration is of fixed length,
            ``"1D"`` 24 hours wherever clocks change; an offset such as ``"D"`` or ``"MS"`` steps by the calendar.
        level : float or sequence of float
            Levels of the intervals, in per cent; an empty sequence for none.
        history : DataFrame, optional
            Forecast the series of this frame instead of those seen in fit.

        Returns
        -------
        DataFrame
            A row per series and time: id, time, the channels, and their intervals. Ids are as they were in the frame
            given, categories among them; times that were integers are so where all of them are whole, as with a whole
            ``freq``, and floats where one is not.

        Raises
        ------
        DataError
            When nothing can be forecast, or two columns would have one name: a channel is called as the interval of
            another.
        """
        check_is_fitted(self, "model_")
        panel = self.panel_ if history is None else self._panel_of(history)
        query = forecast_times(panel, self.schema_, self.time_axis_, horizon, freq, self.horizon_)
        like = self._keys_ if history is None else keys_of(history.iloc[:0], self.schema_)
        if like is not None:
            query = pd.DataFrame({c: alike(query[c], like[c].dtype) for c in query.columns})
        parts = [query, *self._fans(query, level, history)]
        refuse_doubled(c for part in parts for c in part.columns)
        return pd.concat(parts, axis=1)

    @any_frame
    def score(
        self,
        X: pd.DataFrame,
        y: pd.DataFrame | pd.Series | ArrayLike | None = None,
        sample_weight: ArrayLike | None = None,
    ) -> float:
        """How well the future is forecast: minus the mean squared error, in units of each channel's spread.

        Never on rows the encoder saw: for a series seen in fit the questions are its rows after the last
        fitted one; of an unseen series the last third of the rows (at least one) is hidden and asked.

        Parameters
        ----------
        X : DataFrame
            Ids, times and, when ``y`` is None, the channels.
        y : DataFrame, Series or array, optional
            The channels apart, row by row.
        sample_weight : array, optional
            (rows,), weights of the rows asked.

        Returns
        -------
        float
            Higher is better, 0 is perfect, -1 about what the mean of all would get.

        Raises
        ------
        DataError
            When no row is a question.

        Warns
        -----
        DataWarning
            When rows stand before or between those seen in fit: fit has learned from their future.
        """
        check_is_fitted(self, "model_")
        df = join_targets(X, y, self.target_cols)
        truth = values_of(df, self.schema_)[:, : len(self.channels_)]
        truth = np.where(np.abs(truth) > LARGEST, np.nan, truth)
        times, ids = self.time_axis_.to_float(self.schema_.times_of(df)), self._ids_of(df)
        panel = self.panel_  # once: an update in another thread puts another in its place
        fitted_end = panel.end_of(panel.ids.get_indexer(ids))
        unseen = np.isnan(fitted_end)
        asked = np.where(unseen, last_third(times, ids), times > fitted_end) & ~np.isnan(truth).all(1)
        between = ~unseen & (times <= fitted_end) & ~np.isnan(truth).all(1) & ~panel.holds(ids, times)
        advice = "where rows were split at random, split by series (GroupKFold) or in time (CutoffSplit) instead"
        if not asked.any():
            raise DataError(
                "no row to score: series seen in fit are scored on rows after their last fitted time, "
                f"and there are none{f'; {advice}' if between.any() else ''}"
            )
        if between.any():
            say([f"{int(between.sum())} rows lie before or between rows that fit saw and were not scored: {advice}"])
        weight = np.ones(len(df)) if sample_weight is None else weights_of(sample_weight, len(df))
        history = df[~asked & unseen] if (~asked & unseen).any() else None
        with nothing_said():  # a series with one row has no history: no surprise
            predicted = self.predict(df[asked], history=history).to_numpy()
        with np.errstate(over="ignore"):
            scaled = (predicted - truth[asked]) / self.scaler_.spread[: len(self.channels_)]
        error = np.clip(scaled, -FARTHEST, FARTHEST) ** 2
        weights = np.where(np.isnan(error), 0.0, weight[asked][:, None])
        return -float((np.nan_to_num(error) * weights).sum() / weights.sum())

    # ------------------------------------------------------------------------------------------ other uses

    @any_frame
    def impute(self, X: pd.DataFrame) -> pd.DataFrame:
        """The same frame with the missing values of its channels filled, each given all else in the frame.

        Parameters
        ----------
        X : DataFrame
            In the shape of the frame given to fit; of any series.

        Returns
        -------
        DataFrame
            A copy; what was observed is as it was, what was missing (or infinite) is its expected value, and a column
            without holes is untouched. A row without a time keeps its holes. What is expected is no whole number: a
            column of integers with holes becomes one of floats of its kind, ``Int64`` ``Float64``.

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
        check_is_fitted(self, "model_")
        observed = values_of(X, self.schema_)[:, : len(self.channels_)]
        observed = np.where(np.abs(observed) > LARGEST, np.nan, observed)
        found = self.predict(X, history=X).to_numpy()
        filled = X.copy()
        for k, name in enumerate(self.channels_):
            missing = np.isnan(observed[:, k])
            if missing.any():
                filled[name] = filled_column(X[name], np.where(missing, found[:, k], observed[:, k]))
        return filled

    @any_frame
    def encode(self, X: pd.DataFrame | None = None) -> pd.DataFrame:
        """What the encoder makes of each series: a row of features for other models, such as a classifier.

        Of several models the first is asked: the latent spaces of two have nothing to do with each other.

        Parameters
        ----------
        X : DataFrame, optional
            Observations, in the shape of the frame given to fit. None means those seen in fit.

        Returns
        -------
        DataFrame
            A row per series, its id as index; columns ``z0`` ... (the mean of the latent state at the end of the
            history) and ``context0`` ... (what stays the same along its trajectory).

        Examples
        --------
        >>> from latentode import LatentODEForecaster
        >>> from latentode.datasets import make_spirals
        >>> df = make_spirals(n_series=25, n_points=10, random_state=0)
        >>> LatentODEForecaster(max_steps=20, latent_dim=4, random_state=0).fit(df).encode().shape
        (25, 12)
        """
        check_is_fitted(self, "model_")
        panel = self.panel_ if X is None else self._panel_of(X, "the frame")
        features = encoded(self.model_, self.scaler_, panel, self.horizon_, self.seasons_)
        latent = self.model_.config.latent_dim
        names = [f"z{k}" for k in range(latent)] + [f"context{k}" for k in range(features.shape[1] - latent)]
        name = self.schema_.id_name
        like = self._keys_ if X is None else keys_of(X.iloc[:0], self.schema_)
        ids = panel.ids if like is None or name not in like else pd.Index(alike(pd.Series(panel.ids), like[name].dtype))
        return pd.DataFrame(features, index=ids.rename(name), columns=names)

    @any_frame
    def update(self, X: pd.DataFrame) -> Self:
        """Take further observations, of series seen before or of new ones, without training again.

        They are sorted in among the others at the next question: the time a call takes does not grow with what is
        known.

        Parameters
        ----------
        X : DataFrame
            In the shape of the frame given to fit. A value of a series and time already seen takes the place of the
            one before.

        Returns
        -------
        self

        Raises
        ------
        DataError
            When the frame cannot be used; what was known before is then kept as it was.

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
        check_is_fitted(self, "model_")
        new = self._panel_of(X, "the update")
        with _UPDATING:  # of two threads neither may lose what the other adds
            self._seen_ = self._seen_.with_rows(new)
        return self

    # ------------------------------------------------------------------------------------------ files

    def save(self, path: str | Path, include_history: bool = True) -> None:
        """Write the fitted forecaster to a directory: ``config.json`` and ``weights.safetensors``.

        Parameters
        ----------
        path : str or Path
            A directory; made if it is not there.
        include_history : bool
            Whether the observations seen in fit go with it. Without them, pass ``history=`` when predicting.

        Raises
        ------
        ValueError
            When ids or column names are of a kind JSON cannot hold.
        """
        check_is_fitted(self, "model_")
        storage.save(self, Path(path), include_history)

    # ------------------------------------------------------------------------------------------ helpers

    def _answers(self, X: pd.DataFrame, history: pd.DataFrame | None, told: pd.DataFrame | None = None) -> Answers:
        """What is asked at the rows of a frame; `told` are the rows that say static and known columns, if not those."""
        check_is_fitted(self, "model_")
        if not isinstance(X, pd.DataFrame):
            raise DataError(f"expected a DataFrame of ids and times to predict at, got {type(X).__name__}")
        given = None if history is None else self._panel_of(history)
        panel = self.panel_ if given is None else _merged(self.panel_, given)
        n_seen = panel.n_series - (0 if given is None else given.n_series)
        times, ids = self._times_of(X), self._ids_of(X)
        rows = Told(X, ids, times) if told is None else Told(told, self._ids_of(told), self._times_of(told))
        asked = asked_of(ids, panel, rows, self.coding_, n_seen)
        said = [] if self.coding_ is None else self.coding_.sentences(rows.df)
        if np.isnan(times).any():
            said.append(f"{int(np.isnan(times).sum())} rows without a time: their answer is NaN")
        known = asked.panel.is_known(asked.series)
        if not known.all():
            alone = self.schema_.ids_of(X) is None
            names = "of the frame" if alone else summary_of(pd.Index(ids[~known]).unique())
            said.append(
                f"nothing is known of series {names}: the answer is the population's; "
                "pass history= with their observations"
            )
        far = (times - asked.panel.end_of(asked.series)) / self.horizon_
        if (far > FAR).any():
            said.append(
                f"{int((far > FAR).sum())} rows lie up to {np.nanmax(far):.3g} horizons beyond the end of a series; "
                f"training went {self.time_axis_.duration_text(self.horizon_)} ahead (horizon=), "
                "farther answers are guesses"
            )
        say(said + asked.said)
        return Answers(
            model=self.model_,
            scaler=self.scaler_,
            calibration=self.calibration_,
            span=self.horizon_,
            seasons=self.seasons_,
            n_draws=self.n_samples,
            panel=asked.panel,
            series=asked.series,
            times=times,
        )

    def _asked(self, values: Floats) -> Floats:
        """The channels that are forecast, of all that are read."""
        return values[..., : len(self.channels_)]

    def _panel_of(self, frame: pd.DataFrame, said_of: str = "history") -> Panel:
        panel, treatment = panel_from_frame(frame, self.schema_, self.time_axis_, self.coding_)
        said = treatment.sentences() + ([] if self.coding_ is None else self.coding_.sentences(frame))
        say([f"in {said_of}: {s}" for s in said])
        return panel

    def _ids_of(self, df: pd.DataFrame) -> pd.Index:
        """The series of every row; that of a frame of one series is 0, as in its panel."""
        ids = self.schema_.ids_of(df)
        return pd.Index(np.zeros(len(df), dtype=np.int64)) if ids is None else ids

    def _times_of(self, df: pd.DataFrame) -> Floats:
        """The time of every row on the axis of the fit."""
        return self.time_axis_.to_float(self.schema_.times_of(df)) if len(df) else np.empty(0)

    def _fans(
        self,
        X: pd.DataFrame,
        level: Sequence[float] | float,
        history: pd.DataFrame | None,
        told: pd.DataFrame | None = None,
    ) -> tuple[pd.DataFrame, pd.DataFrame]:
        """Expected values and intervals of the same answers; `told` as in `_answers`."""
        levels = _levels(level)
        answers = self._answers(X, history, told)
        means = self._frame(X, self._asked(answers.means()), list(self.channels_))
        return means, self._intervals(X, answers, levels) if levels else means.iloc[:, :0]

    def _intervals(self, X: pd.DataFrame, answers: Answers, levels: list[float]) -> pd.DataFrame:
        tails = np.array([[0.5 - v / 200, 0.5 + v / 200] for v in levels]).ravel()
        names = [f"{c}-{side}-{v:g}" for c in self.channels_ for v in levels for side in ("lo", "hi")]
        found = self._asked(answers.quantiles(tails))
        return self._frame(X, np.moveaxis(found, 0, 2).reshape(len(X), len(names)), names)

    @staticmethod
    def _frame(X: pd.DataFrame, values: Floats, names: list[Any]) -> pd.DataFrame:
        refuse_doubled(names)
        return pd.DataFrame(values, index=X.index, columns=names)


def load(path: str | Path) -> LatentODEForecaster:
    """Read a forecaster written by :meth:`LatentODEForecaster.save`; nothing in the directory is executed.

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
    """
    forecaster = LatentODEForecaster()
    storage.restore(forecaster, Path(path))
    return forecaster


def _levels(level: Sequence[float] | float) -> list[float]:
    levels = [float(v) for v in np.atleast_1d(np.asarray(level, dtype=float))]
    if levels and min(levels) > 0 and max(levels) <= 1:
        raise ValueError(f"level={level!r} is in per cent: 90 for nine of ten, not 0.9")
    if not all(0 < v < 100 for v in levels):
        raise ValueError(f"level={level!r} is in per cent, between 0 and 100: for instance (80, 95)")
    return levels


def _require_something_to_learn(panel: Panel) -> None:
    if panel.lengths.max(initial=0) < 2:
        raise DataError(
            f"{len(panel.times)} observations in {panel.n_series} series, none with two or more: "
            "there is no course to learn; at least one series needs observations at two times"
        )


def _any_gap_within(panel: Panel, horizon: float) -> bool:
    same = np.diff(panel.series_of_row) == 0
    return bool((np.diff(panel.times)[same] <= horizon).any())


def _width(y: pd.DataFrame | pd.Series | ArrayLike | None) -> int:
    shape = np.shape(y)  # type: ignore[arg-type]
    return shape[1] if len(shape) > 1 else 1


def _merged(fitted: Panel, given: Panel) -> Panel:
    """What fit saw, with the given series in place of theirs."""
    kept = fitted.take(np.flatnonzero(given.ids.get_indexer(fitted.ids) < 0))
    return kept.append(given)
