from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from latentode.data import Covariates, Panel, TimedRows
from latentode.estimators import query_batches as module
from latentode.estimators.query_batches import QueryBatcher
from latentode.training.tasks import MAX_HISTORY


def panel_of(*times):
    """Series of given times; the value of each row is its number."""
    flat = np.concatenate([np.asarray(t, dtype=float) for t in times])
    offsets = np.concatenate([[0], np.cumsum([len(t) for t in times])]).astype(np.int64)
    return Panel(pd.RangeIndex(len(times)), offsets, flat, np.arange(len(flat), dtype=float)[:, None])


def answered(panel, series, times, span=10.0):
    """Each query's history (row numbers), origin and query time, as the batches hold them."""
    questions = QueryBatcher(panel, np.asarray(series, dtype=np.int64), np.asarray(times, dtype=float), span)
    found = {}
    for batch, place, numbers, slots in questions.batches(panel.values.astype(np.float32)):
        width = batch.query_times.shape[1]
        for number, slot in zip(numbers, slots, strict=True):
            row = slot // width
            n = int(batch.lengths[row])
            assert int(number) not in found
            found[int(number)] = {
                "rows": batch.values[row, :n, 0].numpy().astype(int).tolist(),
                "past": batch.times[row, :n].numpy().astype(float) * span,
                "query": float(batch.query_times.flatten()[slot]) * span,
                "series": int(place[row]),
            }
    assert sorted(found) == list(range(len(times)))
    return [found[k] for k in range(len(times))]


def test_every_query_is_predicted_once_with_its_own_series():
    panel = panel_of([0, 1, 2], [5, 6], [0, 9])
    found = answered(panel, [2, 0, 1, 0, 2], [10, 3, 7, 4, 20])
    assert [f["series"] for f in found] == [2, 0, 1, 0, 2]
    assert [f["rows"] for f in found] == [[5, 6], [0, 1, 2], [3, 4], [0, 1, 2], [5, 6]]


def test_times_are_relative_to_the_end_of_the_history():
    (found,) = answered(panel_of([0, 1, 4]), [0], [6.5])
    np.testing.assert_allclose(found["past"], [-4, -3, 0], atol=1e-6)
    assert found["query"] == pytest.approx(2.5, abs=1e-5)


def test_queries_after_the_end_read_the_whole_history():
    times = np.arange(0, 200, 2.0)
    (found,) = answered(panel_of(times), [0], [198.0])
    assert found["rows"] == list(range(100))


def test_queries_inside_the_history_are_predicted_from_at_most_one_span_later():
    times = np.arange(0, 200, 1.0)
    queried = np.arange(0.5, 199, 7.25)
    for query, found in zip(queried, answered(panel_of(times), np.zeros(len(queried)), queried), strict=True):
        origin = times[found["rows"][-1]]
        assert -10 - 1e-4 <= found["query"] <= 0
        assert origin >= query
        assert found["query"] == pytest.approx(query - origin, abs=1e-4)


def test_queries_before_the_first_observation_see_what_comes_next():
    (found,) = answered(panel_of(np.arange(0, 100, 1.0)), [0], [-3.0])
    assert found["rows"][0] == 0
    assert len(found["rows"]) >= 5
    assert found["query"] < -3


@pytest.mark.parametrize("n", [MAX_HISTORY, MAX_HISTORY + 1, 3 * MAX_HISTORY])
def test_no_more_than_the_latest_rows_are_read(n):
    (found,) = answered(panel_of(np.arange(float(n))), [0], [n + 1.0])
    assert found["rows"] == list(range(n - MAX_HISTORY, n))


def test_queries_inside_a_dense_history_have_rows_on_both_sides():
    times = np.linspace(0, 10, 5000)  # one span holds twenty times the longest history
    queried = np.linspace(0.01, 9.99, 57)
    for query, found in zip(queried, answered(panel_of(times), np.zeros(57), queried), strict=True):
        rows = np.array(found["rows"])
        assert len(rows) <= MAX_HISTORY
        before, after = (times[rows] <= query).sum(), (times[rows] > query).sum()
        assert before >= min(MAX_HISTORY // 4, (times <= query).sum())
        assert after >= min(MAX_HISTORY // 4, (times > query).sum())


def test_a_history_depends_on_its_own_query_alone():
    panel = panel_of(np.sort(np.random.default_rng(0).uniform(0, 100, 400)), [3.0, 50.0], [])
    series, queried = np.array([0] * 40 + [1] * 5), np.concatenate([np.linspace(-20, 130, 40), np.linspace(0, 60, 5)])
    together = answered(panel, series, queried)
    for k in range(0, 45, 4):
        (alone,) = answered(panel, series[[k]], queried[[k]])
        assert alone["rows"] == together[k]["rows"]
        assert alone["query"] == together[k]["query"]


def test_a_series_without_observations_starts_at_its_earliest_query():
    found = answered(panel_of([0.0, 1.0], []), [1, 1, 0], [7.0, 4.0, 2.0])
    assert [f["rows"] for f in found] == [[], [], [0, 1]]
    assert [f["query"] for f in found] == pytest.approx([3.0, 0.0, 1.0])


def test_repeated_queries_are_predicted_one_by_one():
    assert len(answered(panel_of([0.0, 1.0]), [0] * 600, [2.0] * 600)) == 600


def test_batches_stay_small_however_many_queries(monkeypatch):
    monkeypatch.setattr(module, "CELLS_A_BATCH", 1000)
    panel = panel_of(*[np.arange(20.0)] * 50)
    series, times = np.repeat(np.arange(50), 30), np.tile(np.linspace(-5, 40, 30), 50)
    questions = QueryBatcher(panel, series, times, 10.0)
    sizes = [max(batch.query_times.numel(), batch.times.numel()) for batch, *_ in questions.batches(panel.values)]
    assert len(sizes) > 1
    assert max(sizes) <= 1000
    copied = [max(b.query_times.numel(), b.times.numel()) for b, *_ in questions.batches(panel.values, copies=5)]
    assert max(copied) <= 1000 / 5


def test_batches_stay_small_however_many_channels(monkeypatch):
    monkeypatch.setattr(module, "VALUES_A_BATCH", 4000)
    panel = panel_of(*[np.arange(20.0)] * 50)
    questions = QueryBatcher(panel, np.arange(50), np.full(50, 30.0), 10.0)
    values = np.repeat(panel.values, 8, axis=1)
    sizes = [batch.values.numel() for batch, *_ in questions.batches(values)]
    assert len(sizes) > 1
    assert max(sizes) <= 4000


def test_batches_stay_small_however_many_impulses(monkeypatch):
    monkeypatch.setattr(module, "CELLS_A_BATCH", 1000)
    offsets = 100 * np.arange(51)
    impulses = TimedRows(offsets, np.tile(np.arange(100.0), 50), np.ones((5000, 1), dtype=np.float32))
    given = Covariates(np.empty((50, 0), dtype=np.float32), TimedRows.empty(50), impulses)
    panel = replace(panel_of(*[np.arange(20.0)] * 50), covariates=given)
    questions = QueryBatcher(panel, np.arange(50), np.full(50, 200.0), 10.0)
    sizes = [batch.impulse_times.numel() for batch, *_ in questions.batches(panel.values)]
    assert sum(sizes) == 5000
    assert max(sizes) <= 1000


def test_no_queries_make_no_batches():
    questions = QueryBatcher(panel_of([0.0, 1.0]), np.empty(0, dtype=np.int64), np.empty(0), 10.0)
    assert list(questions.batches(np.zeros((2, 1), dtype=np.float32))) == []
