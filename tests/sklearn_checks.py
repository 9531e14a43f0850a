# ruff: noqa: E501  (a table)
"""scikit-learn's estimator checks on long frames: tried by ``test_sklearn_checks.py``, told by ``docs/sklearn.md``.

``check_estimator`` gives arrays, and skips nearly all of its checks for an estimator that takes frames. Each of them is
here by its name: called as it is where it needs no data, else said again for a row per (series, time).

python -m tests.sklearn_checks    # writes the page
"""

import copy
import inspect
import os
import pickle
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pandas as pd
import pytest
import scipy.sparse
import sklearn
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.pipeline import make_pipeline
from sklearn.utils import estimator_checks
from sklearn.utils.validation import check_is_fitted

from latentode import LatentODEForecaster, LatentODEImputer
from latentode.data import DataError
from tests.estimators.tiny import quick, waves

PAGE = Path(__file__).parents[1] / "docs" / "sklearn.md"
DF = waves(4, 6)
CHANNELS = ["x", "y"]
WEIGHTS = np.linspace(0.5, 1.5, len(DF))


class Face:
    """An estimator, how it is asked, and one fitted to all of the frame."""

    def __init__(self, name: str, kind: type, new: Callable[[], Any], ask: str) -> None:
        self.name, self.kind, self.new, self.ask = name, kind, new, ask

    def answer(self, estimator: Any, X: Any = DF) -> Any:
        found = getattr(estimator, self.ask)(X)
        return found[[c for c in found.columns if c in CHANNELS]] if isinstance(found, pd.DataFrame) else found

    @cached_property
    def fitted(self) -> Any:
        fitted = self.new()
        before = joblib.hash(fitted.get_params())
        self.returned = fitted.fit(DF)
        self.kept_its_parameters = joblib.hash(fitted.get_params()) == before
        return fitted

    @cached_property
    def weighted(self) -> Any:
        return self.new().fit(DF, sample_weight=WEIGHTS)

    def fits_the_same(self, X: Any, *args: Any, like: Any = None, **kwargs: Any) -> None:
        like = self.fitted if like is None else like
        found = self.new().fit(X, *args, **kwargs)
        pd.testing.assert_frame_equal(self.answer(found), self.answer(like), check_exact=True)


FORECASTER = Face("LatentODEForecaster", LatentODEForecaster, quick, "predict")
IMPUTER = Face("LatentODEImputer", LatentODEImputer, lambda: LatentODEImputer(quick()), "transform")
BOTH = (FORECASTER, IMPUTER)


@dataclass(frozen=True)
class Check:
    """A check of scikit-learn's; what is done in its place; ``run`` raises where that is not met."""

    name: str
    told: str
    run: Callable[[Face], None] | None
    outcome: str = "passes"
    faces: tuple[Face, ...] = BOTH
    slow: bool = False


def as_it_is(name: str) -> Check:
    """A check that needs no data: scikit-learn's own code."""

    def run(face: Face) -> None:
        if not hasattr(estimator_checks, name):
            pytest.skip(f"this scikit-learn has no {name}")
        getattr(estimator_checks, name)(face.name, face.kind())

    return Check(name, "as it is", run)


# ------------------------------------------------------------------------------------------ in the order of the table


def fit_score_takes_y(face: Face) -> None:
    assert list(inspect.signature(face.kind.fit).parameters)[1:3] == ["X", "y"]
    if hasattr(face.kind, "score"):
        later = DF.assign(time=DF["time"] + 10)
        apart = face.fitted.score(later[["id", "time"]], later[CHANNELS])
        assert apart == face.fitted.score(later)


def overwrites_no_parameter(face: Face) -> None:
    assert face.fitted.get_params().keys() == face.new().get_params().keys()
    assert face.kept_its_parameters


def adds_only_what_ends_in_an_underscore(face: Face) -> None:
    assert all(name.endswith("_") for name in set(vars(face.fitted)) - set(vars(face.new())))


def fit_returns_self(face: Face) -> None:
    assert face.fitted is face.returned


