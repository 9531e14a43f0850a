import numpy as np
import pandas as pd


def test_encoding_gives_a_row_per_series(fitted, df):
    found = fitted.encode(df)
    assert found.index.tolist() == sorted(df["id"].unique())
    assert found.index.name == "id"
    assert found.columns[0] == "z0"
    assert np.isfinite(found).all().all()
    pd.testing.assert_frame_equal(found, fitted.encode())


def test_encoding_some_series_is_some_rows_of_encoding_all(fitted, df):
    some = df[df["id"].isin(["s03", "s07"])]
    pd.testing.assert_frame_equal(fitted.encode(some), fitted.encode(df).loc[["s03", "s07"]], atol=1e-5)
