"""Tables of other dialects, at the command line."""

import numpy as np
import pandas as pd
import pytest

from latentode import load
from latentode.cli import main

pytestmark = pytest.mark.usefixtures("roughly_stacked")

QUICK = ["--max-steps", "5", "--n-models", "1", "--seasonality", "none"]


@pytest.fixture(scope="module")
def visits():
    times = pd.date_range("2024-03-01", periods=12, freq="3D")
    wave = np.sin(np.arange(36) / 3) * 5
    return pd.DataFrame({"id": np.repeat(["07", "7", "NA"], 12), "time": np.tile(times, 3), "level": wave})


@pytest.fixture(scope="module")
def european(visits, tmp_path_factory):
    path = tmp_path_factory.mktemp("data") / "visits.csv"
    visits.assign(time=visits["time"].dt.strftime("%d.%m.%Y %H:%M")).to_csv(path, sep=";", decimal=",", index=False)
    return path


@pytest.fixture(scope="module")
def model(european):
    assert main(["fit", str(european), "--out", str(european.parent / "model"), *QUICK]) == 0
    return european.parent / "model"


def test_a_table_with_semicolons_decimal_commas_and_days_first_is_fitted(model, visits):
    panel = load(model).panel_
    assert sorted(panel.ids) == ["07", "7", "NA"]
    np.testing.assert_allclose(np.sort(panel.values[:, 0]), np.sort(visits["level"]))
    times = load(model).time_axis_.from_float(np.unique(panel.times))
    assert times.tolist() == visits["time"].unique().tolist()


@pytest.mark.parametrize("command", ["evaluate", "report", "forecast"])
def test_every_command_finds_it_by_itself_or_takes_it_as_options(
    european, model, tmp_path, capsys, monkeypatch, command
):
    monkeypatch.setattr("latentode.report._page", lambda *_: "")  # its pictures take most of the time
    words = {
        "evaluate": ["evaluate", str(european), *QUICK],
        "report": ["report", str(model), str(european), "--out", str(tmp_path / "r.html")],
        "forecast": ["forecast", str(model), "--history", str(european), "--out", str(tmp_path / "f.csv")],
    }[command]
    assert main(words) == 0
    notes = capsys.readouterr().err.splitlines()
    found = "semicolons between columns (--sep ';') and decimal commas (--decimal ,) and dates that begin with the day"
    assert [line for line in notes if "was read with" in line] == [
        f"latentode: note: {european} was read with {found} (--dayfirst)"
    ]
    assert main([*words, "--sep", ";", "--decimal", ",", "--dayfirst"]) == 0
    assert main([*words, "--sep", ";", "--decimal", ",", "--date-format", "%d.%m.%Y %H:%M"]) == 0
    assert "was read with" not in capsys.readouterr().err


@pytest.mark.parametrize("word", ["tab", "\\t", "\t"])
def test_a_tab_is_given_as_a_word(visits, tmp_path, word):
    visits.to_csv(tmp_path / "a.csv", sep="\t", index=False)
    assert main(["fit", str(tmp_path / "a.csv"), "--sep", word, "--out", str(tmp_path / "m"), *QUICK]) == 0
    assert load(tmp_path / "m").channels_ == ("level",)


def test_ambiguous_dates_end_a_command_in_one_line(visits, tmp_path, capsys):
    early = visits[visits["time"].dt.day < 13]
    early.assign(time=early["time"].dt.strftime("%d/%m/%Y")).to_csv(tmp_path / "a.csv", index=False)
    assert main(["fit", str(tmp_path / "a.csv"), "--out", str(tmp_path / "m"), *QUICK]) == 2
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert "'01/03/2024' in column 'time' can begin with the day or the month: give --dayfirst" in said


def test_a_forecast_on_the_clock_is_at_midnights(model, tmp_path, capsys):
    words = ["forecast", str(model), "--horizon", "3D", "--freq", "1D", "--out", str(tmp_path / "f.csv"), "--grid"]
    assert main([*words, "clock"]) == 0
    assert pd.read_csv(tmp_path / "f.csv")["time"].tolist() == ["2024-04-04", "2024-04-05", "2024-04-06"] * 3
    assert main(["forecast", str(model), "--grid", "clock", "--out", str(tmp_path / "g.csv")]) == 2
    assert "latentode: --grid 'clock' needs --freq, such as '1h'" in capsys.readouterr().err


@pytest.mark.parametrize("horizon", ["12M", "1 year", "1MS", "2 quarters", "1Q"])
def test_months_and_years_as_horizons_are_refused_with_the_days_to_give(european, model, tmp_path, capsys, horizon):
    for words in (["fit", str(european)], ["forecast", str(model)], ["evaluate", str(european)]):
        out = [] if words[0] == "evaluate" else ["--out", str(tmp_path / ("m" if words[0] == "fit" else "f.csv"))]
        assert main([*words, *out, "--horizon", horizon]) == 2
        said = capsys.readouterr().err.splitlines()[-1]
        assert said.startswith(f"latentode: --horizon '{horizon}' ")
        assert "give days" in said


def test_evaluate_writes_the_page_of_rows_that_fit_has_not_seen(european, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("latentode.report.image", lambda figure, alt: "")  # its pictures take most of the time
    page = tmp_path / "page.html"
    assert main(["evaluate", str(european), "--report", str(page), *QUICK]) == 0
    assert f"report written to {page}" in capsys.readouterr().out
    text = page.read_text("utf-8")
    assert "<h2>Forecasts</h2>" in text
    assert "seen in fit" not in text
    assert main(["evaluate", str(european), "--report", str(tmp_path), *QUICK]) == 2
    assert "is a directory; expected a file to write" in capsys.readouterr().err