def reads_memory_it_may_not_write(face: Face) -> None:
    pytest.importorskip("pandas", minversion="3")  # older ones copy what a frame is made of
    with tempfile.TemporaryDirectory() as folder:
        columns = {c: DF[c].to_numpy() for c in ("time", *CHANNELS)}
        mapped = joblib.load(joblib.dump(columns, Path(folder) / "columns")[0], mmap_mode="r")
        frozen = pd.DataFrame({"id": DF["id"], **{c: pd.Series(v, copy=False) for c, v in mapped.items()}})
        assert not frozen["x"].to_numpy().flags.writeable
        face.fits_the_same(frozen)
        del frozen, mapped


def must_be_fitted_first(face: Face) -> None:
    with pytest.raises(NotFittedError):
        face.answer(face.new())


def takes_an_incomplete_frame_at_its_word(face: Face) -> None:
    X = DF[["time", *CHANNELS]] if face is FORECASTER else DF.drop(columns="x")
    with pytest.raises(DataError, match="has no column"):
        face.answer(face.fitted, X)
    pd.testing.assert_frame_equal(face.answer(face.fitted, DF.assign(more=1.0)), face.answer(face.fitted))


def negative_values_are_values(face: Face) -> None:
    pytest.importorskip("sklearn", minversion="1.6")
    assert not sklearn.utils.get_tags(face.new()).input_tags.positive_only
    forecaster = face.fitted if face is FORECASTER else face.fitted.forecaster_
    assert np.nanmin(forecaster.panel_.values) < 0
    assert np.isfinite(face.answer(face.fitted)).all(axis=None)


def numbers_of_every_size(face: Face) -> None:
    df = waves(4, 6, missing=0.0)
    cast = df.assign(
        x=df["x"].astype("float32"),
        y=df["y"].round().astype("int64"),
        z=df["y"].astype("int32"),
        w=df["x"] > 0,
    )
    found = getattr(face.new().fit(cast), face.ask)(cast)
    assert np.isfinite(found[["x", "y", "z", "w"]].to_numpy(dtype=float)).all()


def weights_as(make: Callable[[Any], Any]) -> Callable[[Face], None]:
    return lambda face: face.fits_the_same(DF, sample_weight=make(WEIGHTS), like=face.weighted)


class NotAnArray:
    """Numbers that NumPy can read, and nothing else."""

    def __init__(self, values: Any) -> None:
        self.values = values

    def __array__(self, dtype: Any = None, copy: Any = None) -> Any:
        return np.array(self.values, dtype=dtype)


def zero_weights_are_refused(face: Face) -> None:
    with pytest.raises(ValueError, match="sample_weight is 0 for every row"):
        face.new().fit(DF, sample_weight=np.zeros(len(DF)))


def weights_have_a_shape(face: Face) -> None:
    for wrong in (WEIGHTS[:, None], WEIGHTS[:-1]):
        with pytest.raises(ValueError, match="one weight per row"):
            face.new().fit(DF, sample_weight=wrong)


def weights_stay_the_callers(face: Face) -> None:
    weights = WEIGHTS.copy()
    face.new().fit(DF, sample_weight=weights)
    np.testing.assert_array_equal(weights, WEIGHTS)


def equal_weights_are_none(face: Face) -> None:
    with pytest.warns(UserWarning, match="averaged with it"):
        found = face.new().fit(pd.concat([DF, DF], ignore_index=True), sample_weight=np.full(2 * len(DF), 3.0))
    np.testing.assert_allclose(face.answer(found), face.answer(face.fitted), atol=1e-5)


def complex_numbers_are_refused(face: Face) -> None:
    with pytest.raises(DataError, match="complex numbers"):
        face.new().fit(DF.assign(x=DF["x"] + 1j))


def objects_are_refused_with_the_cure(face: Face) -> None:
    with pytest.raises(DataError, match=r"'x' should hold numbers.*pd\.to_numeric"):
        face.new().fit(DF.assign(x=DF["x"].astype(object)))


def empty_frames_are_refused(face: Face) -> None:
    with pytest.raises(DataError, match="no rows"):
        face.new().fit(DF.head(0))
    with pytest.raises(DataError, match="no numeric column to forecast"):
        face.new().fit(DF[["id", "time"]])


def is_the_same_in_a_pipeline(face: Face) -> None:
    found = face.answer(make_pipeline(face.new()).fit(DF))
    pd.testing.assert_frame_equal(found, face.answer(face.fitted), check_exact=True)


