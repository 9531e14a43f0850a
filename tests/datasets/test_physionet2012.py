import numpy as np
import pandas as pd
import pytest

from latentode.datasets import load_physionet2012

STAY = """Time,Parameter,Value
00:00,RecordID,{number}
00:00,Age,{age}
00:00,Gender,1
00:00,Height,-1
00:00,ICUType,3
00:00,Weight,{weight}
00:07,HR,73
00:07,Temp,35.1
01:30,HR,77
01:30,HR,79
47:59,Lactate,1.5
"""


@pytest.fixture
def folder(tmp_path):
    for number, age, weight in ((132540, 76, 80.6), (132539, 54, -1)):
        (tmp_path / "set-a").mkdir(exist_ok=True)
        (tmp_path / "set-a" / f"{number}.txt").write_text(STAY.format(number=number, age=age, weight=weight))
    (tmp_path / "Outcomes-a.txt").write_text("RecordID,SAPS-I\n132539,6\n")
    return tmp_path


def test_a_row_per_time_and_a_column_per_variable(folder):
    frame = load_physionet2012(folder)
    assert frame.columns.tolist() == ["id", "time", "HR", "Lactate", "Temp", "Weight"]
    first = frame[frame["id"] == 132539].reset_index(drop=True)
    assert first["time"].tolist() == pytest.approx([7 / 60, 1.5, 47 + 59 / 60])
    np.testing.assert_array_equal(first["HR"], [73.0, 78.0, np.nan])  # of two at one minute the mean
    assert first["Weight"].isna().all()  # -1 is no weight
    assert frame.loc[frame["id"] == 132540, "Weight"].tolist()[0] == 80.6
    assert (frame.drop(columns="id").dtypes == "float64").all()


def test_descriptors_come_apart_and_minus_one_is_missing(folder):
    _, static = load_physionet2012(folder, return_static=True)
    assert static.index.tolist() == [132539, 132540]
    assert static["Age"].tolist() == [54.0, 76.0]
    assert static["ICUType"].tolist() == [3.0, 3.0]
    assert static["Height"].isna().all()


def test_stays_can_be_few_and_a_file_without_measurements_is_kept_among_the_descriptors(folder):
    (folder / "100.txt").write_text("Time,Parameter,Value\n00:00,RecordID,100\n00:00,Age,20\n")
    frame, static = load_physionet2012(folder, return_static=True, max_stays=2)
    assert static.index.tolist() == [100, 132539]
    assert frame["id"].unique().tolist() == [132539]


def test_rows_without_a_variable_are_counted(folder):
    file = folder / "set-a" / "132539.txt"
    file.write_text(file.read_text() + "05:00,,3\n06:00,HR,\n")
    with pytest.warns(UserWarning, match="2 rows without a variable or a value"):
        frame = load_physionet2012(folder)
    assert len(frame[frame["id"] == 132539]) == 3


@pytest.mark.parametrize("content", ["hello\n", "Time,Parameter,Value\n7,HR,3\n", "Time,Parameter,Value\n00:01,HR,x\n"])
def test_a_file_of_another_format_is_named(folder, content):
    (folder / "set-a" / "7.txt").write_text(content)
    with pytest.raises(ValueError, match=r"7\.txt is no stay"):
        load_physionet2012(folder)


def test_a_folder_without_stays_is_refused(tmp_path):
    with pytest.raises(FileNotFoundError, match="is no folder"):
        load_physionet2012(tmp_path / "nowhere")
    with pytest.raises(FileNotFoundError, match="holds no file"):
        load_physionet2012(tmp_path)


def test_what_is_read_can_be_learned_from(folder):
    from latentode import LatentODEForecaster

    frame = load_physionet2012(folder)
    forecaster = LatentODEForecaster(max_steps=3, random_state=0).fit(frame)
    assert isinstance(forecaster.forecast(), pd.DataFrame)
