"""What the project promises on real data: slow, run with ``pytest -m slow``."""

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
pytestmark = pytest.mark.slow


def _benchmark(name):
    path = ROOT / "tests" / "benchmarks" / "accuracy" / f"{name}.py"
    spec = importlib.util.spec_from_file_location(name, path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_storms_a_day_ahead_are_nearer_than_at_constant_velocity_and_winds_better_than_persistent():
    table, _ = _benchmark("storms").run(seed=0)
    assert table.loc["latentode", "position_km"] < table.loc["constant velocity", "position_km"]
    assert table.loc["latentode", "wind_knots"] < table.loc["persistence", "wind_knots"]


def test_the_demo_beats_every_naive_forecast_and_covers_what_it_promises(tmp_path):
    from latentode.demo import run_demo

    scores = run_demo(tmp_path, echo=lambda *_: None)
    mean = scores[scores["channel"] == "mean"]
    for _, group in mean.groupby("patients"):
        ours = group[group["forecaster"] == "latentode"].iloc[0]
        others = group[group["forecaster"] != "latentode"]
        assert ours["mae"] < others["mae"].min()
        assert ours["crps"] < others["crps"].min()
        assert 0.85 <= ours["coverage"] <= 0.95


def test_an_installed_wheel_runs_the_readme_from_another_directory(tmp_path):
    wheels = tmp_path / "wheels"
    build = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "-w", str(wheels), str(ROOT)]
    subprocess.run(build, check=True, capture_output=True)
    site = tmp_path / "site"
    install = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--target", str(site)]
    subprocess.run([*install, str(next(wheels.glob("*.whl")))], check=True, capture_output=True)
    text = (ROOT / "README.md").read_text()
    snippet = text.split("```python\n")[1].split("```")[0]
    script = "import latentode, sys; assert latentode.__file__.startswith(sys.argv[1]), latentode.__file__\n" + snippet
    away = tmp_path / "away"
    away.mkdir()
    environment = {**os.environ, "PYTHONPATH": str(site)}
    done = subprocess.run(
        [sys.executable, "-c", script, str(site)], cwd=away, env=environment, capture_output=True, text=True
    )
    assert (done.returncode, done.stdout) == (0, ""), done.stderr
    assert list(away.iterdir()) == []
