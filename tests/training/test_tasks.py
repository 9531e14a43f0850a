from dataclasses import replace

import numpy as np
import pytest
import torch

from latentode.data import Covariates, TimedRows
from latentode.training import RaggedSeries, TaskSampler, query_batch
from latentode.training.tasks import MAX_HISTORY, MAX_QUERIES, visits_per_epoch


def series_of(*lengths, n_channels=1, step=0.1, missing=0.0, seed=0):
    """Series at even times; every value is a number of its own, so that its origin can be recognised."""
    offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
    n = int(offsets[-1])
    values = (np.arange(n * n_channels) + 1).reshape(n, n_channels).astype(np.float32)
    rng = np.random.default_rng(seed)
    values[rng.random(values.shape) < missing] = np.nan
    return RaggedSeries(offsets, np.concatenate([np.arange(k) * step for k in lengths]), values)


@pytest.fixture(autouse=True)
def targets_as_they_are(monkeypatch):
    monkeypatch.setattr("latentode.training.tasks.TARGET_BOUND", 1e9)


def at(maker, which, origins, rate=0.0, whole_rows=True, seed=0):
    which, origins = np.atleast_1d(which), np.atleast_1d(origins)
    rates, rows = np.full(len(which), float(rate)), np.full(len(which), whole_rows)
    return maker.at(which, origins, rates, rows, np.random.default_rng(seed))


def read(batch, i=0):
    return set(batch.values[i][batch.mask[i] > 0].tolist())


def queried(batch, i=0):
    return set(batch.targets[i][batch.target_mask[i] > 0].tolist())


# -------------------------------------------------------------------------------------------------- tasks


def test_the_history_ends_at_the_origin_and_the_questions_come_after():
    batch = at(TaskSampler(series_of(10), span=10.0), 0, 3)
    assert read(batch) == {1, 2, 3, 4}
    assert queried(batch) == {5, 6, 7, 8, 9, 10}
    np.testing.assert_allclose(batch.times[0], [-0.03, -0.02, -0.01, 0.0], atol=1e-6)
    np.testing.assert_allclose(batch.query_times[0], 0.01 * np.arange(1, 7), atol=1e-6)
    assert not batch.backward


def test_questions_go_one_span_ahead_and_no_farther():
    batch = at(TaskSampler(series_of(30), span=1.0), 0, 9)
    assert queried(batch) == set(range(11, 21))
    assert batch.query_times.max() <= 1


def test_every_answer_is_the_value_at_its_time():
    series = series_of(40, n_channels=2, missing=0.3)
    batch = at(TaskSampler(series, span=2.0), 0, 20, rate=0.4)
    rows = np.rint((batch.query_times[0].numpy() * 2.0 + 2.0) / 0.1).astype(int)
    truth = series.values[rows]
    mask = batch.target_mask[0].numpy() > 0
    np.testing.assert_array_equal(batch.targets[0].numpy()[mask], truth[mask])
    assert np.isfinite(truth[mask]).all()
    assert (batch.targets[0].numpy()[~mask] == 0).all()


@pytest.mark.parametrize("whole_rows", [True, False])
def test_hidden_points_are_queried_and_never_read(whole_rows):
    maker = TaskSampler(series_of(50, n_channels=3, missing=0.2), span=100.0)
    for seed in range(5):
        batch = at(maker, 0, 40, rate=0.5, whole_rows=whole_rows, seed=seed)
        past = set(maker.series.values[:41][~np.isnan(maker.series.values[:41])].tolist())
        assert not read(batch) & queried(batch)
        assert read(batch) | (queried(batch) & past) == past
        assert 0.2 < len(read(batch)) / len(past) < 0.8
        assert batch.backward


def test_whole_rows_are_hidden_whole():
    batch = at(TaskSampler(series_of(30, n_channels=2), span=100.0), 0, 29, rate=0.5)
    assert set(batch.mask[0].sum(-1).tolist()) == {0.0, 2.0}


def test_single_values_are_hidden_apart():
    batch = at(TaskSampler(series_of(30, n_channels=2), span=100.0), 0, 29, rate=0.5, whole_rows=False)
    assert (batch.mask[0].sum(-1) == 1).any()


def test_nothing_farther_back_than_a_span_is_hidden():
    batch = at(TaskSampler(series_of(60), span=1.0), 0, 50, rate=1.0)
    assert read(batch) == set(range(1, 41))
    assert queried(batch) & set(range(1, 52)) == set(range(41, 52))
    assert batch.query_times.min() >= -1


