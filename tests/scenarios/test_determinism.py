"""The same seed gives the same fit, and nothing of the caller's is changed."""

import concurrent.futures
import logging
import os
import random
import signal
import subprocess
import sys
import textwrap
import threading
import warnings

import numpy as np
import pandas as pd
import pytest
import torch

from tests.estimators import tiny
from tests.estimators.tiny import waves

pytestmark = pytest.mark.usefixtures("roughly_stacked")


@pytest.fixture(scope="module")
def small():
    return waves(4, 8)


def quick(**params):
    """With the Gaussian process, whose fit is to be the same too."""
    return tiny.quick(stacking=True, **params)


@pytest.fixture(scope="module")
def fitted_small(small):
    return quick().fit(small)


def assert_same_fit(left, right, df):
    assert left.model_.state_dict().keys() == right.model_.state_dict().keys()
    for name, weight in left.model_.state_dict().items():
        assert torch.equal(weight, right.model_.state_dict()[name]), name
    pd.testing.assert_frame_equal(left.predict(df), right.predict(df), check_exact=True)
    pd.testing.assert_frame_equal(left.predict_interval(df), right.predict_interval(df), check_exact=True)
    history = [f.history_.drop(columns="seconds", errors="ignore") for f in (left, right)]
    pd.testing.assert_frame_equal(*history, check_exact=True)


def test_one_seed_gives_one_fit_whatever_the_callers_random_state(small, fitted_small):
    torch.manual_seed(99)
    np.random.seed(99)  # noqa: NPY002
    random.seed(99)
    assert_same_fit(quick().fit(small), fitted_small, small)


def test_fitting_twice_is_fitting_once(small, fitted_small):
    forecaster = quick().fit(waves(3, 5, seed=5).rename(columns={"x": "z"}))
    assert_same_fit(forecaster.fit(small), fitted_small, small)
    assert forecaster.channels_ == ("x", "y")


def test_other_seeds_give_other_fits(small, fitted_small):
    unseeded = [quick(random_state=None).fit(small).predict(small) for _ in range(2)]
    assert not unseeded[0].equals(unseeded[1])
    assert not quick(random_state=1).fit(small).predict(small).equals(fitted_small.predict(small))


@pytest.mark.parametrize("make", [np.random.default_rng, np.random.RandomState])
def test_seeds_of_every_kind_are_reproducible(small, make):
    assert_same_fit(quick(random_state=make(3)).fit(small), quick(random_state=make(3)).fit(small), small)


def test_the_number_of_threads_hardly_matters(small, fitted_small):
    before = torch.get_num_threads()
    torch.set_num_threads(1 if before > 1 else 2)
    try:
        other = quick().fit(small).predict(small)
    finally:
        torch.set_num_threads(before)
    np.testing.assert_allclose(other, fitted_small.predict(small), atol=1e-3)


def state_of_the_world():
    loggers = {
        name: (logger.level, tuple(logger.handlers), tuple(logger.filters), logger.propagate, logger.disabled)
        for name, logger in sorted(logging.root.manager.loggerDict.items())
        if isinstance(logger, logging.Logger)
    }
    return {
        "torch's random state": torch.get_rng_state().tolist(),
        "numpy's random state": np.random.get_state()[1].tolist(),  # noqa: NPY002
        "python's random state": random.getstate(),
        "loggers": loggers,
        "root logger": (logging.root.level, tuple(logging.root.handlers)),
        "warning filters": list(warnings.filters),
        "default dtype": torch.get_default_dtype(),
        "threads": torch.get_num_threads(),
        "gradients": torch.is_grad_enabled(),
        "deterministic": torch.are_deterministic_algorithms_enabled(),
        "anomaly": torch.is_anomaly_enabled(),
        "precision": torch.get_float32_matmul_precision(),
        "environment": dict(os.environ),
        "directory": os.getcwd(),
        "signals": {s: signal.getsignal(s) for s in (signal.SIGINT, signal.SIGTERM)},
        "excepthook": sys.excepthook,
        "print options": np.get_printoptions(),
        "numpy errors": np.geterr(),
        "pandas options": pd.get_option("display.width"),
        "threads running": {t.name for t in threading.enumerate()},
    }


def test_nothing_of_the_callers_is_changed(small, tmp_path):
    forecaster = quick().fit(small)  # what is imported when first used is imported now
    torch.manual_seed(5)
    warnings.simplefilter("default", category=ImportWarning)
    before = state_of_the_world()
    forecaster.fit(small)
    forecaster.predict(small)
    forecaster.predict_interval(small)
    forecaster.sample(small, 2, random_state=0)
    forecaster.forecast()
    forecaster.score(small.assign(time=small["time"] + 10))
    forecaster.save(tmp_path)
    after = state_of_the_world()
    assert {k for k in before if before[k] != after[k]} == set()


