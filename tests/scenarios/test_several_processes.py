"""One training shared by processes, and its parts: the same model as one process trains."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from latentode import LatentODEForecaster, load
from latentode.datasets import make_spirals

ROOT = Path(__file__).parents[2]

SCRIPT = """
import os, sys
from latentode import LatentODEForecaster
from latentode.datasets import make_spirals

df = make_spirals(n_series=23, n_points=20, random_state=0)  # batches of an odd size: shares of different sizes
given = {given}
forecaster = LatentODEForecaster(max_steps=50, random_state=0, devices=2, **given).fit(df)
forecaster.save(sys.argv[1] + os.environ.get("LOCAL_RANK", "0"))
"""


def trained_by_two(folder: Path, given: dict[str, object], *launcher: str) -> list[LatentODEForecaster]:
    """The forecaster as either of two processes has it."""
    script = folder / "script.py"
    script.write_text(SCRIPT.format(given=given))
    command = [sys.executable, *launcher, str(script), str(folder / "model")]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    said = subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=300)
    assert said.returncode == 0, said.stderr
    assert said.stdout == ""
    return [load(folder / f"model{rank}") for rank in (0, 1)]


@pytest.mark.slow
def test_two_processes_train_the_model_that_one_trains(tmp_path):
    df = make_spirals(n_series=23, n_points=20, random_state=0)
    alone = LatentODEForecaster(max_steps=50, random_state=0).fit(df)
    queries = df[["id", "time"]].assign(time=lambda q: q["time"] + 0.3)
    expected = alone.predict(queries)
    for ours in trained_by_two(tmp_path, {}):
        pd.testing.assert_frame_equal(ours.predict(queries), expected, rtol=0, atol=1e-3)
        reported = ours.history_[["loss", "validation_crps"]]
        pd.testing.assert_frame_equal(reported, alone.history_[reported.columns], rtol=0, atol=1e-3)


@pytest.mark.slow  # three processes import everything
def test_processes_started_by_torchrun_end_with_the_same_weights_and_in_silence(tmp_path):
    launcher = ("-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2")
    first, second = trained_by_two(tmp_path, {"kl_weight": 0.1}, *launcher)
    for ours, other in zip(first.model_.parameters(), second.model_.parameters(), strict=True):
        assert torch.equal(ours, other)
    df = make_spirals(n_series=23, n_points=20, random_state=0)
    assert np.isfinite(first.predict(df).to_numpy()).all()


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"random_state": None}, "give random_state an integer"),
        ({"random_state": np.random.default_rng(0)}, "give random_state an integer"),
        ({"random_state": 0, "checkpoint_dir": "there"}, "leave checkpoint_dir=None"),
        ({"random_state": 0, "devices": 0}, "devices=0 must be at least 1"),
    ],
)
def test_what_processes_cannot_share_is_refused_before_they_start(given, said, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ValueError, match=said):
        LatentODEForecaster(**{"devices": 2, **given}).fit(make_spirals(n_series=5, n_points=5, random_state=0))
    assert list(tmp_path.iterdir()) == []