def test_what_comes_later_changes_nothing_that_is_read():
    series = series_of(40, n_channels=2, missing=0.2)
    for origin in (0, 10, 38):
        other = series.values.copy()
        other[origin + 1 :] *= -7
        for rate in (0.0, 0.5):
            plain = at(TaskSampler(series, 1.5), 0, origin, rate)
            changed = at(TaskSampler(RaggedSeries(series.offsets, series.times, other), 1.5), 0, origin, rate)
            for name in ("times", "values", "mask", "lengths", "query_times", "target_mask"):
                np.testing.assert_array_equal(getattr(plain, name), getattr(changed, name))


def test_an_origin_before_the_first_row_leaves_no_history_and_asks_all():
    batch = at(TaskSampler(series_of(5), span=10.0), 0, -1)
    assert batch.lengths.tolist() == [0]
    assert read(batch) == set()
    assert queried(batch) == {1, 2, 3, 4, 5}
    np.testing.assert_allclose(batch.query_times[0], 0.01 * np.arange(5), atol=1e-6)


def test_the_last_origin_asks_nothing():
    batch = at(TaskSampler(series_of(5), span=10.0), 0, 4)
    assert queried(batch) == set()
    assert batch.target_mask.sum() == 0


def test_series_of_several_lengths_are_padded_with_nothing():
    batch = at(TaskSampler(series_of(3, 8, 1), span=10.0), [0, 1, 2], [1, 5, 0])
    assert batch.lengths.tolist() == [2, 6, 1]
    assert batch.mask[0, 2:].sum() == 0
    assert (batch.values[0, 2:] == 0).all()
    assert queried(batch, 0) == {3}
    assert queried(batch, 1) == {10, 11}
    assert queried(batch, 2) == set()


def test_only_the_latest_rows_are_read_and_a_choice_of_the_next_is_queried():
    batch = at(TaskSampler(series_of(2000), span=1e6), 0, 1000)
    assert read(batch) == set(range(1002 - MAX_HISTORY, 1002))
    assert len(queried(batch)) == MAX_QUERIES
    assert min(queried(batch)) > 1001
    other = at(TaskSampler(series_of(2000), span=1e6), 0, 1000, seed=1)
    assert queried(other) != queried(batch)


def test_rows_drawn_from_more_count_for_all_of_them():
    series = series_of(40, 12, n_channels=2, missing=0.4)
    few, all_rows = (at(TaskSampler(series, 10.0, max_queries=n), [0, 1], [7, 7]) for n in (5, MAX_QUERIES))
    assert few.query_times.shape == (2, 5)
    kept, whole = (batch.target_mask.amax(-1) for batch in (few, all_rows))
    torch.testing.assert_close(kept.sum(1), whole.sum(1))
    assert kept[1].tolist() == [1, 1, 1, 1, 0]  # four rows are left to be queried, and each counts once
    drawn = [at(TaskSampler(series, 10.0, max_queries=5), 0, 7, seed=k).target_mask.sum((0, 1)) for k in range(300)]
    torch.testing.assert_close(torch.stack(drawn).mean(0), all_rows.target_mask[0].sum(0), rtol=0.05, atol=0)


def test_absurd_answers_are_drawn_in(monkeypatch):
    monkeypatch.setattr("latentode.training.tasks.TARGET_BOUND", 20.0)
    assert max(queried(at(TaskSampler(series_of(100), span=1e3), 0, 1))) == 20


def test_large_times_lose_no_precision():
    series = series_of(10)
    late = RaggedSeries(series.offsets, series.times + 1.7e9, series.values)
    plain, moved = (at(TaskSampler(s, 1.0), 0, 4, rate=0.5) for s in (series, late))
    np.testing.assert_allclose(moved.times, plain.times, atol=1e-6)
    np.testing.assert_allclose(moved.query_times, plain.query_times, atol=1e-6)


# --------------------------------------------------------------------------------------------------- draws


def test_draws_are_reproducible_by_their_generator_alone():
    maker = TaskSampler(series_of(*[20] * 6, missing=0.2), span=1.0)
    state = np.random.get_state()[1].copy()  # noqa: NPY002
    first, same, other = (maker.draw(np.arange(6), np.random.default_rng(s)) for s in (0, 0, 1))
    np.testing.assert_array_equal(first.values, same.values)
    np.testing.assert_array_equal(first.query_times, same.query_times)
    assert first.values.shape != other.values.shape or (first.values != other.values).any()
    np.testing.assert_array_equal(np.random.get_state()[1], state)  # noqa: NPY002


