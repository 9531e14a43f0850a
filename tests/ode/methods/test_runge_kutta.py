import pytest

from latentode.ode.methods.runge_kutta import Tableau, _trees

MIDPOINT = {"a": ((), (0.5,)), "b": (0.0, 1.0), "c": (0.0, 0.5), "error": (-0.5, 1.0, -0.5), "order": 2}
TRAPEZOID = {
    "a": ((), (0.5,)), "b": (0.5, 0.5), "c": (0.0, 1.0), "error": (-0.5, 0.5, 0.0), "order": 2, "diagonal": 0.5
}  # fmt: skip


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"c": (0.0, 0.6)}, "sum, with its diagonal, to its c"),
        ({"b": (0.5, 0.4)}, "order 0"),
        ({"error": (1.0, 0.0, 0.0)}, "sum to 0"),
        ({"a": ((), (0.25, 0.25))}, "stages before it"),
        ({"order": 3}, "order 2, not 3"),
        ({"order": 8}, "order 2, not 8"),
        ({"error": (-0.5, 0.5)}, "3 error weights"),
        ({"a": ((), (0.5,), (0.5, 0.0))}, "needs 2 rows"),
        ({"c": (0.0, 0.5, 1.0)}, "2 places"),
        ({"diagonal": 0.25}, "sum, with its diagonal, to its c"),
        ({"c": (0.0, 0.75), "diagonal": 0.25}, "order 1, not 2"),
    ],
)
def test_a_tableau_refuses_weights_that_contradict_each_other(change, message):
    with pytest.raises(ValueError, match=message):
        Tableau(**{**MIDPOINT, **change})


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"diagonal": 0.0}, "sum, with its diagonal, to its c"),
        ({"a": ((), (0.25,)), "diagonal": 0.75, "b": (0.25, 0.75)}, "order 1, not 2"),
        ({"order": 3}, "order 2, not 3"),
        ({"a": ((), (0.5, 0.5))}, "stages before it"),
        ({"c": (0.5, 1.0)}, "sum, with its diagonal, to its c"),
    ],
)
def test_an_implicit_tableau_is_checked_with_its_diagonal(change, message):
    with pytest.raises(ValueError, match=message):
        Tableau(**{**TRAPEZOID, **change})


def test_the_diagonal_makes_the_trapezoidal_rule_of_heuns_weights():
    heun = Tableau(**{**TRAPEZOID, "a": ((), (1.0,)), "diagonal": 0.0})
    trapezoid = Tableau(**TRAPEZOID)
    assert (heun.stiffly_accurate, trapezoid.stiffly_accurate) == (False, True)
    assert (heun.error_order, trapezoid.error_order) == (2, 2)
    # At the second stage the bushy tree of three nodes weighs c^2; the tall one a_11 c_1, none without a diagonal.
    at_second = [[values[1] for tree, values in t._elementary_weights(3) if tree.size == 3] for t in (heun, trapezoid)]
    assert [sorted(each) for each in at_second] == [[0.0, 1.0], [0.5, 1.0]]


def test_rooted_trees_are_counted_as_in_the_literature():
    sizes = [tree.size for tree in _trees(8)]
    assert [sizes.count(n) for n in range(1, 9)] == [1, 1, 2, 4, 9, 20, 48, 115]
    assert len(set(_trees(8))) == len(sizes) == 200


def test_densities_are_those_of_the_bushiest_and_the_tallest_tree():
    densities = [tree.density for tree in _trees(5) if tree.size == 5]
    assert (min(densities), max(densities)) == (5, 120)
