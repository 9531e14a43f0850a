import numpy as np
import pandas as pd

from latentode.data import TimeAxis
from latentode.estimators.calibration_table import calibration_frame
from latentode.persistence.coverage import LEAD_ENDS, NOMINAL, HeldOutCoverage


def test_every_figure_stands_in_its_own_row():
    shape = len(NOMINAL), len(LEAD_ENDS), 2
    achieved = np.arange(np.prod(shape)).reshape(shape) / 100
    counts = np.arange(8).reshape(4, 2)
    found = HeldOutCoverage(achieved, achieved / 2, counts, counts + 1)
    table = calibration_frame(found, ("a", 7), TimeAxis("number"), 10.0)
    assert table["channel"].tolist() == ["a"] * 12 + [7] * 12
    row = table[(table["channel"] == 7) & (table["lead"] == 4.0) & (table["nominal"] == 95)].iloc[0]
    assert (row["achieved"], row["standard_error"]) == (21.0, 10.5)
    assert (row["n"], row["n_series"]) == (5, 6)


def test_durations_are_timedeltas_to_the_second():
    empty = np.full((3, 4, 1), np.nan)
    counts = np.zeros((4, 1), dtype=np.int64)
    axis = TimeAxis.from_times(pd.Series(pd.date_range("2024-01-01", periods=3)))
    table = calibration_frame(HeldOutCoverage(empty, empty, counts, counts), ("x",), axis, 86_400.0)
    assert table["lead"].unique().tolist() == [pd.Timedelta(t) for t in ("0s", "8640s", "34560s", "1D")]
    assert table["achieved"].isna().all()
