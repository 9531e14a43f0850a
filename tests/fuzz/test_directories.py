"""Spoilt models, by seed: each is refused in one sentence of ours, or loads and answers."""

import resource
import shutil
import warnings

import pytest

from latentode import load
from latentode.data import DataError
from tests.estimators.tiny import quick, rename_weights, waves
from tests.fuzz.directories import spoil
from tests.fuzz.meeting import TINY

DF = waves(3, 6).assign(dose=lambda df: df["time"], kind=lambda df: df["id"])


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    path = tmp_path_factory.mktemp("whole") / "model"
    quick(**TINY, known_cols=["dose"], static_cols=["kind"]).fit(DF).save(path)
    return rename_weights(path)


def fault_of_loading(path):
    """What is wrong with how a spoilt model was met, and whether it was refused."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # weights that a flipped bit made huge overflow on the way
        try:
            model = load(path)
        except ValueError as error:
            return (None if str(path) in str(error) and len(str(error)) < 1000 else f"says {error}"), True
        except BaseException as error:
            return f"{type(error).__name__}: {error}", True
        try:
            found = model.predict(DF)
            model.forecast()
        except DataError:  # the names of the columns, or the kind of times, are others now
            return None, False
        except Exception as error:
            return f"loads, but an answer raises {type(error).__name__}: {error}", False
    return (None if len(found) == len(DF) else "an answer is missing"), False


def faults_in(seeds, whole, folder):
    found, refused = {}, 0
    for seed in seeds:
        path = folder / "spoilt"
        path.mkdir()
        spoil(whole, path, seed)
        fault, was_refused = fault_of_loading(path)
        refused += was_refused
        if fault:
            found[seed] = fault
        shutil.rmtree(path)
    return found, refused


def test_a_hundred_spoilt_models_are_refused_or_answer(whole, tmp_path):
    found, refused = faults_in(range(100), whole, tmp_path)
    assert not found
    assert 50 < refused < 100


@pytest.mark.slow
def test_ten_thousand_spoilt_models_are_refused_or_answer_within_bounded_memory(whole, tmp_path):
    faults_in(range(10), whole, tmp_path)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    found, _ = faults_in(range(10_000), whole, tmp_path)
    assert not found
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 500_000  # kilobytes
