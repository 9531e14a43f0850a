import itertools
import sys
import warnings

import matplotlib
import numpy as np
import pandas as pd
import pytest
from matplotlib import pyplot
from matplotlib.colors import to_hex
from matplotlib.dates import ConciseDateFormatter, date2num
from matplotlib.figure import Figure

from latentode import LatentODEForecaster
from latentode.data import DataError, DataWarning
from latentode.plotting import plot_calibration, plot_forecast, plot_latent
from tests.estimators import tiny
from tests.plotting.small import quick


def line(ax, label):
    return next(artist for artist in ax.lines if artist.get_label() == label)


def bounds(ax, label, at):
    """The lowest and highest point of a band at a time on its grid."""
    (band,) = [c for c in ax.collections if c.get_label() == label]
    corners = band.get_paths()[0].vertices
    here = corners[np.isclose(corners[:, 0], at), 1]
    return here.min(), here.max()


def test_there_is_a_row_per_series_and_a_column_per_channel(forecaster):
    axes = plot_forecast(forecaster, series=[4, 2, 5])
    assert axes.shape == (3, 2)
    assert [ax.get_title() for ax in axes[0]] == ["x", "y"]
    assert [ax.get_ylabel() for ax in axes[:, 0]] == ["id 4", "id 2", "id 5"]


def test_four_series_are_drawn_when_nobody_says_which(forecaster, early):
    assert [ax.get_ylabel() for ax in plot_forecast(forecaster)[:, 0]] == ["id 0", "id 1", "id 2", "id 3"]
    given = early[early["id"] >= 6]
    assert [ax.get_ylabel() for ax in plot_forecast(forecaster, history=given)[:, 0]] == ["id 6", "id 7"]


def test_observed_points_are_those_of_the_frame_without_the_missing(forecaster, early):
    (ax,) = plot_forecast(forecaster, 0, "y").flat
    mine = early[(early["id"] == 0) & early["y"].notna()]
    assert len(mine) == 7
    np.testing.assert_allclose(line(ax, "observed").get_xydata(), mine[["time", "y"]])


def test_frames_of_other_libraries_are_drawn_alike(forecaster, early, late):
    polars = pytest.importorskip("polars")
    past, future = early[early["id"] < 2], late[late["id"] < 2]
    drawn = plot_forecast(forecaster, history=polars.from_pandas(past), held_out=polars.from_pandas(future))
    for ax, other in zip(drawn.flat, plot_forecast(forecaster, history=past, held_out=future).flat, strict=True):
        for label in ("observed", "held out"):
            np.testing.assert_array_equal(line(ax, label).get_xydata(), line(other, label).get_xydata())
    assert plot_latent(forecaster, history=polars.from_pandas(past)).shape == (2,)
    assert plot_calibration(forecaster, polars.from_pandas(future), polars.from_pandas(past))[1].lines


def test_what_is_to_be_said_of_a_picture_is_said_once(forecaster, early):
    again = pd.concat([early, early.head(1)])
    with pytest.warns(DataWarning) as said:
        plot_forecast(forecaster, 0, history=again, horizon=100.0)
    reported = [str(w.message) for w in said]
    assert [sum(part in t for t in reported) for part in ("repeat a (series, time)", "horizons after")] == [1, 1]


def test_held_out_points_have_another_marker_another_colour_and_are_hollow(forecaster, late):
    (ax,) = plot_forecast(forecaster, 0, "x", held_out=late).flat
    seen, held = line(ax, "observed"), line(ax, "held out")
    np.testing.assert_allclose(held.get_xydata(), late.loc[late["id"] == 0, ["time", "x"]])
    assert held.get_marker() != seen.get_marker()
    assert to_hex(held.get_markeredgecolor()) != to_hex(seen.get_markerfacecolor())
    assert to_hex(held.get_markerfacecolor()) == "#ffffff"
    assert to_hex(seen.get_markerfacecolor()) != "#ffffff"


