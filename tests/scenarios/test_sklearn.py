"""Where scikit-learn's tools meet the forecaster; its own checks are in ``tests/sklearn_checks.py``."""

import pickle
import warnings
from dataclasses import fields

import joblib
import numpy as np
import pandas as pd
import pytest
import sklearn
from sklearn.base import BaseEstimator, clone
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import (
    GridSearchCV,
    GroupKFold,
    KFold,
    RandomizedSearchCV,
    TimeSeriesSplit,
    cross_val_predict,
    cross_val_score,
    cross_validate,
)
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler

from latentode import CutoffSplit, LatentODEForecaster
from latentode.data import DataError, DataWarning
from latentode.training import TrainingResult
from tests.estimators.tiny import quick, waves


@pytest.fixture(scope="module")
def small():
    return waves(6, 6)


def test_a_clone_has_the_parameters_and_nothing_learned(small):
    forecaster = quick(target_cols=["y"], horizon=2.0).fit(small)
    copy = clone(forecaster)
    assert copy.get_params() == forecaster.get_params()
    assert not hasattr(copy, "model_")
    pd.testing.assert_frame_equal(copy.fit(small).predict(small), forecaster.predict(small), check_exact=True)


def test_parameters_set_later_are_those_fitted(small):
    forecaster = LatentODEForecaster().set_params(**quick(target_cols="x").get_params())
    assert forecaster.fit(small).channels_ == ("x",)
    with pytest.raises(ValueError, match="Invalid parameter 'horizons'"):
        forecaster.set_params(horizons=3)


def test_only_changed_parameters_are_shown():
    assert repr(LatentODEForecaster(horizon="30D")) == "LatentODEForecaster(horizon='30D')"


def test_its_tags_exclude_arrays_and_allow_missing_values():
    pytest.importorskip("sklearn", minversion="1.6")
    tags = sklearn.utils.get_tags(LatentODEForecaster())
    assert not tags.input_tags.two_d_array
    assert tags.input_tags.allow_nan
    assert not tags.target_tags.required


@pytest.mark.parametrize(
    "round_trip",
    [
        lambda f, path: pickle.loads(pickle.dumps(f)),
        lambda f, path: joblib.load(joblib.dump(f, path / "f.joblib")[0]),
    ],
    ids=["pickle", "joblib"],
)
def test_a_fitted_forecaster_survives_the_round_trip(fitted, df, tmp_path, round_trip):
    again = round_trip(fitted, tmp_path)
    pd.testing.assert_frame_equal(again.predict(df), fitted.predict(df), check_exact=True)
    pd.testing.assert_frame_equal(again.predict_interval(df), fitted.predict_interval(df), check_exact=True)
    pd.testing.assert_frame_equal(again.forecast(), fitted.forecast(), check_exact=True)
    assert again.get_params() == fitted.get_params()


def test_an_unfitted_forecaster_survives_the_round_trip():
    again = pickle.loads(pickle.dumps(quick()))
    assert again.get_params() == quick().get_params()


# ------------------------------------------------------------------------------------------ model selection


@pytest.mark.parametrize("apart", [False, True])
def test_cross_validation_by_series_gives_finite_scores(small, apart):
    X, y = (small[["id", "time"]], small[["x", "y"]]) if apart else (small, None)
    found = cross_validate(quick(), X, y, groups=small["id"], cv=GroupKFold(2), error_score="raise")
    assert np.isfinite(found["test_score"]).all()


def test_targets_apart_or_inside_are_the_same_cross_validation(small):
    arguments = {"groups": small["id"], "cv": GroupKFold(2), "error_score": "raise"}
    inside = cross_validate(quick(), small, **arguments)["test_score"]
    apart = cross_validate(quick(), small[["id", "time"]], small[["x", "y"]], **arguments)["test_score"]
    np.testing.assert_array_equal(inside, apart)


