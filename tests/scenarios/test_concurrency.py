"""Several at once, in threads and processes: no interference, and nothing of the process's changed."""

import concurrent.futures
import contextlib
import copy
import multiprocessing
import os
import pickle
import random
import sys
import threading
import warnings

import numpy as np
import pandas as pd
import pytest
import torch

from latentode.data import DataWarning
from latentode.estimators import fitting
from tests.estimators.tiny import checks_every, quick, rough_stacking, waves
from tests.scenarios.test_determinism import state_of_the_world

pytestmark = pytest.mark.usefixtures("roughly_stacked")

THREADS = 10


IN_A_WORKER = contextlib.ExitStack()


def stack_roughly():
    """For as long as a worker lives."""
    IN_A_WORKER.enter_context(rough_stacking())


@pytest.fixture(scope="module")
def small():
    return waves(4, 8)


@pytest.fixture(scope="module")
def fitted(small):
    return quick(stacking=True).fit(small)


@pytest.fixture
def busy():
    """Threads take turns a thousand times more often than usual."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(5e-6)
    yield
    sys.setswitchinterval(before)


def together(task, n=THREADS):
    """The answers of threads that begin at the same moment."""
    start = threading.Barrier(n)

    def one(k):
        start.wait(60)
        return task(k)

    with concurrent.futures.ThreadPoolExecutor(n) as pool:
        return list(pool.map(one, range(n)))


def everything(forecaster, df):
    return [
        forecaster.predict(df),
        forecaster.predict_interval(df, level=(50, 90)),
        forecaster.sample(df, 2, random_state=0),
        forecaster.forecast(),
    ]


def assert_same(found, expected):
    for left, right in zip(found, expected, strict=True):
        pd.testing.assert_frame_equal(left, right, check_exact=True)


@pytest.mark.usefixtures("busy")
def test_ten_threads_with_one_model_predict_as_one_does(small, fitted):
    expected = everything(fitted, small)
    for found in together(lambda _: everything(fitted, small)):
        assert_same(found, expected)


@pytest.mark.usefixtures("busy")
def test_ten_threads_that_predict_first_after_an_update_predict_as_one_does(small, fitted):
    late = small.assign(time=small["time"] + 3)
    alone = copy.deepcopy(fitted).update(late)
    shared = copy.deepcopy(fitted).update(late)
    expected = alone.predict(small)
    for found in together(lambda _: shared.predict(small)):
        pd.testing.assert_frame_equal(found, expected, check_exact=True)


@pytest.mark.usefixtures("busy")
def test_updates_at_the_same_time_lose_nothing(small, fitted):
    shared = copy.deepcopy(fitted)
    together(lambda k: [shared.update(small.assign(id=f"{k}-{j}")) for j in range(3)])
    assert set(shared.panel_.ids) == set(small["id"]) | {f"{k}-{j}" for k in range(THREADS) for j in range(3)}


def test_an_update_of_a_copy_leaves_the_other_as_it_was(small, fitted):
    before = fitted.panel_
    copy.copy(fitted).update(small.assign(id="new"))
    assert fitted.panel_ is before


@pytest.mark.usefixtures("busy")
def test_fits_at_the_same_time_leave_the_process_and_its_random_numbers_alone(small, fitted):
    def fit(seed):
        return quick(random_state=seed, stacking=True).fit(small).predict(small)

    expected = [fit(seed) for seed in range(3)]

    def drawn():
        return [random.random(), float(np.random.rand()), float(torch.rand(()))]  # noqa: NPY002

    def seed_the_process():
        random.seed(5)
        np.random.seed(5)  # noqa: NPY002
        torch.manual_seed(5)

    seed_the_process()
    numbers = [drawn() for _ in range(20_000)]
    seed_the_process()
    before, found, k = state_of_the_world(), [], 0
    with concurrent.futures.ThreadPoolExecutor(3) as pool:
        fits = [pool.submit(fit, seed) for seed in range(3)]
        while not all(f.done() for f in fits) and k < len(numbers):
            found.append(drawn())
            k += 1
            threading.Event().wait(1e-4)
    for one, other in zip(fits, expected, strict=True):
        pd.testing.assert_frame_equal(one.result(), other, check_exact=True)
    assert found == numbers[:k]
    after = state_of_the_world()
    states = {"torch's random state", "numpy's random state", "python's random state"}
    assert {name for name in before if before[name] != after[name]} <= states


def test_a_score_in_a_thread_leaves_the_warnings_of_others(small, fitted):
    queried = small.assign(id="new" + small["id"]).groupby("id").head(1)
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        before = list(warnings.filters)
        fitted.score(queried)
        assert warnings.filters == before
    assert not [w for w in said if w.category is DataWarning]


def predicted_by_a_worker(parcel):
    forecaster, df = pickle.loads(parcel)
    return os.getpid(), forecaster.predict(df), forecaster.predict_interval(df)


@pytest.mark.usefixtures("two_threads")
@pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")
@pytest.mark.parametrize(
    "method",
    [
        pytest.param(
            "fork", marks=pytest.mark.skipif("fork" not in multiprocessing.get_all_start_methods(), reason="no fork")
        ),
        pytest.param("spawn", marks=pytest.mark.slow),
    ],
)
def test_workers_predict_as_the_main_process_does(small, fitted, method):
    fresh = copy.deepcopy(fitted).update(small.assign(time=small["time"] + 3))  # and carry what waits to be merged
    expected = [fresh.predict(small), fresh.predict_interval(small)]
    parcel = pickle.dumps((copy.deepcopy(fitted).update(small.assign(time=small["time"] + 3)), small))
    with multiprocessing.get_context(method).Pool(2) as pool:  # ends its workers when they have not answered in time
        for pid, *found in pool.map_async(predicted_by_a_worker, [parcel] * 3).get(timeout=120):
            assert pid != os.getpid()
            assert_same(found, expected)


@pytest.mark.slow
@pytest.mark.parametrize("method", multiprocessing.get_all_start_methods())
def test_fits_of_workers_are_ours(small, fitted, method):
    context = multiprocessing.get_context(method)
    # A worker that is not forked knows nothing of this module's fixture.
    with concurrent.futures.ProcessPoolExecutor(2, mp_context=context, initializer=stack_roughly) as pool:
        for found in pool.map(quick(stacking=True).fit, [small] * 2):
            assert_same([found.predict(small)], [fitted.predict(small)])


def test_two_fits_in_one_directory_at_the_same_time_do_not_meet(small, tmp_path):
    def fit(**params):
        return quick(max_steps=6, **params).fit(small).predict(small)

    with checks_every(2):  # at which the state is kept
        expected = [fit(random_state=seed) for seed in (0, 0, 1)]  # two of them are one and the same
        found = together(lambda k: fit(random_state=(0, 0, 1)[k], checkpoint_dir=tmp_path), 3)
    assert_same(found, expected)
    assert list(tmp_path.iterdir()) == []


def test_nothing_written_to_the_frame_once_training_began_is_learned_from(small, fitted, monkeypatch):
    df, train = small.copy(), fitting.train

    def after_writing(*args, **kwargs):
        df.loc[:, ["x", "y"]] = 1e6
        df["time"] += 5.0
        del df["y"]
        return train(*args, **kwargs)

    monkeypatch.setattr(fitting, "train", after_writing)
    found = quick(stacking=True).fit(df)
    assert df.columns.tolist() == ["id", "time", "x"]
    pd.testing.assert_frame_equal(found.predict(small), fitted.predict(small), check_exact=True)


def test_a_score_while_new_series_come_is_of_what_was_known_when_it_began(monkeypatch):
    df = waves(3, 5, missing=0.0)
    forecaster = quick(max_steps=1).fit(df)
    new = pd.concat([df.assign(id=f"n{k}" + df["id"]) for k in range(3)])
    queried = new.assign(time=new["time"] + 1)
    expected = forecaster.score(queried)
    known, seen = type(forecaster).panel_, []

    def panel(self):
        found = known.fget(self)
        if not seen:  # another thread's update, right after the first check
            seen.append(True)
            forecaster.update(new)
        return found

    monkeypatch.setattr(type(forecaster), "panel_", property(panel, known.fset))
    assert forecaster.score(queried) == pytest.approx(expected, rel=0.5)
