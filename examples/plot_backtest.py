"""
Beside naive forecasts, from several origins
============================================

A backtest: at each origin, earlier rows are the history and later rows are the queries. Errors by lead time.
"""

from latentode import LatentODEForecaster
from latentode.datasets import load_pbc
from latentode.evaluation import backtest, summarise_backtest
from latentode.plotting import plot_backtest

df = load_pbc()
test = df["id"] % 4 == 0
forecasts = backtest(
    LatentODEForecaster(max_steps=300, random_state=0), df[test], train=df[~test], fractions=(0.3, 0.5, 0.7)
)
table = summarise_backtest(forecasts, bins=4)
print(table.groupby("model", sort=False)[["mae", "crps", "coverage"]].mean().round(3))
plot_backtest(table, "crps")