def test_a_fit_that_fails_changes_nothing_of_the_callers_either(small, monkeypatch):
    def broken(*_):
        raise ArithmeticError("in the middle of training")

    forecaster = quick().fit(small)
    monkeypatch.setattr("latentode.training.module.LatentODEModule.training_step", broken)
    before = state_of_the_world()
    with pytest.raises(ArithmeticError, match="in the middle"):
        forecaster.fit(small)
    after = state_of_the_world()
    assert {k for k in before if before[k] != after[k]} == set()


def test_an_interrupt_reaches_the_caller_and_the_next_one_too(small, monkeypatch):
    def interrupted(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr("latentode.training.module.LatentODEModule.training_step", interrupted)
    handler = signal.getsignal(signal.SIGINT)
    try:
        with pytest.raises(KeyboardInterrupt):
            quick().fit(small)
        assert signal.getsignal(signal.SIGINT) is handler
    finally:
        signal.signal(signal.SIGINT, handler)


def test_the_callers_frame_is_left_as_it_was(small):
    before = small.copy(deep=True)
    forecaster = quick().fit(small)
    forecaster.predict(small, history=small)
    forecaster.score(small.assign(id="new" + small["id"]))
    pd.testing.assert_frame_equal(small, before)


def test_changing_the_frame_afterwards_changes_nothing(small, fitted_small):
    frame = small.copy()
    forecaster = quick().fit(frame)
    frame.loc[:, ["x", "y"]] = 0.0
    pd.testing.assert_frame_equal(forecaster.predict(small), fitted_small.predict(small), check_exact=True)


def test_gradients_switched_off_by_the_caller_do_not_stop_a_fit(small, fitted_small):
    with torch.no_grad():
        assert_same_fit(quick().fit(small), fitted_small, small)
        assert not torch.is_grad_enabled()


def test_a_fit_within_inference_mode_is_a_fit(small, fitted_small):
    with torch.inference_mode():
        predicted = quick().fit(small).predict(small)
    pd.testing.assert_frame_equal(predicted, fitted_small.predict(small), check_exact=True)


def test_a_fit_in_another_thread_is_the_same(small, fitted_small):
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        other = pool.submit(lambda: quick().fit(small)).result()
    assert_same_fit(other, fitted_small, small)


def test_fits_at_the_same_time_are_the_same(small, fitted_small):
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        others = list(pool.map(lambda _: quick().fit(small).predict(small), range(2)))
    for other in others:
        pd.testing.assert_frame_equal(other, fitted_small.predict(small), check_exact=True)


def test_predictions_at_the_same_time_are_the_same(small, fitted_small):
    expected = fitted_small.predict_interval(small)
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        for other in pool.map(lambda _: fitted_small.predict_interval(small), range(8)):
            pd.testing.assert_frame_equal(other, expected, check_exact=True)


def test_without_a_screen_there_is_no_bar(small, monkeypatch):
    monkeypatch.setattr(sys, "stdout", None)
    quick().fit(small)


def test_a_script_sees_no_line_no_warning_and_no_file(tmp_path):
    script = tmp_path / "script.py"
    work = tmp_path / "work"
    work.mkdir()
    script.write_text(
        textwrap.dedent("""
        import logging, os, random, warnings
        import numpy as np, pandas as pd
        before = (list(warnings.filters), logging.root.level, list(logging.root.handlers), dict(os.environ))
        import latentode
        import sys
        assert "torch" not in sys.modules, "import latentode costs torch"
        rng = np.random.default_rng(0)
        df = pd.DataFrame({
            "id": np.repeat(range(40), 8), "time": rng.uniform(0, 5, 320).round(6), "x": rng.normal(size=320),
        })
        made, read = latentode.LatentODEForecaster(max_steps=5, n_models=1), latentode.load
        heavy = {"lightning", "matplotlib"} & set(sys.modules)
        assert not heavy, f"loading and predicting cost {heavy}"
        forecaster = made.fit(df)
        forecaster.predict(df), forecaster.predict_interval(df), forecaster.forecast(), forecaster.sample(df)
        assert not os.listdir("."), os.listdir(".")
        kept = (list(warnings.filters), logging.root.level, list(logging.root.handlers), dict(os.environ))
        assert kept[1:] == before[1:], "importing and fitting changes the root logger or the environment"
        """)
    )
    done = subprocess.run(
        [sys.executable, "-W", "error", str(script)], cwd=work, capture_output=True, text=True, timeout=300
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert list(work.iterdir()) == []
