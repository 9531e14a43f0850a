"""A small saved model, and a copy of it that a test may spoil."""

import shutil

import pytest

from tests.estimators.tiny import quick, rename_weights, rough_stacking, waves


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    path = tmp_path_factory.mktemp("saved") / "model"
    with rough_stacking():
        quick(max_steps=1, stacking=True).fit(waves(3, 6)).save(path)
    return path


@pytest.fixture
def spoilt(saved, tmp_path):
    return rename_weights(shutil.copytree(saved, tmp_path / "spoilt"))
