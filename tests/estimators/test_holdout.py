import numpy as np
import pytest

from latentode.estimators import holdout
from latentode.estimators.holdout import FEWEST_SERIES, hold_out, n_held_out
from latentode.estimators.trained import Extent
from latentode.training import RaggedSeries, TaskSampler


def series_of(lengths):
    """Series of given lengths; each value is the number of its row."""
    offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
    times = np.concatenate([np.arange(n, dtype=float) for n in lengths])
    return RaggedSeries(offsets, times, np.arange(len(times), dtype=np.float32)[:, None])


def values_queried(batches):
    return np.concatenate([b.targets[b.target_mask > 0].numpy() for b in batches])


def values_read(batches):
    return np.concatenate([b.values[b.mask > 0].numpy() for b in batches])


def test_of_many_series_whole_ones_are_held_out(monkeypatch):
    monkeypatch.setattr("latentode.training.tasks.TARGET_BOUND", 1e9)
    series = series_of([6] * 40)
    fold = next(hold_out(TaskSampler(series, 10.0), 0.2, 1, np.random.default_rng(0)))
    maker, held_out = fold.tasks, fold.held_out
    trained = set(maker.series.values.ravel())
    assert len(maker.series.lengths) == 32
    assert not trained & set(values_queried(held_out))
    assert not trained & set(values_read(held_out))


def test_no_more_series_are_held_out_than_a_reliable_validation_check_needs(monkeypatch):
    monkeypatch.setattr(holdout, "MOST_HELD_OUT", 7)
    offsets = np.arange(0, 3 * 60 + 1, 3)
    series = RaggedSeries(offsets, np.tile(np.arange(3.0), 60), np.zeros((180, 1), dtype=np.float32))
    maker = next(hold_out(TaskSampler(series, 3.0), 0.5, 1, np.random.default_rng(0))).tasks
    assert len(maker.series.lengths) == 60 - 7


def test_a_check_on_many_held_out_series_queries_each_once_with_no_more_rows_than_a_training_step(monkeypatch):
    monkeypatch.setattr(holdout, "ENOUGH_QUERIED", 10)
    whole = TaskSampler(series_of([30] * 60), 30.0, max_queries=4)
    fold = next(hold_out(whole, 0.5, 1, np.random.default_rng(0)))
    maker, held_out = fold.tasks, fold.held_out
    assert maker.max_queries == 4
    assert sum(len(b.lengths) for b in held_out) == 30
    assert max(b.query_times.shape[1] for b in held_out) == 4


def test_of_few_series_the_last_part_of_each_is_held_out(monkeypatch):
    monkeypatch.setattr("latentode.training.tasks.TARGET_BOUND", 1e9)
    series = series_of([20] * (FEWEST_SERIES - 1))
    fold = next(hold_out(TaskSampler(series, 10.0), 0.2, 1, np.random.default_rng(0)))
    maker, held_out = fold.tasks, fold.held_out
    trained = set(maker.series.values.ravel())
    assert maker.series.lengths.tolist() == [16] * (FEWEST_SERIES - 1)
    assert set(values_queried(held_out)) & set(series.values.ravel())
    assert not trained & set(values_queried(held_out))
    length = series.times.reshape(-1, 20)[0, -1] - series.times[0]
    assert fold.extent == Extent(20 * len(series.lengths), len(series.lengths) * length / 10.0)


def test_every_model_has_other_series_held_out():
    series = series_of([6] * 40)
    folds = list(hold_out(TaskSampler(series, 10.0), 0.2, 3, np.random.default_rng(0)))
    held = [set(np.flatnonzero(~fold.trained_rows)) for fold in folds]
    assert [len(rows) for rows in held] == [8 * 6] * 3
    assert not held[0] & held[1] | held[0] & held[2] | held[1] & held[2]
    assert [len(fold.held_series) for fold in folds] == [8] * 3


def test_where_series_are_too_few_for_so_many_models_they_are_held_out_again():
    folds = list(hold_out(TaskSampler(series_of([6] * 25), 10.0), 0.5, 4, np.random.default_rng(0)))
    assert [(~fold.trained_rows).sum() for fold in folds] == [12 * 6] * 4
    assert len({tuple(fold.held_series) for fold in folds}) == 4


def test_of_a_dozen_series_three_models_have_all_held_out_between_them():
    folds = list(hold_out(TaskSampler(series_of([6] * 12), 10.0), 0.15, 3, np.random.default_rng(0)))
    assert sorted(np.concatenate([fold.held_series for fold in folds])) == list(range(12))


@pytest.mark.parametrize(("n_series", "held_out"), [(7, 0), (8, 2), (12, 4), (15, 5), (33, 5), (100, 15), (9_000, 500)])
def test_of_few_series_more_are_held_out_than_the_fraction(n_series, held_out):
    assert n_held_out(n_series, 0.15) == held_out


def test_series_of_one_row_are_never_queried():
    series = series_of([1] * 30 + [5] * 25)
    held_out = next(hold_out(TaskSampler(series, 10.0), 0.2, 1, np.random.default_rng(0))).held_out
    assert values_queried(held_out).min() >= 20  # TARGET_BOUND draws in what lies beyond
