"""Frames of other libraries."""

import numpy as np
import pandas as pd
import pytest

from latentode.data import DataError, DataWarning
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
def test_the_kind_of_frame_given_is_returned_with_the_values_of_pandas(make):
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
def test_a_method_without_a_frame_returns_the_kind_given_to_fit(make):
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


def odd_of(make):
    """Dates, texts, categories and small whole numbers with holes, as the library itself has them."""
    days = pd.Series(pd.date_range("2024-01-01", periods=8).date.tolist() * 6, dtype=object)
    df = DF.assign(time=days, note=[None, "a"] * 24, level=pd.Categorical([None, "b"] * 24))
    table = arrow_of(df.assign(count=pd.array([None, 1] * 24, dtype="Int32")))
    return table if make is arrow_of else pytest.importorskip("polars").from_arrow(table)


def dtypes_of(frame):
    names = getattr(frame, "column_names", None) or frame.columns
    return {c: getattr(frame[c], "type", None) or frame[c].dtype for c in names}


@KINDS
def test_columns_that_impute_does_not_fill_come_back_as_they_were(make):
    df = odd_of(make)
    filled = quick(target_cols=["x", "y"]).fit(df).impute(df)
    assert dtypes_of(filled) == dtypes_of(df)
    for column in ("id", "time", "note", "level", "count"):
        assert filled[column].equals(df[column])
    assert np.isfinite(as_pandas(filled)[["x", "y"]]).all(axis=None)


@KINDS
def test_ids_and_times_keep_their_dtypes_and_what_is_missing_is_null(make):
    df = odd_of(make)
    forecaster = quick(target_cols=["x", "y"]).fit(df)
    query = DF[["id"]].head(3).assign(time=as_pandas(df)["time"])
    query.loc[0, "id"], query.loc[1, "time"] = None, None
    types = {"id": dtypes_of(df)["id"], "time": dtypes_of(df)["time"]}
    queried = arrow_of(query) if make is arrow_of else pytest.importorskip("polars").from_arrow(arrow_of(query))
    with pytest.warns(DataWarning, match="1 rows without a time"):
        found = forecaster.sample(queried, 2, random_state=0)
    assert as_pandas(found)["id"].isna().sum() == as_pandas(found)["time"].isna().sum() == 2
    assert found["x"].null_count == 2 if make is arrow_of else found["x"].null_count() == 2
    for answer in (forecaster.forecast("3D", "1D"), forecaster.forecast("3D", "1D", history=df)):
        assert {c: dtypes_of(answer)[c] for c in types} == types
    assert dtypes_of(forecaster.forecast("3D", "6h"))["time"] != types["time"]


@KINDS
def test_no_rows_have_the_dtypes_of_many(make):
    df = odd_of(make)
    forecaster = quick(target_cols=["x", "y"]).fit(df)
    for ask in (forecaster.predict, forecaster.predict_interval, lambda d: forecaster.sample(d, 2)):
        assert dtypes_of(ask(df[:0] if make is polars_of else df.slice(0, 0))) == dtypes_of(ask(df))


@KINDS
def test_the_first_frame_decides_the_kind_returned(make):
    forecaster = quick().fit(DF)
    assert type(forecaster.predict(make(DF), history=DF)) is type(make(DF))
    assert isinstance(forecaster.predict(DF, history=make(DF)), pd.DataFrame)


def test_a_lazy_frame_is_refused_with_the_way_out():
    with pytest.raises(DataError, match=r"frame\.collect\(\)"):
        quick().fit(polars_of(DF).lazy())