def test_draws_spread_their_origins_and_now_and_then_know_nothing():
    maker = TaskSampler(series_of(10), span=1e3)
    lengths = maker.draw(np.zeros(4000, dtype=np.int64), np.random.default_rng(0)).lengths.numpy()
    counts = np.bincount(lengths, minlength=11)
    assert 30 < counts[0] < 150
    assert (counts[1:] > 300).all()


def test_about_half_of_the_draws_hide_points():
    maker = TaskSampler(series_of(40), span=1e3)
    batch = maker.draw(np.zeros(1000, dtype=np.int64), np.random.default_rng(0))
    hides = (batch.mask[..., 0].sum(1) < batch.lengths).float().mean()
    assert 0.35 < hides < 0.55
    never = maker.draw(np.zeros(200, dtype=np.int64), np.random.default_rng(0), hide=0.0)
    assert (never.mask[..., 0].sum(1) == never.lengths).all()


def test_long_series_are_visited_more_often():
    visits = visits_per_epoch(np.array([1, 31, 64, 320, 10**6]))
    assert visits.tolist() == [1, 1, 2, 10, 64]


# ---------------------------------------------------------------------------------------------- questions


def test_questions_of_prediction_are_relative_to_their_origin():
    series = series_of(6, 4)
    batch = query_batch(
        series,
        starts=np.array([2, 6]),
        stops=np.array([6, 6]),
        origins=np.array([0.5, 3.0]),
        query_times=np.array([[0.3, 0.9], [4.0, np.nan]]),
        span=0.1,
    )
    assert batch.lengths.tolist() == [4, 0]
    assert read(batch) == {3, 4, 5, 6}
    np.testing.assert_allclose(batch.times[0], [-3, -2, -1, 0], atol=1e-5)
    np.testing.assert_allclose(batch.query_times, [[-2, 4], [10, 0]], atol=1e-5)
    assert batch.reach == 10
    assert batch.backward
    assert batch.targets is None


def test_questions_within_a_span_reach_one_span():
    arguments = {"starts": np.array([0]), "stops": np.array([3]), "origins": np.array([0.2]), "span": 1.0}
    batch = query_batch(series_of(3), query_times=np.array([[0.2, 1.2]]), **arguments)
    assert (batch.reach, batch.backward) == (1, False)
    assert query_batch(series_of(3), query_times=np.array([[1.3]]), **arguments).reach == 2


# -------------------------------------------------------------------------------------------------- series


def test_some_series_and_the_first_rows_of_each():
    series = series_of(3, 5, 2)
    taken = series.take(np.array([2, 0]))
    assert taken.offsets.tolist() == [0, 2, 5]
    assert taken.values.ravel().tolist() == [9, 10, 1, 2, 3]
    headed = series.head(np.array([1, 2, 9]))
    assert headed.offsets.tolist() == [0, 1, 3, 5]
    assert headed.values.ravel().tolist() == [1, 4, 5, 9, 10]
    assert headed.times.tolist() == [0, 0, 0.1, 0, 0.1]


def test_a_row_queried_counts_its_weight():
    series = series_of(6, 4, step=1.0)
    weights = np.arange(1, 11, dtype=np.float32)
    weighed = TaskSampler(replace(series, weights=weights), 10.0)
    plain = at(TaskSampler(series, 10.0), 0, 2, 0.0)
    found = at(weighed, 0, 2, 0.0)
    torch.testing.assert_close(found.target_mask[0, :3], plain.target_mask[0, :3] * torch.tensor([[4.0], [5.0], [6.0]]))
    torch.testing.assert_close(found.values, plain.values)
    assert series.take(np.array([1])).weights is None
    assert replace(series, weights=weights).take(np.array([1])).weights.tolist() == [7, 8, 9, 10]


def test_some_origins_are_drawn_early_where_it_is_said():
    series = series_of(*[40] * 300, step=1.0)
    rng = np.random.default_rng(0)
    lengths = TaskSampler(series, 38.0, early=1.0).draw(np.arange(300), rng).lengths
    assert lengths.max() <= 6  # rows with nine tenths of 38 ahead of them, of 40
    assert TaskSampler(series, 38.0).draw(np.arange(300), rng).lengths.max() > 30


def test_a_series_a_little_shorter_than_the_span_has_early_origins_too():
    rng = np.random.default_rng(0)
    lengths = TaskSampler(series_of(*[40] * 300, step=1.0), 45.0, early=1.0).draw(np.arange(300), rng).lengths
    assert lengths.max() <= 4  # a tenth of its course


def test_where_no_series_is_long_enough_origins_are_spread():
    lengths = (
        TaskSampler(series_of(*[40] * 300, step=1.0), 100.0, early=1.0)
        .draw(np.arange(300), np.random.default_rng(0))
        .lengths
    )
    assert lengths.max() > 30


