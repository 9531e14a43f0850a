"""Cut-offs in time."""

import numpy as np
import pandas as pd
import pytest
from sklearn.model_selection import cross_validate

from latentode import CutoffSplit
from latentode.data import DataError
from tests.estimators.tiny import dated, quick, waves

DF = waves(6, 12)


def parts(df, **options):
    return [(df.iloc[train], df.iloc[test]) for train, test in CutoffSplit(**options).split(df)]


def test_dates_are_cut_at_one_time_for_all():
    for train, test in parts(dated(DF).sample(frac=1, random_state=0)):
        assert train["time"].max() < test["time"].min()


def test_numbers_are_cut_in_each_series_own_span():
    shifted = DF.assign(time=DF["time"] + 100.0 * DF["id"].str[1:].astype(int))
    for (train, test), (train_0, test_0) in zip(parts(shifted), parts(DF), strict=True):
        assert train.index.equals(train_0.index)
        assert test.index.equals(test_0.index)
        assert (train.groupby("id")["time"].max() < test.groupby("id")["time"].min()).all()


def test_the_horizon_ends_the_test_part():
    for _, test in parts(dated(DF), horizon="1D"):
        assert test["time"].max() - test["time"].min() <= pd.Timedelta("1D")


def test_later_splits_learn_from_more():
    assert np.all(np.diff([len(train) for train, _ in parts(DF, n_splits=4)]) > 0)


def test_cross_validation_over_cut_offs_gives_finite_scores():
    found = cross_validate(quick(), DF[["id", "time"]], DF[["x", "y"]], cv=CutoffSplit(2))
    assert np.isfinite(found["test_score"]).all()
    assert len(found["test_score"]) == CutoffSplit(2).get_n_splits()


def test_one_series_needs_no_id():
    one = DF[DF["id"] == "s00"].drop(columns="id")
    assert all(train["time"].max() < test["time"].min() for train, test in parts(one))


def test_frames_of_other_libraries_are_cut_alike():
    native = pytest.importorskip("polars").from_pandas(DF)
    for (train, test), (train_0, test_0) in zip(CutoffSplit().split(native), CutoffSplit().split(DF), strict=True):
        np.testing.assert_array_equal(train, train_0)
        np.testing.assert_array_equal(test, test_0)


def test_a_frame_that_cannot_be_split_is_refused_with_the_reason():
    with pytest.raises(DataError, match="split 0 has no rows"):
        parts(DF.assign(time=1.0))
    with pytest.raises(ValueError, match="n_splits=0"):
        parts(DF, n_splits=0)
