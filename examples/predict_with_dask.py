"""Predict many partitions of queries with one fitted forecaster, on a local Dask cluster of two workers.

Install the extra ``dask`` and run ``python examples/predict_with_dask.py``. It takes about half a minute. On a real
cluster, only the address of the client changes.
"""

import logging

import pandas as pd
from dask import dataframe as dd
from dask.distributed import Client, LocalCluster

from latentode import LatentODEForecaster
from latentode.datasets import load_pbc


def main() -> None:
    df = load_pbc()
    forecaster = LatentODEForecaster(max_steps=100, random_state=0).fit(df)
    last = df.groupby("id")["time"].max()
    query = pd.DataFrame(
        {"id": last.index.repeat(8), "time": last.to_numpy().repeat(8) + list(range(90, 721, 90)) * len(last)}
    )

    local = forecaster.predict(query)
    workers = LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None, silence_logs=logging.ERROR)
    with workers as cluster, Client(cluster):
        # Any partitions work here. With known_cols or impulse_cols, a row acts on later rows of its series: keep a
        # series in one partition, for instance by dd.from_pandas(query.set_index("id"), ...).reset_index().
        partitions = dd.from_pandas(query, npartitions=8)
        remote = partitions.map_partitions(forecaster.predict, meta=local.iloc[:0]).compute()

    difference = (remote - local).abs().max().max()
    print(f"{len(remote):,} rows from {partitions.npartitions} partitions; largest difference: {difference:.1e}")


if __name__ == "__main__":  # the workers import this file
    main()
