"""Amounts given at instants, from fit to the file."""

import numpy as np
import pandas as pd
import pytest

from latentode import LatentODEForecaster, load
from latentode.cli import main
from latentode.data import DataError, DataWarning
from latentode.evaluation import backtest
from tests.estimators.tiny import quick

pytestmark = pytest.mark.usefixtures("roughly_stacked")


def dosed(n_series=30, n_points=12, seed=0):
    """A level that jumps by each dose and decays; rows of measurements and rows of doses, and a setting that holds."""
    rng = np.random.default_rng(seed)
    rows = []
    for i in range(n_series):
        times, given_at = np.sort(rng.uniform(0, 10, n_points)), np.sort(rng.uniform(0, 10, 4))
        amounts, since = rng.uniform(1, 5, 4), times[:, None] - given_at
        level = np.where(since > 0, np.exp(-0.7 * since), 0.0) @ amounts + 0.05 * rng.normal(size=n_points)
        rows.append(pd.DataFrame({"id": i, "time": times, "level": level, "setting": rng.normal(size=n_points)}))
        rows.append(pd.DataFrame({"id": i, "time": given_at, "dose": amounts}))
    return pd.concat(rows, ignore_index=True)


DF = dosed()
ROLES = {"target_cols": "level", "impulse_cols": ["dose"]}
TIMES = [10.5, 11.0, 11.5, 12.0]
PLAN = pd.DataFrame({"id": 3, "time": TIMES, "dose": [np.nan, 4.0, np.nan, np.nan]})


@pytest.fixture(scope="module")
def fitted():
    return quick(max_steps=15, stacking=True, **ROLES).fit(DF[DF["id"] < 25])


def level(forecaster, rows, **kwargs):
    return forecaster.predict(rows, **kwargs)["level"].to_numpy()


@pytest.mark.slow
def test_a_dose_that_is_known_pays():
    train, test = DF[DF["id"] < 22], DF[DF["id"] >= 22]
    late = test[test["time"] > 5]
    errors = {}
    for name, roles in (("with", ROLES), ("without", {"target_cols": "level"})):
        forecaster = LatentODEForecaster(max_steps=150, n_models=1, horizon=5.0, random_state=0, **roles).fit(train)
        predicted = level(forecaster, late.drop(columns="level"), history=test[test["time"] <= 5])
        errors[name] = np.nanmean((predicted - late["level"]) ** 2)
    assert errors["with"] < 0.5 * errors["without"]


def test_a_dose_acts_strictly_after_its_instant(fitted):
    without, found = level(fitted, PLAN.drop(columns="dose")), level(fitted, PLAN)
    np.testing.assert_array_equal(found[:2], without[:2])
    assert (np.abs(found[2:] - without[2:]) > 1e-4).all()


def test_simultaneous_doses_add_up_and_their_order_and_zeros_have_no_effect(fitted):
    twice = pd.concat([PLAN.assign(dose=[0.0, 1.0, np.nan, 0.0]), PLAN.iloc[[1]].assign(dose=3.0)])
    found = level(fitted, twice.sample(frac=1, random_state=0).sort_values("time", kind="stable"))
    np.testing.assert_allclose(found[[0, 1, 3, 4]], level(fitted, PLAN), rtol=1e-5)


def test_a_dose_already_known_is_replaced_by_one_given_and_kept_where_none_is(fitted):
    known = DF[(DF["id"] == 3) & DF["dose"].notna()]
    last = known[["id", "time", "dose"]].iloc[[-1]]
    later = PLAN.drop(columns="dose")
    unchanged = level(fitted, later)
    for same in (last, last.assign(dose=np.nan)):
        np.testing.assert_array_equal(level(fitted, pd.concat([later, same]))[:4], unchanged)
    changed = level(fitted, pd.concat([later, last.assign(dose=0.0)]))[:4]
    assert np.abs(changed - unchanged).max() > 1e-5


def test_a_dose_after_the_last_measurement_of_the_history_counts_in_a_forecast(fitted):
    own = DF[DF["id"] == 3]
    end = own.loc[own["level"].notna(), "time"].max()
    dose = pd.DataFrame({"id": [3], "time": [end + 0.1], "dose": [5.0], "level": [np.nan]})
    own = own[own["time"] <= end]
    before = fitted.forecast(2.0, level=(), history=own)
    after = fitted.forecast(2.0, level=(), history=pd.concat([own, dose]))
    pd.testing.assert_frame_equal(before[["id", "time"]], after[["id", "time"]])  # it moves no forecast origin
    assert (before["level"] - after["level"]).abs().max() > 1e-4


def test_an_answer_does_not_depend_on_the_other_queries(fitted):
    early = pd.DataFrame({"id": 3, "time": [-30.0, 0.5], "dose": np.nan})
    together = level(fitted, pd.concat([early, PLAN]))[2:]
    np.testing.assert_allclose(together, level(fitted, PLAN), rtol=1e-5, atol=1e-6)


