import pytest

from latentode.ode.tableau import Tableau, _trees

MIDPOINT = {"a": ((), (0.5,)), "b": (0.0, 1.0), "c": (0.0, 0.5), "error": (-0.5, 1.0, -0.5), "order": 2}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"c": (0.0, 0.6)}, "sum to its c"),
        ({"b": (0.5, 0.4)}, "order 0"),
        ({"error": (1.0, 0.0, 0.0)}, "sum to 0"),
        ({"a": ((), (0.25, 0.25))}, "stages before it"),
        ({"order": 3}, "order 2, not 3"),
        ({"error": (-0.5, 0.5)}, "3 error weights"),
    ],
)
def test_a_tableau_refuses_weights_that_contradict_each_other(change, message):
    with pytest.raises(ValueError, match=message):
        Tableau(**{**MIDPOINT, **change})


def test_rooted_trees_are_counted_as_in_the_literature():
    assert [len(_trees(n)) for n in range(1, 8)] == [1, 1, 2, 4, 9, 20, 48]
