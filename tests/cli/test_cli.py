import os
import subprocess
import sys
import time

import pandas as pd
import pytest

from latentode.cli import main
from tests.cli.running import QUICK, refused, run

# ----------------------------------------------------------------------------------------------- at once


@pytest.mark.parametrize("words", [["--help"], ["fit", "--help"], ["forecast", "--help"], ["--version"]])
def test_help_and_version_load_neither_torch_nor_pandas(words):
    code = (
        "import sys\n"
        "from latentode.cli import main\n"
        "try:\n    main(sys.argv[1:])\n"
        "except SystemExit as end:\n    assert end.code == 0\n"
        "heavy = {'torch', 'pandas', 'numpy', 'sklearn', 'lightning', 'matplotlib'} & set(sys.modules)\n"
        "sys.exit(f'loaded {heavy}' if heavy else 0)\n"
    )
    done = run("-c", code, *words)
    assert done.returncode == 0, done.stderr


def test_help_answers_at_once():
    spent = []
    for _ in range(3):  # the best of three, since others may keep the machine busy
        started = time.perf_counter()
        run("-m", "latentode", "--help", check=True)
        spent.append(time.perf_counter() - started)
    assert min(spent) < 0.5


# ------------------------------------------------------------------------------------------------ signals


_TERMINATED_WHILE_IT_TRAINS = """
import os, signal, sys
from functools import partial
from latentode.cli import main
from latentode.estimators import defaults
from latentode.training import TrainingConfig
from latentode.training.module import LatentODEModule

defaults.TrainingConfig = partial(TrainingConfig, steps_per_check=2)
step = LatentODEModule.training_step

def met(self, *args):
    if self.step == 3:  # the state is kept after 2
        os.kill(os.getpid(), signal.SIGTERM)
    return step(self, *args)

LatentODEModule.training_step = met
sys.exit(main(sys.argv[1:]))
"""


@pytest.mark.skipif(sys.platform == "win32", reason="there is no SIGTERM")
@pytest.mark.parametrize("keeps", [pytest.param(False, marks=pytest.mark.slow), True])
def test_a_sigterm_ends_a_fit_with_its_exit_code_and_a_line(table, tmp_path, keeps):
    words = ["fit", table, "--id", "storm", "--time", "when", "--max-steps", "6", "--out", "model"]
    words += ["--checkpoint-dir", "kept"] if keeps else []
    done = run("-c", _TERMINATED_WHILE_IT_TRAINS, *words, cwd=tmp_path)
    said = "latentode: SIGTERM broke training off; no model was written"
    more = ". The same command resumes from the checkpoint in kept" if keeps else ""
    assert (done.returncode, done.stderr) == (143, f"{said}{more}\n")
    assert [p.name for p in tmp_path.iterdir()] == (["kept"] if keeps else [])
    assert not keeps or [p.suffix for p in (tmp_path / "kept").iterdir()] == [".safetensors"]


# -------------------------------------------------------------------------------------------------- errors


def test_what_is_wrong_is_one_line_without_a_traceback_and_exit_code_2(tmp_path):
    done = run("-m", "latentode", "fit", "nope.csv", "--out", "model", cwd=tmp_path)
    assert (done.returncode, done.stdout, done.stderr) == (2, "", "latentode: no such file: nope.csv\n")
    assert list(tmp_path.iterdir()) == []


def test_errors_of_the_library_are_in_words_of_the_command_line(table, tmp_path, capsys):
    out = tmp_path / "model"
    assert "--id 'patient': no such column" in refused(capsys, "fit", table, "--id", "patient", "--out", out)
    err = refused(capsys, "fit", table, "--id", "storm", "--out", out)
    assert "pass --time (or name it one of" in err
    err = refused(capsys, "fit", table, "--time", "when", "--out", out)
    assert "pass --id 'storm' if it names the series, or --target [...]" in err
    assert not out.exists()


def test_a_time_that_is_none_is_named_with_its_row(tmp_path, capsys):
    path = tmp_path / "a.csv"
    path.write_text("id,time,y\na,2024-01-01,1\na,yesterday,2\n")
    assert "row 2 below the header: 'yesterday'" in refused(capsys, "fit", path, "--out", tmp_path / "m")


def test_warnings_of_the_library_are_lines_without_a_place_in_its_source(storms, tmp_path, capsys):
    doubled = pd.concat([storms, storms.head(1)])
    doubled.to_csv(tmp_path / "a.csv", index=False)
    words = ["fit", tmp_path / "a.csv", "--id", "storm", "--time", "when", "--out", tmp_path / "m", *QUICK]
    assert main([str(w) for w in words]) == 0
    err = capsys.readouterr().err
    assert err.startswith("latentode: note: 1 rows repeat a (series, time)")
    assert ".py" not in err


@pytest.mark.parametrize(
    ("error", "code", "said"),
    [
        (MemoryError(), 2, "latentode: the memory does not suffice: give fewer rows, series or columns\n"),
        (RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried"), 2, "latentode: the memory does not"),
        (ValueError("Error tokenizing data. C error: out of memory"), 2, "latentode: the memory does not suffice"),
        (RecursionError("too deep"), 2, "latentode: too deep\n"),
        (KeyboardInterrupt(), 130, "latentode: interrupted; the work was not finished\n"),
    ],
    ids=lambda v: type(v).__name__,
)
def test_what_ends_a_command_is_one_line_and_an_exit_code(tmp_path, capsys, monkeypatch, error, code, said):
    def fail(*_):
        raise error

    monkeypatch.setattr("latentode.io.tables.read_table", fail)
    assert main(["fit", "a.csv", "--out", str(tmp_path / "m")]) == code
    err = capsys.readouterr().err
    assert err.startswith(said)
    assert err.count("\n") == 1


def test_a_fault_of_the_library_keeps_its_traceback(tmp_path, monkeypatch):
    def fail(*_):
        raise RuntimeError("a fault")

    monkeypatch.setattr("latentode.io.tables.read_table", fail)
    with pytest.raises(RuntimeError, match="a fault"):
        main(["fit", "a.csv", "--out", str(tmp_path / "m")])


@pytest.mark.skipif(sys.platform == "win32", reason="there is no SIGPIPE")
def test_output_that_nobody_reads_ends_in_silence(tmp_path):
    (tmp_path / "a.csv").write_text("id,time,y\na,0,1\n")
    code = "import sys; from latentode.cli import main; sys.exit(main(sys.argv[1:]))"
    read, write = os.pipe()
    os.close(read)
    words = [sys.executable, "-c", code, "fit", "a.csv", "--out", "m"]
    done = subprocess.run(words, cwd=tmp_path, stdout=write, stderr=subprocess.PIPE, text=True)
    os.close(write)
    assert (done.returncode, done.stderr) == (141, "")
