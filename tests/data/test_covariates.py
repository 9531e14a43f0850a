"""Static and known columns: numbers and categories to features, rows to what holds when."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from latentode.data import DataError, TimeAxis, infer_schema, panel_from_frame
from latentode.data.covariates import MOST_CATEGORIES, Coding, ColumnCoding, Covariates, covariates_from_rows

NAN = float("nan")


def test_numbers_are_in_spreads_from_their_mean_and_missing_ones_are_reported_from_it():
    coding = ColumnCoding.from_column(pd.Series([1.0, 3.0, NAN, np.inf], name="age"))
    assert (coding.center, coding.scale) == (2.0, 1.0)
    np.testing.assert_array_equal(coding.features(pd.Series([1.0, NAN, 1e9])), [[-1.0], [NAN], [30.0]])
    wide = ColumnCoding.from_column(pd.Series([0.0, 10.0]))
    np.testing.assert_array_equal(wide.features(pd.Series([10.0, -1e9])), [[1.0], [-30.0]])
    narrow = ColumnCoding.from_column(pd.Series([0.0, 0.5]))
    np.testing.assert_array_equal(narrow.features(pd.Series([0.5])), [[1.0]])


@pytest.mark.filterwarnings("error")
def test_a_number_never_given_is_taken_as_it_comes():
    nothing = ColumnCoding.from_column(pd.Series([NAN, NAN], name="dose"))
    assert (nothing.center, nothing.scale) == (0.0, 1.0)
    np.testing.assert_array_equal(nothing.features(pd.Series([2.0])), [[2.0]])


def test_a_constant_number_has_no_effect():
    assert ColumnCoding.from_column(pd.Series([4.0, 4.0])).features(pd.Series([4.0])).tolist() == [[0.0]]


@pytest.mark.parametrize("dtype", [object, "category", "str"])
def test_categories_are_places_and_a_stranger_is_none_of_them(dtype):
    coding = ColumnCoding.from_column(pd.Series(["b", "a", None, "b"], dtype=dtype, name="ward"))
    assert coding.categories == ("a", "b")
    np.testing.assert_array_equal(coding.features(pd.Series(["b", None, "c"])), [[0, 1], [NAN, NAN], [0, 0]])
    assert coding.unknown_categories(pd.Series(["b", None, "c"])) == ["c"]


def test_true_and_false_are_numbers():
    assert ColumnCoding.from_column(pd.Series([True, False, True, False])).categories is None


def test_the_rarest_of_many_categories_are_one():
    column = pd.Series([f"c{k:03d}" for k in range(100) for _ in range(200 - k)])
    coding = ColumnCoding.from_column(column)
    assert coding.n_features == MOST_CATEGORIES
    assert coding.features(pd.Series(["c099"])).sum() == 0


def test_of_equally_frequent_categories_the_first_by_name_are_reported_apart_whatever_row_comes_first():
    column = pd.Series([f"c{k:03d}" for k in range(100)])
    first = ColumnCoding.from_column(column)
    assert first.categories == tuple(f"c{k:03d}" for k in range(MOST_CATEGORIES))
    assert ColumnCoding.from_column(column[::-1]) == first


def test_the_mean_and_the_spread_of_a_number_are_the_same_to_the_last_digit_whatever_row_comes_first():
    column = pd.Series(np.random.default_rng(0).normal(size=999) * 10.0 ** np.arange(-4, 5).repeat(111))
    assert ColumnCoding.from_column(column[::-1]) == ColumnCoding.from_column(column)


@pytest.mark.parametrize("stranger", ["c099", "new"])
def test_where_fit_saw_many_categories_one_beyond_the_most_frequent_is_said_in_words_true_of_a_rare_one_too(stranger):
    df = pd.DataFrame({"ward": [f"c{k:03d}" for k in range(100) for _ in range(200 - k)]})
    coding = Coding.from_frame(df, ["ward"], [])
    assert coding.sentences(df.head(400)) == []
    assert coding.sentences(pd.DataFrame({"ward": ["c000", stranger]})) == [
        f"column 'ward' holds '{stranger}', a category which is none of the 30 most frequent of fit: taken as unknown"
    ]


def test_dates_are_refused_with_a_way_out():
    way_out = "give the time since something in days, or a part of the date such as its weekday"
    with pytest.raises(DataError, match=f"column 'born' holds dates; a covariate is .*: {way_out}$"):
        ColumnCoding.from_column(pd.Series(pd.to_datetime(["2020-01-01"]), name="born"))


def test_lengths_of_time_are_refused_as_dates_are():
    with pytest.raises(DataError, match="column 'since' holds dates"):
        ColumnCoding.from_column(pd.Series(pd.to_timedelta(["3D"]), name="since"))


@pytest.mark.parametrize("role", ["static_cols", "known_cols"])
@pytest.mark.parametrize(
    ("values", "message"),
    [
        (
            [1.0, 1.0, 1j],
            r"covariate column 'd' holds complex numbers in every row \(complex128\); .* part a column each$",
        ),
        (["a", "a", ["b"]], r"covariate column 'd' holds \['b'\] in row 7, which is no category; .*df\['d'\]\.astype"),
        (["a", "a", {"b": 1}], r"covariate column 'd' holds \{'b': 1\} in row 7"),
    ],
)
def test_what_is_neither_a_number_nor_a_category_is_refused_in_fit_and_after(role, values, message):
    index = [5, 6, 7]
    df = pd.DataFrame({"id": ["a", "a", "b"], "time": [0.0, 1.0, 0.0], "x": 1.0}, index=index)
    odd, good = df.assign(d=pd.Series(values, index)), df.assign(d=["a", "a", "b"])
    schema = infer_schema(odd, target_cols=["x"], **{role: "d"})
    with pytest.raises(DataError, match=message):
        Coding.from_frame(odd, schema.static_cols, schema.known_cols)
    coding = Coding.from_frame(good, schema.static_cols, schema.known_cols)
    with pytest.raises(DataError, match=message):
        panel_from_frame(odd, schema, TimeAxis("number"), coding)


@pytest.mark.parametrize("role", ["static_cols", "known_cols"])
def test_text_with_half_a_character_is_refused_in_fit_and_after(role):
    df = pd.DataFrame({"id": ["a", "a", "b"], "time": [0.0, 1.0, 0.0], "x": 1.0, "d": ["a", "a", "b"]}, index=[5, 6, 7])
    torn = df.assign(d=pd.Series(["a", "a", "b\ud800"], df.index, dtype=object))
    schema = infer_schema(df, target_cols=["x"], **{role: "d"})
    message = r"covariate column 'd' holds 'b\\ud800' in row 7, with half a character.* as UTF-8$"
    with pytest.raises(DataError, match=message):
        Coding.from_frame(torn, schema.static_cols, schema.known_cols)
    coding = Coding.from_frame(df, schema.static_cols, schema.known_cols)
    with pytest.raises(DataError, match=message):
        panel_from_frame(torn, schema, TimeAxis("number"), coding)


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.longdouble])
def test_static_numbers_of_any_precision_are_read(dtype):
    df = pd.DataFrame({"id": ["a", "a", "b"], "time": [0.0, 1.0, 0.0], "x": 1.0, ("a", "b"): [1.0, 1.0, 3.0]})
    schema = infer_schema(df, target_cols=["x"], static_cols=[("a", "b")])
    df[("a", "b")] = df[("a", "b")].astype(dtype)
    panel, _ = panel_from_frame(df, schema, TimeAxis("number"), Coding.from_frame(df, schema.static_cols, ()))
    assert panel.covariates.static[1, 0] > panel.covariates.static[0, 0]


def test_static_numbers_of_several_columns_stay_with_their_rows_whatever_the_index():
    df = pd.DataFrame({"id": ["a", "b", "b"], "time": [0.0, 0.0, 1.0], "x": 1.0}, index=[2, 0, 7])
    df[("a", "b")], df[("c",)] = np.array([1.0, 3.0, 3.0], dtype=np.longdouble), [4.0, 8.0, 8.0]
    schema = infer_schema(df, target_cols=["x"], static_cols=[("a", "b"), ("c",)])
    panel, _ = panel_from_frame(df, schema, TimeAxis("number"), Coding.from_frame(df, schema.static_cols, ()))
    assert (panel.covariates.static[1] > panel.covariates.static[0]).tolist() == [True, True]


def test_text_where_fit_saw_numbers_is_refused():
    coding = ColumnCoding.from_column(pd.Series([1.0, 2.0], name="age"))
    with pytest.raises(DataError, match="column 'age' holds"):
        coding.features(pd.Series(["old"]))


def test_each_column_with_a_stranger_is_named_with_one_of_them():
    df = pd.DataFrame({"ward": ["a", "b"], "drug": ["x", "x"], "dose": [1.0, 2.0]})
    coding = Coding.from_frame(df, ["ward"], ["drug", "dose"])
    assert coding.sentences(df) == []
    assert coding.sentences(df.assign(ward=["a", "c"], drug=["y", "z"], dose=5.0)) == [
        "column 'ward' holds 'c', a category not seen in fit: taken as unknown",
        "column 'drug' holds 'y', a category not seen in fit: taken as unknown",
    ]
    assert coding.sentences(df[["dose"]]) == []


def test_a_column_that_is_not_there_says_nothing():
    coding = Coding.from_frame(pd.DataFrame({"dose": [1.0, 3.0], "drug": ["x", "y"]}), [], ["dose", "drug"])
    assert coding.there(pd.DataFrame({"drug": ["y"]}), coding.known).tolist() == [False, True, True]
    np.testing.assert_array_equal(coding.features(pd.DataFrame({"drug": ["y"]}), coding.known), [[NAN, 0, 1]])


def test_a_known_column_that_is_not_there_is_named():
    coding = Coding.from_frame(frame(), ["sex"], ["dose"])
    schema = infer_schema(frame(), target_cols="y", static_cols="sex", known_cols=["dose"])
    with pytest.raises(DataError, match="no column 'dose'"):
        panel_from_frame(frame().drop(columns="dose"), schema, TimeAxis("number"), coding)


def rows(series, times, known, n_series=2):
    static = np.zeros((n_series, 0), dtype=np.float32)
    return covariates_from_rows(static, np.array(series), np.array(times), np.array(known, dtype=np.float32)[:, None])


def test_rows_are_sorted_and_those_of_one_time_averaged():
    found = rows([1, 0, 1, -1, 0], [2.0, 1.0, 2.0, 0.0, NAN], [5, 6, 7, 8, 9])
    assert found.known.offsets.tolist() == [0, 1, 2]
    assert found.known.values.ravel().tolist() == [6, 6]
    assert found.known.values.dtype == np.float32


def test_rows_of_one_time_are_averaged_over_those_that_say_something_and_the_mean_is_what_none_says():
    found = rows([0, 0, 0, 1, 1], [1.0, 1.0, 2.0, 0.0, 0.0], [NAN, 4.0, NAN, NAN, NAN])
    assert found.known.values.ravel().tolist() == [4.0, 0.0, 0.0]


def test_rows_of_one_time_are_the_same_to_the_last_digit_in_any_order():
    rng = np.random.default_rng(0)
    series, times, known = np.zeros(60, dtype=int), np.repeat([0.0, 1.0], 30), rng.normal(size=60)
    expected = rows(series, times, known).known.values
    for _ in range(5):
        order = rng.permutation(60)
        np.testing.assert_array_equal(rows(series[order], times[order], known[order]).known.values, expected)


def test_values_that_repeat_the_one_before_are_no_changes_and_the_first_of_a_series_is_one():
    found = rows([0, 0, 0, 0, 1, 1], [0.0, 1.0, 2.0, 3.0, 0.0, 1.0], [5, 5, 6, 5, 5, 5]).changes
    assert found.offsets.tolist() == [0, 3, 4]
    assert found.times.tolist() == [0.0, 2.0, 3.0, 0.0]
    assert found.values.ravel().tolist() == [5, 6, 5, 5]


def test_new_rows_and_series_join_the_old():
    old = rows([0, 1], [0.0, 0.0], [1, 2])
    new = rows([0, 1], [0.0, 1.0], [3, 4])
    found = old.updated(new, np.array([1, 2]), 3)
    assert found.known.offsets.tolist() == [0, 1, 2, 3]
    assert found.known.values.ravel().tolist() == [1, 3, 4]


def test_what_new_rows_say_of_a_series_takes_the_place_of_the_old_and_what_they_do_not_say_stays():
    nothing = np.empty(0, dtype=np.int64)

    def of(*static):
        features = np.array(static, dtype=np.float32)
        return covariates_from_rows(features, nothing, nothing.astype(float), np.empty((0, 0), dtype=np.float32))

    old = of([1, 0], [NAN, 3])
    found = old.updated(of([0, NAN], [2, NAN], [NAN, 4]), np.array([0, 1, 2]), 3)
    np.testing.assert_array_equal(found.static, [[0, 0], [2, 3], [NAN, 4]])
    np.testing.assert_array_equal(old.static, [[1, 0], [NAN, 3]])


def frame():
    return pd.DataFrame(
        {
            "id": ["a", "a", "b", "b"],
            "time": [0.0, 1.0, 0.0, 1.0],
            "y": [1.0, NAN, 2.0, 3.0],
            "sex": ["f", None, "m", "m"],
            "dose": [0.0, 5.0, 0.0, 0.0],
        }
    )


def panel_of(df):
    schema = infer_schema(df, target_cols="y", static_cols="sex", known_cols=["dose"])
    coding = Coding.from_frame(df, schema.static_cols, schema.known_cols)
    return panel_from_frame(df, schema, TimeAxis("number"), coding)[0]


def test_rows_without_a_channel_still_say_what_is_known_of_their_time():
    panel = panel_of(frame())
    assert panel.lengths.tolist() == [1, 2]
    assert isinstance(panel.covariates, Covariates)
    assert np.diff(panel.covariates.known.offsets).tolist() == [2, 2]
    np.testing.assert_array_equal(panel.covariates.static, [[1, 0], [0, 1]])


def test_a_static_column_that_changes_is_refused_with_its_series():
    with pytest.raises(DataError, match=r"static column 'sex' changes within series 'b': it holds 'm' and 'f'"):
        panel_of(frame().assign(sex=["f", "f", "m", "f"]))


def test_a_static_column_may_hold_anything_in_rows_without_a_series_and_nothing_in_the_first():
    with pytest.raises(DataError, match=r"changes within series 'a': it holds 'f' and 'm'"):
        panel_of(frame().assign(sex=["f", "m", "m", "m"]))
    df = pd.concat([frame(), frame().assign(id=[None, None, "b", "b"], sex=["m", "f", "m", "m"])], ignore_index=True)
    static = panel_of(df).covariates.static
    np.testing.assert_array_equal(static, [[1, 0], [0, 1]])
    assert static.dtype == np.float32


def test_a_static_column_that_is_not_there_is_unknown_and_another_is_read():
    df = frame().assign(age=[1.0, 1.0, 3.0, 3.0])
    schema = infer_schema(df, target_cols="y", static_cols=["sex", "age"], known_cols=["dose"])
    coding = Coding.from_frame(df, schema.static_cols, schema.known_cols)
    for left, expected in (("sex", [[NAN, NAN, -1], [NAN, NAN, 1]]), ("age", [[1, 0, NAN], [0, 1, NAN]])):
        panel = panel_from_frame(df.drop(columns=left), schema, TimeAxis("number"), coding)[0]
        np.testing.assert_array_equal(panel.covariates.static, expected)


def test_covariates_go_with_their_series():
    panel = panel_of(frame())
    kept = panel.where(np.arange(len(panel.times)) > 0)
    assert kept.covariates is panel.covariates
    assert panel.append(replace(panel, covariates=None)).covariates is None
    both = panel.take(np.array([1])).append(panel.take(np.array([0])))
    np.testing.assert_array_equal(both.covariates.static, [[0, 1], [1, 0]])
    np.testing.assert_array_equal(np.diff(both.covariates.known.offsets), [2, 2])


@pytest.mark.parametrize(
    ("more", "match"),
    [
        ({"static_cols": "ward"}, "static_cols: no column 'ward'"),
        ({"static_cols": "sex", "known_cols": "sex"}, "repeats a column, or names one with another role"),
        ({"known_cols": "time"}, "another role"),
        ({"target_cols": "dose", "known_cols": "dose"}, "another role"),
    ],
)
def test_one_column_has_one_role(more, match):
    with pytest.raises(DataError, match=match):
        infer_schema(frame(), **more)


def test_a_covariate_is_no_channel():
    assert infer_schema(frame(), static_cols="sex", known_cols="dose").target_cols == ("y",)
    assert infer_schema(frame(), static_cols="sex", past_cols="dose").channels == ("y", "dose")


def test_features_are_in_single_precision():
    df = pd.DataFrame({"dose": [1.0, 3.0], "drug": ["x", "y"]})
    coding = Coding.from_frame(df, [], ["dose", "drug"])
    for column in coding.known:
        assert column.features(df[column.name]).dtype == np.float32
    assert coding.features(df, coding.known).dtype == np.float32
    assert coding.features(df[["drug"]], coding.known).dtype == np.float32
    assert coding.features(df, ()).dtype == np.float32
    assert coding.there(df, coding.known).dtype == bool
    assert rows([0], [1.0], [1]).known.held(np.array([0]), np.array([1.0])).dtype == np.float32


@pytest.mark.filterwarnings("error")
def test_the_largest_number_taken_is_taken_and_one_beyond_it_is_missing():
    assert ColumnCoding("dose", None, 0.0, 1e-250).features(pd.Series([1e100])).tolist() == [[30.0]]
    coding = ColumnCoding.from_column(pd.Series([0.0, 1e100]))
    assert coding.center == 5e99
    assert coding.features(pd.Series([1e100])).tolist() == [[1.0]]
    assert np.isnan(coding.features(pd.Series([2e100]))).all()


# ---------------------------------------------------------------------------------------------------- amounts


def test_amounts_are_in_root_mean_squares_of_those_given_and_nothing_given_is_zero():
    coding = ColumnCoding.of_amounts(pd.Series([0.0, 3.0, NAN, 4.0, 0.0], name="dose"))
    assert (coding.center, coding.scale) == (0.0, pytest.approx(np.sqrt(12.5)))
    np.testing.assert_allclose(coding.amounts(pd.Series([0.0, 5.0, NAN, np.inf])), [0, 5 / np.sqrt(12.5), NAN, NAN])
    assert ColumnCoding.of_amounts(pd.Series([NAN, 0.0])).scale == 1.0
    assert ColumnCoding.of_amounts(pd.Series([1e-200])).scale == pytest.approx(1e-200)


@pytest.mark.parametrize("values", [["high", None], pd.to_datetime(["2024-01-01", None]), [1j, 2j]])
def test_amounts_that_are_no_numbers_are_refused(values):
    with pytest.raises(DataError, match=r"column 'dose' of impulse_cols holds .* in row 0 .* an impulse is an amount"):
        ColumnCoding.of_amounts(pd.Series(values, name="dose"))


def with_amounts(series, times, known, amounts):
    static = np.zeros((2, 0), dtype=np.float32)
    known = np.array(known, dtype=np.float32)[:, None]
    return covariates_from_rows(static, np.array(series), np.array(times), known, np.array(amounts)[:, None])


def test_amounts_of_one_time_add_up_and_are_clipped_after_that():
    found = with_amounts([0, 0, 0, 1, 0], [1.0, 1.0, 2.0, 1.0, 1.0], [0] * 5, [2.0, NAN, NAN, 20.0, 3.0]).impulses
    assert found.offsets.tolist() == [0, 1, 2]
    assert found.values.ravel().tolist() == [5.0, 8.0]
    assert found.values.dtype == np.float32


def test_a_row_that_is_there_for_an_amount_leaves_the_level_as_it_is():
    found = with_amounts([0, 0, 0, 0], [0.0, 1.0, 2.0, 3.0], [5, NAN, NAN, NAN], [NAN, 1.0, 0.0, NAN])
    assert found.known.times.tolist() == [0.0, 2.0, 3.0]
    assert found.known.values.ravel().tolist() == [5.0, 0.0, 0.0]  # without an amount, a missing level is the mean
    assert found.impulses.times.tolist() == [1.0, 2.0]
    assert found.given_impulses.times.tolist() == [1.0]


def test_a_new_amount_replaces_the_old_one_and_none_keeps_it():
    old = with_amounts([0, 0, 1], [1.0, 2.0, 1.0], [0] * 3, [1.0, 2.0, 3.0])
    new = with_amounts([0, 0, 1], [1.0, 2.0, 2.0], [0] * 3, [0.0, NAN, 4.0])
    found = old.updated(new, np.array([0, 1]), 2).given_impulses
    assert found.times.tolist() == [2.0, 1.0, 2.0]
    assert found.values.ravel().tolist() == [2.0, 3.0, 4.0]
