"""One fitted forecaster, many partitions of queries: a local Dask cluster of two workers.

Run ``python examples/predict_with_dask.py`` (``pip install latentode[dask]``); it takes about half a minute. On a real
cluster only the address of the client changes.
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

    here = forecaster.predict(query)
    workers = LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None, silence_logs=logging.ERROR)
    with workers as cluster, Client(cluster):
        # Any partitions will do here. With known_cols a row tells of the way to the later ones of its series: then a
        # series belongs in one partition, for instance by dd.from_pandas(query.set_index("id"), ...).reset_index().
        partitions = dd.from_pandas(query, npartitions=8)
        there = partitions.map_partitions(forecaster.predict, meta=here.iloc[:0]).compute()

    farthest = (there - here).abs().max().max()
    print(
        f"{len(there):,} rows from {partitions.npartitions} partitions; farthest from the local answer: {farthest:.1e}"
    )


if __name__ == "__main__":  # the workers import this file
    main()