@pytest.mark.filterwarnings("ignore::latentode.data.DataWarning")
def test_predictions_by_cross_validation_have_a_row_for_each_row(small):
    found = cross_val_predict(quick(), small, groups=small["id"], cv=GroupKFold(2))
    assert found.shape == (len(small), 2)
    assert np.isfinite(found).all()


@pytest.mark.slow
def test_two_processes_find_what_one_finds(small):
    arguments = {"groups": small["id"], "cv": GroupKFold(2), "error_score": "raise"}
    one = cross_validate(quick(), small, **arguments)["test_score"]
    two = cross_validate(quick(), small, n_jobs=2, **arguments)["test_score"]
    np.testing.assert_allclose(one, two, rtol=1e-3)


def test_a_grid_is_searched_and_the_best_is_fitted_to_all(small):
    search = GridSearchCV(quick(), {"latent_dim": [2, 3]}, cv=GroupKFold(2), error_score="raise")
    search.fit(small, groups=small["id"])
    assert np.isfinite(search.cv_results_["mean_test_score"]).all()
    assert search.best_estimator_.model_.config.latent_dim == search.best_params_["latent_dim"]
    assert search.predict(small).shape == (len(small), 2)


def test_a_search_at_random_may_draw_numbers_of_numpy(small):
    search = RandomizedSearchCV(
        quick(), {"max_steps": np.array([3, 4])}, n_iter=2, cv=GroupKFold(2), error_score="raise", random_state=0
    )
    search.fit(small, groups=small["id"])
    assert np.isfinite(search.cv_results_["mean_test_score"]).all()


class Keep(BaseEstimator):
    """A step that hands its frame on."""

    def fit(self, X, y=None):
        return self

    def transform(self, X):
        return X


@pytest.mark.parametrize("routing", [False, True])
def test_a_grid_over_a_pipeline_gives_finite_scores(small, routing):
    pipeline = Pipeline([("keep", Keep()), ("model", quick())])
    with sklearn.config_context(enable_metadata_routing=routing):
        search = GridSearchCV(pipeline, {"model__latent_dim": [2]}, cv=GroupKFold(2), error_score="raise")
        search.fit(small, groups=small["id"])
        assert np.isfinite(search.cv_results_["mean_test_score"]).all()


def test_weights_are_routed_to_the_score(small):
    weight = np.ones(len(small))
    with sklearn.config_context(enable_metadata_routing=True):
        forecaster = quick().set_fit_request(sample_weight=False).set_score_request(sample_weight=True)
        found = cross_validate(
            forecaster,
            small,
            params={"groups": small["id"], "sample_weight": weight},
            cv=GroupKFold(2),
            error_score="raise",
        )
    assert np.isfinite(found["test_score"]).all()


def test_a_step_that_changes_the_frame_feeds_the_forecaster(small):
    doubled = FunctionTransformer(lambda X: X.assign(x=2 * X["x"]) if "x" in X else X)
    pipeline = Pipeline([("double", doubled), ("model", quick())]).fit(small)
    np.testing.assert_array_equal(pipeline.predict(small), quick().fit(small.assign(x=2 * small["x"])).predict(small))


def test_an_array_from_an_earlier_step_is_refused_with_the_cure(small):
    from sklearn.compose import ColumnTransformer
    from sklearn.preprocessing import StandardScaler

    columns = ColumnTransformer([("scale", StandardScaler(), ["x", "y"])], remainder="passthrough")
    with pytest.raises(ValueError, match=r"DataFrame.*set_output\(transform=.pandas.\)"):
        Pipeline([("columns", columns), ("model", quick())]).fit(small)
    columns.set_output(transform="pandas").set_params(verbose_feature_names_out=False)
    predicted = Pipeline([("columns", columns), ("model", quick())]).fit(small).predict(small)
    assert predicted.shape == (len(small), 2)


# ------------------------------------------------------------------------------------------ traps of splitting


def by_id(df):
    return df.sort_values(["id", "time"], ignore_index=True)