def says_it_takes_nothing_sparse(face: Face) -> None:
    pytest.importorskip("sklearn", minversion="1.6")
    assert not sklearn.utils.get_tags(face.new()).input_tags.sparse


def refuses(make: Callable[[], Any]) -> Callable[[Face], None]:
    def run(face: Face) -> None:
        with pytest.raises(DataError, match="expected a pandas DataFrame"):
            face.new().fit(make())

    return run


def survives_pickle(face: Face) -> None:
    again = pickle.loads(pickle.dumps(face.fitted))
    pd.testing.assert_frame_equal(face.answer(again), face.answer(face.fitted), check_exact=True)


def survives_memory_it_may_not_write(face: Face) -> None:
    with tempfile.TemporaryDirectory() as folder:
        again = joblib.load(joblib.dump(face.fitted, Path(folder) / "fitted")[0], mmap_mode="r")
        pd.testing.assert_frame_equal(face.answer(again), face.answer(face.fitted), check_exact=True)
        del again


DISPATCH = """
import sklearn
from tests.sklearn_checks import BOTH, DF
for face in BOTH:
    before = face.answer(face.fitted)
    with sklearn.config_context(array_api_dispatch=True):
        assert face.answer(face.new().fit(DF)).equals(before)
"""


def array_dispatch_changes_nothing(face: Face) -> None:
    root = str(Path(__file__).parents[1])
    environment = {**os.environ, "SCIPY_ARRAY_API": "1", "PYTHONPATH": root}
    done = subprocess.run([sys.executable, "-c", DISPATCH], env=environment, capture_output=True, text=True, cwd=root)
    assert done.returncode == 0, done.stderr


def column_order_in_memory_is_nothing(face: Face) -> None:
    block = np.asfortranarray(DF[["time", *CHANNELS]].to_numpy())
    framed = pd.DataFrame(block, columns=["time", *CHANNELS])
    framed.insert(0, "id", DF["id"])
    face.fits_the_same(framed)


def the_order_of_rows_is_that_of_the_answers(face: Face) -> None:
    rows = np.random.default_rng(0).permutation(len(DF))
    found = face.answer(face.fitted, DF.iloc[rows])
    pd.testing.assert_frame_equal(found, face.answer(face.fitted).iloc[rows], check_exact=True)


def parts_are_answered_as_the_whole(face: Face) -> None:
    # An imputer reads what it fills: its parts are whole series.
    parts = [DF.iloc[i : i + 1] for i in range(len(DF))] if face is FORECASTER else [d for _, d in DF.groupby("id")]
    found = pd.concat([face.answer(face.fitted, part) for part in parts])
    np.testing.assert_allclose(found, face.answer(face.fitted), atol=1e-5)


def one_row_teaches_nothing(face: Face) -> None:
    with pytest.raises(DataError, match=r"1 observations in 1 series, none with two or more"):
        face.new().fit(DF.dropna().head(1))


def one_channel_is_enough(face: Face) -> None:
    df = DF[["id", "time", "y"]]
    assert np.isfinite(face.answer(face.new().fit(df), df)).all(axis=None)


def answering_changes_nothing(face: Face) -> None:
    before = {k: pickle.dumps(v) for k, v in vars(face.fitted).items()}
    face.answer(face.fitted)
    assert {k: pickle.dumps(v) for k, v in vars(face.fitted).items()} == before


def fitting_twice_is_fitting_once(face: Face) -> None:
    again = copy.deepcopy(face.fitted).fit(DF)
    pd.testing.assert_frame_equal(face.answer(again), face.answer(face.fitted), check_exact=True)


def says_whether_it_is_fitted(face: Face) -> None:
    with pytest.raises(NotFittedError):
        check_is_fitted(face.new())
    check_is_fitted(face.fitted)
    with pytest.raises(NotFittedError):
        check_is_fitted(clone(face.fitted))


def counts_its_columns(face: Face) -> None:
    assert not hasattr(face.new(), "n_features_in_")
    assert face.fitted.n_features_in_ == 4
    assert face.fitted.feature_names_in_.tolist() == DF.columns.tolist()


def one_dimension_is_no_frame(face: Face) -> None:
    for wrong in (DF["x"], DF["x"].to_numpy()):
        with pytest.raises(DataError, match="expected a pandas DataFrame"):
            face.new().fit(wrong)