def test_the_mean_runs_through_the_history_to_the_horizon_and_is_what_predict_says(forecaster, early):
    (ax,) = plot_forecast(forecaster, 1, "x", horizon=2.0).flat
    times, mean = line(ax, "forecast").get_xydata().T
    mine = early.loc[early["id"] == 1, "time"]
    assert times[0] == mine.iloc[0]
    assert times[-1] == pytest.approx(mine.iloc[-1] + 2.0)
    said = forecaster.predict(pd.DataFrame({"id": 1, "time": times}))["x"]
    np.testing.assert_allclose(mean, said, atol=1e-5)


def test_without_a_horizon_the_line_ends_at_the_last_held_out_time(forecaster, late):
    (ax,) = plot_forecast(forecaster, 1, "x", held_out=late).flat
    assert line(ax, "forecast").get_xdata()[-1] == late.loc[late["id"] == 1, "time"].iloc[-1]


@pytest.fixture(scope="module")
def driven() -> pd.DataFrame:
    """A level that follows a setting and a mode, in one of two rooms."""
    rng = np.random.default_rng(0)
    df = pd.DataFrame({"id": np.repeat(np.arange(12), 14), "time": np.tile(np.arange(14.0), 12)})
    df["setting"], df["mode"] = rng.integers(0, 3, len(df)).astype(float), rng.choice(["a", "b"], len(df))
    df["room"] = np.where(df["id"] % 2, "north", "south")
    df["y"] = 3 * df["setting"] + (df["mode"] == "a") + 2 * (df["room"] == "north") + 0.1 * rng.normal(size=len(df))
    return df


@pytest.fixture(scope="module")
def driven_forecaster(driven) -> LatentODEForecaster:
    roles = {"target_cols": "y", "known_cols": ["setting", "mode"], "static_cols": "room"}
    return LatentODEForecaster(max_steps=5, hidden_dim=16, random_state=0, **roles).fit(driven[driven["time"] < 10])


@pytest.mark.parametrize("left_out", [[], ["mode"], ["setting", "room"]])
@pytest.mark.parametrize("of_fit", [True, False])
def test_what_the_held_out_rows_say_of_their_times_is_in_the_course_as_predict_has_it(
    driven, driven_forecaster, left_out, of_fit
):
    df = driven if of_fit else driven.assign(id=driven["id"] + 100)
    history = None if of_fit else df[df["time"] < 10].drop(columns="room")
    queried = df[df["time"] >= 10].drop(columns=left_out)
    queried = pd.concat([queried, queried[queried["time"] == 11].assign(time=11.5, y=np.nan, setting=9.0)])
    name = 3 if of_fit else 103
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DataWarning)
        (ax,) = plot_forecast(driven_forecaster, name, history=history, held_out=queried).flat
        said = driven_forecaster.predict(queried, history=history)["y"]
        bands = driven_forecaster.predict_interval(queried, 90, history=history)
    times, mean = line(ax, "forecast").get_xydata().T
    for row in np.flatnonzero((queried["id"] == name) & queried["y"].notna()):
        time = queried["time"].iloc[row]
        assert mean[np.isclose(times, time)] == pytest.approx(said.iloc[row], abs=1e-4)
        assert bounds(ax, "90 % interval", time) == pytest.approx(bands.iloc[row].to_numpy(), abs=1e-4)


def test_a_known_value_of_a_held_out_row_holds_until_the_next_in_the_course(driven, driven_forecaster):
    queried = driven[(driven["time"] >= 10) & (driven["id"] == 3)].assign(setting=[0.0, 2.0, 0.0, 2.0], mode="a")
    (ax,) = plot_forecast(driven_forecaster, 3, held_out=queried).flat
    times, mean = line(ax, "forecast").get_xydata().T
    between = (times > 10) & ~np.isclose(times % 1, 0)
    held = queried.iloc[np.searchsorted(queried["time"], times[between], side="right") - 1]
    reported = pd.concat([held.assign(time=times[between]), queried])
    np.testing.assert_allclose(mean[between], driven_forecaster.predict(reported)["y"].iloc[: between.sum()], atol=1e-4)
    (flat,) = plot_forecast(driven_forecaster, 3, held_out=queried.assign(setting=0.0)).flat
    assert np.abs(mean - line(flat, "forecast").get_ydata())[times >= 11].max() > 1e-3


