import logging

import numpy as np
import pandas as pd
import pytest

from latentode.data import Panel, TimeAxis
from latentode.estimators.horizon import EARLY, horizon_for
from tests.estimators.tiny import dated, quick, waves

NUMBERS = TimeAxis(kind="number")


def series_of(*durations):
    """Series of three rows each, and one of a single row."""
    times = np.concatenate([[0.0, d / 3, d] for d in durations] + [[0.0]])
    offsets = np.array([*range(0, 3 * len(durations) + 1, 3), 3 * len(durations) + 1])
    return Panel(pd.RangeIndex(len(durations) + 1), offsets, times, np.zeros((len(times), 1)))


def test_without_a_horizon_it_is_the_duration_that_nearly_all_series_do_not_exceed():
    found = horizon_for(series_of(*range(1, 21)), NUMBERS, None)
    assert found.length == pytest.approx(np.quantile(range(1, 21), 0.95))
    assert found.reason.startswith("horizon=None: training goes 19.05 ahead, which 95% of the series do not exceed")


def test_a_horizon_that_is_given_is_kept_without_a_line():
    assert horizon_for(series_of(*[2.0] * 9), NUMBERS, 0.5) == (0.5, 0.0, "")


@pytest.mark.parametrize(("given", "early"), [(None, EARLY), (2.0, EARLY), (1.2, EARLY), (1.1, 0.0)])
def test_forecasts_begin_early_where_the_horizon_is_nearly_as_long_as_the_series(given, early):
    assert horizon_for(series_of(*[2.0] * 9), NUMBERS, given).early == early


def lines_of(caplog):
    return [r.getMessage() for r in caplog.records if r.name == "latentode" and "horizon=None" in r.getMessage()]


def test_a_fit_says_in_one_line_of_the_log_how_far_ahead_it_is_trained(caplog):
    with caplog.at_level(logging.INFO, logger="latentode"):
        fitted = quick(max_steps=2, n_models=2).fit(dated(waves()))
    (line,) = lines_of(caplog)
    assert f"training goes {pd.Timedelta(fitted.horizon_, unit='s').round('s')} ahead" in line


def test_a_fit_with_a_horizon_and_one_that_continues_say_nothing(caplog):
    with caplog.at_level(logging.INFO, logger="latentode"):
        quick(max_steps=2, horizon=1.0).fit(waves())
    assert lines_of(caplog) == []
    forecaster = quick(max_steps=2, warm_start=True).fit(waves())
    caplog.clear()
    with caplog.at_level(logging.INFO, logger="latentode"):
        forecaster.fit(waves())
    assert lines_of(caplog) == []
