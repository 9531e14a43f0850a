import datetime as dt
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from latentode.persistence.limits import Directory, Duration, Flag, OneOf, Range, Seed, seconds_of


@pytest.mark.parametrize(("value", "allowed"), [("a", True), ("b", True), ("c", False), (None, False), (["a"], False)])
def test_a_choice_is_one_of_the_names(value, allowed):
    assert OneOf({"a": 1, "b": 2}).allows(value) is allowed


@pytest.mark.parametrize(
    ("limit", "inside", "outside"),
    [
        (Range(least=1), [1, 2.5, 1e9], [0, -1, float("nan")]),
        (Range(least=1, most=3), [1, 3], [0.99, 3.01]),
        (Range(above=0, below=1), [0.001, 0.999], [0, 1, -1, float("nan")]),
        (Range(least=0, below=1), [0, 0.999], [-0.001, 1]),
    ],
)
def test_a_range_has_ends_that_are_allowed_and_ends_that_are_not(limit, inside, outside):
    assert all(limit.allows(value) for value in inside)
    assert not any(limit.allows(value) for value in outside)


def test_a_limit_reads_as_the_end_of_a_sentence():
    assert str(OneOf(["x", "y"])) == "be one of 'x', 'y'"
    assert str(Range(above=0, most=1_000)) == "be greater than 0 and at most 1,000 (a number)"


@pytest.mark.parametrize("value", ["a", None, True, [1], {}, 1j])
def test_what_is_no_number_is_in_no_range(value):
    assert not Range(least=-1e9).allows(value)


def test_a_range_of_whole_numbers_refuses_fractions():
    assert Range(least=1, whole=True).allows(np.int32(2))
    assert not Range(least=1, whole=True).allows(2.5)


def test_flags_seeds_and_directories_are_what_they_say():
    assert all(Flag().allows(value) for value in (True, np.False_))
    assert not any(Flag().allows(value) for value in (1, None, "yes"))
    assert all(Flag(or_count=True).allows(value) for value in (True, 0, 2))
    assert not Flag(or_count=True).allows(-1)
    assert all(
        Seed().allows(value) for value in (0, np.int64(3), None, np.random.default_rng(), np.random.RandomState())
    )
    assert not any(Seed().allows(value) for value in (-1, True, "a", 1.5, [1]))
    assert Directory().allows(Path("runs"))
    assert not any(Directory().allows(value) for value in (3, True, ["runs"]))


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        (90, 90),
        (0.5, 0.5),
        (np.float64(2), 2),
        ("1min 30s", 90),
        (pd.Timedelta("1h"), 3600),
        (dt.timedelta(minutes=2), 120),
        (np.timedelta64(5, "s"), 5),
    ],
)
def test_a_time_on_the_clock_is_seconds_or_a_duration(value, seconds):
    assert Duration().allows(value)
    assert seconds_of(value) == seconds


@pytest.mark.parametrize(
    "value", [0, -1, "-1s", float("nan"), float("inf"), True, None, "10", "1M", "soon", [1], object()]
)
def test_what_is_no_time_on_the_clock_is_refused(value):
    assert not Duration().allows(value)
