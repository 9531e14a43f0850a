"""
Two dosing plans
================

An impulse is an amount given at an instant, such as a dose. The data are concentrations of a drug in the blood of
thirty subjects, measured at irregular times, and all of their doses. The forecasts of one subject under two plans stand
beside the truth, which is known because the data are simulated.
"""

import numpy as np
import pandas as pd
from matplotlib import pyplot as plt

from latentode import LatentODEForecaster
from latentode.datasets import make_pharmacokinetics

NOW, END, SUBJECT = 72.0, 120.0, 3

data, truth, subjects = make_pharmacokinetics(n_series=30, n_days=NOW / 24, random_state=0)
forecaster = LatentODEForecaster(
    target_cols=["concentration"], impulse_cols=["dose"], max_steps=200, random_state=0
).fit(data)


def simulated(given, times):
    """The true concentration of the subject: one compartment, doses taken by mouth."""
    ka, clearance, volume = subjects.loc[SUBJECT, ["ka", "clearance", "volume"]]
    since = np.maximum(times[:, None] - given["time"].to_numpy(), 0.0)
    after_one = ka / (volume * ka - clearance) * (np.exp(-clearance / volume * since) - np.exp(-ka * since))
    return after_one @ given["dose"].to_numpy()


past = data[data["id"] == SUBJECT]
given = past.dropna(subset="dose")
hours = np.arange(NOW + 1, END + 1)
plans = {  # hours and milligrams
    "100 mg every 12 hours": {74.0: 100, 86.0: 100, 98.0: 100, 110.0: 100},
    "200 mg once a day": {74.0: 200, 98.0: 200},
}

figure, (top, bottom) = plt.subplots(2, 1, figsize=(9, 5), sharex=True, height_ratios=[3, 1], layout="constrained")
top.plot(past["time"], past["concentration"], "o", color="#222", label="measured")
bottom.bar(given["time"], given["dose"], color="#999")
for (name, doses), color, beside in zip(plans.items(), ["#0072b2", "#d55e00"], [-0.5, 0.5], strict=True):
    plan = pd.DataFrame({"id": SUBJECT, "time": hours, "dose": pd.Series(hours).map(doses)})
    forecast = forecaster.predict_interval(plan, 80)
    top.plot(hours, forecaster.predict(plan)["concentration"], color=color, label=name)
    lower, upper = forecast["concentration-lo-80"], forecast["concentration-hi-80"]
    top.fill_between(hours, lower, upper, color=color, alpha=0.2, linewidth=0)
    every = pd.concat([given, plan.dropna()])
    top.plot(hours, simulated(every, hours), "--", color=color, linewidth=1)
    bottom.bar(np.array(list(doses)) + beside, list(doses.values()), color=color)
top.plot([], [], "--", color="#222", linewidth=1, label="truth")
top.set_ylabel("concentration, mg/l")
bottom.set_ylabel("dose, mg")
bottom.set_xlabel("hour")
top.legend(frameon=False, loc="upper left", ncols=2)
figure.suptitle("One subject under two plans, with 80 % intervals")
