"""A million query rows at once."""

import tracemalloc

import numpy as np
import pandas as pd
import pytest

from latentode.estimators.query_batches import CELLS_A_BATCH, QueryBatcher
from tests.estimators.tiny import quick, waves

MEGABYTE = 1_000_000


def queried(n_rows):
    """Rows of 24 series, most of them beyond their ends."""
    rng = np.random.default_rng(0)
    return pd.DataFrame(
        {"id": rng.choice([f"s{k:02d}" for k in range(24)], n_rows), "time": rng.uniform(0, 12, n_rows)}
    )


def peak_of(forecaster, queries):
    tracemalloc.start()
    try:
        assert np.isfinite(forecaster.predict(queries)).all(axis=None)
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize(
    "n_rows", [20_000, pytest.param(1_000_000, marks=pytest.mark.slow)], ids=["20,000 rows", "1,000,000 rows"]
)
def test_memory_is_so_many_bytes_a_row_and_batches_are_of_one_size(fitted, monkeypatch, n_rows):
    sizes, batches = [], QueryBatcher.batches

    def watched(self, *args, **kwargs):
        for batch, *rest in batches(self, *args, **kwargs):
            sizes.append(max(batch.query_times.numel(), batch.mask[..., 0].numel()))
            yield batch, *rest

    monkeypatch.setattr(QueryBatcher, "batches", watched)
    assert peak_of(fitted, queried(n_rows)) < 500 * n_rows + 30 * MEGABYTE
    assert max(sizes) <= CELLS_A_BATCH


@pytest.mark.slow
def test_quantiles_of_many_rows_are_of_bounded_memory_too():
    forecaster = quick().fit(waves(24, 12))
    queries = queried(100_000)
    tracemalloc.start()
    try:
        forecaster.predict_interval(queries, (80,))
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 700 * len(queries) + 60 * MEGABYTE
