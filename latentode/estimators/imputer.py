"""Filling holes as a step of a pipeline."""

from typing import Any, Self

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, TransformerMixin, clone
from sklearn.utils.validation import check_is_fitted

from latentode.data import DataError
from latentode.estimators.forecaster import LatentODEForecaster
from latentode.estimators.native import any_frame

__all__ = ["LatentODEImputer"]


class LatentODEImputer(TransformerMixin, BaseEstimator):
    """Fills the missing values of a long frame, each given all else in the frame.

    Parameters
    ----------
    forecaster : LatentODEForecaster, optional
        The settings of the model; it is cloned, not changed. None means the defaults.

    Attributes
    ----------
    forecaster_ : LatentODEForecaster
        Fitted.
    n_features_in_ : int
        Columns seen in fit.
    feature_names_in_ : array of str
        Their names.

    See Also
    --------
    LatentODEForecaster.impute : The same, of a forecaster already fitted.

    Examples
    --------
    >>> from latentode import LatentODEForecaster, LatentODEImputer
    >>> from latentode.datasets import make_spirals
    >>> df = make_spirals(n_series=25, n_points=10, random_state=0)
    >>> df.loc[3, "y"] = float("nan")
    >>> imputer = LatentODEImputer(LatentODEForecaster(max_steps=20, random_state=0))
    >>> int(imputer.fit_transform(df)["y"].isna().sum())
    0
    """

    def __init__(self, forecaster: LatentODEForecaster | None = None) -> None:
        self.forecaster = forecaster

    def fit(self, X: pd.DataFrame, y: Any = None) -> Self:
        """Fit the model to a long frame; ``y`` is not read.

        Raises
        ------
        DataError
            As :meth:`LatentODEForecaster.fit`.
        """
        settings = LatentODEForecaster() if self.forecaster is None else clone(self.forecaster)
        self.forecaster_ = settings.fit(X)
        self.n_features_in_ = self.forecaster_.n_features_in_
        self.feature_names_in_ = self.forecaster_.feature_names_in_
        return self

    @any_frame
    def transform(self, X: pd.DataFrame) -> pd.DataFrame:
        """The columns that fit saw, in its order, the missing values of the channels filled.

        Other columns are passed over, so that what comes out is what :meth:`get_feature_names_out` says;
        :meth:`LatentODEForecaster.impute` hands them on.

        Raises
        ------
        DataError
            When a column that fit saw is not there, and as :meth:`LatentODEForecaster.impute`.
        """
        check_is_fitted(self, "forecaster_")
        filled = self.forecaster_.impute(X)
        by_name = {str(c): c for c in filled.columns}
        missing = [c for c in self.feature_names_in_ if c not in by_name]
        if missing:
            raise DataError(f"the frame has no column {missing[0]!r}, which fit saw; its columns are {list(by_name)!r}")
        return filled[[by_name[c] for c in self.feature_names_in_]]

    def get_feature_names_out(self, input_features: Any = None) -> NDArray[np.object_]:
        """The columns that come out: those that went in."""
        check_is_fitted(self, "forecaster_")
        return np.asarray(self.feature_names_in_, dtype=object)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.two_d_array = False
        tags.input_tags.allow_nan = True
        tags.transformer_tags.preserves_dtype = ["float64", "float32"]
        return tags