def test_known_columns_that_the_held_out_rows_do_not_say_are_held_and_named_once(driven, driven_forecaster):
    queried = driven[driven["time"] >= 10].drop(columns="mode")
    with pytest.warns(DataWarning, match=r"the query rows lack \['mode'\]") as said:
        plot_forecast(driven_forecaster, 3, held_out=queried)
    assert len(said) == 1


def test_intervals_are_nested_and_are_what_predict_interval_says(forecaster, early):
    (ax,) = plot_forecast(forecaster, 1, "x", horizon=2.0, level=(90, 50)).flat
    end = early.loc[early["id"] == 1, "time"].iloc[-1]
    narrow, wide = bounds(ax, "50 % interval", end), bounds(ax, "90 % interval", end)
    assert wide[0] < narrow[0] < narrow[1] < wide[1]
    said = forecaster.predict_interval(pd.DataFrame({"id": [1], "time": [end]}), level=90)
    np.testing.assert_allclose(wide, said[["x-lo-90", "x-hi-90"]].to_numpy()[0], atol=1e-4)


def test_no_level_draws_the_mean_alone(forecaster):
    (ax,) = plot_forecast(forecaster, 1, "x", level=()).flat
    assert len(ax.collections) == 0
    assert len(line(ax, "forecast").get_xdata()) > 100


def test_a_vertical_line_marks_the_end_of_the_history(forecaster, early):
    axes = plot_forecast(forecaster, [1, 2], "x")
    for ax, name in zip(axes[:, 0], [1, 2], strict=True):
        end = early.loc[early["id"] == name, "time"].iloc[-1]
        assert set(line(ax, "end of history").get_xdata()) == {end}


def test_a_history_given_takes_the_place_of_the_one_seen_in_fit(forecaster, early):
    stranger = early[early["id"] == 3].assign(id=99)
    (ax,) = plot_forecast(forecaster, 99, "x", history=stranger).flat
    np.testing.assert_allclose(line(ax, "observed").get_xydata(), stranger[["time", "x"]])
    axes = plot_forecast(forecaster, [99, 0], "x", history=stranger)
    assert len(line(axes[1, 0], "observed").get_xdata()) == 8


def test_there_is_one_legend_and_it_names_only_what_is_drawn(forecaster, late):
    figure = plot_forecast(forecaster, [0, 1], held_out=late)[0, 0].figure
    (legend,) = figure.legends
    assert [text.get_text() for text in legend.get_texts()] == [
        "observed",
        "held out",
        "forecast",
        "50 % interval",
        "90 % interval",
        "end of history",
    ]
    assert all(ax.get_legend() is None for ax in figure.axes)
    (legend,) = plot_forecast(forecaster, [0, 1])[0, 0].figure.legends
    assert "held out" not in [text.get_text() for text in legend.get_texts()]


def test_it_draws_on_given_axes_and_refuses_a_wrong_number(forecaster):
    own = Figure().subplots(1, 2)
    axes = plot_forecast(forecaster, 0, axes=own)
    assert axes[0, 0] is own[0]
    assert axes[0, 1] is own[1]
    assert own[0].get_legend() is not None
    assert not own[0].figure.legends
    roomy = Figure(layout="constrained").subplots(1, 2)
    plot_forecast(forecaster, 0, axes=roomy)
    assert roomy[0].get_legend() is None
    assert len(roomy[0].figure.legends) == 1
    with pytest.raises(ValueError, match="axes holds 2, but 2 series with 2 channels each need 4"):
        plot_forecast(forecaster, [0, 1], axes=own)


def test_an_unknown_channel_or_series_is_named(forecaster):
    with pytest.raises(DataError, match=r"the model's channels are \['x', 'y'\]"):
        plot_forecast(forecaster, channels="z")
    with pytest.raises(DataError, match=r"nothing is known of \[77\]; pass history="):
        plot_forecast(forecaster, series=[0, 77])


