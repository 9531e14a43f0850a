import math
import warnings

import pytest
import torch

from latentode.ode import odeint, odeint_adjoint


class Swaying(torch.nn.Module):
    def __init__(self, dtype=torch.float64):
        super().__init__()
        self.matrix = torch.nn.Parameter(torch.tensor([[-0.1, 1.0], [-1.0, -0.2]], dtype=dtype))
        self.evaluations = 0

    def forward(self, t, y):
        self.evaluations += 1
        return self.matrix @ y + torch.sin(t)


def gradients(face, dtype=torch.float64, backwards=False, **given):
    func, y0 = Swaying(dtype), torch.tensor([1.0, 2.0], dtype=dtype, requires_grad=True)
    t = torch.tensor([0.0, 0.4, 1.0, 1.5], dtype=torch.float64)
    t = (t.flip(0) if backwards else t).requires_grad_()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        y = face(func, y0, t, **given)
        weights = torch.arange(8.0, dtype=torch.float64).view(4, 2)
        return torch.autograd.grad((y.abs() * weights).sum(), [y0, t, func.matrix])


WAYS = [
    {},
    {"adjoint_rtol": 1e-8, "adjoint_atol": 1e-9, "adjoint_options": {"norm": "seminorm"}},
    {"adjoint_method": "rk4", "adjoint_options": {"step_size": 0.05}},
    {"method": "gl4", "options": {"step_size": 0.05}},
    {"method": "sdirk2", "options": {"step_size": 0.005}, "adjoint_method": "dopri5", "adjoint_options": {}},
    {"method": "implicit_adams", "options": {"step_size": 0.05}},
    {"method": "scipy_solver"},
    {"options": {"norm": lambda y: y.abs().max(), "max_step": 0.2}},
]


@pytest.fixture(scope="module")
def exact():
    return gradients(odeint, rtol=1e-11, atol=1e-12)


@pytest.mark.parametrize("given", WAYS)
def test_a_backward_solve_of_any_kind_has_the_gradients_of_the_solution(given, exact):
    for ours, expected in zip(gradients(odeint_adjoint, adjoint="backsolve", **given), exact, strict=True):
        assert torch.allclose(ours, expected, rtol=1e-3, atol=2e-3)


@pytest.mark.parametrize("adjoint", ["discrete", "backsolve"])
@pytest.mark.parametrize("backwards", [False, True])
def test_complex_states_and_parameters_have_gradients_too(adjoint, backwards):
    exact = gradients(odeint, backwards=backwards, rtol=1e-10, atol=1e-12)
    found = gradients(odeint_adjoint, torch.complex128, backwards, adjoint=adjoint)
    for ours, expected in zip(found, exact, strict=True):
        assert torch.allclose(ours.real, expected, rtol=1e-4, atol=1e-4)


def test_a_norm_of_ones_own_is_called_backwards_with_every_part_and_chooses_the_backward_solve():
    shapes = set()

    def norm(parts):
        shapes.add(tuple(tuple(part.shape) for part in parts))
        return max(part.abs().max() for part in parts)

    rate, t = torch.ones(3, dtype=torch.float64, requires_grad=True), torch.tensor([0.0, 1.0], dtype=torch.float64)
    given = {"adjoint_params": (rate,), "adjoint_options": {"norm": norm}}
    y0 = torch.ones(2, 2, dtype=torch.float64)
    odeint_adjoint(lambda t, y: -rate[0] * y, y0, t, **given).sum().backward()
    assert rate.grad[0].item() == pytest.approx(-4 * math.exp(-1.0), rel=1e-5)
    assert shapes == {((), (2, 2), (2, 2), (3,))}
    shapes.clear()
    pair = odeint_adjoint(lambda t, y: (-rate[0] * y[0], y[1]), (y0, y0[0]), t, **given)
    pair[0].sum().backward()
    assert shapes == {((), (2, 2), (2,), (2, 2), (2,), (3,))}


def test_a_rough_backward_solve_is_cheaper_and_less_accurate():
    counts = []
    for given in ({}, {"adjoint_rtol": 1e-3, "adjoint_atol": 1e-3}):
        func, t = Swaying(), torch.tensor([0.0, 3.0], dtype=torch.float64)
        y = odeint_adjoint(func, torch.ones(2, dtype=torch.float64), t, adjoint="backsolve", **given)
        func.evaluations = 0
        y.sum().backward()
        counts.append(func.evaluations)
    assert counts[1] < 0.5 * counts[0]


REFUSED = [
    ({"adjoint_method": "rk4", "options": {"max_step": 0.1}}, "give its adjoint_options"),
    ({"rtol": torch.tensor([1e-3, 1e-4])}, "give adjoint_rtol"),
    ({"adjoint_options": {"stepsize": 1.0}}, "unknown option stepsize"),
    ({"adjoint_method": "rk45"}, "no method is called 'rk45'"),
    ({"adjoint": "magic"}, "adjoint must be one of backsolve"),
    ({"adjoint": "continuous", "method": "gl4"}, 'adjoint="continuous" is not possible'),
]


@pytest.mark.parametrize(("given", "message"), REFUSED)
def test_what_cannot_be_solved_backwards_is_refused(given, message):
    with pytest.raises(ValueError, match=message):
        odeint_adjoint(Swaying(), torch.ones(2).double(), torch.tensor([0.0, 1.0]), **{"adjoint": "backsolve", **given})


def test_a_tensor_that_would_get_no_gradient_is_refused():
    rate = torch.ones((), requires_grad=True)
    with pytest.raises(ValueError, match="would get no gradient"):
        odeint_adjoint(lambda t, y: -rate * y, torch.ones(2), torch.tensor([0.0, 1.0]), adjoint="backsolve")
