import copy
import pickle
from dataclasses import FrozenInstanceError, fields

import pandas as pd
import pytest
from sklearn.base import clone

from latentode.persistence.state import FittedState
from tests.estimators.tiny import quick, waves


def test_a_fit_leaves_its_state_and_its_parameters_and_nothing_else(fitted):
    assert set(vars(fitted)) == {*fitted.get_params(deep=False), "state_"}
    assert isinstance(fitted.state_, FittedState)


@pytest.mark.parametrize("name", [f.name for f in fields(FittedState)])
def test_a_state_cannot_be_changed(fitted, name):
    with pytest.raises(FrozenInstanceError):
        setattr(fitted.state_, name, None)


def test_an_update_makes_a_new_state_and_leaves_the_old(df, fitted):
    before = fitted.state_
    after = before.updated(before.panel.take([0]))
    assert after is not before
    assert len(after.panel.times) == len(before.panel.times)
    later = copy.copy(fitted).update(df.assign(time=df["time"] + 100)).state_
    assert len(later.panel.times) == 2 * len(before.panel.times)
    assert fitted.state_ is before


def test_a_state_without_observations_has_no_series(fitted):
    empty = fitted.state_.without_observations()
    assert (empty.panel.n_series, len(empty.panel.times)) == (0, 0)
    assert empty.model is fitted.state_.model


def test_a_clone_has_no_state_and_a_copy_its_own(df, fitted):
    assert not hasattr(clone(fitted), "state_")
    for other in (copy.deepcopy(fitted), pickle.loads(pickle.dumps(fitted))):
        assert other.state_ is not fitted.state_
        pd.testing.assert_frame_equal(other.predict(df), fitted.predict(df), check_exact=True)


def test_a_fit_that_fails_keeps_the_state_before():
    forecaster = quick(max_steps=1).fit(waves(3, 6))
    before = forecaster.state_
    with pytest.raises(ValueError, match="no such column"):
        forecaster.set_params(id_col="nothing").fit(waves(3, 6))
    assert forecaster.state_ is before
