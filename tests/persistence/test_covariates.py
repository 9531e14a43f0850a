import numpy as np
import pandas as pd
import pytest

from latentode.data import Coding, Covariates, TimedRows
from latentode.persistence.covariates import arrays_of_covariates, covariates_from_arrays, shapes_of_covariates

FRAME = pd.DataFrame(
    {"sex": ["f", "m", "f"], "age": [30.0, 40.0, 50.0], "dose": [1.0, 2.0, 4.0], "drug": [0.0, 5.0, 0.0]}
)
CODINGS = {
    "none": Coding(),
    "static": Coding.from_frame(FRAME, ["sex", "age"], []),
    "known": Coding.from_frame(FRAME, [], ["dose"]),
    "impulses": Coding.from_frame(FRAME, ["age"], ["dose"], ["drug"]),
}


def rows(n_features):
    """Rows of three series, the second of which has none."""
    values = np.arange(4 * n_features, dtype=np.float32).reshape(4, n_features)
    return TimedRows(np.array([0, 3, 3, 4]), np.array([0.0, 1.0, 2.5, -1.0]), values)


def covariates_of(coding):
    static = np.arange(3 * coding.n_static, dtype=np.float32).reshape(3, -1)
    static[1:2] = np.nan
    impulses = rows(coding.n_impulses) if coding.n_impulses else TimedRows.empty(3)
    return Covariates(static, rows(coding.n_known) if coding.n_known else TimedRows.empty(3), impulses)


@pytest.mark.parametrize("name", CODINGS)
def test_covariates_come_back_from_their_arrays_bit_for_bit(name):
    coding, given = CODINGS[name], covariates_of(CODINGS[name])
    found = covariates_from_arrays(arrays_of_covariates(given), coding, 3)
    np.testing.assert_array_equal(found.static, given.static)
    for ours, theirs in ((found.known, given.known), (found.impulses, given.impulses)):
        for part in ("offsets", "times", "values"):
            np.testing.assert_array_equal(getattr(ours, part), getattr(theirs, part))
            assert getattr(ours, part).dtype == getattr(theirs, part).dtype


@pytest.mark.parametrize("name", CODINGS)
def test_the_shapes_are_those_of_the_arrays_that_are_written(name):
    coding, given = CODINGS[name], covariates_of(CODINGS[name])
    arrays = arrays_of_covariates(given)
    shapes = shapes_of_covariates(coding, 3, len(given.known.times), len(given.impulses.times))
    assert {key: (array.dtype, array.shape) for key, array in arrays.items()} == {
        key: (np.dtype(kind), shape) for key, (kind, shape) in shapes.items()
    }


def test_arrays_of_impulses_are_written_only_where_there_are_such_columns():
    written = {
        name: {key.partition(".")[0] for key in arrays_of_covariates(covariates_of(CODINGS[name]))} for name in CODINGS
    }
    assert written["impulses"] == {"covariates", "impulses"}
    assert written["known"] == written["static"] == written["none"] == {"covariates"}
    assert shapes_of_covariates(None, 3) == shapes_of_covariates(Coding(), 3)


@pytest.mark.parametrize(
    ("name", "change", "said"),
    [
        ("covariates.static", lambda x: x[:2], r"covariates.static holds float32 of shape \(2, 1\), expected float32"),
        ("covariates.static", lambda x: x.astype(np.float64), "covariates.static holds float64"),
        ("covariates.known", lambda x: x[:, :0], r"covariates.known holds float32 of shape \(4, 0\)"),
        ("covariates.times", lambda x: x[::-1], "covariates.times do not increase within the series"),
        ("covariates.offsets", lambda x: x + 1, "covariates.offsets do not divide the rows among the series"),
        ("impulses.times", lambda x: x * np.nan, "impulses.times do not increase within the series"),
        ("impulses.offsets", lambda x: x[::-1], "impulses.offsets do not divide the rows among the series"),
        ("impulses.values", lambda x: x[:-1], r"impulses.values holds float32 of shape \(3, 1\)"),
    ],
)
def test_an_array_that_does_not_fit_is_refused_by_name(name, change, said):
    coding = CODINGS["impulses"]
    arrays = arrays_of_covariates(covariates_of(coding))
    arrays[name] = change(arrays[name])
    with pytest.raises(ValueError, match=said):
        covariates_from_arrays(arrays, coding, 3)


@pytest.mark.parametrize("name", list(arrays_of_covariates(covariates_of(CODINGS["impulses"]))))
def test_an_array_that_is_missing_is_named(name):
    arrays = arrays_of_covariates(covariates_of(CODINGS["impulses"]))
    del arrays[name]
    with pytest.raises(KeyError, match=name):
        covariates_from_arrays(arrays, CODINGS["impulses"], 3)
