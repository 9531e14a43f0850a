"""Static, known and past columns, from fit to the file."""

import numpy as np
import pandas as pd
import pytest

from latentode import LatentODEForecaster, load
from latentode.data import DataWarning
from tests.estimators.tiny import quick

pytestmark = pytest.mark.usefixtures("roughly_stacked")


def driven(n_series=60, n_points=20, seed=0):
    """A level that a setting known ahead drives, and an offset by group."""
    rng = np.random.default_rng(seed)
    times = np.sort(rng.uniform(0, 10, (n_series, n_points)), axis=1)
    setting = rng.integers(0, 3, (n_series, n_points)).astype(float)
    group = rng.choice(["a", "b"], n_series)
    level = np.zeros((n_series, n_points))
    for k in range(1, n_points):  # relaxes towards the setting that held since the row before
        kept = np.exp(-0.8 * (times[:, k] - times[:, k - 1]))
        level[:, k] = kept * level[:, k - 1] + (1 - kept) * setting[:, k - 1]
    y = level + 2.0 * (group == "b")[:, None] + 0.05 * rng.normal(size=level.shape)
    return pd.DataFrame(
        {
            "id": np.repeat(np.arange(n_series), n_points),
            "time": times.ravel(),
            "y": y.ravel(),
            "setting": setting.ravel(),
            "group": np.repeat(group, n_points),
        }
    )


DF = driven()
ROLES = {"target_cols": "y", "static_cols": ["group"], "known_cols": "setting"}


@pytest.fixture(scope="module")
def fitted():
    return quick(max_steps=15, stacking=True, **ROLES).fit(DF[DF["id"] < 45])


def test_columns_predicted_are_the_targets(fitted):
    assert fitted.predict(DF).columns.tolist() == ["y"]
    assert fitted.channels_ == ("y",)


@pytest.mark.slow
def test_what_is_known_pays():
    train, late = DF[DF["id"] < 45], DF[(DF["id"] >= 45) & (DF["time"] > 3)]
    history = DF[(DF["id"] >= 45) & (DF["time"] <= 3)]
    errors = {}
    for name, roles in (("with", ROLES), ("without", {"target_cols": "y"})):
        forecaster = LatentODEForecaster(max_steps=400, hidden_dim=32, horizon=4.0, random_state=0, **roles).fit(train)
        soon = late[late["time"] <= 7]
        predicted = forecaster.predict(soon.drop(columns="y"), history=history)["y"]
        errors[name] = float(((predicted - soon["y"]) ** 2).mean())
    assert errors["with"] < 0.7 * errors["without"]


def test_a_known_value_between_two_queries_moves_what_comes_after(fitted):
    rows = pd.DataFrame({"id": 0, "time": [10.5, 11.0, 12.0], "setting": [0.0, 0.0, 0.0], "group": DF["group"][0]})
    before = fitted.predict(rows)["y"]
    after = fitted.predict(rows.assign(setting=[0.0, 2.0, 0.0]))["y"]
    assert before[0] != pytest.approx(after[1], abs=1e-6)
    assert before[2] != pytest.approx(after[2], abs=1e-6)


def test_an_unseen_series_is_predicted_by_its_group(fitted):
    rows = pd.DataFrame({"id": ["x", "y"], "time": 5.0, "setting": 0.0, "group": ["a", "b"]})
    with pytest.warns(DataWarning, match="no observations of series"):
        found = fitted.predict(rows)["y"]
    assert found[1] != pytest.approx(found[0], abs=1e-5)


def test_an_unseen_category_is_predicted_with_a_warning(fitted):
    rows = DF[DF["id"] == 0].assign(group="c")
    with pytest.warns(DataWarning, match="column 'group' holds 'c', a category not seen in fit"):
        assert np.isfinite(fitted.predict(rows)).all().all()


def test_missing_settings_are_held_with_a_warning(fitted):
    seen = DF[DF["id"] < 45]
    with pytest.warns(DataWarning, match=r"the query rows lack \['setting'\]: the last known value"):
        held = fitted.predict(seen[["id", "time"]])
    pd.testing.assert_frame_equal(held, fitted.predict(seen), rtol=1e-4, atol=1e-5)  # there they were all known


def test_a_static_column_may_be_left_out_of_known_series(fitted):
    seen = DF[DF["id"] < 45]
    pd.testing.assert_frame_equal(fitted.predict(seen.drop(columns="group")), fitted.predict(seen), check_exact=True)


def test_a_forecast_holds_the_last_setting(fitted):
    with pytest.warns(DataWarning, match="is held"):
        future = fitted.forecast(horizon=2.0, freq=1.0)
    last = DF[DF["id"] < 45].groupby("id")["setting"].last()
    reported = fitted.predict(future[["id", "time"]].assign(setting=future["id"].map(last)))
    np.testing.assert_allclose(future["y"], reported["y"], atol=1e-5)


def test_predictions_depend_on_past_and_future_settings_and_not_on_the_order_of_rows(fitted):
    shuffled = DF.sample(frac=1, random_state=0)
    pd.testing.assert_frame_equal(
        fitted.predict(shuffled, history=shuffled).loc[DF.index], fitted.predict(DF, history=DF), rtol=1e-4, atol=1e-5
    )


def test_past_columns_are_read_and_not_predicted():
    df = DF.assign(hint=DF["y"].shift(-1))
    forecaster = quick(target_cols="y", past_cols="hint").fit(df)
    assert forecaster.predict(df).columns.tolist() == ["y"]
    assert forecaster.predict_interval(df, 80).shape[1] == 2
    assert forecaster.sample(df.head(3), 2).columns.tolist() == ["id", "time", "sample_id", "y"]
    assert np.isfinite(forecaster.score(df.assign(time=df["time"] + 20)))
    moved = df.assign(hint=df["hint"] + 3)
    assert not np.allclose(forecaster.predict(df, history=moved), forecaster.predict(df, history=df), atol=1e-4)


@pytest.mark.parametrize("include_history", [True, False])
def test_saved_and_loaded_it_predicts_the_same(fitted, tmp_path, include_history):
    fitted.save(tmp_path / "model", include_history=include_history)
    again = load(tmp_path / "model")
    assert again.get_params() == fitted.get_params()
    pd.testing.assert_frame_equal(again.predict(DF, history=DF), fitted.predict(DF, history=DF), check_exact=True)


@pytest.mark.parametrize("dynamics", ["mlp", "linear", "mixed"])
def test_all_dynamics_take_covariates(dynamics):
    forecaster = quick(dynamics=dynamics, **ROLES).fit(DF)
    assert np.isfinite(forecaster.predict(DF)).all().all()


def test_few_series_take_covariates_too():
    few = DF[DF["id"] < 3]
    assert np.isfinite(quick(stacking=True, **ROLES).fit(few).predict(few)).all().all()
