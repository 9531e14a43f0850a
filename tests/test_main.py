import re
import runpy
import sys

import pytest

import latentode
from latentode.cli import main
from tests.cli.running import run


def test_python_dash_m_names_the_commands_and_the_version():
    helped = run("-m", "latentode", "--help").stdout
    assert all(
        re.search(rf"^ +{command} ", helped, re.M) for command in ("fit", "forecast", "evaluate", "report", "demo")
    )
    assert run("-m", "latentode", "--version").stdout == f"latentode {latentode.__version__}\n"


def as_a_module(monkeypatch, *words):
    """The exit code of ``python -m latentode``, in this process."""
    monkeypatch.setattr(sys, "argv", ["latentode", *words])
    with pytest.raises(SystemExit) as end:
        runpy.run_module("latentode", run_name="__main__")
    return end.value.code


@pytest.mark.parametrize("words", [["--help"], ["fit", "--help"], ["--version"], ["--nothing"]])
def test_python_dash_m_is_the_command_line(monkeypatch, capsys, words):
    with pytest.raises(SystemExit) as end:
        main(words)
    expected = end.value.code, capsys.readouterr()
    assert (as_a_module(monkeypatch, *words), capsys.readouterr()) == expected


def test_the_exit_code_of_the_process_is_that_of_the_command(monkeypatch, capsys, tmp_path):
    assert as_a_module(monkeypatch, "fit", str(tmp_path / "nope.csv"), "--out", str(tmp_path / "model")) == 2
    assert capsys.readouterr().err.startswith("latentode: no such file: ")


def test_importing_the_module_runs_nothing(monkeypatch):
    monkeypatch.setattr(sys, "argv", ["latentode", "--nothing"])
    assert runpy.run_module("latentode.__main__", run_name="imported")["main"] is main
