"""Static and known columns of the query rows, in any frame and any order."""

import numpy as np
import pandas as pd
import pytest

from latentode import load
from latentode.data import DataError, DataWarning
from tests.estimators.tiny import quick


def frame(n_series=30, n_points=10, seed=0):
    """A level with two settings that are known ahead, a site and an age."""
    rng = np.random.default_rng(seed)
    n = n_series * n_points
    df = pd.DataFrame(
        {
            "id": np.repeat(np.arange(n_series), n_points),
            "time": np.sort(rng.uniform(0, 10, (n_series, n_points)), axis=1).ravel(),
            "u": rng.integers(0, 3, n).astype(float),
            "w": rng.choice(["on", "off"], n),
            "site": np.repeat(rng.choice(["a", "b"], n_series), n_points),
            "age": np.repeat(rng.normal(50, 10, n_series), n_points),
        }
    )
    df["y"] = df["u"] + 2 * (df["site"] == "b") + (df["w"] == "on") + 0.1 * df["age"] + 0.1 * rng.normal(size=n)
    return df


DF = frame()
SEEN = DF[DF["id"] < 25]
NEW = DF[DF["id"] >= 25]
ROLES = {"target_cols": "y", "known_cols": ["u", "w"], "static_cols": ["site", "age"]}
PLAN = pd.DataFrame({"id": np.repeat([0, 1, 2], 3), "time": [10.1, 10.5, 11.0] * 3})
UNSEEN = pd.DataFrame({"id": ["x", "y"], "time": 5.0, "u": 0.0, "w": "on", "site": ["a", "b"], "age": [30.0, 70.0]})


@pytest.fixture(scope="module")
def fitted():
    return quick(max_steps=10, **ROLES).fit(SEEN)


def apart(first, second):
    return np.abs(first["y"].to_numpy() - second["y"].to_numpy()).min()


# ----------------------------------------------------------------------------------------- known columns


def test_a_known_column_is_used_though_another_is_missing_and_only_that_one_is_named(fitted):
    with pytest.warns(DataWarning, match=r"the query rows lack \['w'\]"):
        low = fitted.predict(PLAN.assign(u=0.0))
    with pytest.warns(DataWarning, match=r"the query rows lack \['w'\]"):
        high = fitted.predict(PLAN.assign(u=2.0))
    assert apart(low, high) > 1e-4


def test_a_missing_known_column_is_held_at_its_last_value(fitted):
    last = SEEN.groupby("id")[["u", "w"]].last()
    given = PLAN.assign(u=1.0, w=PLAN["id"].map(last["w"]))
    with pytest.warns(DataWarning, match=r"\['w'\]: the last known value of each series is held"):
        held = fitted.predict(given.drop(columns="w"))
    pd.testing.assert_frame_equal(held, fitted.predict(given), check_exact=True)
    given = PLAN.assign(u=PLAN["id"].map(last["u"]), w="off")
    with pytest.warns(DataWarning, match=r"\['u'\]"):
        pd.testing.assert_frame_equal(
            fitted.predict(given.drop(columns="u")), fitted.predict(given), rtol=1e-5, atol=1e-6
        )


def test_a_known_column_missing_inside_the_history_has_the_value_held_then(fitted):
    with pytest.warns(DataWarning, match=r"query rows lack \['w'\]"):
        held = fitted.predict(SEEN.drop(columns="w"))
    pd.testing.assert_frame_equal(held, fitted.predict(SEEN), check_exact=True)


def test_rows_of_one_series_and_time_with_different_known_values_are_averaged_with_a_warning(fitted):
    both = pd.concat([PLAN.assign(u=0.0, w="on"), PLAN.assign(u=2.0, w="on")], ignore_index=True)
    with pytest.warns(DataWarning, match=r"18 query rows share their \(series, time\) and differ in \['u', 'w'\]"):
        found = fitted.predict(both)
    with pytest.warns(DataWarning, match="18 query rows"):
        turned = fitted.predict(both[::-1])
    pd.testing.assert_frame_equal(turned[::-1], found, rtol=1e-6)
    between = fitted.predict(PLAN.assign(u=1.0, w="on"))
    np.testing.assert_allclose(found["y"], np.tile(between["y"], 2), rtol=1e-5)


def test_equal_rows_give_no_warning(fitted, recwarn):
    given = PLAN.assign(u=0.1, w="on")
    fitted.predict(pd.concat([given, given, given]))
    assert len(recwarn) == 0


def test_known_columns_in_the_history_of_a_series_without_observations_are_used(fitted):
    settings = pd.DataFrame({"id": "x", "time": [0.0, 1.0], "y": np.nan, "u": [2.0, 2.0], "w": "on", "site": "a"})
    row = pd.DataFrame({"id": ["x"], "time": [5.0], "site": "a"})
    with pytest.warns(DataWarning, match="no observations of series 'x'"):
        high = fitted.predict(row, history=settings)
    with pytest.warns(DataWarning, match="no observations of series 'x'"):
        low = fitted.predict(row, history=settings.assign(u=0.0))
    assert apart(low, high) > 1e-5


def test_fit_is_the_same_to_the_last_digit_where_rows_repeat_a_time_with_other_known_values_in_any_order():
    again = pd.concat([SEEN, SEEN.iloc[::7].assign(u=5.0, w="off"), SEEN.iloc[::7].assign(u=0.3)], ignore_index=True)
    fits = [quick(max_steps=3, **ROLES).fit(df) for df in (again, again.sample(frac=1, random_state=0))]
    given = PLAN.assign(u=1.0, w="on")
    pd.testing.assert_frame_equal(fits[0].predict(given), fits[1].predict(given), check_exact=True)


# ---------------------------------------------------------------------------------------- static columns


