import io
import logging
import sys

import pytest

from tests.estimators.tiny import checks_every, quick, waves


@pytest.fixture(scope="module", autouse=True)
def _often():
    with checks_every(2):
        yield


def test_the_log_has_a_line_for_every_validation_check(caplog):
    with caplog.at_level(logging.INFO, logger="latentode"):
        quick(max_steps=4).fit(waves())
    lines = [r.getMessage() for r in caplog.records if r.name == "latentode" and r.getMessage().startswith("step ")]
    assert len(lines) == 2
    assert lines[0].startswith("step 2 of at most 4: loss ")


class Terminal(io.StringIO):
    def isatty(self):
        return True


def test_the_bar_has_losses_and_is_gone_at_the_end(monkeypatch, capsys):
    monkeypatch.setattr("sys.stderr", Terminal())
    quick(max_steps=4, verbose=2).fit(waves())
    shown = sys.stderr.getvalue()
    printed = capsys.readouterr().out
    assert "held-out CRPS" in printed
    assert "horizon=None: training goes " in printed
    assert "held-out CRPS" in shown
    assert "4/4" in shown
    assert not shown.rsplit("\r", 2)[-1].strip()


def test_in_a_terminal_the_bar_of_an_ensemble_names_the_model(monkeypatch):
    monkeypatch.setattr("sys.stderr", Terminal())
    quick(max_steps=2, n_models=2, verbose=True).fit(waves())
    shown = sys.stderr.getvalue()
    assert 0 < shown.index("latentode, model 1 of 2") < shown.index("latentode, model 2 of 2")


def test_without_a_terminal_there_are_lines_that_name_the_model_and_no_bar(capsys):
    quick(max_steps=2, n_models=2, verbose=True).fit(waves())
    horizon, *lines = capsys.readouterr().err.splitlines()
    assert horizon.startswith("horizon=None: training goes ")
    assert [line.partition(" of at most")[0] for line in lines] == ["model 1 of 2, step 2", "model 2 of 2, step 2"]


def test_a_program_that_logs_gets_the_lines_by_its_own_handlers_alone(caplog, capsys):
    with caplog.at_level(logging.INFO, logger="latentode"):
        quick(max_steps=2, verbose=True).fit(waves())
    assert [r.getMessage() for r in caplog.records if r.name == "latentode"]
    assert not capsys.readouterr().err


def test_nothing_is_shown_unasked(capsys):
    quick(max_steps=2, verbose=False).fit(waves())
    assert capsys.readouterr() == ("", "")