def test_rows_dealt_out_at_random_are_noticed_and_never_scored_from_their_future(small):
    train, test = next(KFold(3, shuffle=True, random_state=0).split(small))
    forecaster = quick().fit(small.iloc[train])
    with pytest.warns(DataWarning, match=r"rows lie before or between rows that fit saw.*GroupKFold.*CutoffSplit"):
        reported = forecaster.score(small.iloc[test])
    last = small.iloc[train].groupby("id")["time"].max()
    after = small.iloc[test][small.iloc[test]["time"] > small.iloc[test]["id"].map(last)]
    assert 0 < len(after) < len(test)
    assert reported == forecaster.score(after)


def test_an_honest_split_is_not_warned_of(small):
    with warnings.catch_warnings():
        warnings.simplefilter("error", DataWarning)
        for cv in (GroupKFold(2), CutoffSplit(2)):
            cross_validate(quick(), small, groups=small["id"], cv=cv, error_score="raise")
        early = small["time"] < 3
        quick().fit(small[early]).score(small)  # what fit saw may stand in the frame again


def test_rows_that_are_all_before_what_fit_saw_are_refused_with_the_cure(small):
    late = small["time"] > 3
    with pytest.raises(DataError, match=r"no row to score.*split by series \(GroupKFold\)"):
        quick().fit(small[late]).score(small[~late & small["id"].isin(small[late]["id"])])


def test_sorted_by_id_a_split_of_time_series_splits_series_and_sorted_by_time_it_is_one_in_time(small):
    for train, test in TimeSeriesSplit(2).split(by_id(small)):
        shared = set(by_id(small)["id"].iloc[train]) & set(by_id(small)["id"].iloc[test])
        assert len(shared) <= 1  # it has cut between series, not in time: the docs say so
    in_time = small.sort_values("time", ignore_index=True)
    for train, test in TimeSeriesSplit(2).split(in_time):
        assert in_time["time"].iloc[train].max() <= in_time["time"].iloc[test].min()
    found = cross_validate(quick(), in_time, cv=TimeSeriesSplit(2), error_score="raise")
    assert np.isfinite(found["test_score"]).all()


def test_permuted_future_values_change_no_tensor_of_training(small, monkeypatch):
    seen = []

    def watched(model, tasks, validation, *_):
        generator = np.random.default_rng(0)
        batches = [tasks.draw(np.arange(len(tasks.series.lengths)), generator), *validation]
        seen.append([getattr(b, f.name) for b in batches for f in fields(b)] + [tasks.series.values])
        return TrainingResult([], interrupted=False, stopped=False)

    monkeypatch.setattr("latentode.estimators.fitting.train", watched)
    rng = np.random.default_rng(1)
    for train, test in CutoffSplit(2).split(small):
        shuffled = small.copy()
        shuffled.loc[test, ["x", "y"]] = rng.permutation(small.loc[test, ["x", "y"]].to_numpy())
        assert not shuffled.equals(small)
        for df in (small, shuffled):
            X, y = df[["id", "time"]], df[["x", "y"]]
            quick().fit(X.iloc[train], y.iloc[train])
        first, second = seen[-2:]
        assert len(first) == len(second) > 10
        for one, two in zip(first, second, strict=True):
            np.testing.assert_array_equal(np.asarray(one, dtype=float), np.asarray(two, dtype=float))


@pytest.mark.slow
def test_a_classifier_of_series_learns_from_what_the_encoder_makes_of_them():
    rng = np.random.default_rng(0)
    df = waves(60, 24, missing=0.3)
    fast = df["id"].map(dict(zip(df["id"].unique(), rng.permutation(60) < 30, strict=True)))
    df["x"] = np.where(fast, np.sin(4 * df["time"]), df["x"])
    kinds = fast.groupby(df["id"]).first()
    features = quick(max_steps=400, hidden_dim=16).fit(df).encode(df)
    assert features.index.equals(kinds.index)
    classifier = make_pipeline(StandardScaler(), LogisticRegression(C=0.1))
    assert cross_val_score(classifier, features, kinds, cv=5).mean() > 0.75  # 0.5 by guessing
