import concurrent.futures
import os
import re
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from latentode import load
from latentode.cli import main
from latentode.training import Checkpoint
from tests.cli.running import QUICK, refused
from tests.estimators.tiny import checks_every, weights_file

pytestmark = pytest.mark.usefixtures("roughly_stacked")


def test_fit_writes_a_model_that_knows_the_dates(model, storms):
    forecaster = load(model)
    assert forecaster.channels_ == ("wind", "pressure")
    assert forecaster.time_axis_.kind == "datetime"
    assert forecaster.horizon_ == 3 * 86400
    assert forecaster.panel_.n_series == storms["storm"].nunique()


def test_fit_tells_what_it_wrote_and_where(table, tmp_path, capsys):
    out = tmp_path / "deep" / "model"
    words = ["fit", str(table), "--id", "storm", "--time", "when", "--target", "wind", "--out", str(out), *QUICK]
    assert main(words) == 0
    said = capsys.readouterr().out
    assert "channels: wind\n" in said
    assert f"model written to {out}" in said
    assert load(out).channels_ == ("wind",)


def test_the_same_seed_fits_the_same_model(table, tmp_path):
    words = ["fit", str(table), "--id", "storm", "--time", "when", "--seed", "3", *QUICK, "--out"]
    for name in ("a", "b"):
        assert main([*words, str(tmp_path / name)]) == 0
    weights = [weights_file(tmp_path / name).read_bytes() for name in ("a", "b")]
    assert weights[0] == weights[1]


def test_forecast_writes_the_future_of_every_series_with_its_intervals(model, storms, tmp_path, capsys):
    out = tmp_path / "f.csv"
    words = ["forecast", str(model), "--horizon", "2D", "--freq", "12h", "--level", "90", "--level", "50"]
    assert main([*words, "--out", str(out)]) == 0
    future = pd.read_csv(out, parse_dates=["when"])
    sides = ["lo-50", "hi-50", "lo-90", "hi-90"]
    expected = ["storm", "when", "wind", "pressure", *(f"{c}-{s}" for c in ("wind", "pressure") for s in sides)]
    assert future.columns.tolist() == expected
    assert len(future) == 4 * storms["storm"].nunique()
    first = future.groupby("storm")["when"].min() - storms.groupby("storm")["when"].max()
    assert (first == pd.Timedelta("12h")).all()
    assert (future["wind-lo-90"] < future["wind-lo-50"]).all()
    assert (future["wind-hi-50"] < future["wind-hi-90"]).all()
    said = load(model).forecast("2D", "12h", 90)
    np.testing.assert_allclose(future["wind-hi-90"], said["wind-hi-90"], rtol=1e-5)
    assert f"{len(future)} rows written to {out}" in capsys.readouterr().out


def test_a_fit_keeps_its_state_where_it_should_and_the_model_stays_the_same(table, tmp_path, monkeypatch):
    written = []
    monkeypatch.setattr(Checkpoint, "write", lambda self, state: written.append(self.path))
    words = ["fit", str(table), "--id", "storm", "--time", "when", "--max-steps", "4", "--out"]
    with checks_every(2):
        assert main([*words, str(tmp_path / "a")]) == 0
        assert main([*words, str(tmp_path / "b"), "--checkpoint-dir", str(tmp_path / "state")]) == 0
    assert {path.parent for path in written} == {tmp_path / "state"}
    weights = [weights_file(tmp_path / name).read_bytes() for name in ("a", "b")]
    assert weights[0] == weights[1]


def test_a_far_horizon_is_noted_once_for_the_table_and_its_picture(model, tmp_path, capsys):
    words = ["forecast", str(model), "--horizon", "30D", "--out", str(tmp_path / "f.csv")]
    assert main([*words, "--plot", str(tmp_path / "f.png")]) == 0
    assert capsys.readouterr().err.count("latentode: note:") == 1


def test_levels_are_80_and_95_when_nobody_says(model, tmp_path):
    assert main(["forecast", str(model), "--out", str(tmp_path / "f.parquet")]) == 0
    columns = pd.read_parquet(tmp_path / "f.parquet").columns
    assert [c for c in columns if c.startswith("wind-")] == ["wind-lo-80", "wind-hi-80", "wind-lo-95", "wind-hi-95"]


