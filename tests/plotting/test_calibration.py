import numpy as np
import pandas as pd
import pytest

from latentode.data import DataError
from latentode.plotting import plot_calibration
from tests.estimators import tiny


def test_calibration_says_how_many_values_lay_within(small_model):
    truth = tiny.waves(8, 10).assign(time=lambda d: d["time"] + 2)
    ax = plot_calibration(small_model, truth, levels=(50, 90))[0]
    bands = small_model.predict_interval(truth, 90)
    there = truth["x"].notna()
    inside = ((bands["x-lo-90"] <= truth["x"]) & (truth["x"] <= bands["x-hi-90"]))[there].mean()
    lines = {line.get_label(): line.get_ydata() for line in ax.lines}
    assert lines[f"x ({there.sum()})"][1] == pytest.approx(100 * inside)
    assert f"all values ({int(truth[['x', 'y']].notna().sum().sum())})" in lines


def test_calibration_is_drawn_over_the_lead_time_too(small_model):
    truth = tiny.waves(8, 10).assign(time=lambda d: d["time"] + 6)
    ax = plot_calibration(small_model, truth, levels=(50, 90))[1]
    end = pd.Series(small_model.panel_.last_times, small_model.panel_.ids)
    lead = truth["time"] - truth["id"].map(end)
    leads = np.sort(np.concatenate([lead[truth[c].notna()] for c in "xy"]))
    first = leads[: len(leads) // 4]
    half, ninety = (bars[0] for bars in ax.containers)  # the line of each level
    assert half.get_xdata()[0] == pytest.approx(np.median(first), rel=0.05)
    within = []
    for channel in "xy":
        bands = small_model.predict_interval(truth, 90)
        there = truth[channel].notna() & (lead <= first[-1])
        within += [*truth[channel].between(bands[f"{channel}-lo-90"], bands[f"{channel}-hi-90"])[there]]
    assert ninety.get_ydata()[0] == pytest.approx(100 * np.mean(within), abs=5)
    assert [text.get_text() for text in ax.texts] == ["50 %", "90 %"]


def test_calibration_of_values_inside_the_history_has_no_lead_time(small_model):
    axes = plot_calibration(small_model, tiny.waves(8, 10).assign(time=lambda d: d["time"] - 1).query("time < 3"))
    assert axes[0].lines
    assert "no value after" in axes[1].texts[0].get_text()
    with pytest.raises(ValueError, match="axes holds 1"):
        plot_calibration(small_model, tiny.waves(8, 10), axes=[axes[0]])


def test_lead_times_of_dates_have_a_unit():
    model = tiny.quick().fit(tiny.dated(tiny.waves(8, 10)))
    truth = tiny.dated(tiny.waves(8, 10).assign(time=lambda d: d["time"] + 6))
    assert plot_calibration(model, truth)[1].get_xlabel() == "lead time (days)"


def test_calibration_needs_truth(small_model):
    with pytest.raises(DataError, match="truth holds no value"):
        plot_calibration(small_model, tiny.waves(2, 3).assign(x=np.nan, y=np.nan))
