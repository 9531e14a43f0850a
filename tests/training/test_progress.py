import io
import logging
import sys

import pytest

from latentode.training.progress import Progress, in_notebook, write_line

ROW = {"step": 25.0, "loss": 1.25, "validation_crps": 0.5, "learning_rate": 3e-3}
LINE = "step 25 of at most 100: loss 1.2500, held-out CRPS 0.5000 (best 0.4000), learning rate 0.003"


class Terminal(io.StringIO):
    def isatty(self):
        return True


def in_a_terminal(monkeypatch):
    """Within a test: pytest sets the streams anew after the fixtures."""
    stream = Terminal()
    monkeypatch.setattr("sys.stderr", stream)
    return stream


@pytest.fixture
def no_handlers(monkeypatch):
    """The log as a program has it that sets up none; pytest has handlers of its own."""
    monkeypatch.setattr(logging.getLogger("latentode"), "propagate", False)


@pytest.mark.usefixtures("no_handlers")
@pytest.mark.parametrize("verbose", [1, 2])
def test_without_a_terminal_a_check_is_a_line_on_the_standard_error(capsys, verbose):
    progress = Progress(100, verbose)
    progress.report(ROW, best=0.4)
    progress.close()
    assert capsys.readouterr() == ("", f"{LINE}\n")


@pytest.mark.usefixtures("no_handlers")
def test_nothing_is_shown_unasked(monkeypatch, capsys):
    terminal = in_a_terminal(monkeypatch)
    progress = Progress(100, 0, done=25)
    progress.report(ROW, best=0.4)
    progress.close()
    assert terminal.getvalue() == capsys.readouterr().out == ""


def test_the_log_has_the_line_and_then_nothing_else_shows_it(caplog, capsys):
    with caplog.at_level(logging.INFO, logger="latentode"):
        progress = Progress(100, 1, number=2, n_models=3)
        progress.report(ROW, best=0.4)
        progress.close()
    assert [record.getMessage() for record in caplog.records] == [f"model 2 of 3, {LINE}"]
    assert capsys.readouterr().err == ""


def test_in_a_terminal_a_bar_has_the_steps_and_losses_and_goes_away(monkeypatch, capsys):
    terminal = in_a_terminal(monkeypatch)
    progress = Progress(100, 1, number=2, n_models=3)
    progress.report(ROW, best=0.4)
    progress.bar.refresh()
    shown = terminal.getvalue()
    progress.close()
    assert "latentode, model 2 of 3:  25%" in shown
    assert "25/100" in shown
    assert "loss 1.2500, held-out CRPS 0.5000 (best 0.4000)" in shown
    assert not terminal.getvalue().rsplit("\r", 2)[-1].strip()
    assert capsys.readouterr().out == ""


def test_steps_of_a_bar_are_counted_from_where_training_resumes(monkeypatch):
    in_a_terminal(monkeypatch)
    progress = Progress(100, 1, done=20)
    progress.report(ROW, best=0.4)
    progress.report({**ROW, "step": 60.0}, best=0.4)
    assert progress.bar.n == 60
    progress.close()


@pytest.mark.usefixtures("no_handlers")
def test_a_training_that_resumes_says_from_where(capsys):
    Progress(100, 1, done=50, number=1, n_models=2).close()
    assert capsys.readouterr().err == "model 1 of 2, resuming from step 50 of at most 100\n"


@pytest.mark.usefixtures("no_handlers")
def test_a_process_beside_another_is_silent(capsys, caplog):
    progress = Progress(100, 2)
    progress.silence()
    progress.report(ROW, best=0.4)
    assert capsys.readouterr() == ("", "")


def test_beside_a_bar_lines_are_written_where_more_is_wanted(monkeypatch, capsys):
    terminal = in_a_terminal(monkeypatch)
    write_line("one", verbose=1)
    write_line("two", verbose=2)
    assert capsys.readouterr().out == "two\n"
    assert terminal.getvalue() == ""


@pytest.mark.usefixtures("no_handlers")
def test_a_program_without_a_standard_error_trains_too(monkeypatch):
    monkeypatch.setattr("sys.stderr", None)
    progress = Progress(100, 1)
    progress.report(ROW, best=0.4)
    progress.close()


def test_a_notebook_is_known_by_its_stream():
    stream = type("OutStream", (io.StringIO,), {"__module__": "ipykernel.iostream"})()
    assert in_notebook(stream)
    assert not in_notebook(sys.stderr)
