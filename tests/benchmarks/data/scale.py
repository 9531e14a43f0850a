"""A million rows of 20,000 series: seconds and memory from a frame to the arrays that tensors are cut from.

python tests/benchmarks/data/scale.py [rows]
"""

import sys
import time
import tracemalloc

import numpy as np
import pandas as pd

from latentode.data import ChannelScaler, TimeAxis, infer_schema, panel_from_frame

ROWS_A_SERIES = 50


def frame(n_rows: int) -> pd.DataFrame:
    """Dates, integer ids and four channels, half of them missing; unsorted, some times twice."""
    rng = np.random.default_rng(0)
    seconds = pd.to_timedelta(rng.integers(0, 86_400 * 300, n_rows), unit="s")
    df = pd.DataFrame(
        {"id": rng.integers(0, n_rows // ROWS_A_SERIES, n_rows), "time": pd.Timestamp("2020-01-01") + seconds}
    )
    for channel in "abcd":
        df[channel] = np.where(rng.random(n_rows) < 0.5, np.nan, rng.normal(size=n_rows))
    return df


def arrays(df: pd.DataFrame) -> np.ndarray:
    """What training reads: a panel in order, its values scaled in single precision."""
    schema = infer_schema(df)
    panel, _ = panel_from_frame(df, schema, TimeAxis.from_times(schema.times_of(df)))
    return ChannelScaler.from_values(panel.values).transform(panel.values).astype(np.float32)


def main() -> None:
    """Print both figures."""
    df = frame(int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000)
    clock, processor = time.perf_counter(), time.process_time()
    arrays(df)
    print(f"{len(df):,} rows, {df['id'].nunique():,} series")
    print(
        f"seconds: {time.process_time() - processor:.2f} of processor, {time.perf_counter() - clock:.2f} by the clock"
    )
    tracemalloc.start()
    arrays(df)
    peak = tracemalloc.get_traced_memory()[1]
    print(f"peak of memory: {peak / df.memory_usage(deep=True).sum():.2f} times the frame's")


if __name__ == "__main__":
    main()
