"""The imputer as a transformer."""

import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer

from latentode import LatentODEImputer
from latentode.data import DataError
from tests.estimators.tiny import quick, waves

DF = waves(8, 10)


def test_what_is_missing_is_filled_and_nothing_else_changes():
    filled = LatentODEImputer(quick()).fit_transform(DF)
    assert not filled.isna().any().any()
    was = DF.notna()
    pd.testing.assert_frame_equal(filled.where(was), DF, check_exact=True)


def test_the_forecaster_given_is_not_fitted_itself():
    forecaster = quick()
    imputer = LatentODEImputer(forecaster).fit(DF)
    assert not hasattr(forecaster, "model_")
    assert clone(imputer).forecaster.get_params() == forecaster.get_params()


def test_it_stands_in_a_pipeline_and_its_parameters_are_reached():
    pipeline = make_pipeline(
        FunctionTransformer(lambda d: d.assign(x=d["x"] * 2)),
        LatentODEImputer(quick()),
        FunctionTransformer(lambda d: d[["x", "y"]].to_numpy()),
    )
    pipeline.set_params(latentodeimputer__forecaster__max_steps=2)
    assert np.isfinite(pipeline.fit_transform(DF)).all()


def test_other_series_are_filled_by_the_model_of_the_first():
    imputer = LatentODEImputer(quick()).fit(DF)
    other = waves(3, 10, seed=5).assign(id=lambda d: "new" + d["id"])
    assert not imputer.transform(other).isna().any().any()
    assert imputer.get_feature_names_out().tolist() == ["id", "time", "x", "y"]


def test_it_must_be_fitted_first():
    with pytest.raises(NotFittedError):
        LatentODEImputer().transform(DF)


@pytest.mark.parametrize("container", ["default", "pandas"])
def test_columns_unknown_to_fit_are_passed_over_and_the_others_stand_as_in_fit(container):
    imputer = LatentODEImputer(quick()).set_output(transform=container).fit(DF)
    found = imputer.transform(DF.assign(note="a")[["y", "note", "time", "id", "x"]])
    pd.testing.assert_frame_equal(found, imputer.transform(DF))
    assert found.columns.tolist() == imputer.get_feature_names_out().tolist()


def test_a_column_that_is_gone_is_named_though_it_is_no_channel():
    imputer = LatentODEImputer(quick()).fit(DF.assign(note="a"))
    with pytest.raises(DataError, match="no column 'note', which was seen in fit"):
        imputer.transform(DF)


def test_columns_named_by_numbers_keep_their_names():
    df = DF.rename(columns={"x": 0, "y": 1})
    assert LatentODEImputer(quick()).fit_transform(df).columns.tolist() == ["id", "time", 0, 1]
