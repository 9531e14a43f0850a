import numpy as np
import pandas as pd
import pytest

from latentode.datasets import load_ushcn

MISSING = "-9999   "


def line(station, year, month, element, days):
    """A month of one element: {day: (value, quality flag)}."""
    cells = [f"{days[d][0]:5d} {days[d][1]} " if d in days else MISSING for d in range(1, 32)]
    return f"{station}{year:4d}{month:02d}{element}" + "".join(cells)


@pytest.fixture(params=["011084", "USC00011084"], ids=["ushcn", "ghcn"])
def folder(request, tmp_path):
    station = request.param
    lines = [
        line(station, 1990, 2, "TMAX", {1: (68, " "), 28: (71, " "), 30: (99, " ")}),
        line(station, 1990, 2, "PRCP", {1: (0, " "), 2: (123, " "), 3: (999, "X")}),
        line(station, 1994, 1, "TMIN", {31: (-40, " ")}),
        line(station, 1994, 1, "WIND", {5: (3, " ")}),
    ]
    name = "state01_AL.txt" if len(station) == 6 else f"{station}.dly"
    (tmp_path / name).write_text("\n".join(lines) + "\n")
    return tmp_path


@pytest.mark.filterwarnings("ignore:.*quality check")
def test_a_row_per_station_and_day(folder):
    frame = load_ushcn(folder)
    assert frame.columns.tolist() == ["id", "time", "prcp", "snow", "snwd", "tmax", "tmin"]
    assert frame["time"].dt.strftime("%Y-%m-%d").tolist() == ["1990-02-01", "1990-02-02", "1990-02-28", "1994-01-31"]
    np.testing.assert_array_equal(frame["tmax"], [68, np.nan, 71, np.nan])  # the 30th of February is no day
    np.testing.assert_array_equal(frame["prcp"], [0, 123, np.nan, np.nan])
    np.testing.assert_array_equal(frame["tmin"], [np.nan, np.nan, np.nan, -40])
    assert frame["snow"].isna().all()
    assert frame["id"].str.endswith("011084").all()


def test_flagged_values_are_counted_or_kept(folder):
    with pytest.warns(UserWarning, match="1 values failed a quality check"):
        load_ushcn(folder)
    assert 999 in load_ushcn(folder, keep_flagged=True)["prcp"].tolist()


@pytest.mark.filterwarnings("error")
def test_years_and_elements_can_be_chosen(folder):
    frame = load_ushcn(folder, years=(1991, 1999), elements=["TMIN", "TMAX"])
    assert frame.columns.tolist() == ["id", "time", "tmin", "tmax"]
    assert len(frame) == 1
    assert load_ushcn(folder, years=(2000, 2001)).empty


def test_a_line_of_another_layout_is_named(folder):
    (folder / "readme.txt").write_text("Daily data\n")
    with pytest.raises(ValueError, match=r"readme\.txt, line 1: 10 characters"):
        load_ushcn(folder)


def test_a_folder_without_files_is_refused(tmp_path):
    with pytest.raises(FileNotFoundError, match="holds no file"):
        load_ushcn(tmp_path)


@pytest.mark.filterwarnings("ignore:.*quality check")
def test_what_is_read_can_be_learned_from(folder):
    from latentode import LatentODEForecaster

    frame = load_ushcn(folder)
    with pytest.warns(UserWarning, match="no value at all"):
        forecaster = LatentODEForecaster(max_steps=3, random_state=0).fit(frame)
    assert isinstance(forecaster.predict(frame[["id", "time"]]), pd.DataFrame)
