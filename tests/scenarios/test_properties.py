"""What must not matter: the order of rows, the names of series, the zero and the unit of time, units of channels."""

import itertools
import warnings

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sklearn.base import clone

from latentode.data import DataWarning
from latentode.estimators import query_batches
from tests.estimators.tiny import checks_every, dated, quick, waves

pytestmark = pytest.mark.usefixtures("roughly_stacked")

few = settings(
    max_examples=8,
    derandomize=True,
    deadline=None,
    database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
once = settings(few, max_examples=2)

BASE = waves(4, 8)
QUERY = pd.concat(
    [BASE[["id", "time"]], pd.DataFrame({"id": BASE["id"].unique().repeat(3), "time": [-1.0, 7.0, 11.0] * 4})],
    ignore_index=True,
)


@pytest.fixture(scope="module", autouse=True)
def _often():
    with checks_every(5):
        yield


@pytest.fixture(scope="module")
def model():
    return quick(max_steps=10, stacking=True).fit(BASE)


@pytest.fixture(scope="module")
def expected(model):
    return model.predict(QUERY)


def histories(df):
    """The same series under names that fit has not seen."""
    return df.assign(id="new-" + df["id"].astype(str))


@few
@given(seed=st.integers(0, 10**6))
def test_rows_of_queries_and_history_in_any_order_give_the_same_predictions(model, expected, seed):
    query = histories(QUERY).sample(frac=1, random_state=seed)
    found = model.predict(query, history=histories(BASE).sample(frac=1, random_state=seed + 1))
    np.testing.assert_allclose(found.sort_index(), expected, atol=1e-5)


@few
@given(names=st.lists(st.text(min_size=1), min_size=4, max_size=4, unique=True))
def test_series_by_any_name_give_the_same_predictions(model, expected, names):
    relabel = dict(zip(BASE["id"].unique(), ["~" + n for n in names], strict=True))
    query, history = (df.assign(id=df["id"].map(relabel)) for df in (QUERY, BASE))
    np.testing.assert_allclose(model.predict(query, history=history), expected, atol=1e-5)


@few
@given(shift=st.floats(-1e6, 1e6))
def test_series_at_any_time_give_the_same_predictions(model, expected, shift):
    query, history = (histories(df).assign(time=lambda d: d["time"] + shift) for df in (QUERY, BASE))
    np.testing.assert_allclose(model.predict(query, history=history), expected, atol=1e-4)


@few
@given(data=st.data())
def test_predictions_of_some_rows_are_those_of_all(model, expected, data):
    rows = data.draw(st.lists(st.integers(0, len(QUERY) - 1), min_size=1, max_size=20))
    np.testing.assert_allclose(model.predict(QUERY.iloc[rows]), expected.iloc[rows], atol=1e-5)


@few
@given(cuts=st.lists(st.integers(0, len(QUERY)), max_size=4), cells=st.integers(1, 2000))
def test_queries_in_any_parts_and_batches_get_the_same_predictions(model, expected, cuts, cells):
    edges = [0, *sorted(cuts), len(QUERY)]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(query_batches, "CELLS_A_BATCH", cells)
        found = [model.predict(QUERY.iloc[a:b]) for a, b in itertools.pairwise(edges) if b > a]
    np.testing.assert_allclose(pd.concat(found), expected, atol=1e-5)


@few
@given(rows=st.lists(st.integers(0, len(QUERY) - 1), min_size=1, max_size=10), copies=st.integers(2, 4))
def test_a_query_repeated_in_one_frame_gets_the_same_prediction(model, expected, rows, copies):
    found = model.predict(QUERY.iloc[rows * copies])
    assert found.index.tolist() == rows * copies
    np.testing.assert_allclose(found, expected.iloc[rows * copies], atol=1e-5)


@pytest.mark.parametrize("year", [1700, 2200])
def test_series_in_any_century_give_the_same_fit_and_the_same_predictions(year):
    away = pd.Timestamp(year=year, month=1, day=1) - pd.Timestamp("1970-01-01")
    here, queried = (dated(df) for df in (BASE, QUERY))
    there, queried_there = (df.assign(time=df["time"] + away) for df in (here, queried))
    forecaster = quick(max_steps=10, stacking=True, seasonality=None)
    model = clone(forecaster).fit(here)
    expected = model.predict(queried)
    found = clone(forecaster).fit(there).predict(queried_there)
    pd.testing.assert_frame_equal(found, expected, check_exact=True)
    found = model.predict(histories(queried_there), history=histories(there))
    np.testing.assert_allclose(found, expected, atol=1e-4)


@few
@given(extra=st.integers(0, 5), copies=st.integers(1, 3))
def test_empty_and_repeated_rows_of_history_change_nothing(model, expected, extra, copies):
    history = histories(BASE)
    empty = history.iloc[:extra].assign(time=lambda d: d["time"] + 0.123, x=np.nan, y=np.nan)
    history = pd.concat([history, empty], ignore_index=True)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DataWarning)  # it says how many rows were averaged
        found = model.predict(histories(QUERY), history=pd.concat([history] * copies))
    np.testing.assert_allclose(found, expected, atol=1e-5)


@once
@given(seed=st.integers(0, 10**6))
def test_rows_in_any_order_give_the_same_fit_bit_for_bit(expected, seed):
    found = quick(max_steps=10, stacking=True).fit(BASE.sample(frac=1, random_state=seed)).predict(QUERY)
    pd.testing.assert_frame_equal(found, expected, check_exact=True)


@once
@given(prefix=st.text(max_size=3))
def test_series_by_other_names_in_the_same_order_give_the_same_fit(expected, prefix):
    rename = {"id": lambda d: prefix + d["id"]}
    found = quick(max_steps=10, stacking=True).fit(BASE.assign(**rename)).predict(QUERY.assign(**rename))
    pd.testing.assert_frame_equal(found, expected, check_exact=True)


@once
@given(shift=st.integers(-(2**20), 2**20))
def test_another_zero_of_time_gives_the_same_fit(expected, shift):
    move = {"time": lambda d: d["time"] + shift}
    found = quick(max_steps=10, stacking=True).fit(BASE.assign(**move)).predict(QUERY.assign(**move))
    np.testing.assert_allclose(found, expected, atol=2e-3)


@once
@given(power=st.integers(-20, 20))
def test_another_unit_of_time_gives_the_same_fit(expected, power):
    change = {"time": lambda d: d["time"] * 2.0**power}
    found = quick(max_steps=10, stacking=True).fit(BASE.assign(**change)).predict(QUERY.assign(**change))
    np.testing.assert_allclose(found, expected, atol=1e-4)


@once
@given(powers=st.tuples(st.integers(-40, 40), st.integers(-40, 40)))
def test_other_units_of_the_channels_give_the_same_fit(expected, powers):
    a, b = (2.0**p for p in powers)
    found = quick(max_steps=10, stacking=True).fit(BASE.assign(x=BASE["x"] * a, y=BASE["y"] * b)).predict(QUERY)
    np.testing.assert_allclose(found / [a, b], expected, atol=1e-4)


@pytest.mark.parametrize("n_series", [4, 24])  # the ends of few are held out, of more whole ones
def test_a_fit_does_not_depend_on_the_names_of_series(n_series):
    df = waves(n_series, 8)
    names = df["id"].unique()
    other = df.assign(id=df["id"].map(dict(zip(names, names[::-1], strict=True))))
    found = [quick(max_steps=10, stacking=True).fit(frame).predict(frame) for frame in (df, other)]
    np.testing.assert_allclose(found[1], found[0], atol=1e-4)
