"""Strange frames, by seed: each gets an answer or an error of ours; never another error, never a foreign warning."""

import numpy as np
import pandas as pd
import pytest

from tests.fuzz.frames import case
from tests.fuzz.meeting import brought_to, brought_to_fit, brought_to_the_data, fault_of, models

MANY = 10_000
A_COLUMN_NAMED_FALSE = 1110  # a list of it is a mask to pandas
COMPLEX_COVARIATES, LONG_DOUBLES = (20285, 23295, 29773), (24458, 28087)  # pandas groups neither


@pytest.fixture(scope="module")
def fitted():
    return models()


def faults_in(seeds, meet):
    """Faults by seed; ``case(seed)`` is the frame again."""
    found = {seed: fault_of(lambda seed=seed: meet(seed)) for seed in seeds}
    return {seed: fault for seed, fault in found.items() if fault}


def test_a_few_strange_frames_are_answered_or_refused_in_our_words(fitted):
    odd = (*COMPLEX_COVARIATES, *LONG_DOUBLES)
    assert not faults_in((*range(200), *odd), lambda seed: brought_to_the_data(case(seed)))
    assert not faults_in(range(16), lambda seed: brought_to(fitted[seed % len(fitted)], case(seed)))
    assert not faults_in((*range(4), A_COLUMN_NAMED_FALSE, *odd), lambda seed: brought_to_fit(case(seed)))


@pytest.mark.slow
def test_ten_thousand_strange_frames_are_read_or_refused_in_our_words():
    assert not faults_in(range(MANY), lambda seed: brought_to_the_data(case(seed)))


@pytest.mark.slow
def test_strange_frames_are_fitted_or_refused_in_our_words():
    assert not faults_in(range(0, MANY, 10), lambda seed: brought_to_fit(case(seed)))


@pytest.mark.slow
def test_strange_frames_brought_to_a_fitted_forecaster_are_answered_or_refused_in_our_words(fitted):
    assert not faults_in(range(0, MANY, 3), lambda seed: brought_to(fitted[seed % len(fitted)], case(seed)))


def test_the_frames_are_what_they_should_be_both_usable_and_not(fitted):
    met = []
    for seed in range(400):
        try:
            brought_to_the_data(case(seed))
            met.append(True)
        except ValueError:
            met.append(False)
    assert 0.2 < np.mean(met) < 0.8


def test_a_frame_comes_again_by_its_seed():
    for seed in range(20):
        one, other = case(seed), case(seed)
        pd.testing.assert_frame_equal(one.frame, other.frame)
        assert repr(one.params) == repr(other.params)


def test_an_error_that_is_not_ours_and_a_foreign_warning_are_faults():
    def warn():
        np.float64(1e308) * np.float64(10)

    assert fault_of(lambda: [][0]).startswith("IndexError")
    assert fault_of(lambda: int("x")).startswith("ValueError")
    assert "overflow" in fault_of(warn)
    assert fault_of(lambda: None) is None
