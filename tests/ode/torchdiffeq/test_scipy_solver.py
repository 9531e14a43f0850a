import math

import pytest
import torch
from scipy.integrate import solve_ivp

from latentode.ode import SolveError, odeint, odeint_adjoint
from tests.ode.torchdiffeq.turning import evaluations, start, times, turned, turning


@pytest.mark.parametrize("solver", ["RK45", "DOP853", "Radau", "LSODA"])
@pytest.mark.parametrize("backwards", [False, True])
def test_scipy_solves_in_both_directions(solver, backwards):
    t = times(3).flip(0) if backwards else times(3)
    y = odeint(turning, turned(t[0]), t, method="scipy_solver", options={"solver": solver})
    assert torch.allclose(y, turned(t), atol=1e-4)
    assert y.dtype == torch.float64


def test_scipy_tells_why_it_failed_and_follows_its_limits():
    with pytest.raises(SolveError, match="SciPy's RK45 failed"):
        odeint(lambda t, y: y**2, start(), times(1), method="scipy_solver", options={"solver": "RK45"})
    assert evaluations(method="scipy_solver", options={"max_step": 0.01}) > 200
    with pytest.raises(ValueError, match='adjoint="discrete" is not possible'):
        odeint_adjoint(turning, start(), times(1), method="scipy_solver", adjoint="discrete")


@pytest.mark.parametrize("solver", ["RK45", "BDF"])
def test_values_are_those_of_scipy_itself(solver):
    t = times(5)

    def slope(time, y):
        return turning(torch.tensor(time, dtype=torch.float64), torch.as_tensor(y)).numpy()

    theirs = solve_ivp(slope, (0.0, 2.0), start().numpy(), solver, t.numpy(), rtol=1e-5, atol=1e-7)
    options = {"solver": solver}
    ours = odeint(turning, start(), t, method="scipy_solver", rtol=1e-5, atol=1e-7, options=options)
    assert torch.allclose(ours, torch.as_tensor(theirs.y).T, atol=1e-13)


def test_states_of_every_shape_and_dtype_come_back_as_such_without_a_gradient():
    rate = torch.tensor(0.5, requires_grad=True)
    t = torch.tensor([0.0, 1.0])
    y, z = odeint(lambda t, y: (-rate * y[0], y[1]), (torch.ones(2, 3), torch.ones(())), t, method="scipy_solver")
    assert (y.shape, z.shape, y.dtype) == ((2, 2, 3), (2,), torch.float32)
    assert torch.allclose(y[1], torch.exp(torch.tensor(-0.5)).expand(2, 3), atol=1e-4)
    assert not y.requires_grad


def test_each_number_of_the_state_may_have_its_own_tolerance():
    def field(t, y):
        return torch.stack([-y[0], 50 * torch.cos(50 * t)])

    errors = []
    for rough in (1e-8, 10.0):
        atol = torch.tensor([1e-8, rough], dtype=torch.float64)
        y = odeint(field, start(), times(1), method="scipy_solver", rtol=atol.clone(), atol=atol)
        errors.append(float((y[-1, 1] - torch.sin(torch.tensor(100.0))).abs()))
        assert float(y[-1, 0]) == pytest.approx(math.exp(-2.0), abs=1e-5)
    assert errors[0] < 1e-5 < errors[1]


def test_a_state_that_is_not_finite_is_an_error_and_not_an_answer():
    with pytest.raises(SolveError, match="SciPy's LSODA failed"):
        odeint(lambda t, y: y * float("nan"), start(), times(1), method="scipy_solver")
