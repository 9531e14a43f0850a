"""The callbacks of scikit-learn 1.9: run at every validation check, may stop training, and change nothing else."""

import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV, GroupKFold
from sklearn.pipeline import Pipeline

from latentode import LatentODEForecaster
from tests.estimators.tiny import checks_every, quick, waves

pytestmark = pytest.mark.usefixtures("roughly_stacked")

callback = pytest.importorskip("sklearn.callback", reason="scikit-learn 1.9 and later have callbacks")
FEW, MANY = waves(4, 12), waves(24, 6)


@pytest.fixture(scope="module", autouse=True)
def _often():
    with checks_every(2):
        yield


class Recorder:
    """Records its calls; stops after so many validation checks."""

    def __init__(self, most=99):
        self.most, self.calls, self.fitted = most, [], []

    def setup(self, estimator, context):
        self.calls.append("setup")

    def teardown(self, estimator, context):
        self.calls.append("teardown")

    def on_fit_task_begin(self, estimator, context, *, X=None, y=None, metadata=None):
        self.calls.append(f"begin {context.task_name} of {context.max_subtasks}")
        self.given = X, y, metadata

    def on_fit_task_end(self, estimator, context, *, fitted_estimator=None):
        self.calls.append(f"end {context.task_name}")
        self.fitted.append(fitted_estimator)
        return context.task_name == "check" and self.calls.count("end check") >= self.most


def test_callbacks_run_at_the_beginning_at_every_validation_check_and_at_the_end():
    notes = Recorder()
    weights = np.ones(len(FEW))
    quick(max_steps=4).set_callbacks(notes).fit(FEW, sample_weight=weights)
    check = ["begin check of 0", "end check"]
    assert notes.calls == ["setup", "begin fit of 2", *check, *check, "end fit", "teardown"]
    X, y, metadata = notes.given
    pd.testing.assert_frame_equal(y, FEW[["x", "y"]])
    assert len(X) == len(FEW)
    assert metadata["sample_weight"] is weights


def test_a_callback_may_stop_the_fit_and_the_best_weights_are_kept():
    stopped = quick(max_steps=200).set_callbacks(Recorder(most=2)).fit(FEW)
    assert stopped.history_["step"].tolist() == [2.0, 4.0]
    assert np.isfinite(stopped.predict(FEW)).all(axis=None)


def test_what_a_callback_stops_is_the_fit_and_not_one_of_its_models():
    stopped = quick(max_steps=4, n_models=None).set_callbacks(Recorder(most=3)).fit(MANY)
    assert stopped.history_[["model", "step"]].to_numpy().tolist() == [[0, 2], [0, 4]]  # whole models alone
    assert stopped.model_.config.n_models == 1
    assert np.isfinite(stopped.predict_interval(MANY)).all(axis=None)


@pytest.mark.filterwarnings("ignore:no observations of series")
@pytest.mark.parametrize("df", [FEW, MANY], ids=["the ends of few series", "some of many series"])
def test_the_estimator_a_callback_gets_does_not_know_the_held_out_rows(df):
    notes = Recorder()
    forecaster = quick(max_steps=4, validation_fraction=0.25, stacking=True).set_callbacks(notes).fit(df)
    early, last = notes.fitted[0], forecaster
    assert 0 < len(early.panel_.times) < len(last.panel_.times)
    assert np.isfinite(early.score(df))
    assert np.isfinite(early.predict_interval(df)).all(axis=None)
    assert notes.fitted[-1] is None  # of the fit as a whole: nothing is left to ask
    assert len(early.history_) == 1


@pytest.mark.parametrize("df", [FEW, MANY], ids=["few series", "many series"])
def test_scores_are_taken_and_the_fit_is_the_same_bit_for_bit(df):
    monitor = callback.ScoringMonitor(scoring={"score": lambda fitted, X, y: fitted.score(X, y)})
    watched = quick(max_steps=4, stacking=True).set_callbacks(monitor).fit(df)
    log = monitor.get_logs().data_as_pandas
    assert (log["task_name"] == "check").sum() == 2 * watched.model_.config.n_models
    assert np.isfinite(log.loc[log["task_name"] == "check", "score"]).all()
    pd.testing.assert_frame_equal(
        watched.predict(df), quick(max_steps=4, stacking=True).fit(df).predict(df), check_exact=True
    )


def test_a_bar_is_drawn(capsys):
    pytest.importorskip("rich")
    quick(max_steps=4).set_callbacks(callback.ProgressBar()).fit(FEW)
    assert "LatentODEForecaster - fit" in capsys.readouterr().out


def test_an_error_in_a_callback_reaches_the_caller_and_it_is_put_away():
    class Broken(Recorder):
        def on_fit_task_end(self, estimator, context):
            raise RuntimeError("broken")

    notes = Broken()
    with pytest.raises(RuntimeError, match="broken"):
        quick().set_callbacks(notes).fit(FEW)
    assert notes.calls[-1] == "teardown"


def test_what_is_no_callback_is_refused():
    with pytest.raises(TypeError, match="callbacks must be instances"):
        LatentODEForecaster().set_callbacks("bar")


def test_clones_are_watched_by_the_same_callback_in_a_search_over_a_pipeline():
    notes = Recorder()
    pipeline = Pipeline([("model", quick().set_callbacks(notes))])
    GridSearchCV(pipeline, {"model__latent_dim": [2]}, cv=GroupKFold(2)).fit(FEW, groups=FEW["id"])
    assert notes.calls.count("setup") == notes.calls.count("teardown") == 3
    assert clone(quick().set_callbacks(notes))._skl_callbacks == [notes]


def test_a_callback_of_the_whole_pipeline_reaches_the_forecaster(capsys):
    pytest.importorskip("rich")
    Pipeline([("model", quick())]).set_callbacks(callback.ProgressBar(max_propagation_depth=None)).fit(FEW)
    assert "LatentODEForecaster - fit" in capsys.readouterr().out