def test_a_static_column_is_used_where_another_is_missing_and_that_one_is_named(fitted):
    message = "neither the history nor the query rows hold 'age' of series 'x', 'y': it is treated as unknown"
    with pytest.warns(DataWarning, match=message):
        found = fitted.predict(UNSEEN.drop(columns="age"))
    assert found["y"][0] != pytest.approx(found["y"][1], abs=1e-5)
    with pytest.warns(DataWarning, match="hold 'site' of series"):
        found = fitted.predict(UNSEEN.drop(columns="site"))
    assert found["y"][0] != pytest.approx(found["y"][1], abs=1e-5)


@pytest.mark.parametrize("left", [["site"], ["age"], ["site", "age"]])
def test_static_columns_may_be_in_the_query_rows_and_not_in_the_history(fitted, left):
    queries = NEW.drop(columns="y")
    expected = fitted.predict(queries, history=NEW)
    found = fitted.predict(queries, history=NEW.drop(columns=left))
    pd.testing.assert_frame_equal(found, expected, check_exact=True)
    other = queries.assign(**{c: NEW[c].map({"a": "b", "b": "a"}) if c == "site" else NEW[c] + 40 for c in left})
    assert apart(fitted.predict(other, history=NEW.drop(columns=left)), expected) > 1e-6


def test_static_columns_that_are_nowhere_are_unknown_with_a_warning(fitted):
    bare = SEEN.drop(columns=["site", "age"])
    with pytest.warns(DataWarning, match="neither the history nor the query rows hold 'site' of series 0, 1") as caught:
        fitted.predict(bare, history=bare)
    assert "hold 'age' of series 0, 1" in str(caught[0].message)


def test_a_static_column_missing_already_in_fit_gives_no_warning(recwarn):
    df = SEEN.assign(site=SEEN["site"].where(SEEN["id"] != 3))
    forecaster = quick(**ROLES).fit(df)
    forecaster.predict(SEEN.drop(columns=["site", "age"]))
    assert len(recwarn) == 0
    given, unknown = forecaster.predict(SEEN[SEEN["id"] == 3]), forecaster.predict(df[df["id"] == 3])
    assert apart(given, unknown) > 1e-6


def test_a_static_column_may_be_left_out_of_an_update_an_imputation_and_an_encoding(fitted):
    later = SEEN.assign(time=SEEN["time"] + 10)
    forecaster = quick(max_steps=5, **ROLES).fit(SEEN)
    queries = PLAN.assign(time=PLAN["time"] + 10, u=1.0, w="on")
    expected = quick(max_steps=5, **ROLES).fit(SEEN).update(later).predict(queries)
    pd.testing.assert_frame_equal(
        forecaster.update(later.drop(columns=["site", "age"])).predict(queries), expected, check_exact=True
    )
    holes = NEW.assign(y=NEW["y"].where(NEW.index % 3 > 0))
    with pytest.warns(DataWarning, match="hold 'age' of series 25"):
        assert fitted.impute(holes.drop(columns="age"))["y"].notna().all()
    encoded = fitted.encode(NEW.drop(columns="age"))
    assert np.isfinite(encoded).all().all()
    assert not np.allclose(encoded, fitted.encode(NEW.drop(columns=["age", "site"])))


def test_a_static_column_that_changes_among_the_query_rows_is_refused_with_its_series(fitted):
    rows = pd.concat([UNSEEN, UNSEEN.assign(site="b", time=6.0)])
    with pytest.raises(DataError, match=r"static column 'site' changes within series 'x': it holds 'a' and 'b'"):
        fitted.predict(rows)


def test_a_static_value_may_be_in_one_query_row_of_its_series(fitted):
    rows = pd.concat([UNSEEN, UNSEEN.assign(site=None, age=np.nan, time=6.0)], ignore_index=True)
    with pytest.warns(DataWarning, match="no observations of series"):
        found = fitted.predict(rows)
    with pytest.warns(DataWarning, match="no observations of series"):
        whole = fitted.predict(rows.assign(site=["a", "b"] * 2, age=[30.0, 70.0] * 2))
    pd.testing.assert_frame_equal(found, whole, check_exact=True)


def test_rows_without_an_id_are_one_unseen_series_and_rows_without_a_time_are_nan(fitted):
    rows = UNSEEN.assign(id=[None, "x"], time=[5.0, np.nan])
    with pytest.warns(DataWarning, match="no observations of series"):
        found = fitted.predict(rows)["y"]
    assert np.isnan(found).tolist() == [False, True]


def test_unknown_static_values_stay_unknown_in_a_saved_model(tmp_path):
    df = SEEN.assign(site=SEEN["site"].where(SEEN["id"] != 3))
    forecaster = quick(**ROLES).fit(df)
    forecaster.save(tmp_path / "model")
    for queries in (SEEN, df):
        pd.testing.assert_frame_equal(load(tmp_path / "model").predict(queries), forecaster.predict(queries))


# ------------------------------------------------------------------------------------------------- order


def test_the_order_of_unseen_and_seen_series_changes_no_prediction(fitted):
    rows = pd.concat([UNSEEN, NEW, SEEN]).astype({"id": str}).drop(columns="y").reset_index(drop=True)
    forecaster = quick(max_steps=5, **ROLES).fit(SEEN.astype({"id": str}))
    shuffled = rows.sample(frac=1, random_state=0)
    for predict in (forecaster.predict, forecaster.predict_interval):
        with pytest.warns(DataWarning, match="no observations of series"):
            expected = predict(rows)
        with pytest.warns(DataWarning, match="no observations of series"):
            pd.testing.assert_frame_equal(predict(shuffled).loc[rows.index], expected, check_exact=True)