def test_a_gap_is_a_stretch_of_some_channels_and_all_of_it_is_queried():
    series = series_of(*[30] * 40, n_channels=4)
    maker = TaskSampler(series, 3.0, gaps=1.0)
    batch = maker.at(np.arange(40), np.full(40, 29), np.full(40, 0.3), np.zeros(40, bool), np.random.default_rng(0))
    seen = batch.mask.numpy() > 0
    lost = ~seen[:, :30]
    struck = lost.any(axis=1)
    assert 0 < struck.mean() < 1
    for series_lost in lost:
        rows = [np.flatnonzero(series_lost[:, k]) for k in range(4) if series_lost[:, k].any()]
        for r in rows:
            assert np.array_equal(r, np.arange(r[0], r[-1] + 1))  # one stretch
            assert np.array_equal(r, rows[0])  # of all channels struck
            assert len(r) <= 16
    assert batch.target_mask.sum() == lost.sum()


# --------------------------------------------------------------------------------------------------- known covariates


def steered(times, values):
    """One series with a known covariate."""
    known = TimedRows(np.array([0, len(times)]), np.array(times), np.array(values, dtype=np.float32)[:, None])
    nothing = np.zeros((1, 0), dtype=np.float32)
    return replace(series_of(40), covariates=Covariates(nothing, known, TimedRows.empty(1)))


def test_a_level_that_is_given_again_and_again_is_one_level():
    few = steered([0.0, 2.25, 3.0], [1.0, 2.0, 1.0])
    times = np.arange(0.0, 4.0, 0.25)
    many = steered(times, np.where((times >= 2.25) & (times < 3.0), 2.0, 1.0))
    question = {"starts": [0], "stops": [40], "origins": [3.9], "query_times": [[4.5, 5.0]], "which": [0]}
    first, second = (
        query_batch(series, span=1.0, **{name: np.array(x) for name, x in question.items()}) for series in (few, many)
    )
    for one, other in zip((first.knot_times, first.knots), (second.knot_times, second.knots), strict=True):
        np.testing.assert_array_equal(one, other)


def test_a_question_without_a_history_is_the_same_in_training_and_in_prediction():
    """The features of its time are those of the query, not those of time zero."""
    series = replace(steered(np.arange(0.0, 9.0, 0.5), np.arange(18.0)), times=np.full(40, 7.25))
    trained = at(TaskSampler(series.head(np.array([1])), 1.0), [0], [-1])
    question = {"starts": [0], "stops": [0], "origins": [7.25], "query_times": [[7.25]], "which": [0]}
    predicted = query_batch(series, span=1.0, **{name: np.array(x) for name, x in question.items()})
    for name in ("given", "query_given", "query_times"):
        np.testing.assert_allclose(getattr(predicted, name)[:, :1], getattr(trained, name)[:, :1])
    np.testing.assert_array_equal(predicted.knot_times[:, 0], trained.knot_times[:, 0])


# --------------------------------------------------------------------------------------------------- impulses


def dosed(series, times, amounts):
    """The same series, of which the first has impulses."""
    n = len(series.lengths)
    offsets = np.concatenate([[0], np.full(n, len(times))]).astype(np.int64)
    impulses = TimedRows(offsets, np.array(times), np.array(amounts, dtype=np.float32)[:, None])
    return replace(series, covariates=Covariates(np.empty((n, 0), np.float32), TimedRows.empty(n), impulses))


def test_all_impulses_up_to_the_last_query_are_in_a_batch_in_spans_from_the_origin():
    series = dosed(series_of(30, 30), [-50.0, 1.0, 1.5, 2.4, 9.0], [1.0, np.nan, 0.0, 2.0, 3.0])
    batch = at(TaskSampler(series, span=0.5), [0, 1], [20, 20])
    assert batch.impulse_times[0].tolist() == pytest.approx([-104.0, 0.8], rel=1e-6)
    assert batch.impulses[0, :, 0].tolist() == [1.0, 2.0]  # rows in which nothing is given are no impulses
    assert batch.impulse_times[1].isinf().all()
    assert batch.knots is None
    assert batch.given is None


def test_an_impulse_at_the_time_of_a_row_or_query_has_that_very_time():
    series = dosed(series_of(30), [0.1 * 7, 0.1 * 13], [1.0, 1.0])
    batch = query_batch(series, np.array([0]), np.array([11]), series.times[[10]], series.times[None, [13]], 0.7,
                        np.array([0]))  # fmt: skip
    assert batch.impulse_times[0, 0] == batch.times[0, 7]
    assert batch.impulse_times[0, 1] == batch.query_times[0, 0]
