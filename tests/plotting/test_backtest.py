import numpy as np
import pandas as pd
import pytest
from matplotlib import pyplot

from latentode.evaluation import LastValue, backtest, summarise_backtest
from latentode.plotting import plot_backtest


def test_a_backtest_is_drawn_a_line_per_model():
    df = pd.DataFrame({"id": np.repeat(np.arange(20), 12), "time": np.tile(np.arange(12), 20)})
    df["x"] = np.random.default_rng(0).normal(size=240)
    table = summarise_backtest(backtest(LastValue(), df), bins=3)
    axes = plot_backtest(table, "crps")
    assert [line.get_label() for line in axes.lines] == list(table["model"].unique())
    assert len(axes.lines[0].get_xdata()) == 3
    assert plot_backtest(table, "coverage", ax=axes) is axes
    with pytest.raises(ValueError, match="no column 'speed'"):
        plot_backtest(table, "speed")


def test_the_lead_of_dates_is_drawn_in_days():
    df = pd.DataFrame({"id": np.repeat(np.arange(5), 12), "x": np.random.default_rng(0).normal(size=60)})
    df["time"] = np.tile(pd.date_range("2024-01-01", periods=12, freq="D"), 5)
    axes = plot_backtest(summarise_backtest(backtest(LastValue(), df), bins=2))
    assert axes.get_xlabel() == "lead, days"
    assert 0 < min(axes.lines[0].get_xdata()) < max(axes.lines[0].get_xdata()) < 12


def test_a_backtest_is_drawn_in_the_order_of_its_leads():
    leads = pd.IntervalIndex.from_tuples([(4, 8), (0, 2), (2, 4)])
    table = pd.DataFrame({"model": "forecaster", "channel": ["x", "x", "y"], "lead": leads, "mae": [1.0, 2.0, 3.0]})
    assert plot_backtest(table).lines[0].get_xdata().tolist() == [1, 3, 6]


def test_a_backtest_names_every_model_in_its_legend_and_leaves_nothing_with_pyplot():
    leads = pd.IntervalIndex.from_tuples([(0, 2), (0, 2)])
    table = pd.DataFrame({"model": ["_mine", "$a$ $"], "channel": "x", "lead": leads, "mae": [1.0, 2.0]})
    figure = plot_backtest(table).figure
    figure.draw_without_rendering()
    assert len(figure.legends[0].get_texts()) == 2
    assert pyplot.get_fignums() == []