def one_dimension_is_not_answered(face: Face) -> None:
    for wrong in (DF["x"], DF["x"].to_numpy()):
        with pytest.raises(DataError, match="expected a"):
            face.answer(face.fitted, wrong)


def fit_transform_is_fit_and_transform(face: Face) -> None:
    pd.testing.assert_frame_equal(face.new().fit_transform(DF), face.fitted.transform(DF), check_exact=True)


def small_numbers_stay_small(face: Face) -> None:
    small = DF.astype({"x": "float32"}).assign(n=np.arange(len(DF)))
    filled = face.new().fit(small).transform(small)
    assert filled.dtypes.equals(small.dtypes)


def sets_its_output(kind: str) -> Callable[[Face], None]:
    def run(face: Face) -> None:
        if kind == "polars":
            pytest.importorskip("polars")
        found = clone(face.fitted).set_output(transform=kind).fit(DF).transform(DF)
        assert type(found).__module__.split(".")[0] == kind
        assert list(found.columns) == list(face.fitted.get_feature_names_out()) == DF.columns.tolist()

    return run


def names_what_comes_out(face: Face) -> None:
    assert face.fitted.get_feature_names_out().tolist() == face.fitted.transform(DF).columns.tolist()


WEIGHTED, FILLS = (FORECASTER,), (IMPUTER,)
CHECKS = [
    as_it_is("check_estimator_cloneable"),
    as_it_is("check_estimator_tags_renamed"),
    as_it_is("check_valid_tag_types"),
    as_it_is("check_estimator_repr"),
    as_it_is("check_no_attributes_set_in_init"),
    as_it_is("check_do_not_raise_errors_in_init_or_set_params"),
    as_it_is("check_mixin_order"),
    as_it_is("check_parameters_default_constructible"),
    as_it_is("check_get_params_invariance"),
    as_it_is("check_set_params"),
    Check("check_fit_score_takes_y", "`fit` and `score` take channels in `X` or apart in `y`, to one score", fit_score_takes_y),
    Check("check_estimators_overwrite_params", "`fit` leaves every parameter as it was", overwrites_no_parameter),
    Check("check_dont_overwrite_parameters", "what `fit` adds ends in an underscore", adds_only_what_ends_in_an_underscore),
    Check("check_estimators_fit_returns_self", "on a long frame", fit_returns_self),
    Check("check_readonly_memmap_input", "columns mapped read-only from a file fit the same, bit for bit", reads_memory_it_may_not_write),
    Check("check_estimators_unfitted", "on a long frame", must_be_fitted_first),
    Check("check_n_features_in_after_fitting", "a column that is gone is named; columns unknown to fit are passed over", takes_an_incomplete_frame_at_its_word),
    Check("check_positive_only_tag_during_fit", "negative values are values", negative_values_are_values),
    Check("check_estimators_dtypes", "channels of float32, int64, int32 and bool in one frame", numbers_of_every_size),
    Check("check_sample_weights_pandas_series", "on a long frame", weights_as(pd.Series), faces=WEIGHTED),
    Check("check_sample_weights_not_an_array", "on a long frame", weights_as(NotAnArray), faces=WEIGHTED),
    Check("check_sample_weights_list", "on a long frame", weights_as(list), faces=WEIGHTED),
    Check("check_all_zero_sample_weights_error", "on a long frame", zero_weights_are_refused, faces=WEIGHTED),
    Check("check_sample_weights_shape", "on a long frame", weights_have_a_shape, faces=WEIGHTED),
    Check("check_sample_weights_not_overwritten", "on a long frame", weights_stay_the_callers, faces=WEIGHTED),
    Check(
        "check_sample_weight_equivalence_on_dense_data",
        "a weight is what a row counts as a question; a row twice is one observation, and one of weight 0 is still history. Instead: equal weights are none, a frame twice is the frame once",
        equal_weights_are_none,
        "explained",
        WEIGHTED,
    ),
    Check("check_complex_data", "refused, saying what to do", complex_numbers_are_refused),
    Check("check_dtype_object", "numbers kept as objects are refused, naming the column and `pd.to_numeric`", objects_are_refused_with_the_cure),
    Check("check_estimators_empty_data_messages", "no rows, or no channel", empty_frames_are_refused),
    Check("check_pipeline_consistency", "on a long frame", is_the_same_in_a_pipeline),
    Check("check_estimator_sparse_tag", "nothing sparse is taken, and the tag says so", says_it_takes_nothing_sparse),
    Check("check_estimator_sparse_array", "refused, saying what is expected", refuses(lambda: scipy.sparse.csr_array(np.eye(4)))),
    Check("check_estimator_sparse_matrix", "refused, saying what is expected", refuses(lambda: scipy.sparse.csr_matrix(np.eye(4)))),
    Check("check_estimators_pickle", "answers are the same bit for bit", survives_pickle),
    Check("check_estimators_pickle (readonly_memmap)", "by joblib with `mmap_mode=\"r\"`", survives_memory_it_may_not_write),
    Check("check_array_api_input", "with `array_api_dispatch=True` the same fit", array_dispatch_changes_nothing, faces=WEIGHTED, slow=True),
    Check("check_f_contiguous_array_estimator", "a frame whose columns lie one after the other in memory", column_order_in_memory_is_nothing),
    Check("check_methods_sample_order_invariance", "rows in another order get their answers in that order", the_order_of_rows_is_that_of_the_answers),
    Check("check_methods_subset_invariance", "row by row (an imputer: series by series) the same within 1e-5", parts_are_answered_as_the_whole),
    Check("check_fit2d_1sample", "one row is refused: too little data to learn from", one_row_teaches_nothing),
    Check("check_fit2d_1feature", "one channel", one_channel_is_enough),
    Check("check_dict_unchanged", "on a long frame", answering_changes_nothing),
    Check("check_fit_idempotent", "the second fit is the first, bit for bit", fitting_twice_is_fitting_once),
    Check("check_fit_check_is_fitted", "on a long frame", says_whether_it_is_fitted),
    Check("check_n_features_in", "columns of the frame, ids and times among them", counts_its_columns),
    Check("check_fit1d", "a column or a vector is refused", one_dimension_is_no_frame),
    Check("check_fit2d_predict1d", "a column or a vector is refused", one_dimension_is_not_answered),
    Check("check_transformer_data_not_an_array", "lists are refused, saying what is expected", refuses(DF.to_numpy().tolist), faces=FILLS),
    Check("check_transformer_general", "`fit_transform` is `fit` and `transform`", fit_transform_is_fit_and_transform, faces=FILLS),
    Check("check_transformer_general (readonly_memmap)", "see check_readonly_memmap_input", reads_memory_it_may_not_write, faces=FILLS),
    Check("check_transformer_preserve_dtypes", "float32 stays float32, a column without holes stays what it is", small_numbers_stay_small, faces=FILLS),
    Check("check_transformers_unfitted", "on a long frame", must_be_fitted_first, faces=FILLS),
    Check("check_transformer_n_iter", "no `max_iter`, so no `n_iter_`: scikit-learn's own check looks no farther", None, "not asked", FILLS),
    Check("check_transformer_get_feature_names_out", "columns go out as they came in", names_what_comes_out, faces=FILLS),
    Check("check_set_output_transform_pandas", "on a long frame", sets_its_output("pandas"), faces=FILLS),
    Check("check_set_output_transform_polars", "on a long frame", sets_its_output("polars"), faces=FILLS),
]  # fmt: skip


def render() -> str:
    """The page."""
    lines = [
        "# scikit-learn's checks, on frames\n",
        "`sklearn.utils.estimator_checks.check_estimator` hands arrays to an estimator, and skips all but one of its checks for one that takes frames. So each check that",
        "scikit-learn 1.9 has for such estimators is run here by name: *as it is* where it needs no data, else said again for long frames, a row per (series, time).",
        "`tests/test_sklearn_checks.py` runs them, and fails when scikit-learn has a check that is not in the table.\n",
        "| check | forecaster | imputer | what is done |",
        "|---|---|---|---|",
    ]
    for c in CHECKS:
        marks = [c.outcome if face in c.faces else "" for face in BOTH]
        lines.append(f"| `{c.name}` | {marks[0]} | {marks[1]} | {c.told} |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    PAGE.write_text(render(), encoding="utf-8")
