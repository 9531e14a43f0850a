"""The report: one page, whole in itself, and nothing of the data is markup."""

import re
import subprocess
from html.parser import HTMLParser

import numpy as np
import pandas as pd
import pytest

from latentode._page import escaped
from latentode.data import DataError, DataWarning
from latentode.plotting import plot_forecast
from latentode.report import report
from tests.browser import QUIET, needs_chromium, show
from tests.estimators.tiny import checks_every, dated, quick, single, waves

pytestmark = pytest.mark.usefixtures("roughly_stacked")

DF = waves(3, 10)


class Page(HTMLParser):
    """What tags and links a page has."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.links, self.options = [], [], []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.links += [v for k, v in attrs if k in ("src", "href")]


@pytest.fixture(scope="module")
def fitted():
    with checks_every(5):
        return quick(max_steps=10, stacking=True).fit(DF)


@pytest.fixture
def without_pictures(monkeypatch):
    """Figures are drawn up, but no picture is made of them, which takes most of the time."""
    monkeypatch.setattr("latentode.report.image", lambda figure, alt: f"<p>{escaped(alt)}</p>")


def shown(figure, alt):
    """What a picture shows, in numbers."""
    lines = [(line.get_label(), line.get_xydata().tolist()) for ax in figure.axes for line in ax.lines]
    bands = [path.vertices.tolist() for ax in figure.axes for c in ax.collections for path in c.get_paths()]
    return f"<p>{escaped(f'{alt} {lines} {bands}')}</p>"


def page_of(forecaster, df, tmp_path):
    report(forecaster, df, tmp_path / "report.html")
    text = (tmp_path / "report.html").read_text("utf-8")
    return text, Page(text)


def test_the_page_needs_nothing_but_itself(fitted, tmp_path):
    text, page = page_of(fitted, DF.assign(id="new" + DF["id"]), tmp_path)
    assert all(link.startswith(("data:", "#")) for link in page.links)
    assert page.tags.count("option") == 3
    assert "news02" in text
    assert "These series were seen in fit" not in text
    for name in ("Data", "Training", "Forecasts", "Errors", "Calibration", "Latent space"):
        assert f"<h2>{name}</h2>" in text


@pytest.mark.usefixtures("without_pictures")
def test_series_the_model_has_seen_are_said_to_be(fitted, tmp_path):
    assert "These series were seen in fit" in page_of(fitted, DF, tmp_path)[0]


SEEN = "These series were seen in fit"


@pytest.mark.usefixtures("without_pictures")
def test_series_are_seen_only_if_fit_had_rows_at_or_after_the_first_held_out_time(fitted, tmp_path):
    end = DF.dropna(subset=["x", "y"], how="all").groupby("id")["time"].max()
    after = DF.assign(time=DF["time"] + DF["id"].map(end) * 2)  # two thirds and more lie after the fit
    assert SEEN not in page_of(fitted, pd.concat([DF, after, after.assign(time=after["time"] + 20)]), tmp_path)[0]
    one_too_early = after.mask(after["id"] == DF["id"].iloc[0], DF)
    assert SEEN in page_of(fitted, one_too_early, tmp_path)[0]


@pytest.mark.usefixtures("without_pictures")
def test_rows_held_out_by_the_caller_are_forecast_from_the_rest(tmp_path):
    late = DF["time"] > 4
    forecaster = quick().fit(DF[~late])
    report(forecaster, DF[~late], tmp_path / "report.html", held_out=DF[late])
    text = (tmp_path / "report.html").read_text("utf-8")
    assert SEEN not in text
    observed = DF.notna()[["x", "y"]].any(axis=1)
    assert f"<tr><th>rows</th><td>{observed.sum()}</td></tr>" in text


def test_names_in_the_data_are_text_and_never_markup(tmp_path):
    evil = '"><script>alert(1)</script>'
    two = DF[DF["id"] != "s02"]  # whose pictures are drawn sooner than those of three
    df = two.assign(id=evil + two["id"]).rename(columns={"x": "<b>x</b>"})
    text, page = page_of(quick().fit(df), df, tmp_path)
    assert page.tags.count("script") == 1
    assert "<b>" not in text
    assert "&lt;script&gt;" in text


@pytest.mark.usefixtures("without_pictures")
def test_dates_and_channels_never_seen(tmp_path):
    df = dated(DF, zone="Europe/Athens").assign(z=np.nan)
    with pytest.warns(DataWarning, match="'z'"):
        forecaster = quick().fit(df)
    text, _ = page_of(forecaster, df, tmp_path)
    assert "2024-03-01" in text
    assert "100%" in text  # of z is missing


@pytest.mark.usefixtures("without_pictures")
def test_one_series_without_a_name(tmp_path):
    one = single(waves(n_points=30))
    assert page_of(quick().fit(one), one, tmp_path)[1].tags.count("option") == 1


def test_it_takes_frames_of_other_libraries_and_what_is_stored(fitted, tmp_path, monkeypatch):
    monkeypatch.setattr("latentode.report.image", shown)  # the pictures themselves take most of the time
    some = DF[DF["id"] != "s01"]
    expected, _ = page_of(fitted, some, tmp_path)
    some.to_parquet(tmp_path / "some.parquet", index=False)
    assert page_of(fitted, str(tmp_path / "some.parquet"), tmp_path)[0] == expected
    assert page_of(fitted, pytest.importorskip("polars").from_pandas(some), tmp_path)[0] == expected


@pytest.mark.parametrize(("df", "match"), [("some.csv", r"some\.csv .*pd\.read_csv"), ([1, 2], "got list")])
def test_what_it_cannot_read_is_said(fitted, tmp_path, monkeypatch, df, match):
    monkeypatch.chdir(tmp_path)
    DF.to_csv("some.csv", index=False)
    with pytest.raises(DataError, match=match):
        report(fitted, df, tmp_path / "report.html")


def test_nothing_to_ask_is_said(fitted, tmp_path):
    with pytest.raises(DataError, match="no series has values at two times"):
        report(fitted, DF.groupby("id").head(1), tmp_path / "report.html")
    assert not (tmp_path / "report.html").exists()


@pytest.mark.usefixtures("without_pictures")
def test_one_series_and_one_channel_are_counted_as_one_and_lead_times_are_in_words(tmp_path):
    one = single(dated(waves(n_points=30))).drop(columns="y")
    text, _ = page_of(quick().fit(one), one, tmp_path)
    assert "<h1>1 channel, 1 series</h1>" in text
    assert re.search(r"<td>[\d.]+ (hours|days) to [\d.]+ (hours|days)</td>", text)
    assert " days 0" not in text


@pytest.mark.usefixtures("without_pictures")
def test_each_series_is_forecast_beyond_its_last_row_from_all_rows(fitted, tmp_path, monkeypatch):
    drawn = []

    def watched(*args, **given):
        drawn.append((args, given))
        return plot_forecast(*args, **given)

    monkeypatch.setattr("latentode.report.plot_forecast", watched)
    two = DF[DF["id"].isin(["s00", "s01"])]
    text, _ = page_of(fitted, two, tmp_path)
    assert text.count("<h3>What comes next</h3>") == 2
    beyond = [given["axes"][0] for _, given in drawn if given["held_out"] is None]
    assert len(beyond) == 2
    for ax, name in zip(beyond, ["s00", "s01"], strict=True):
        lines = {line.get_label(): line.get_xdata() for line in ax.lines}
        assert lines["end of history"][0] == two.loc[two["id"] == name, "time"].max()
        assert lines["forecast"][-1] == pytest.approx(lines["end of history"][0] + fitted.horizon_)


@pytest.mark.slow
@needs_chromium
def test_nothing_scrolls_sideways_on_a_phone_or_on_a_desk_and_the_console_is_empty(tmp_path):
    long = "a channel with a name that is longer than a phone is wide, by far"
    df = dated(waves(3, 8)).drop(columns="y").rename(columns={"x": long})
    df["id"] = "a_series_whose_name_is_one_word_and_longer_than_a_phone_is_wide_" + df["id"]
    page_of(quick().fit(df), df, tmp_path)
    for width in (390, 1280):
        shown = show(tmp_path / "report.html", width, tmp_path)
        assert shown.width == width
        assert shown.content <= shown.room
        assert not shown.console


@pytest.mark.slow
@needs_chromium
def test_a_browser_shows_it_without_an_error_and_without_asking_the_network(fitted, tmp_path):
    page_of(fitted, DF, tmp_path)
    shot = tmp_path / "report.png"
    command = ["chromium", *QUIET, f"--user-data-dir={tmp_path / 'profile'}"]
    command += [
        f"--log-net-log={tmp_path / 'net.json'}",
        f"--screenshot={shot}",
        "--window-size=1100,4000",
        (tmp_path / "report.html").as_uri(),
    ]
    reported = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True).stderr
    assert not re.findall(r"CONSOLE.*", reported)
    # What the browser asks for itself has no origin; what a page asks for has one, null for a file.
    assert set(re.findall(r'"initiator":"([^"]*)"', (tmp_path / "net.json").read_text())) <= {"not an origin"}
    assert shot.stat().st_size > 20_000


@pytest.mark.usefixtures("without_pictures")
def test_a_row_without_a_value_says_what_was_set_to_the_answers_of_the_page(tmp_path, monkeypatch):
    rng = np.random.default_rng(0)
    df = pd.DataFrame({"id": np.repeat(np.arange(4), 12), "time": np.tile(np.arange(12.0), 4)})
    df["dose"] = rng.integers(0, 2, len(df)).astype(float)
    df["y"] = df["dose"] + 0.1 * rng.normal(size=len(df))
    forecaster = quick(max_steps=10, target_cols="y", known_cols="dose").fit(df)
    set_between = df[df["time"] == 8].assign(time=9.4, y=np.nan, dose=8.0)
    whole = pd.concat([df, set_between], ignore_index=True)
    queried = df["time"] >= 8
    expected = forecaster.predict(df[queried], history=pd.concat([df[~queried], set_between]))
    answers, predict = [], type(forecaster).predict

    def watched(self, X, history=None):
        answers.append((X, predict(self, X, history=history)))
        return answers[-1][1]

    monkeypatch.setattr(type(forecaster), "predict", watched)
    page_of(forecaster, whole, tmp_path)
    found = [answer for rows, answer in answers if rows.index.equals(df.index[queried])]
    assert found
    for answer in found:
        np.testing.assert_allclose(answer, expected, atol=1e-6)
