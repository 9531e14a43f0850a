import math

import pytest
import torch

from latentode.ode import METHODS, SolveError, odeint
from latentode.ode.torchdiffeq.collocation import COLLOCATION
from latentode.ode.torchdiffeq.stages import explicit_stages, implicit_stages, sides_of, step_end
from latentode.ode.torchdiffeq.stepping import SteppedState
from tests.ode.torchdiffeq.turning import times


@pytest.mark.parametrize("method", ["gl4", "radauIIA3"])
def test_coupled_stages_can_be_differentiated_twice(method):
    y0 = torch.tensor([1.2], dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradgradcheck(
        lambda y0: odeint(lambda t, y: -(y**3), y0, torch.tensor([0.0, 0.5, 1.0]).double(), method=method), (y0,)
    )


@pytest.mark.parametrize("method", ["implicit_euler", "radauIIA3", "radauIIA5", "sdirk2", "trbdf2"])
def test_a_stiff_field_is_solved_by_steps_that_an_explicit_method_cannot_take(method):
    def stiff(t, y):
        return -1e6 * (y - torch.cos(t)) - torch.sin(t)

    y = odeint(stiff, torch.tensor([2.0], dtype=torch.float64), times(10), method=method)
    assert y[-1].item() == pytest.approx(math.cos(2.0), abs=1e-4)
    with pytest.raises(SolveError):
        odeint(stiff, torch.tensor([2.0], dtype=torch.float64), times(200), method="rk4")


def test_a_state_too_large_for_one_matrix_is_refused():
    with pytest.raises(ValueError, match="a state of 3000 numbers is too large for an implicit method"):
        odeint(lambda t, y: -y, torch.ones(3000), torch.tensor([0.0, 1.0]), method="gl4")


def pendulum(t, y):
    return torch.stack([y[1], -torch.sin(y[0]) + torch.cos(t)])


def step_of(field=pendulum):
    """A step from 0.2 to 0.7: the state, its two ends, and the start with its slope."""
    begin, end = (torch.tensor(x, dtype=torch.float64) for x in (0.2, 0.7))
    y = torch.tensor([0.4, -0.3], dtype=torch.float64)
    return SteppedState(field, y, begin, 1.0, lambda y: y), begin, end, y, field(begin, y)


def test_ends_of_a_perturbed_step_lie_inside_it():
    assert sides_of((0.0, 0.5, 1.0), perturb=True) == [1, 0, -1]
    assert sides_of((0.0, 0.5, 1.0), perturb=False) == [0, 0, 0]


def test_explicit_stages_are_those_of_the_textbook():
    state, begin, end, y, first = step_of()
    h, tableau = 0.5, METHODS["rk4"].tableau
    second = pendulum(begin + h / 2, y + h / 2 * first)
    third = pendulum(begin + h / 2, y + h / 2 * second)
    expected = [first, second, third, pendulum(end, y + h * third)]
    found = explicit_stages(state, tableau, begin, end, y, first, [0] * 4)
    assert torch.allclose(torch.stack(found), torch.stack(expected), atol=1e-15)
    whole = y + h / 6 * (first + 2 * second + 2 * third + expected[-1])
    assert torch.allclose(step_end(y, found, tableau.b, end - begin), whole, atol=1e-15)


@pytest.mark.parametrize("name", COLLOCATION)
def test_coupled_stages_solve_their_equations(name):
    state, begin, end, y, first = step_of()
    method, h = COLLOCATION[name], 0.5
    slopes = implicit_stages(state, method, begin, end, y, first, [0] * method.stages, 20)
    for row, c, slope in zip(method.a, method.c, slopes, strict=True):
        at = y + h * sum(weight * k for weight, k in zip(row, slopes, strict=True))
        assert torch.allclose(slope, pendulum(begin + c * h, at), atol=1e-13)


def test_stages_of_a_linear_field_are_found_in_closed_form():
    """The implicit midpoint rule: y (1 + x / 2) / (1 - x / 2)."""
    state, begin, end, y, first = step_of(lambda t, y: -3.0 * y)
    slopes = implicit_stages(state, COLLOCATION["implicit_midpoint"], begin, end, y, first, [0], 20)
    assert torch.allclose(step_end(y, slopes, (1.0,), end - begin), y * (1 - 0.75) / (1 + 0.75), atol=1e-15)


def test_a_field_that_does_not_read_the_state_needs_no_derivative():
    state, begin, end, y, first = step_of(lambda t, y: t * torch.ones(2, dtype=torch.float64))
    gl4 = COLLOCATION["gl4"]
    slopes = implicit_stages(state, gl4, begin, end, y, first, [0, 0], 20)
    assert torch.allclose(step_end(y, slopes, gl4.b, end - begin), y + (0.7**2 - 0.2**2) / 2, atol=1e-15)


def test_stages_that_are_not_found_are_nan():
    """Newton's method goes to and fro, further and further out."""
    state, begin, end, y, first = step_of(lambda t, y: -1000.0 * torch.atan(10 * y))
    slopes = implicit_stages(state, COLLOCATION["implicit_midpoint"], begin, end, y, first, [0], 20)
    assert torch.stack(slopes).isnan().all()


def test_slopes_at_the_ends_of_a_perturbed_step_are_evaluated_inside_it():
    seen = []

    def noted(t, y):
        seen.append(float(t))
        return -y

    state, begin, end, y, _ = step_of(noted)
    seen.clear()
    radau = COLLOCATION["radauIIA3"]
    implicit_stages(state, radau, begin, end, y, -y, sides_of(radau.c, perturb=True), 20)
    assert max(seen) == math.nextafter(0.7, 0.0)
