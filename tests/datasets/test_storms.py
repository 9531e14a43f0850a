import pandas as pd
import pytest

from latentode.datasets import load_storms

CHANNELS = ["lat", "long", "wind", "pressure"]


@pytest.fixture(scope="module")
def tracks() -> pd.DataFrame:
    return load_storms()


def test_there_are_654_storms_and_19513_records(tracks):
    assert tracks["id"].nunique() == 654
    assert len(tracks) == 19513


def test_the_default_frame_is_ids_naive_times_and_float_channels_only(tracks):
    assert list(tracks.columns) == ["id", "time", *CHANNELS]
    assert all(tracks[channel].dtype == "float64" for channel in CHANNELS)
    assert tracks["time"].dtype == "datetime64[ns]"
    assert not tracks[CHANNELS].isna().any(axis=None)


def test_a_storm_has_one_record_at_a_time_in_order(tracks):
    assert not tracks.duplicated(["id", "time"]).any()
    gaps = tracks.groupby("id", sort=False)["time"].diff().dropna()
    assert (gaps > pd.Timedelta(0)).all()
    assert gaps.max() == pd.Timedelta("3D 12h")


def test_the_records_of_a_storm_are_together(tracks):
    starts = tracks["id"] != tracks["id"].shift()
    assert starts.sum() == tracks["id"].nunique()


def test_a_storm_that_crosses_the_new_year_is_one_series(tracks):
    zeta = tracks[tracks["id"] == "Zeta-2005"]
    assert zeta["time"].min() == pd.Timestamp("2005-12-30")
    assert zeta["time"].max() == pd.Timestamp("2006-01-07 18:00")
    assert "Zeta-2006" not in set(tracks["id"])


def test_names_used_again_in_another_year_are_other_series(tracks):
    names = tracks["id"].drop_duplicates().str[:-5]
    assert names.duplicated().any()
    assert {"Ana-1979", "Ana-2021"} <= set(tracks["id"])


def test_where_an_hour_had_two_records_the_first_is_kept(tracks):
    ivan = tracks[(tracks["id"] == "Ivan-2004") & (tracks["time"] == pd.Timestamp("2004-09-16 06:00"))]
    assert ivan[CHANNELS].to_numpy().tolist() == [[30.0, -87.9, 105.0, 943.0]]


def test_seasons_choose_storms_by_the_year_they_began():
    season = load_storms(start=2005, end=2005)
    assert season["id"].nunique() == 29
    assert "Zeta-2005" in set(season["id"])
    assert season.index.equals(pd.RangeIndex(len(season)))


def test_seasons_without_storms_are_refused():
    with pytest.raises(ValueError, match="the seasons are 1975 to 2022"):
        load_storms(start=1900, end=1950)


def test_extras_agree_with_the_channels():
    frame = load_storms(extras=True)
    assert list(frame.columns)[6:] == ["status", "category", "ts_diameter", "hu_diameter"]
    assert (frame["category"].notna() == (frame["status"] == "hurricane")).all()
    assert (frame.loc[frame["category"] >= 1, "wind"] >= 64).all()
    assert frame.loc[frame["time"].dt.year < 2004, "ts_diameter"].isna().all()
