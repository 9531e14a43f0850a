import numpy as np
import pandas as pd
import pytest

from latentode.data import Panel
from latentode.evaluation.observations import Observations

NAN = float("nan")

# Series a, b (nothing of x), and c.
PANEL = Panel(
    pd.Index(["a", "b", "c"]),
    np.array([0, 4, 5, 7]),
    np.array([0.0, 2.0, 3.0, 4.0, 1.0, 5.0, 6.0]),
    np.array([[1.0, NAN], [3.0, NAN], [NAN, 20.0], [11.0, NAN], [NAN, 60.0], [2.0, NAN], [7.0, 8.0]]),
)


def test_a_channel_has_its_own_observations_of_every_series():
    x, y = (Observations.of_channel(PANEL, channel) for channel in (0, 1))
    assert x.starts.tolist() == [0, 3, 3, 5]
    assert x.times.tolist() == [0.0, 2.0, 4.0, 5.0, 6.0]
    assert x.values.tolist() == [1.0, 3.0, 11.0, 2.0, 7.0]
    assert x.counts.tolist() == [3, 0, 2]
    assert x.series.tolist() == [0, 0, 0, 2, 2]
    assert (y.counts.tolist(), y.values.tolist()) == ([1, 1, 1], [20.0, 60.0, 8.0])


def last(*queries):
    series, times = (np.array(each) for each in zip(*queries, strict=True))
    return Observations.of_channel(PANEL, 0).last_at(series, times.astype(float)).tolist()


def test_the_last_observation_is_the_one_at_or_before_a_query():
    assert last((0, 0.0), (0, 1.999), (0, 2.0), (0, 99.0), (2, 5.5)) == [0, 0, 1, 2, 3]


def test_there_is_none_before_the_first_nor_in_a_series_without_any_nor_of_an_unknown_series():
    assert last((0, -0.1), (1, 99.0), (2, 4.9), (-1, 99.0)) == [-1, -1, -1, -1]


@pytest.mark.parametrize("seed", range(5))
def test_many_queries_in_any_order_agree_with_a_loop_over_them(seed):
    rng = np.random.default_rng(seed)
    counts = rng.integers(0, 6, 8)
    times = [np.sort(rng.choice(20, n, replace=False)).astype(float) for n in counts]
    starts = np.concatenate([[0], np.cumsum(counts)])
    observed = Observations(starts, np.concatenate(times), rng.normal(size=starts[-1]))
    series, when = rng.integers(-1, 8, 60), rng.integers(-2, 22, 60).astype(float)
    expected = [-1 if s < 0 or not (times[s] <= t).any() else starts[s] + (times[s] <= t).sum() - 1
                for s, t in zip(series, when, strict=True)]  # fmt: skip
    assert observed.last_at(series, when).tolist() == expected


def test_a_panel_without_rows_has_no_observations():
    nothing = Observations.of_channel(PANEL.where(np.zeros(7, dtype=bool)), 0)
    assert (nothing.counts.tolist(), nothing.times.tolist()) == ([0, 0, 0], [])
    assert nothing.last_at(np.array([0, 2]), np.array([9.0, 9.0])).tolist() == [-1, -1]
