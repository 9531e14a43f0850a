import pandas as pd
import pytest

from latentode.datasets import load_airports


@pytest.fixture(scope="module")
def hours() -> pd.DataFrame:
    return load_airports()


def test_there_is_a_record_an_hour_for_nearly_a_year(hours):
    gaps = hours.groupby("id")["time"].diff().dropna()
    assert (gaps > pd.Timedelta(0)).all()
    assert (gaps == pd.Timedelta("1h")).mean() > 0.99
    assert hours["time"].min() == pd.Timestamp("2013-01-01 06:00")


def test_temperatures_have_a_day_and_a_year(hours):
    at = hours[hours["id"] == "JFK"].set_index("time")["temperature"]
    assert at[at.index.month == 7].mean() - at[at.index.month == 1].mean() > 30
    assert at[at.index.hour == 19].mean() - at[at.index.hour == 10].mean() > 5


def test_the_error_the_readme_tells_of_is_there(hours):
    wrong = hours[hours["wind"] > 1000]
    assert len(wrong) == 1
    assert wrong[["id", "time"]].iloc[0].tolist() == ["EWR", pd.Timestamp("2013-02-12 08:00")]
