"""Imputation as a step of a pipeline."""

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
    """Fills the missing values of a long frame, conditioned on everything else in it.

    Parameters
    ----------
    forecaster : LatentODEForecaster, optional
        An unfitted forecaster with the parameters to use; it is cloned. None means the defaults.

    Attributes
    ----------
    forecaster_ : LatentODEForecaster
        The fitted forecaster.
    n_features_in_ : int
        Columns seen in fit.
    feature_names_in_ : array of str
        Their names.

    See Also
    --------
    LatentODEForecaster.impute : The same with a forecaster that is already fitted.

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
        """Fit the model to a long frame; ``y`` is ignored.

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
        """The columns seen in fit, in that order, with the missing values of the channels filled.

        Other columns are left out, so that the result has the columns of :meth:`get_feature_names_out`.
        :meth:`LatentODEForecaster.impute` keeps them.

        Raises
        ------
        DataError
            When a column seen in fit is missing, and as :meth:`LatentODEForecaster.impute`.
        """
        check_is_fitted(self, "forecaster_")
        filled = self.forecaster_.impute(X)
        by_name = {str(c): c for c in filled.columns}
        missing = [c for c in self.feature_names_in_ if c not in by_name]
        if missing:
            raise DataError(
                f"the frame has no column {missing[0]!r}, which was seen in fit; its columns are {list(by_name)!r}"
            )
        return filled[[by_name[c] for c in self.feature_names_in_]]

    def get_feature_names_out(self, input_features: Any = None) -> NDArray[np.object_]:
        """Names of the columns of the result: those seen in fit."""
        check_is_fitted(self, "forecaster_")
        return np.asarray(self.feature_names_in_, dtype=object)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.two_d_array = False
        tags.input_tags.allow_nan = True
        tags.transformer_tags.preserves_dtype = ["float64", "float32"]
        return tags