def test_forecast_of_other_series_is_from_the_history_given(model, storms, tmp_path):
    mine = storms[storms["storm"] == "Ida-2021"].assign(storm="mine")
    mine.to_csv(tmp_path / "mine.csv", index=False)
    out, picture = tmp_path / "new" / "f.csv", tmp_path / "new" / "f.png"
    words = ["forecast", str(model), "--horizon", "1D", "--history", str(tmp_path / "mine.csv"), "--out", str(out)]
    assert main([*words, "--plot", str(picture)]) == 0
    future = pd.read_csv(out)
    assert set(future["storm"]) == {"mine"}
    known = load(model).forecast("1D", level=())
    known = known[known["storm"] == "Ida-2021"]
    np.testing.assert_allclose(future["wind"], known["wind"], rtol=1e-4)
    assert picture.read_bytes().startswith(b"\x89PNG")


def test_a_forecast_of_chosen_series_and_one_that_fails_leaves_no_folder(model, tmp_path, capsys):
    out = tmp_path / "new" / "f.csv"
    err = refused(capsys, "forecast", model, "--id", "Nobody-1900", "--out", out)
    assert "--id 'Nobody-1900': no such series" in err
    assert list(tmp_path.iterdir()) == []
    assert main(["forecast", str(model), "--id", "Ida-2021", "--out", str(out)]) == 0
    assert set(pd.read_csv(out)["storm"]) == {"Ida-2021"}


def test_a_forecast_is_written_whole_and_an_unknown_format_is_refused_before_the_work(model, tmp_path, capsys):
    assert "expected a file ending in" in refused(capsys, "forecast", "nowhere", "--out", tmp_path / "f.json")
    out = tmp_path / "f.csv"
    assert main(["forecast", str(model), "--out", str(out)]) == 0
    pd.testing.assert_series_equal(pd.read_csv(out)["wind"], load(model).forecast(level=(80, 95))["wind"])


@pytest.mark.skipif(sys.platform == "win32", reason="there is no /dev/stdout")
def test_a_table_may_be_written_to_what_is_no_file(model):
    read, written = os.pipe()
    kept = os.dup(1)
    with open(read) as pipe, concurrent.futures.ThreadPoolExecutor(1) as pool:
        stdout = pool.submit(pipe.read)
        os.dup2(written, 1)
        os.close(written)
        try:
            code = main(["forecast", str(model), "--out", "/dev/stdout"])
        finally:
            os.dup2(kept, 1)
            os.close(kept)
    assert code == 0
    assert stdout.result().startswith("storm,when,wind,pressure,")
    assert Path("/dev/stdout").is_symlink()


def test_a_horizon_of_the_wrong_kind_is_refused_and_not_read_as_nanoseconds(model, tmp_path, capsys):
    err = refused(capsys, "forecast", model, "--horizon", "30", "--out", tmp_path / "f.csv")
    assert "expected a duration such as '30D'" in err


def test_what_is_no_model_or_no_place_for_one_is_said_before_the_work(table, tmp_path, capsys):
    assert "holds no saved forecaster" in refused(capsys, "forecast", tmp_path, "--out", tmp_path / "f.csv")
    words = ["fit", table, "--id", "storm", "--time", "when", "--out", table]
    assert "is a file; a model is written to a directory" in refused(capsys, *words)


@pytest.mark.parametrize("command", ["fit", "evaluate"])
def test_a_place_that_cannot_be_written_to_is_refused_before_any_training(
    table, tmp_path, capsys, monkeypatch, command
):
    (tmp_path / "file").touch()
    monkeypatch.setattr("latentode.io.tables.read_table", lambda *_: pytest.fail("work was begun"))
    err = refused(capsys, command, table, "--out", tmp_path / "file" / "new" / "out.csv")
    assert "out.csv cannot be written: " in err


def test_a_table_of_one_measurement_a_row_is_fitted_by_its_variables(tmp_path, capsys):
    rows = [f"{i},{k},{v},{k + 0.5}\n" for i in "ab" for k in range(6) for v in ("temp", "level")]
    (tmp_path / "a.csv").write_text("id,time,sensor,reading\n" + "".join(rows))
    words = [str(tmp_path / "a.csv"), "--variable", "sensor", "--max-steps", "2", "--n-models", "1"]
    assert main(["fit", *words, "--value", "reading", "--out", str(tmp_path / "m")]) == 0
    assert load(tmp_path / "m").channels_ == ("level", "temp")
    capsys.readouterr()  # what the fit wrote
    assert "--variable and --value go together" in refused(capsys, "fit", *words, "--out", tmp_path / "n")
    assert "has no column 'x'" in refused(capsys, "fit", *words, "--value", "x", "--out", tmp_path / "n")


