"""Frames of other libraries."""

import numpy as np
import pandas as pd
import pytest

from tests.estimators.tiny import dated, quick, waves

DF = dated(waves(6, 8), unit="ms")


def polars_of(df):
    return pytest.importorskip("polars").from_pandas(df)


def arrow_of(df):
    return pytest.importorskip("pyarrow").Table.from_pandas(df, preserve_index=False)


KINDS = pytest.mark.parametrize("make", [arrow_of, polars_of], ids=["pyarrow", "polars"])


def as_pandas(frame):
    return frame.to_pandas().reset_index(drop=True)


@KINDS
def test_what_goes_in_comes_out_and_the_answers_are_those_of_pandas(make):
    df = make(DF)
    native, plain = quick().fit(df), quick().fit(DF)
    for ask in (
        lambda f, d: f.predict(d),
        lambda f, d: f.predict_interval(d, 80),
        lambda f, d: f.predict_quantiles(d, history=d),
        lambda f, d: f.impute(d),
        lambda f, d: f.sample(d, 2, random_state=0),
        lambda f, d: f.forecast(history=d),
    ):
        found, expected = ask(native, df), ask(plain, DF)
        assert type(found) is type(df)
        pd.testing.assert_frame_equal(as_pandas(found), expected.reset_index(drop=True), check_dtype=False, atol=1e-6)


@KINDS
def test_a_method_given_no_frame_answers_in_the_kind_of_fit(make):
    df = make(DF)
    forecaster = quick().fit(df)
    assert type(forecaster.forecast()) is type(df)
    assert "id" in as_pandas(forecaster.encode()).columns
    assert isinstance(forecaster.predict(DF), pd.DataFrame)
    assert isinstance(forecaster.fit(DF).forecast(), pd.DataFrame)


@KINDS
def test_targets_apart_and_scores(make):
    keys, targets = make(DF[["id", "time"]]), make(DF[["x", "y"]])
    forecaster = quick().fit(keys, targets)
    later = make(DF.assign(time=DF["time"] + pd.Timedelta("30D")))
    assert np.isfinite(forecaster.score(later))
