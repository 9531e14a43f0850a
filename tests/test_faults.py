"""Every fault of the table is tried, and the page tells what was tried."""

import contextlib
import copy
import re
import threading
import warnings

import numpy as np
import pytest

from latentode.cli import main
from latentode.data import DataError, DataWarning
from tests.command_faults import COMMANDS
from tests.estimators.tiny import quick
from tests.faults import BASE, FAULTS, GROUPS, PAGE, render

pytestmark = pytest.mark.usefixtures("roughly_stacked")


@pytest.fixture(scope="module")
def fitted():
    return quick().fit(BASE)


@pytest.fixture(scope="module")
def grouped():
    return quick(static_cols=["kind"]).fit(BASE.assign(**GROUPS))


OF_FEW_SERIES = "prediction intervals are calibrated on"
"""How the warning begins that the tables do not name: it is of these few series, not of a fault."""


@contextlib.contextmanager
def done_meanwhile(what, df):
    """Another thread does something to a frame, again and again, and lets the first one work in between."""
    over, begun, broken = threading.Event(), threading.Event(), []

    def again():
        try:
            while not over.wait(1e-4):
                what(df)
                begun.set()
        except Exception as error:  # the test would else go on without it
            broken.append(error)
            begun.set()

    thread = threading.Thread(target=again)
    thread.start()
    begun.wait()
    try:
        yield
    finally:
        over.set()
        thread.join()
    assert not broken


@pytest.mark.parametrize("fault", FAULTS, ids=lambda f: f"{f.where}: {f.name}")
def test_a_fault_is_met_as_the_table_says(fault, request):
    fitted = request.getfixturevalue("grouped" if fault.grouped else "fitted")
    spoilt, before = fault.spoil(BASE), BASE.copy()
    other = done_meanwhile(fault.meanwhile, spoilt) if fault.meanwhile else contextlib.nullcontext()

    def meet():
        if fault.where == "fit":
            return quick().fit(spoilt).forecast()[["x", "y"]]
        if fault.where == "update":
            return copy.copy(fitted).update(spoilt).forecast()[["x", "y"]]
        return fitted.impute(spoilt)[["x", "y"]] if fault.where == "impute" else fitted.predict(spoilt)

    with warnings.catch_warnings(record=True) as said, other:
        warnings.simplefilter("always")
        if fault.outcome == "refused":
            with pytest.raises(DataError, match=re.escape(fault.message)):
                meet()
        else:
            found = meet()
            nothing = fault.name in ("a row without a time", "a channel all missing")
            assert nothing or np.isfinite(found).all().all()
    reported = [str(w.message) for w in said if w.category is DataWarning]
    foreign = [str(w.message) for w in said if w.category is not DataWarning]
    assert not [text for text in foreign if not text.startswith(OF_FEW_SERIES)]
    if fault.outcome == "said":
        assert any(fault.message in text for text in reported)
    if fault.outcome == "taken" and fault.where == "predict":
        assert not reported
    assert BASE.equals(before)


@pytest.mark.parametrize("command", COMMANDS, ids=lambda c: c.name)
def test_a_fault_of_the_command_line_is_met_as_the_table_says(command, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    command.prepare(tmp_path)
    before = {p.name for p in tmp_path.iterdir()}
    try:
        code = main(command.words)
    except SystemExit as end:  # what argparse refuses
        code = end.code
    lines = capsys.readouterr().err.splitlines(keepends=True)
    err = "".join(line for line in lines if not line.startswith(f"latentode: note: {OF_FEW_SERIES}"))
    made = {p.name for p in tmp_path.iterdir()} - before
    if command.outcome == "refused":
        assert (code, made) == (2, set())
        assert command.message in err.splitlines()[-1]
    elif command.outcome == "said":
        assert (code, made, err) == (0, {"model"}, f"latentode: note: {command.message}\n")
    else:
        assert (code, made, err) == (0, {"model"}, "")


def test_the_page_is_that_of_the_table():
    assert PAGE.read_text("utf-8") == render()
