import pickle

import numpy as np
import pandas as pd
import pytest

from latentode.data import Covariates, GrowingPanel, Panel, TimedRows


def piece(rng, n_rows, covariates=False):
    """Some rows of some of ten series, at times of a coarse grid: many meet one that is there already."""
    df = pd.DataFrame({"id": rng.integers(0, 10, n_rows), "time": rng.integers(0, 20, n_rows).astype(float)})
    df = df.drop_duplicates().sort_values(["id", "time"])
    ids, codes = np.unique(df["id"], return_inverse=True)
    offsets = np.searchsorted(codes, np.arange(len(ids) + 1)).astype(np.int64)
    values = rng.normal(size=(len(df), 2))
    values[rng.random(values.shape) < 0.3] = np.nan
    given = None
    if covariates:
        static = rng.integers(0, 2, (len(ids), 2)).astype(np.float32)
        known = rng.normal(size=(len(df), 1)).astype(np.float32)
        amounts = np.where(rng.random(known.shape) < 0.5, np.float32(np.nan), known)
        at = offsets, df["time"].to_numpy()
        given = Covariates(static, TimedRows(*at, known), TimedRows(*at, amounts))
    return Panel(pd.Index(ids), offsets, df["time"].to_numpy(), values, given)


def assert_same(left, right):
    assert left.ids.equals(right.ids)
    for name in ("offsets", "times", "values"):
        np.testing.assert_array_equal(getattr(left, name), getattr(right, name))
    if right.covariates is not None:
        np.testing.assert_array_equal(left.covariates.static, right.covariates.static)
        for part in ("known", "impulses"):
            for name in ("offsets", "times", "values"):
                pair = (getattr(getattr(panel.covariates, part), name) for panel in (left, right))
                np.testing.assert_array_equal(*pair)


@pytest.mark.parametrize("covariates", [False, True])
@pytest.mark.parametrize("queried_every", [1, 3, 100])
def test_growing_is_updating_one_by_one_whenever_it_is_queried(covariates, queried_every):
    rng = np.random.default_rng(0)
    expected = piece(rng, 12, covariates)
    growing = GrowingPanel(expected)
    for k in range(40):
        new = piece(rng, int(rng.integers(1, 9)), covariates)
        expected, growing = expected.updated(new), growing.with_rows(new)
        if k % queried_every == 0:
            assert_same(growing.panel, expected)
    assert_same(growing.panel, expected)


def test_what_is_added_leaves_what_was_there_as_it_was():
    rng = np.random.default_rng(1)
    before = GrowingPanel(piece(rng, 10))
    rows = before.panel.times.copy()
    after = before.with_rows(piece(rng, 10))
    np.testing.assert_array_equal(before.panel.times, rows)
    assert len(after.panel.times) > len(rows)
    assert before.panel is before.panel


def test_few_parts_wait_and_large_ones_are_seldom_moved(monkeypatch):
    moved, updated = [], Panel.updated

    def counted(self, new):
        moved.append(len(self.times) + len(new.times))
        return updated(self, new)

    monkeypatch.setattr(Panel, "updated", counted)

    def one(time):
        return Panel(pd.Index(["a"]), np.array([0, 1]), np.array([float(time)]), np.array([[1.0]]))

    n_before = 100_000
    long = Panel(pd.Index(["a"]), np.array([0, n_before]), np.arange(-n_before, 0.0), np.ones((n_before, 1)))
    growing = GrowingPanel(long)
    n = 1024
    for k in range(n):
        growing = growing.with_rows(one(k))
        assert len(growing._parts) <= 2 + np.log2(k + 1)
    assert max(moved) <= n  # the rows of before have not been touched
    assert sum(moved) <= n * (np.log2(n) + 1)
    assert len(growing.panel.times) == n_before + n


def test_it_goes_through_pickle():
    rng = np.random.default_rng(2)
    growing = GrowingPanel(piece(rng, 10)).with_rows(piece(rng, 10))
    assert_same(pickle.loads(pickle.dumps(growing)).panel, growing.panel)
