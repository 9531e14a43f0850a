"""
What if it does not rain?
=========================

A known covariate can be planned: forecasts of two plans answer what would happen under each. The data are the levels of
thirty water stores, which storms fill; the rain of every day is known. Every plan is one call of ``predict_interval``
with rows for the days ahead.
"""

import numpy as np
import pandas as pd
from matplotlib import pyplot as plt

from latentode import LatentODEForecaster
from latentode.datasets import make_catchment

TODAY, DAYS = 250, 60

data = make_catchment(n_series=30, n_days=TODAY + DAYS, random_state=0).data
known = data[data["time"] <= TODAY]
forecaster = LatentODEForecaster(
    target_cols=["level"], known_cols=["rain"], horizon=float(DAYS), max_steps=300, random_state=0
).fit(known)

days = np.arange(TODAY + 1.0, TODAY + DAYS + 1)
past = known[known["id"] == 0]
as_before = past["rain"].to_numpy()[-DAYS:]  # the rain of the last two months once more
plans = {"no rain": np.zeros(DAYS), "the rain of the last two months again": as_before}

figure, (top, bottom) = plt.subplots(2, 1, figsize=(9, 5), sharex=True, height_ratios=[3, 1], layout="constrained")
observed = past[past["level"].notna() & (past["time"] > TODAY - 120)]
top.plot(observed["time"], observed["level"], "o", color="#222", label="observed")
for (name, rain), color in zip(plans.items(), ["#d55e00", "#0072b2"], strict=True):
    plan = pd.DataFrame({"id": 0, "time": days, "rain": rain})
    forecast = forecaster.predict_interval(plan, 80)
    mean = forecaster.predict(plan)["level"]
    top.plot(days, mean, color=color, label=name)
    top.fill_between(days, forecast["level-lo-80"], forecast["level-hi-80"], color=color, alpha=0.2, linewidth=0)
    bottom.bar(days, rain, color=color, width=1.0)
recent = past[past["time"] > TODAY - 120]
bottom.bar(recent["time"], recent["rain"], color="#999", width=1.0)
top.set_ylabel("level")
bottom.set_ylabel("rain")
bottom.set_xlabel("day")
top.legend(frameon=False, loc="upper left")
figure.suptitle("One store under two plans, with 80 % intervals")