def test_dates_get_a_date_axis_with_labels_that_do_not_touch(early):
    dated = early.assign(time=pd.Timestamp("2024-01-30") + pd.to_timedelta(early["time"] * 10, "D"))
    axes = plot_forecast(quick(dated), [0, 1], horizon="90D")
    ax = axes[0, 0]
    assert isinstance(ax.xaxis.get_major_formatter(), ConciseDateFormatter)
    assert line(ax, "forecast").get_xdata()[0] == dated["time"].iloc[0].floor("us").to_datetime64()
    ax.figure.draw_without_rendering()
    low, high = date2num(dated["time"].iloc[0]), ax.get_xlim()[1]
    labels = [t.label1 for t in ax.xaxis.get_major_ticks() if low <= t.get_loc() <= high]
    boxes = [label.get_window_extent() for label in labels]
    assert len(boxes) >= 3
    assert all(left.x1 < right.x0 for left, right in itertools.pairwise(boxes))


def test_times_with_a_zone_are_drawn_by_their_own_clock(early):
    zoned = early.assign(time=pd.Timestamp("2024-06-01", tz="Asia/Tokyo") + pd.to_timedelta(early["time"], "D"))
    (ax,) = plot_forecast(quick(zoned), 0, "x", horizon="1D").flat
    assert line(ax, "observed").get_xdata()[0].astype("datetime64[h]") == np.datetime64("2024-06-01T00")


def test_time_differences_become_numbers_in_the_largest_unit_they_fill(early):
    waits = early.assign(time=pd.to_timedelta(early["time"], "h"))
    axes = plot_forecast(quick(waits), 0, "x", horizon="4h")
    assert axes[0, 0].get_xlabel() == "time (hours)"
    np.testing.assert_allclose(line(axes[0, 0], "observed").get_xdata(), early.loc[early["id"] == 0, "time"])


def test_series_in_an_index_are_drawn_too(early):
    two_levels = early.set_index(["id", "time"])
    two_levels.index.names = [None, None]
    axes = plot_forecast(quick(two_levels), 2, "x", horizon=1.0)
    assert axes[0, 0].get_ylabel() == "series 2"
    one = early[early["id"] == 0].drop(columns="id")
    one.index = pd.Timestamp("2024-01-01") + pd.to_timedelta(one.pop("time"), "D").to_numpy()
    (ax, _) = plot_forecast(quick(one), horizon="5D").flat
    assert ax.get_ylabel() == ""
    assert len(line(ax, "observed").get_xdata()) == 8


def test_pyplot_knows_nothing_of_it_and_its_settings_stay(forecaster, tmp_path):
    settings = {key: value for key, value in matplotlib.rcParams.items() if key != "backend"}
    axes = plot_forecast(forecaster)
    axes[0, 0].figure.savefig(tmp_path / "spirals.png")
    assert pyplot.get_fignums() == []
    assert settings.items() <= dict(matplotlib.rcParams).items()
    assert (tmp_path / "spirals.png").read_bytes().startswith(b"\x89PNG")


def test_without_matplotlib_it_says_what_to_install(forecaster, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(ImportError, match=r"pip install latentode\[plot\]"):
        plot_forecast(forecaster)


@pytest.fixture(scope="module")
def long_past() -> LatentODEForecaster:
    time = np.arange(0, 60, 0.5)
    df = pd.DataFrame({"id": 0, "time": time, "x": np.sin(2 * np.pi * time / 3)})
    return tiny.quick(horizon=4.0, seasonality=3.0).fit(pd.concat([df, df.assign(id=1)]))


def test_the_future_is_a_quarter_of_the_view_and_lookback_shows_more(long_past):
    (ax,) = long_past.plot(0, horizon=4.0).flat
    times = line(ax, "forecast").get_xdata()
    assert (times[0], times[-1]) == pytest.approx((59.5 - 12, 63.5))
    assert line(ax, "observed").get_xdata()[0] >= 59.5 - 12
    (ax,) = long_past.plot(0, horizon=0.5).flat
    assert len(line(ax, "observed").get_xdata()) == 12
    (ax,) = long_past.plot(0, horizon=0.5, lookback=50.0).flat
    times = line(ax, "forecast").get_xdata()
    assert times[0] == pytest.approx(9.5)
    assert np.diff(times).max() < 3 / 20  # the season is 3


def test_in_interactive_mode_the_figure_is_one_that_pyplot_shows(long_past):
    with pyplot.ioff():
        long_past.plot(0)
        assert pyplot.get_fignums() == []
    with pyplot.ion():
        assert long_past.plot(0)[0, 0].figure.number in pyplot.get_fignums()
        pyplot.close("all")
