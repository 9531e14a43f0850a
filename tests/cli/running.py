"""How the tests run commands."""

import subprocess
import sys

from latentode.cli import main

QUICK = ["--max-steps", "5"]


def run(*words, **options):
    return subprocess.run([sys.executable, *words], capture_output=True, text=True, **options)


def refused(capsys, *words):
    assert main([str(w) for w in words]) == 2
    said = capsys.readouterr()
    assert said.err.startswith("latentode: ")
    assert said.err.count("\n") == 1
    return said.err
