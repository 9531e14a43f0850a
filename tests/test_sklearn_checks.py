"""Every check of the table is run, none of scikit-learn's is missing, and the page tells what was run."""

import functools

import pytest
import sklearn
from sklearn.utils import estimator_checks
from sklearn.utils.fixes import parse_version

from tests.sklearn_checks import BOTH, CHECKS, FORECASTER, PAGE, render


def _cases():
    for check in CHECKS:
        for face in check.faces:
            # What the two share is the forecaster's doing: of the imputer it is tried in the slow suite.
            slow = check.slow or (face is not FORECASTER and FORECASTER in check.faces)
            if check.run is not None:
                marks = [pytest.mark.slow] if slow else []
                yield pytest.param(check, face, id=f"{face.name}: {check.name}", marks=marks)


@pytest.mark.parametrize(("check", "face"), list(_cases()))
@pytest.mark.filterwarnings("ignore::FutureWarning")
def test_a_check_of_scikit_learns_is_met_as_the_table_says(check, face):
    check.run(face)


@pytest.mark.skipif(parse_version(sklearn.__version__) < parse_version("1.6"), reason="other names before 1.6")
@pytest.mark.parametrize("face", BOTH, ids=lambda f: f.name)
def test_no_check_of_scikit_learns_is_missing(face):
    class TakesArrays(face.kind):
        def __sklearn_tags__(self):
            tags = super().__sklearn_tags__()
            tags.input_tags.two_d_array = True
            return tags

    here = {check.name.split(" ")[0] for check in CHECKS if face in check.faces}
    for check in estimator_checks._yield_all_checks(TakesArrays(), legacy=True):
        name = check.func.__name__ if isinstance(check, functools.partial) else check.__name__
        assert name in here or name == "check_array_api_input", name


def test_the_page_is_that_of_the_table():
    assert PAGE.read_text("utf-8") == render()
