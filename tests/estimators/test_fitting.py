import io
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from latentode.data import Panel
from latentode.estimators import fitting, folds, sizes
from latentode.estimators.folds import FEWEST_SERIES, hold_out, n_held_out
from latentode.training import RaggedSeries, TaskSampler
from latentode.training.tasks import MAX_QUERIES
from tests.estimators.tiny import quick, waves


def series_of(lengths):
    """Series of given lengths; each value is the number of its row."""
    offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
    times = np.concatenate([np.arange(n, dtype=float) for n in lengths])
    return RaggedSeries(offsets, times, np.arange(len(times), dtype=np.float32)[:, None])


def values_asked(batches):
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
    assert not trained & set(values_asked(held_out))
    assert not trained & set(values_read(held_out))


def test_no_more_series_are_held_out_than_make_a_sure_look(monkeypatch):
    monkeypatch.setattr(folds, "MOST_HELD_OUT", 7)
    offsets = np.arange(0, 3 * 60 + 1, 3)
    series = RaggedSeries(offsets, np.tile(np.arange(3.0), 60), np.zeros((180, 1), dtype=np.float32))
    maker = next(hold_out(TaskSampler(series, 3.0), 0.5, 1, np.random.default_rng(0))).tasks
    assert len(maker.series.lengths) == 60 - 7


def test_a_look_at_many_held_out_series_asks_each_once_and_no_more_rows_than_a_step(monkeypatch):
    monkeypatch.setattr(folds, "ENOUGH_ASKED", 10)
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
    assert set(values_asked(held_out)) & set(series.values.ravel())
    assert not trained & set(values_asked(held_out))


def test_every_model_has_other_series_held_out():
    series = series_of([6] * 40)
    folds = list(hold_out(TaskSampler(series, 10.0), 0.2, 3, np.random.default_rng(0)))
    held = [set(np.flatnonzero(~fold.seen)) for fold in folds]
    assert [len(rows) for rows in held] == [8 * 6] * 3
    assert not held[0] & held[1] | held[0] & held[2] | held[1] & held[2]
    assert [len(fold.asked) for fold in folds] == [8] * 3


def test_where_series_are_too_few_for_so_many_models_they_are_held_out_again():
    folds = list(hold_out(TaskSampler(series_of([6] * 25), 10.0), 0.5, 4, np.random.default_rng(0)))
    assert [(~fold.seen).sum() for fold in folds] == [12 * 6] * 4
    assert len({tuple(fold.asked) for fold in folds}) == 4


def test_of_a_dozen_series_three_models_have_all_held_out_between_them():
    folds = list(hold_out(TaskSampler(series_of([6] * 12), 10.0), 0.15, 3, np.random.default_rng(0)))
    assert sorted(np.concatenate([fold.asked for fold in folds])) == list(range(12))


@pytest.mark.parametrize(("n_series", "held_out"), [(7, 0), (8, 2), (12, 4), (15, 5), (33, 5), (100, 15), (9_000, 500)])
def test_of_few_series_more_are_held_out_than_the_fraction(n_series, held_out):
    assert n_held_out(n_series, 0.15) == held_out


@pytest.mark.parametrize(
    ("n_series", "n_values", "n_models"),
    [(6, 10, 1), (7, 10, 1), (8, 10, 3), (24, 9_999, 3), (24, 10_000, 1), (25, 10, 1), (700, 10, 1)],
)
def test_several_models_are_trained_where_few_whole_series_are_held_out(n_series, n_values, n_models):
    panel = Panel(pd.RangeIndex(n_series), np.arange(0, 2 * n_series + 1, 2), np.zeros(2 * n_series), np.zeros((1, 1)))
    settings, scaled = quick()._settings(None), np.zeros((n_values, 1))
    assert sizes.n_models_for(panel, scaled, settings) == n_models
    assert sizes.n_models_for(panel, scaled, replace(settings, n_models=2)) == 2


def test_series_of_one_row_are_never_asked():
    series = series_of([1] * 30 + [5] * 25)
    held_out = next(hold_out(TaskSampler(series, 10.0), 0.2, 1, np.random.default_rng(0))).held_out
    assert values_asked(held_out).min() >= 20  # TARGET_BOUND draws in what lies beyond


def test_the_span_is_how_long_series_usually_last():
    times = np.concatenate([np.linspace(0, 2, 5)] * 30 + [[0.0]])
    offsets = np.concatenate([np.arange(0, 151, 5), [151]]).astype(np.int64)
    panel = Panel(pd.RangeIndex(31), offsets, times, np.zeros((151, 1)))
    assert sizes.usual_duration(panel) == pytest.approx(2.0)
    assert sizes._usual_gap(panel) == pytest.approx(0.5)


@pytest.mark.parametrize(
    ("n_series", "n_values", "steps"),
    [(10, 100, 600), (16, 500_000, 600), (200, 4_000, 1_200), (1_000, 90_000, 3_000), (9_000, 2_900_000, 1_500)],
)
def test_many_series_are_learned_from_for_longer_than_few(n_series, n_values, steps):
    panel = Panel(pd.RangeIndex(n_series), np.arange(n_series + 1), np.zeros(n_series), np.zeros((n_series, 1)))
    assert sizes._steps_for(panel, n_values, 1) == steps
    assert sizes._steps_for(panel, n_values, 3) == 400


@pytest.mark.parametrize(("much", "cells", "max_queries"), [(80, 1600, 50), (80, 160, 24), (100_000, 160, MAX_QUERIES)])
def test_where_there_is_much_data_few_rows_of_a_series_are_asked_in_a_step(monkeypatch, much, cells, max_queries):
    seen, train = [], fitting.train
    monkeypatch.setattr(sizes, "MUCH", much)
    monkeypatch.setattr(sizes, "CELLS_ASKED", cells)

    def watched(model, tasks, *rest):
        seen.append(tasks.max_queries)
        return train(model, tasks, *rest)

    monkeypatch.setattr(fitting, "train", watched)
    quick(max_steps=1, batch_size=16).fit(waves())  # of two channels
    assert seen == [max_queries]


def test_a_notebook_is_watched_and_a_file_is_not(monkeypatch):
    notebook = type("OutStream", (io.StringIO,), {"__module__": "ipykernel.iostream"})
    for out, watched in ((notebook(), True), (io.StringIO(), False), (None, False)):
        monkeypatch.setattr("sys.stdout", out)
        assert sizes._is_watched() is watched
