import numpy as np
import pandas as pd
import pytest

from latentode.evaluation.known import check_levels, known_values, mean_or_nan

NAN = float("nan")


def test_truth_and_forecasts_are_flattened_to_what_is_known():
    truth = [[1.0, NAN], [NAN, 4.0]]
    found = known_values(truth, low=[[0, 9], [9, 3]], high=np.array([[2.0, NAN], [NAN, 5.0]]))
    assert [each.tolist() for each in found] == [[1.0, 4.0], [0.0, 3.0], [2.0, 5.0]]


def test_samples_keep_their_own_axis():
    truth, samples = np.array([[1.0, NAN, 3.0]]), np.arange(6.0).reshape(1, 3, 2)
    _, found = known_values(truth, trailing=1, samples=samples)
    assert found.tolist() == [[0.0, 1.0], [4.0, 5.0]]


def test_what_was_given_is_not_changed():
    truth, forecast = np.array([1.0, NAN]), np.array([2.0, NAN])
    known, found = known_values(truth, forecast=forecast)
    known[:], found[:] = 0, 0
    np.testing.assert_array_equal(truth, [1.0, NAN])
    np.testing.assert_array_equal(forecast, [2.0, NAN])


@pytest.mark.parametrize(
    ("forecast", "trailing", "said"),
    [
        ([1.0], 0, r"mine has shape \(1,\), but y_true needs \(2,\)$"),
        (1.0, 0, r"mine has shape \(\), but y_true needs \(2,\)$"),
        ([[1.0, 2.0]], 0, r"mine has shape \(1, 2\), but y_true needs \(2,\)$"),
        ([1.0, 2.0], 1, r"mine has shape \(2,\), but y_true needs \(2,\) and one axis more$"),
        ([[1.0], [2.0], [3.0]], 1, r"mine has shape \(3, 1\), but y_true needs \(2,\) and one axis more$"),
    ],
)
def test_a_forecast_of_another_shape_is_refused_by_its_name(forecast, trailing, said):
    with pytest.raises(ValueError, match=said):
        known_values([1.0, 2.0], trailing=trailing, right=np.ones((2, 1) if trailing else 2), mine=forecast)


def test_known_values_that_were_not_predicted_are_counted_once_each():
    with pytest.raises(ValueError, match="mine is NaN for 2 of 3 values whose truth is known; predict them all"):
        known_values([1.0, 2.0, NAN, 4.0], trailing=1, mine=[[NAN, NAN], [0, 0], [NAN, NAN], [0, NAN]])


@pytest.mark.parametrize("kind", [pd.DataFrame, pd.Series])
def test_labels_of_the_same_kind_of_table_must_agree(kind):
    truth = kind([1.0, 2.0], index=["a", "b"])
    with pytest.raises(ValueError, match="mine and y_true carry different labels; bring both into the same order"):
        known_values(truth, mine=truth.iloc[::-1])
    known_values(truth, mine=truth.iloc[::-1].to_numpy())  # numbers have no labels
    assert known_values(truth, mine=truth.copy())[1].tolist() == [1.0, 2.0]


def test_the_mean_of_nothing_is_nan_in_silence(recwarn):
    assert np.isnan(mean_or_nan(np.empty(0)))
    assert mean_or_nan(np.array([1.0, 4.0])) == 2.5
    assert not recwarn.list


@pytest.mark.parametrize("levels", [[0.0, 0.5], [0.5, 1.0], [0.5, 0.5], [0.9, 0.1], [NAN, 0.5]])
def test_levels_increase_between_0_and_1(levels):
    with pytest.raises(ValueError, match="levels must increase and lie between 0 and 1"):
        check_levels(levels, np.zeros((3, 2)))


def test_there_are_as_many_levels_as_quantiles():
    with pytest.raises(ValueError, match=r"levels have shape \(3,\), but quantiles hold 2 on the last axis"):
        check_levels([0.1, 0.5, 0.9], np.zeros((4, 2)))
    assert check_levels((0.1, 0.9), np.zeros((4, 2))).tolist() == [0.1, 0.9]
