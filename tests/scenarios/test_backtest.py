"""A forecaster with columns of every role, in the backtest and in scikit-learn's cross-validation."""

import numpy as np
from sklearn.model_selection import cross_validate

from latentode import CutoffSplit
from latentode.evaluation import LastValue, backtest
from tests.estimators.tiny import quick, waves

ROLES = {
    "id_col": "patient",
    "time_col": "day",
    "target_cols": ["x"],
    "static_cols": ["sex"],
    "known_cols": ["dose"],
    "past_cols": ["y"],
}


def rich():
    df = waves(6, 12, missing=0.0).rename(columns={"id": "patient", "time": "day"})
    return df.assign(sex=np.where(df["patient"] < "s03", "f", "m"), dose=np.arange(len(df)) % 2)


def test_a_forecaster_with_covariates_is_backtested_by_its_own_columns():
    reported = backtest(quick(**ROLES, horizon=2.0), rich(), fractions=[0.6], horizon=2.0, naive={"last": LastValue})
    assert set(reported["channel"]) == {"x"}
    assert reported["mean"].notna().all()
    assert (reported["model"] == "forecaster").sum() == (reported["model"] == "last").sum()


def test_a_forecaster_with_covariates_is_cross_validated_in_time():
    found = cross_validate(
        quick(**ROLES), rich(), cv=CutoffSplit(2, id_col="patient", time_col="day"), error_score="raise"
    )
    assert np.isfinite(found["test_score"]).all()