def test_series_named_by_words_for_missing_values_are_fitted_and_evaluated(tmp_path, capsys):
    rows = [f"{name},{k},{k % 5}.5,{name}\n" for name in ("NA", "null", "None", "nan", "n/a", "007") for k in range(6)]
    (tmp_path / "a.csv").write_text("id,time,y,ward\n" + "".join(rows) + ",3,1,x\n")
    words = [
        str(tmp_path / "a.csv"),
        "--static",
        "ward",
        "--n-models",
        "1",
        "--max-steps",
        "2",
        "--seasonality",
        "none",
    ]
    assert main(["fit", *words, "--out", str(tmp_path / "m")]) == 0
    forecaster = load(tmp_path / "m")
    assert set(forecaster.panel_.ids) == {"NA", "null", "None", "nan", "n/a", "007"}
    assert set(forecaster.coding_.static[0].categories) >= {"NA", "null"}
    capsys.readouterr()
    assert main(["evaluate", *words]) == 0
    said = capsys.readouterr()
    assert "of each of 6 series" in said.out
    assert "latentode: note: 1 rows without a series or a time were left out" in said.err


def test_evaluate_prints_a_table_beside_the_naive_and_writes_it(table, storms, tmp_path, capsys):
    words = ["evaluate", str(table), "--id", "storm", "--time", "when", *QUICK, "--out", str(tmp_path / "s.csv")]
    assert main(words) == 0
    said = capsys.readouterr().out
    assert re.search(r"latentode +last value +series' mean +overall mean +linear fit", said)
    scores = pd.read_csv(tmp_path / "s.csv").set_index(["forecaster", "channel"])
    held_out = storms.groupby("storm").size().floordiv(3).clip(lower=1).sum()
    assert scores.loc[("latentode", "wind"), "n"] == held_out
    assert f"{held_out} rows" in said
    shown = scores.loc[("last value", "wind"), "mae"]
    assert re.search(rf"MAE by channel\n +wind .*{shown:.1f}", said)


def test_evaluate_takes_a_table_of_one_series_with_numbers_for_times(tmp_path, capsys):
    times = np.arange(40.0)
    pd.DataFrame({"time": times, "y": np.sin(times)}).to_csv(tmp_path / "one.csv", index=False)
    assert main(["evaluate", str(tmp_path / "one.csv"), *QUICK, "--horizon", "10"]) == 0
    assert "of each of 1 series, 13 rows; fitting 27 rows" in capsys.readouterr().out


def test_evaluate_of_single_rows_is_refused(tmp_path, capsys):
    pd.DataFrame({"id": [1, 2], "time": [0, 0], "y": [1.0, 2.0]}).to_csv(tmp_path / "a.csv", index=False)
    assert main(["evaluate", str(tmp_path / "a.csv")]) == 2
    assert "nothing to evaluate on" in capsys.readouterr().err


def test_the_demonstration_is_run_where_it_should_write_with_its_seed(monkeypatch, tmp_path):
    calls = []
    monkeypatch.setattr("latentode.demo.run_demo", lambda out, seed: calls.append((out, seed)))
    monkeypatch.chdir(tmp_path)
    assert main(["demo"]) == 0
    assert main(["demo", "--out", "there", "--seed", "3"]) == 0
    assert calls == [(Path("demo"), 0), (Path("there"), 3)]


def test_a_table_without_ids_is_evaluated_under_a_name_that_no_column_has(monkeypatch, tmp_path):
    class Stopped(Exception):
        """What is given to the forecaster is known before the fit."""

    def seen(self, df):
        raise Stopped(self.id_col, list(df.columns), len(df))

    monkeypatch.setattr("latentode.estimators.LatentODEForecaster.fit", seen)
    rows = "".join(f"{k},{k + 0.5},{k * 2.5}\n" for k in range(9))
    (tmp_path / "a.csv").write_text("time,series,y\n" + rows)
    with pytest.raises(Stopped) as stopped:
        main(["evaluate", str(tmp_path / "a.csv"), "--time", "time", "--target", "y"])
    assert stopped.value.args == ("series_", ["time", "series", "y", "series_"], 6)
