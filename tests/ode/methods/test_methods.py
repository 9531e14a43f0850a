import pytest
import torch

from latentode.ode import solve
from latentode.ode.methods import METHODS

# Order of the step, power of h in its error estimate, order of the interpolant, and whether the step is adaptive.
KNOWN = {
    "euler": (1, 2, 1, False),
    "midpoint": (2, 3, 2, False),
    "heun": (2, 2, 2, True),
    "ralston": (2, 2, 2, True),
    "fehlberg2": (2, 2, 2, True),
    "heun3": (3, 3, 3, False),
    "bosh3": (3, 3, 3, True),
    "rk4": (4, 4, 3, False),
    "rk4_38": (4, 4, 3, False),
    "dopri5": (5, 5, 4, True),
    "tsit5": (5, 5, 4, True),
    "dopri8": (8, 8, 5, True),
    "implicit_euler": (1, 2, 1, False),
    "trapezoid": (2, 2, 2, False),
    "sdirk2": (2, 3, 2, False),
    "trbdf2": (2, 3, 2, False),
    "kvaerno3": (3, 3, 3, True),
    "kvaerno5": (5, 5, 4, True),
}
every_method = pytest.mark.parametrize("method", METHODS.values(), ids=list(METHODS))
IMPLICIT = [method for method in METHODS.values() if method.implicit]
implicit_methods = pytest.mark.parametrize("method", IMPLICIT, ids=[method.name for method in IMPLICIT])


def dense_weights(method, theta):
    """The weights of the stages and the end slope inside the step."""
    rows = [sum(w * theta ** (p + 1) for p, w in enumerate(row)) for row in method.dense]
    return tuple(rows + [0.0] * (method.tableau.stages + 1 - len(rows)))


def dense_slopes(method, theta):
    """The same of the interpolant's derivative."""
    rows = [sum((p + 1) * w * theta**p for p, w in enumerate(row)) for row in method.dense]
    return tuple(rows + [0.0] * (method.tableau.stages + 1 - len(rows)))


def matrix(tableau):
    """All of a, with its diagonal."""
    m = tableau.stages
    rows = [(*row, tableau.diagonal if row else 0.0) for row in tableau.a]
    return torch.tensor([[*row, *[0.0] * (m - len(row))] for row in rows], dtype=torch.float64)


def test_every_method_is_in_the_table_above():
    assert set(METHODS) == set(KNOWN)


@every_method
def test_every_method_has_its_order_and_its_error_estimate_too_and_no_more(method):
    tableau, (order, error_order, _, adaptive) = method.tableau, KNOWN[method.name]
    assert (method.order, tableau.error_order, method.adaptive) == (order, error_order, adaptive)
    assert tableau.order_of((*tableau.b, 0.0), highest=order + 1) == order


@every_method
def test_the_interpolant_meets_the_order_conditions_inside_the_step_and_ends_where_the_step_ends(method):
    tableau, expected = method.tableau, KNOWN[method.name][2]
    for theta in (0.21, 0.5, 0.83):
        assert tableau.order_of(dense_weights(method, theta), theta, expected + 1) == expected
    assert dense_weights(method, 1.0) == pytest.approx((*tableau.b, 0.0), abs=1e-12)


@every_method
def test_the_interpolant_leaves_and_arrives_with_the_slopes_there(method):
    m = method.tableau.stages
    first, last = (torch.eye(m + 1, dtype=torch.float64)[i].tolist() for i in (0, m - method.implicit))
    if method.name == "euler":
        last = first
    assert dense_slopes(method, 0.0) == pytest.approx(first, abs=1e-12)
    assert dense_slopes(method, 1.0) == pytest.approx(last, abs=1e-10)


@implicit_methods
def test_the_last_stage_of_an_implicit_method_is_the_end_of_the_step_and_stands_in_for_the_end_slope(method):
    tableau = method.tableau
    assert method.implicit
    assert tableau.stiffly_accurate
    assert matrix(tableau)[-1].tolist() == list(tableau.b)
    assert (tableau.c[-1], tableau.error[-1]) == (1.0, 0.0)
    assert not method.uses_end_slope


@every_method
def test_a_method_is_implicit_where_its_last_stage_ends_the_step_and_only_there(method):
    named = method.name.startswith("kvaerno") or method.name in ("implicit_euler", "trapezoid", "sdirk2", "trbdf2")
    assert method.implicit == method.tableau.stiffly_accurate == named


def grows_by(tableau, z):
    """The stability function R(z) = 1 + z b (1 - z a)^-1 1."""
    a = matrix(tableau).to(torch.complex128)
    ones, z = torch.ones(len(a), 1, dtype=a.dtype), z.view(-1, 1, 1).to(a.dtype)
    b = torch.tensor([tableau.b], dtype=a.dtype)
    return (1 + z * (b @ torch.linalg.solve(torch.eye(len(a)) - z * a, ones))).flatten()


@implicit_methods
def test_an_implicit_method_is_l_stable_and_the_trapezoidal_rule_a_stable(method):
    # With its poles, 1 / diagonal, on the right, the largest R of the left half-plane is on the imaginary axis.
    tableau = method.tableau
    assert tableau.diagonal > 0
    axis = 1j * torch.logspace(-4, 6, 4001, dtype=torch.float64)
    assert grows_by(tableau, axis).abs().max() <= 1 + 1e-12
    if method.name == "trapezoid":
        return
    far = -torch.logspace(2, 6, 5, dtype=torch.float64)
    assert (grows_by(tableau, far).abs() < 10 / far.abs()).all()
    a = matrix(tableau)
    assert -torch.linalg.solve(a[1:, 1:], a[1:, 0])[-1] == pytest.approx(0.0, abs=1e-13)


@pytest.mark.parametrize("name", ["rk4", "dopri8"])
def test_an_explicit_method_is_not(name):
    assert grows_by(METHODS[name].tableau, torch.tensor([-20.0])).abs() > 100


def test_an_unknown_method_is_named_with_those_there_are():
    with pytest.raises(ValueError, match=r"method must be one of bosh3, dopri5, .*, kvaerno5, .*, tsit5, not 'rk5'"):
        solve(lambda t, z: -z, torch.ones(1, 1), torch.ones(1, 1), method="rk5")
