"""Every fault of the table is tried, and the page tells what was tried."""

import copy
import re
import warnings

import numpy as np
import pytest

from latentode.data import DataError, DataWarning
from tests.estimators.tiny import quick
from tests.faults import BASE, FAULTS, PAGE, render


@pytest.fixture(scope="module")
def fitted():
    return quick().fit(BASE)


@pytest.mark.parametrize("fault", FAULTS, ids=lambda f: f"{f.where}: {f.name}")
def test_a_fault_is_met_as_the_table_says(fault, fitted):
    spoilt, before = fault.spoil(BASE), BASE.copy()

    def meet():
        if fault.where == "fit":
            return quick().fit(spoilt).forecast()[["x", "y"]]
        if fault.where == "update":
            return copy.copy(fitted).update(spoilt).forecast()[["x", "y"]]
        return fitted.impute(spoilt)[["x", "y"]] if fault.where == "impute" else fitted.predict(spoilt)

    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        if fault.outcome == "refused":
            with pytest.raises(DataError, match=re.escape(fault.message)):
                meet()
        else:
            found = meet()
            nothing = fault.name in ("a row without a time", "a channel all missing")
            assert nothing or np.isfinite(found).all().all()
    told = [str(w.message) for w in said if w.category is DataWarning]
    foreign = [str(w.message) for w in said if w.category is not DataWarning]
    assert not foreign
    if fault.outcome == "said":
        assert any(fault.message in text for text in told)
    if fault.outcome == "taken" and fault.where == "predict":
        assert not told
    assert BASE.equals(before)


def test_the_page_is_that_of_the_table():
    assert PAGE.read_text("utf-8") == render()
