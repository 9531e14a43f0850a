"""The code of the README, and a picture: the lab values of two patients, two years ahead.

Run ``python examples/quickstart.py [picture.png]``. It takes less than a minute.
"""

import sys

import pandas as pd

from latentode import LatentODEForecaster
from latentode.datasets import load_pbc
from latentode.plotting import plot_forecast

df = load_pbc()  # a long frame: id, time, and a column per lab, NaN where not measured
forecaster = LatentODEForecaster(random_state=0).fit(df)  # no grid, no imputation, no scaling, no tuning

future = forecaster.forecast(horizon=730, freq=90, level=(80,))  # every patient, two years ahead
query = pd.DataFrame({"id": [1, 1, 2], "time": [95.5, 400.0, 6000.0]})  # any series, any time
labs = forecaster.predict(query)  # one row out per row in
intervals = forecaster.predict_interval(query, level=(50, 90))
paths = forecaster.sample(query, n_samples=100, random_state=0)  # joint over labs and times

print(future.filter(regex="^(id|time|bili.*)$").head(3).round(2).to_string())
print(pd.concat([query, intervals.filter(like="bili")], axis=1).round(2).to_string())

axes = plot_forecast(forecaster, series=[2, 5], channels=["bili", "albumin", "platelet"], horizon=730)
picture = sys.argv[1] if len(sys.argv) > 1 else "quickstart.png"
axes[0, 0].figure.savefig(picture, dpi=150)
print(f"picture written to {picture}")
