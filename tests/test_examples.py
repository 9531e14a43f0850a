import re
import runpy
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

import pytest

import latentode

ROOT = Path(__file__).parents[1]
QUICKSTART = ROOT / "examples" / "quickstart.py"


def test_the_quickstart_prints_forecasts_and_draws_where_it_should(tmp_path, monkeypatch, capsys):
    quick = partial(latentode.LatentODEForecaster, max_steps=2, n_models=1, stacking=False, verbose=False)
    monkeypatch.setattr(latentode, "LatentODEForecaster", quick, raising=False)
    monkeypatch.chdir(tmp_path)
    for words, picture in (([], "quickstart.png"), (["mine.png"], "mine.png")):
        monkeypatch.setattr(sys, "argv", [str(QUICKSTART), *words])
        runpy.run_path(str(QUICKSTART), run_name="__main__")
        assert (tmp_path / picture).read_bytes().startswith(b"\x89PNG")
    said = capsys.readouterr().out
    assert "bili-lo-80" in said
    assert "bili-hi-90" in said
    assert {path.name for path in tmp_path.iterdir()} == {"quickstart.png", "mine.png"}


def test_the_quickstart_runs_the_lines_of_the_readme():
    snippet = (ROOT / "README.md").read_text().split("```python\n")[1].split("```")[0]
    ours = _statements(QUICKSTART.read_text())
    missing = [line for line in _statements(snippet) if line not in ours]
    assert not missing


@pytest.mark.slow
def test_the_quickstart_takes_less_than_a_minute(tmp_path):
    started = time.perf_counter()
    subprocess.run([sys.executable, str(QUICKSTART)], cwd=tmp_path, check=True, capture_output=True)
    assert time.perf_counter() - started < 60
    assert (tmp_path / "quickstart.png").exists()


def _statements(text: str) -> list[str]:
    lines = (re.sub(r"\s*#.*", "", line).strip() for line in text.splitlines())
    return [line for line in lines if line]


@pytest.mark.slow
@pytest.mark.parametrize("path", sorted(QUICKSTART.parent.glob("plot_*.py")), ids=lambda p: p.stem)
def test_every_example_of_the_gallery_runs(path, monkeypatch, tmp_path):
    monkeypatch.setenv("MPLBACKEND", "agg")
    monkeypatch.chdir(tmp_path)
    subprocess.run([sys.executable, str(path)], check=True, capture_output=True, timeout=300)


@pytest.mark.slow
def test_the_workers_of_a_cluster_answer_as_one_process_does(tmp_path):
    pytest.importorskip("distributed")
    pytest.importorskip("dask.dataframe")
    command = [sys.executable, str(QUICKSTART.parent / "predict_with_dask.py")]
    said = subprocess.run(command, cwd=tmp_path, check=True, capture_output=True, text=True, timeout=300)
    assert said.stderr == ""
    assert said.stdout.startswith("2,496 rows from 8 partitions")
    assert float(said.stdout.split()[-1]) < 1e-3  # of platelets in the hundreds
    assert list(tmp_path.iterdir()) == []


def test_there_are_examples_and_each_says_what_it_shows():
    paths = sorted(QUICKSTART.parent.glob("plot_*.py"))
    assert len(paths) >= 8
    for path in paths:
        compile(path.read_text(), str(path), "exec")
        assert re.match(r'"""\n[A-Z].*\n=+\n\n', path.read_text()), path.name