def test_a_dose_leaves_the_level_of_a_known_covariate_as_it_is():
    both = quick(max_steps=5, known_cols=["setting"], **ROLES).fit(DF)
    own = both.panel_.covariates
    assert len(own.known.times) == DF["level"].notna().sum()
    assert len(own.impulses.times) == DF["dose"].notna().sum()
    rows = PLAN.assign(setting=[1.0, np.nan, np.nan, np.nan]).iloc[:2]
    later = pd.DataFrame({"id": [3], "time": [12.0], "setting": [0.5], "dose": [np.nan]})
    held = level(both, pd.concat([rows, later]))
    given = level(both, pd.concat([rows.assign(setting=1.0), later]))
    np.testing.assert_allclose(held, given, rtol=1e-5)


def test_what_is_saved_predicts_the_same_and_grows_the_same(fitted, tmp_path):
    fitted.save(tmp_path / "model")
    loaded = load(tmp_path / "model")
    np.testing.assert_array_equal(level(loaded, PLAN), level(fitted, PLAN))
    new = DF[DF["id"] == 3].assign(time=lambda d: d["time"] + 10)
    np.testing.assert_array_equal(level(loaded.update(new), PLAN), level(load(tmp_path / "model").update(new), PLAN))
    assert loaded.panel_.covariates.impulses.n_features == 1


def test_doses_reach_every_way_to_use_a_forecaster(fitted):
    unseen = DF[DF["id"] >= 25]
    without = unseen.assign(dose=0.0)
    assert fitted.score(unseen) != fitted.score(without)
    filled, other = fitted.impute(unseen), fitted.impute(without)
    missing = unseen["level"].isna()
    assert filled["level"].notna().all()
    assert (filled["level"] - other["level"])[missing].abs().max() > 1e-4
    assert (fitted.encode(unseen) - fitted.encode(without)).abs().to_numpy().max() > 1e-4
    tested = backtest(quick(max_steps=2, **ROLES), DF, fractions=[0.5], naive={})
    assert np.isfinite(tested["mean"]).all()


def test_doses_between_the_rows_scored_count(fitted):
    own = DF[DF["id"] == 3]
    later = own[own["level"].notna()].assign(time=lambda d: d["time"] + 11)
    dose = pd.DataFrame({"id": [3], "time": [later["time"].iloc[3] + 0.01], "dose": [5.0]})
    assert fitted.score(pd.concat([later, dose])) != pytest.approx(fitted.score(later), rel=1e-3)


def test_without_a_column_of_doses_nothing_is_given_and_a_history_needs_one(fitted):
    np.testing.assert_array_equal(level(fitted, PLAN.drop(columns="dose")), level(fitted, PLAN.assign(dose=0.0)))
    with pytest.raises(DataError, match="no column 'dose'"):
        fitted.predict(PLAN, history=DF.drop(columns="dose"))


def test_doses_that_are_no_numbers_are_refused_in_fit_and_in_a_query(fitted):
    with pytest.raises(DataError, match="column 'dose' of impulse_cols holds 'high' in row"):
        quick(**ROLES).fit(DF.assign(dose=DF["dose"].map(lambda x: "high" if x > 0 else None)))
    with pytest.raises(DataError, match="column 'dose' of impulse_cols holds 'high' in row 1"):
        fitted.predict(PLAN.assign(dose=[None, "high", None, None]))


def test_a_series_without_observations_has_its_doses(fitted):
    rows = PLAN.assign(id="new")
    with pytest.warns(DataWarning, match="no observations of series 'new'"):
        found, without = level(fitted, rows), level(fitted, rows.assign(dose=0.0))
    assert np.abs(found - without).max() > 1e-5


@pytest.mark.parametrize("choice", [{"encoder": "odernn"}, {"anchor": "start"}, {"n_models": 2}])
def test_doses_matter_with_every_kind_of_model(choice):
    model = quick(**ROLES, **choice).fit(DF)
    assert np.abs(level(model, PLAN) - level(model, PLAN.assign(dose=0.0))).max() > 1e-6


def test_the_command_line_takes_columns_of_doses(tmp_path, capsys):
    DF.drop(columns="setting").to_csv(tmp_path / "doses.csv", index=False)
    words = ["--target", "level", "--max-steps", "2", "--out", str(tmp_path / "model")]
    assert main(["fit", str(tmp_path / "doses.csv"), "--impulse", "dose", *words]) == 0
    assert load(tmp_path / "model").schema_.impulse_cols == ("dose",)
    assert main(["fit", str(tmp_path / "doses.csv"), "--impulse", "bolus", *words]) == 2
    assert "--impulse: no column 'bolus'" in capsys.readouterr().err
