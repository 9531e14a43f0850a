import pytest

from latentode.persistence.limits import OneOf, Range


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
    assert str(Range(above=0, most=1_000)) == "be greater than 0 and at most 1,000"
