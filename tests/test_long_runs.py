"""A process that runs for days: memory and time per call stay flat."""

import gc
import os
import time
from pathlib import Path

import numpy as np
import pytest

from tests.estimators.tiny import quick, waves


def megabytes():
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="memory is read from /proc")
def test_two_hundred_fits_and_predictions_leave_memory_as_it_was(tmp_path, record_property):
    df = waves(6, 10)

    def once():
        forecaster = quick(checkpoint_dir=tmp_path).fit(df)
        forecaster.predict(df)
        forecaster.predict_interval(df)
        forecaster.update(df.assign(time=df["time"] + 10)).forecast()

    for _ in range(20):
        once()
    gc.collect()
    before = megabytes()
    for _ in range(200):
        once()
    gc.collect()
    grown = megabytes() - before
    record_property("megabytes", grown)
    assert grown < 20, f"{grown:.1f} MB more after 200 fits"


@pytest.mark.slow
def test_ten_thousand_updates_take_the_same_time_each(record_property):
    df = waves(50, 20)
    forecaster = quick().fit(df)
    row = df.head(1).copy()
    ids, took = df["id"].unique(), []
    for k in range(10_000):
        row["id"], row["time"] = ids[k % len(ids)], 10.0 + k
        began = time.perf_counter()
        forecaster.update(row)
        took.append(time.perf_counter() - began)
    first, last = np.median(took[:1000]), np.median(took[-1000:])
    mean = np.mean(took[-2000:]) / np.mean(took[:2000])
    record_property("milliseconds", [1e3 * float(first), 1e3 * float(last), float(mean)])
    assert last < 2 * first
    assert mean < 3  # the rare large merges among them
    assert len(forecaster.panel_.times) > 10_000
