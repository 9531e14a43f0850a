import numpy as np
import pandas as pd
import pytest

from latentode.data import DataError, Schema
from latentode.estimators.support import refuse_unsupported
from tests.estimators.tiny import quick

COUNTS = pd.DataFrame(
    {
        "id": np.repeat(["a", "b", "c", "d"], 6),
        "time": np.tile(np.arange(6.0), 4),
        "y": np.random.default_rng(0).poisson(3.0, 24),
    }
)
WRONG = COUNTS.assign(id="new", y=COUNTS["y"].where(COUNTS["time"] != 4, -3))
QUERY = pd.DataFrame({"id": ["new"], "time": [7.0]})


@pytest.fixture(scope="module")
def counting():
    return quick(likelihood="poisson").fit(COUNTS)


@pytest.mark.parametrize(
    "use",
    [
        lambda f: f.fit(WRONG),
        lambda f: f.update(WRONG),
        lambda f: f.predict(QUERY, history=WRONG),
        lambda f: f.predict_quantiles(QUERY, history=WRONG),
        lambda f: f.predict_interval(QUERY, history=WRONG),
        lambda f: f.sample(QUERY, 2, history=WRONG),
        lambda f: f.forecast(history=WRONG),
        lambda f: f.impute(WRONG),
        lambda f: f.encode(WRONG),
        lambda f: f.score(WRONG),
        lambda f: f.score(WRONG[["id", "time"]], WRONG["y"]),
        lambda f: f.score(WRONG.assign(id="a", time=WRONG["time"] + 6)),
    ],
    ids=[
        "fit",
        "update",
        "predict",
        "quantiles",
        "interval",
        "sample",
        "forecast",
        "impute",
        "encode",
        "score",
        "y",
        "on",
    ],
)
def test_a_negative_count_is_refused_wherever_it_comes_in(counting, use):
    before = counting.panel_
    with pytest.raises(DataError, match=r"likelihood='poisson' is for whole numbers .* column 'y' holds -3 in row 4;"):
        use(counting)
    pd.testing.assert_index_equal(counting.panel_.ids, before.ids)


def test_missing_values_and_supported_ones_are_not_refused():
    df = pd.DataFrame({"y": [0.0, np.nan, 1.0]})
    refuse_unsupported(df, Schema("id", "time", ("y",)), ["bernoulli"])
